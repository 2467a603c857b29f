// SPDX-License-Identifier: BSD-3-Clause
/* File handles, for NFS's server and open_by_handle_at(2): inode numbers, which HAMMER2 never reuses. */
#include "hammer2.h"

#include <linux/exportfs.h>
#include <linux/slab.h>

/* The types of handles, which tell what a handle contains. */
#define HANDLE_INODE 0x81
#define HANDLE_INODE_AND_PARENT 0x82

/* A number takes two words. */
#define INODE_WORDS 2

static void hammer2_handle_put(u32 *words, const struct inode *inode)
{
	words[0] = lower_32_bits(inode->i_ino);
	words[1] = upper_32_bits(inode->i_ino);
}

static u64 hammer2_handle_get(const u32 *words)
{
	return words[0] | (u64)words[1] << 32;
}

static int hammer2_handle_make(struct inode *inode, u32 *words, int *length, struct inode *parent)
{
	int needed = parent ? 2 * INODE_WORDS : INODE_WORDS;
	bool has_room = *length >= needed;

	*length = needed;
	if (!has_room)
		return FILEID_INVALID;
	hammer2_handle_put(words, inode);
	if (parent)
		hammer2_handle_put(words + INODE_WORDS, parent);
	return parent ? HANDLE_INODE_AND_PARENT : HANDLE_INODE;
}

/* The dentry of an inode that a request has found, or -ESTALE if it is gone or has no name any more. */
static struct dentry *hammer2_dentry_of(struct super_block *sb, struct hammer2_call *call)
{
	struct inode *inode;
	s64 result;

	if (!call)
		return ERR_PTR(-ENOMEM);
	result = hammer2_call_wait(hammer2_mount_of(sb), call);
	if (result)
		inode = ERR_PTR(result == -ENOENT ? -ESTALE : result);
	else if (!call->request.attributes.links)
		inode = ERR_PTR(-ESTALE);
	else
		inode = hammer2_inode_get(sb, &call->request.attributes);
	kfree(call);
	return d_obtain_alias(inode);
}

static struct dentry *hammer2_handle_open(struct super_block *sb, struct fid *handle, int length, int type)
{
	if (length < INODE_WORDS || (type != HANDLE_INODE && type != HANDLE_INODE_AND_PARENT))
		return NULL;
	return hammer2_dentry_of(sb, hammer2_call_new(HAMMER2_GETATTR, hammer2_handle_get(handle->raw)));
}

static struct dentry *hammer2_handle_open_parent(struct super_block *sb, struct fid *handle, int length, int type)
{
	if (length < 2 * INODE_WORDS || type != HANDLE_INODE_AND_PARENT)
		return NULL;
	return hammer2_dentry_of(sb, hammer2_call_new(HAMMER2_GETATTR, hammer2_handle_get(handle->raw + INODE_WORDS)));
}

/* The directory that a directory is in. */
static struct dentry *hammer2_parent_open(struct dentry *child)
{
	struct hammer2_call *call = hammer2_call_new(HAMMER2_LOOKUP, d_inode(child)->i_ino);

	if (call) {
		call->request.name.bytes = "..";
		call->request.name.length = 2;
	}
	return hammer2_dentry_of(child->d_sb, call);
}

const struct export_operations hammer2_export_operations = {
	.encode_fh = hammer2_handle_make,
	.fh_to_dentry = hammer2_handle_open,
	.fh_to_parent = hammer2_handle_open_parent,
	.get_parent = hammer2_parent_open,
};
