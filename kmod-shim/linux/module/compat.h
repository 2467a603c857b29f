/* SPDX-License-Identifier: BSD-3-Clause */
/* Differences between the kernels for which this is built: 6.1 and 6.12 were tried. */
#ifndef HAMMER2_COMPAT_H
#define HAMMER2_COMPAT_H

#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/version.h>
#include <linux/writeback.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)

typedef struct mnt_idmap hammer2_idmap;
#define HAMMER2_NO_IDMAP (&nop_mnt_idmap)
typedef struct file *hammer2_bdev_handle;

static inline hammer2_bdev_handle hammer2_bdev_open(const char *path, bool writable, void *holder)
{
	return bdev_file_open_by_path(path, BLK_OPEN_READ | (writable ? BLK_OPEN_WRITE : 0), holder, NULL);
}

static inline struct block_device *hammer2_bdev_of(hammer2_bdev_handle handle)
{
	return file_bdev(handle);
}

static inline void hammer2_bdev_close(hammer2_bdev_handle handle, bool writable)
{
	bdev_fput(handle);
}

#define hammer2_set_atime(inode, time) inode_set_atime_to_ts(inode, time)
#define hammer2_set_mtime(inode, time) inode_set_mtime_to_ts(inode, time)
#define hammer2_set_ctime(inode, time) inode_set_ctime_to_ts(inode, time)
#define hammer2_splice_read filemap_splice_read

/* The function that write_cache_pages() calls. */
#define HAMMER2_WRITEPAGE(name, folio, wbc, data) \
	static int name(struct folio *folio, struct writeback_control *wbc, void *data)
#define HAMMER2_WRITEPAGE_FOLIO(folio)

#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)

typedef struct user_namespace hammer2_idmap;
#define HAMMER2_NO_IDMAP (&init_user_ns)
typedef struct block_device *hammer2_bdev_handle;

static inline hammer2_bdev_handle hammer2_bdev_open(const char *path, bool writable, void *holder)
{
	return blkdev_get_by_path(path, FMODE_READ | FMODE_EXCL | (writable ? FMODE_WRITE : 0), holder);
}

static inline struct block_device *hammer2_bdev_of(hammer2_bdev_handle handle)
{
	return handle;
}

static inline void hammer2_bdev_close(hammer2_bdev_handle handle, bool writable)
{
	blkdev_put(handle, FMODE_READ | FMODE_EXCL | (writable ? FMODE_WRITE : 0));
}

#define hammer2_set_atime(inode, time) ((inode)->i_atime = (time))
#define hammer2_set_mtime(inode, time) ((inode)->i_mtime = (time))
#define hammer2_set_ctime(inode, time) ((inode)->i_ctime = (time))
#define hammer2_splice_read generic_file_splice_read

#define HAMMER2_WRITEPAGE(name, folio, wbc, data) \
	static int name(struct page *page_of_##folio, struct writeback_control *wbc, void *data)
#define HAMMER2_WRITEPAGE_FOLIO(folio) struct folio *folio = page_folio(page_of_##folio);

#else
#error "hammer2 is built for Linux 6.1, and for 6.9 and later"
#endif

#endif
