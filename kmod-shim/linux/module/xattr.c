// SPDX-License-Identifier: BSD-3-Clause
/*
 * Extended attributes: the format has none. That a snapshot is made when one of them is set on the root is how the owner of a mount asks
 * for it, as of a mount by FUSE (`hammer2 snapshot`).
 */
#include "hammer2.h"

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

static int hammer2_snapshot(const struct xattr_handler *handler, hammer2_idmap *idmap, struct dentry *dentry, struct inode *inode,
			    const char *name, const void *label, size_t length, int flags)
{
	struct hammer2_call *call;
	s64 result;

	if (inode->i_ino != ROOT_INUM)
		return -EOPNOTSUPP;
	if (!inode_owner_or_capable(idmap, inode))
		return -EPERM;
	if (!hammer2_is_label(label, length))
		return -EINVAL;
	call = hammer2_call_new(HAMMER2_SNAPSHOT, 0);
	if (!call)
		return -ENOMEM;
	/* What mappings have changed belongs to it. */
	down_read(&inode->i_sb->s_umount);
	sync_inodes_sb(inode->i_sb);
	up_read(&inode->i_sb->s_umount);
	call->request.name.bytes = label;
	call->request.name.length = length;
	result = hammer2_call_wait(hammer2_mount_of(inode->i_sb), call);
	kfree(call);
	return result;
}

static const struct xattr_handler hammer2_snapshot_handler = {
	.name = "system.hammer2.snapshot",
	.set = hammer2_snapshot,
};

const struct xattr_handler *hammer2_xattr_handlers[] = { &hammer2_snapshot_handler, NULL };
