// SPDX-License-Identifier: BSD-3-Clause
/*
 * Regular files. The data of a write(2) goes to the core before the call returns; the core finds room for it or refuses it, and
 * keeps it until it is written to the disks. The page cache has it as well, for readers. Only what is written through a mapping
 * is in the page cache alone, until it is written back. A file opened with O_DIRECT bypasses the page cache, whose content stays
 * valid.
 */
#include "hammer2.h"

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>

/* The size of the core's blocks, which it handles best. */
#define BLOCK_BYTES (64 << 10)

/* Makes the core write; with `is_locked`, the inode's lock is held, and the inode takes over the new attributes. */
static s64 hammer2_write(struct inode *inode, u64 offset, void *bytes, size_t length, bool is_locked)
{
	struct hammer2_call *call = hammer2_call_new(HAMMER2_WRITE, inode->i_ino);
	s64 result;

	if (!call)
		return -ENOMEM;
	call->request.offset = offset;
	call->request.buffer = bytes;
	call->request.buffer_length = length;
	if (is_locked)
		hammer2_call_refresh(call, 0, inode);
	result = hammer2_call_wait(hammer2_mount_of(inode->i_sb), call);
	if (result >= 0 && is_locked)
		hammer2_call_refreshed(call, 0, inode);
	kfree(call);
	return result;
}

/* Makes the core write content of the page cache, below the end of the file. */
s64 hammer2_write_block(struct inode *inode, u64 offset, void *bytes, size_t length)
{
	return hammer2_write(inode, offset, bytes, length, false);
}

/* Copies what the core has to the pages that are there, and with `is_kept` also to those from which nothing else remains. */
static void hammer2_write_pages(struct inode *inode, loff_t offset, const void *bytes, size_t length, bool is_kept)
{
	struct address_space *mapping = inode->i_mapping;
	loff_t size = i_size_read(inode);

	while (length) {
		size_t start = offset_in_page(offset);
		size_t count = min_t(size_t, length, PAGE_SIZE - start);
		bool is_whole = !start && (count == PAGE_SIZE || offset + count >= size);
		struct folio *folio = __filemap_get_folio(mapping, offset >> PAGE_SHIFT, FGP_LOCK | (is_whole && is_kept ? FGP_CREAT : 0),
							  mapping_gfp_constraint(mapping, ~__GFP_FS));

		if (!IS_ERR_OR_NULL(folio)) {
			if (is_whole || folio_test_uptodate(folio))
				memcpy(folio_address(folio) + start, bytes, count);
			if (is_whole) {
				memset(folio_address(folio) + count, 0, PAGE_SIZE - count);
				folio_mark_uptodate(folio);
			}
			folio_unlock(folio);
			folio_put(folio);
		}
		offset += count;
		bytes += count;
		length -= count;
	}
}

static ssize_t hammer2_write_locked(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t result, done = 0;
	void *block;

	result = generic_write_checks(iocb, from);
	if (result <= 0)
		return result;
	result = file_remove_privs(iocb->ki_filp);
	if (result)
		return result;
	block = kvmalloc(min_t(size_t, BLOCK_BYTES, iov_iter_count(from)), GFP_KERNEL);
	if (!block)
		return -ENOMEM;
	while (iov_iter_count(from)) {
		size_t room = BLOCK_BYTES - (iocb->ki_pos & (BLOCK_BYTES - 1));
		size_t length = copy_from_iter(block, min(room, iov_iter_count(from)), from);

		result = length ? hammer2_write(inode, iocb->ki_pos, block, length, true) : -EFAULT;
		if (result < 0)
			break;
		hammer2_write_pages(inode, iocb->ki_pos, block, length, !(iocb->ki_flags & IOCB_DIRECT));
		iocb->ki_pos += length;
		done += length;
		cond_resched();
	}
	kvfree(block);
	return done ? done : result;
}

static ssize_t hammer2_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t result;

	inode_lock(inode);
	result = hammer2_write_locked(iocb, from);
	inode_unlock(inode);
	return result > 0 ? generic_write_sync(iocb, result) : result;
}

/* Reads from the core, which knows everything once mappings have given it their changes. */
static ssize_t hammer2_read_locked(struct kiocb *iocb, struct iov_iter *to, void *block)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct hammer2_call *call = hammer2_call_new(HAMMER2_READ, inode->i_ino);
	ssize_t result, done = 0;

	if (!call)
		return -ENOMEM;
	result = filemap_write_and_wait_range(inode->i_mapping, iocb->ki_pos, iocb->ki_pos + iov_iter_count(to) - 1);
	while (!result && iov_iter_count(to)) {
		size_t room = BLOCK_BYTES - (iocb->ki_pos & (BLOCK_BYTES - 1));
		size_t copied;

		call->request.offset = iocb->ki_pos;
		call->request.buffer = block;
		call->request.buffer_length = min(room, iov_iter_count(to));
		result = hammer2_call_wait(hammer2_mount_of(inode->i_sb), call);
		if (result <= 0)
			break;
		copied = copy_to_iter(block, result, to);
		result = copied == result ? 0 : -EFAULT;
		iocb->ki_pos += copied;
		done += copied;
	}
	kfree(call);
	return done ? done : result;
}

static ssize_t hammer2_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t result;
	void *block;

	if (!(iocb->ki_flags & IOCB_DIRECT))
		return generic_file_read_iter(iocb, to);
	if (!iov_iter_count(to))
		return 0;
	block = kvmalloc(min_t(size_t, BLOCK_BYTES, iov_iter_count(to)), GFP_KERNEL);
	if (!block)
		return -ENOMEM;
	inode_lock_shared(inode);
	result = hammer2_read_locked(iocb, to, block);
	inode_unlock_shared(inode);
	kvfree(block);
	return result;
}

static int hammer2_open(struct inode *inode, struct file *file)
{
	file->f_mode |= FMODE_CAN_ODIRECT;
	return generic_file_open(inode, file);
}

int hammer2_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	struct hammer2_call *call;
	s64 result = file_write_and_wait_range(file, start, end);

	if (result || !hammer2_mount_of(inode->i_sb)->is_writable)
		return result;
	call = hammer2_call_new(HAMMER2_SYNC, inode->i_ino);
	if (!call)
		return -ENOMEM;
	result = hammer2_call_wait(hammer2_mount_of(inode->i_sb), call);
	kfree(call);
	return result;
}

/*
 * A page of a mapping is about to be changed. The core writes the page as it is, and so finds room for it, or refuses it while
 * that can still be reported.
 */
static vm_fault_t hammer2_page_mkwrite(struct vm_fault *fault)
{
	struct folio *folio = page_folio(fault->page);
	struct inode *inode = file_inode(fault->vma->vm_file);
	vm_fault_t answer = VM_FAULT_LOCKED;
	loff_t size;
	s64 result;

	sb_start_pagefault(inode->i_sb);
	folio_lock(folio);
	size = i_size_read(inode);
	if (folio->mapping != inode->i_mapping || folio_pos(folio) >= size) {
		folio_unlock(folio);
		answer = VM_FAULT_NOPAGE;
		goto out;
	}
	result = hammer2_write_block(inode, folio_pos(folio), folio_address(folio),
				     min_t(loff_t, folio_size(folio), size - folio_pos(folio)));
	if (result < 0) {
		folio_unlock(folio);
		answer = vmf_error(result);
		goto out;
	}
	folio_mark_dirty(folio);
	folio_wait_stable(folio);
out:
	sb_end_pagefault(inode->i_sb);
	return answer;
}

static const struct vm_operations_struct hammer2_vm_operations = {
	.fault = filemap_fault,
	.map_pages = filemap_map_pages,
	.page_mkwrite = hammer2_page_mkwrite,
};

static int hammer2_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &hammer2_vm_operations;
	return 0;
}

const struct file_operations hammer2_file_operations = {
	.llseek = hammer2_llseek,
	.fallocate = hammer2_fallocate,
	.open = hammer2_open,
	.read_iter = hammer2_read_iter,
	.write_iter = hammer2_write_iter,
	.mmap = hammer2_mmap,
	.fsync = hammer2_fsync,
	.unlocked_ioctl = hammer2_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.splice_read = hammer2_splice_read,
	.splice_write = iter_file_splice_write,
};

const struct inode_operations hammer2_file_inode_operations = {
	.setattr = hammer2_setattr,
	.fiemap = hammer2_fiemap,
};
