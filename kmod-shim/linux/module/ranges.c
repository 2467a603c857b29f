// SPDX-License-Identifier: BSD-3-Clause
/* Ranges of regular files: finding and making holes, and allocating room. */
#include "hammer2.h"

#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/mm.h>
#include <linux/slab.h>

/* The next place from an offset on that is data, or a hole; the inode's lock is held, and mappings have no changes left. */
static s64 hammer2_find(struct inode *inode, u64 offset, u32 op)
{
	struct hammer2_call *call;
	s64 result;

	if (offset >= i_size_read(inode))
		return -ENXIO;
	call = hammer2_call_new(op, inode->i_ino);
	if (!call)
		return -ENOMEM;
	call->request.offset = offset;
	result = hammer2_call_wait(hammer2_mount_of(inode->i_sb), call);
	kfree(call);
	return result;
}

/* Changes in mappings go to the core first, which knows the holes. */
static loff_t hammer2_seek(struct file *file, loff_t offset, u32 op)
{
	struct inode *inode = file_inode(file);
	s64 result;

	inode_lock_shared(inode);
	result = filemap_write_and_wait(inode->i_mapping);
	if (!result)
		result = hammer2_find(inode, offset, op);
	inode_unlock_shared(inode);
	return result < 0 ? result : vfs_setpos(file, result, inode->i_sb->s_maxbytes);
}

/*
 * Which ranges of a file are data. Their places on the disks aren't reported: each disk has them elsewhere, perhaps compressed,
 * and a block that is changed gets a new place.
 */
int hammer2_fiemap(struct inode *inode, struct fiemap_extent_info *info, u64 start, u64 length)
{
	s64 data, hole, after;
	u64 end;
	int result = S_ISREG(inode->i_mode) ? fiemap_prep(inode, info, start, &length, FIEMAP_FLAG_SYNC) : -EOPNOTSUPP;

	if (result)
		return result;
	inode_lock_shared(inode);
	result = filemap_write_and_wait(inode->i_mapping);
	end = start + length;
	for (after = result ? result : hammer2_find(inode, start, HAMMER2_SEEK_DATA); after >= 0 && after < end && !result;) {
		data = after;
		hole = hammer2_find(inode, data, HAMMER2_SEEK_HOLE);
		after = hole < 0 ? hole : hammer2_find(inode, hole, HAMMER2_SEEK_DATA);
		if (hole >= 0)
			result = fiemap_fill_next_extent(info, data, 0, hole - data,
							 FIEMAP_EXTENT_UNKNOWN | (after == -ENXIO ? FIEMAP_EXTENT_LAST : 0));
	}
	inode_unlock_shared(inode);
	/* 1 means that no more are wanted. */
	if (result)
		return result < 0 ? result : 0;
	return after < 0 && after != -ENXIO ? after : 0;
}

loff_t hammer2_llseek(struct file *file, loff_t offset, int whence)
{
	switch (whence) {
	case SEEK_DATA:
		return hammer2_seek(file, offset, HAMMER2_SEEK_DATA);
	case SEEK_HOLE:
		return hammer2_seek(file, offset, HAMMER2_SEEK_HOLE);
	default:
		return generic_file_llseek(file, offset, whence);
	}
}

/* Called with the inode's lock held. Pages that become zeros are dropped first, and none is read until the core is done. */
static s64 hammer2_allocate(struct inode *inode, struct hammer2_call *call, loff_t offset, loff_t length)
{
	loff_t size = i_size_read(inode);
	bool has_zeros = call->request.flags & (HAMMER2_ZERO_RANGE | HAMMER2_PUNCH_HOLE);
	s64 result;

	if (!(call->request.flags & HAMMER2_KEEP_SIZE)) {
		result = inode_newsize_ok(inode, offset + length);
		if (result && offset + length > size)
			return result;
	}
	call->request.offset = offset;
	call->request.buffer_length = length;
	hammer2_call_refresh(call, 0, inode);
	filemap_invalidate_lock(inode->i_mapping);
	result = filemap_write_and_wait(inode->i_mapping);
	if (result)
		goto out;
	if (has_zeros)
		truncate_pagecache_range(inode, offset, offset + length - 1);
	/* A mapping may have left something beyond the end in the last page. */
	truncate_pagecache(inode, size);
	result = hammer2_call_wait(hammer2_mount_of(inode->i_sb), call);
	if (!result) {
		hammer2_call_refreshed(call, 0, inode);
		if (i_size_read(inode) > size)
			pagecache_isize_extended(inode, size, i_size_read(inode));
	}
out:
	filemap_invalidate_unlock(inode->i_mapping);
	return result;
}

/* Ranges can't be removed from a file or inserted: its blocks are aligned. */
long hammer2_fallocate(struct file *file, int mode, loff_t offset, loff_t length)
{
	struct inode *inode = file_inode(file);
	struct hammer2_call *call;
	u32 flags = 0;
	s64 result;

	if (mode & FALLOC_FL_KEEP_SIZE)
		flags |= HAMMER2_KEEP_SIZE;
	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case 0:
		break;
	case FALLOC_FL_PUNCH_HOLE:
		flags |= HAMMER2_PUNCH_HOLE;
		break;
	case FALLOC_FL_ZERO_RANGE:
		flags |= HAMMER2_ZERO_RANGE;
		break;
	default:
		return -EOPNOTSUPP;
	}
	call = hammer2_call_new(HAMMER2_ALLOCATE, inode->i_ino);
	if (!call)
		return -ENOMEM;
	call->request.flags = flags;
	inode_lock(inode);
	result = file_remove_privs(file);
	if (!result)
		result = hammer2_allocate(inode, call, offset, length);
	inode_unlock(inode);
	kfree(call);
	return result;
}
