// SPDX-License-Identifier: BSD-3-Clause
/*
 * Extended attributes: the format has none. Some of the root are how the owner of a mount speaks with it: a snapshot is made when one is
 * set, as of a mount by FUSE (`hammer2 snapshot`); others are read to know how the cluster is, or set to give an order, and hold the
 * structures that kmod-shim/src/administration.rs describes. None of these passes through C otherwise than whole.
 */
#include "hammer2.h"

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/xattr.h>

#define ROOT_INUM 1
#define MOST_LABEL_BYTES 255

/* What the tool can name: these letters part disks, nodes and labels. */
static bool hammer2_is_label(const char *label, size_t length)
{
	return length && length <= MOST_LABEL_BYTES && !memchr(label, '/', length) && !memchr(label, '@', length) &&
	       !memchr(label, ':', length);
}

/* Whether the caller may speak with the mount of this inode by it; else an error. */
static int hammer2_may_speak(hammer2_idmap *idmap, struct inode *inode)
{
	if (inode->i_ino != ROOT_INUM)
		return -EOPNOTSUPP;
	return inode_owner_or_capable(idmap, inode) ? 0 : -EPERM;
}

/* Says something to the core, which answers it by a number. */
static int hammer2_say(struct inode *inode, u32 op, const void *words, size_t length)
{
	struct hammer2_call *call = hammer2_call_new(op, 0);
	s64 result;

	if (!call)
		return -ENOMEM;
	call->request.name.bytes = words;
	call->request.name.length = length;
	result = hammer2_call_wait(hammer2_mount_of(inode->i_sb), call);
	kfree(call);
	return result;
}

static int hammer2_snapshot(const struct xattr_handler *handler, hammer2_idmap *idmap, struct dentry *dentry, struct inode *inode,
			    const char *name, const void *label, size_t length, int flags)
{
	int error = hammer2_may_speak(idmap, inode);

	if (error)
		return error;
	if (!hammer2_is_label(label, length))
		return -EINVAL;
	/* What mappings have changed belongs to it. */
	down_read(&inode->i_sb->s_umount);
	sync_inodes_sb(inode->i_sb);
	up_read(&inode->i_sb->s_umount);
	return hammer2_say(inode, HAMMER2_SNAPSHOT, label, length);
}

/* What an answer may take: more than of eight nodes of many disks. */
#define ANSWER_BYTES (32 << 10)
/* What an order may take. */
#define ORDER_BYTES 256

/* Reads what the core has to say; with no room, only how much it is. */
static int hammer2_tell(const struct xattr_handler *handler, struct dentry *dentry, struct inode *inode, const char *name, void *buffer,
			size_t size)
{
	struct hammer2_call *call;
	void *answer;
	s64 result = hammer2_may_speak(HAMMER2_NO_IDMAP, inode);

	if (result)
		return result;
	call = hammer2_call_new(handler->flags, 0);
	answer = kvmalloc(ANSWER_BYTES, GFP_KERNEL);
	result = -ENOMEM;
	if (!call || !answer)
		goto out;
	call->request.buffer = answer;
	call->request.buffer_length = ANSWER_BYTES;
	result = hammer2_call_wait(hammer2_mount_of(inode->i_sb), call);
	if (result > 0 && size && result > size)
		result = -ERANGE;
	else if (result > 0 && size)
		memcpy(buffer, answer, result);
out:
	kvfree(answer);
	kfree(call);
	return result;
}

/* Gives an order, which is begun by that; the core knows what it means. */
static int hammer2_order(const struct xattr_handler *handler, hammer2_idmap *idmap, struct dentry *dentry, struct inode *inode,
			 const char *name, const void *order, size_t length, int flags)
{
	int error = hammer2_may_speak(idmap, inode);

	if (error)
		return error;
	return length > ORDER_BYTES ? -EINVAL : hammer2_say(inode, HAMMER2_ORDER, order, length);
}

static const struct xattr_handler hammer2_status_handler = {
	.name = "system.hammer2.status",
	.flags = HAMMER2_STATUS,
	.get = hammer2_tell,
};

static const struct xattr_handler hammer2_outcome_handler = {
	.name = "system.hammer2.outcome",
	.flags = HAMMER2_OUTCOME,
	.get = hammer2_tell,
};

static const struct xattr_handler hammer2_order_handler = {
	.name = "system.hammer2.order",
	.set = hammer2_order,
};

static const struct xattr_handler hammer2_snapshot_handler = {
	.name = "system.hammer2.snapshot",
	.set = hammer2_snapshot,
};

const struct xattr_handler *hammer2_xattr_handlers[] = {
	&hammer2_snapshot_handler, &hammer2_status_handler, &hammer2_outcome_handler, &hammer2_order_handler, NULL,
};
