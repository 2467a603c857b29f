// SPDX-License-Identifier: BSD-3-Clause
/* Requests to a mount by ioctl(2). */
#include "hammer2.h"

#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* Gives back unreferenced space and tells the disks. It can't be done for a part of the filesystem. */
static long hammer2_trim(struct file *file, struct fstrim_range __user *argument)
{
	struct super_block *sb = file_inode(file)->i_sb;
	struct hammer2_call *call;
	struct fstrim_range range;
	s64 result;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&range, argument, sizeof(range)))
		return -EFAULT;
	if (range.start || range.len != U64_MAX)
		return -EOPNOTSUPP;
	result = mnt_want_write_file(file);
	if (result)
		return result;
	call = hammer2_call_new(HAMMER2_TRIM, 0);
	result = call ? hammer2_call_wait(hammer2_mount_of(sb), call) : -ENOMEM;
	kfree(call);
	mnt_drop_write_file(file);
	if (result < 0)
		return result;
	range.len = result;
	return copy_to_user(argument, &range, sizeof(range)) ? -EFAULT : 0;
}

long hammer2_ioctl(struct file *file, unsigned int order, unsigned long argument)
{
	switch (order) {
	case FITRIM:
		return hammer2_trim(file, (struct fstrim_range __user *)argument);
	default:
		return -ENOTTY;
	}
}
