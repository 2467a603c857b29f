// SPDX-License-Identifier: BSD-3-Clause
/*
 * Extended attributes: the format has none. The owner of a mount communicates with it through some attributes of the root:
 * setting one makes a snapshot, as with a mount by FUSE (`hammer2 snapshot`); others are read for the state of the cluster, or
 * set to give an order, and contain the structures that kmod-shim/src/administration.rs describes. C passes these on as a whole.
 */
#include "hammer2.h"

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/xattr.h>

#define ROOT_INUM 1
#define MOST_LABEL_BYTES 255

/* True for a label that the tool can name: these characters separate disks, nodes and labels. */
static bool hammer2_is_label(const char *label, size_t length)
{
	return length && length <= MOST_LABEL_BYTES && !memchr(label, '/', length) && !memchr(label, '@', length) &&
	       !memchr(label, ':', length);
}

/* Whether the caller may communicate with the mount through this inode; an error if not. */
static int hammer2_may_speak(hammer2_idmap *idmap, struct inode *inode)
{
	if (inode->i_ino != ROOT_INUM)
		return -EOPNOTSUPP;
	return inode_owner_or_capable(idmap, inode) ? 0 : -EPERM;
}

/* Passes something to the core, which answers with a number. */
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
	/* It includes what mappings have changed. */
	down_read(&inode->i_sb->s_umount);
	sync_inodes_sb(inode->i_sb);
	up_read(&inode->i_sb->s_umount);
	return hammer2_say(inode, HAMMER2_SNAPSHOT, label, length);
}

/* The most bytes of an answer: enough for more than eight nodes of many disks. */
#define ANSWER_BYTES (32 << 10)
/* The most bytes of an order. */
#define ORDER_BYTES 256

/* Reads an answer of the core; without a buffer, only its length. */
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

/* Gives an order, which begins at once; the core interprets it. */
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
