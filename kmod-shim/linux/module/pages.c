// SPDX-License-Identifier: BSD-3-Clause
/* The page cache: filling it from the core, and writing it back. */
#include "hammer2.h"

#include <linux/mm.h>
#include <linux/slab.h>

/* The unit of reading ahead: a block of the core, and the number of its pages. */
#define BLOCK_BYTES (64 << 10)
#define BLOCK_PAGES (BLOCK_BYTES / PAGE_SIZE)

static int hammer2_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct hammer2_call *call = hammer2_call_new(S_ISLNK(inode->i_mode) ? HAMMER2_READLINK : HAMMER2_READ, inode->i_ino);
	s64 result = -ENOMEM;

	if (call) {
		call->request.offset = folio_pos(folio);
		call->request.buffer = folio_address(folio);
		call->request.buffer_length = folio_size(folio);
		result = hammer2_call_wait(hammer2_mount_of(inode->i_sb), call);
		kfree(call);
	}
	if (result >= 0) {
		memset(folio_address(folio) + result, 0, folio_size(folio) - result);
		folio_mark_uptodate(folio);
	}
	folio_unlock(folio);
	return result < 0 ? result : 0;
}

/* A block that is being read ahead, and its pages. */
struct hammer2_reading {
	struct hammer2_call call;
	unsigned int count;
	struct folio *folios[BLOCK_PAGES];
	u8 *bytes;
};

/* A reader of a page that couldn't be read ahead reads it again, and gets the error. */
static void hammer2_read(struct hammer2_call *call)
{
	struct hammer2_reading *reading = container_of(call, struct hammer2_reading, call);
	s64 result = call->request.result;
	unsigned int i;

	if (result >= 0)
		memset(reading->bytes + result, 0, reading->count * PAGE_SIZE - result);
	for (i = 0; i < reading->count; i++) {
		struct folio *folio = reading->folios[i];

		if (result >= 0) {
			memcpy(folio_address(folio), reading->bytes + i * PAGE_SIZE, PAGE_SIZE);
			folio_mark_uptodate(folio);
		}
		folio_unlock(folio);
	}
	kvfree(reading->bytes);
	kfree(reading);
}

static struct hammer2_reading *hammer2_reading_new(void)
{
	struct hammer2_reading *reading = kzalloc(sizeof(*reading), GFP_NOFS | __GFP_NORETRY | __GFP_NOWARN);

	if (!reading)
		return NULL;
	reading->bytes = kvmalloc(BLOCK_BYTES, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
	if (reading->bytes)
		return reading;
	kfree(reading);
	return NULL;
}

/* Requests blocks without waiting for them. The caller releases pages that aren't requested. */
static void hammer2_readahead(struct readahead_control *control)
{
	struct inode *inode = control->mapping->host;

	while (readahead_count(control)) {
		struct hammer2_reading *reading = hammer2_reading_new();
		struct hammer2_request *request;
		struct folio *folio;

		if (!reading)
			return;
		request = &reading->call.request;
		while ((folio = readahead_folio(control))) {
			reading->folios[reading->count++] = folio;
			if (!((folio->index + 1) % BLOCK_PAGES))
				break;
		}
		if (!reading->count) {
			kvfree(reading->bytes);
			kfree(reading);
			return;
		}
		request->op = HAMMER2_READ;
		request->inum = inode->i_ino;
		request->offset = folio_pos(reading->folios[0]);
		request->buffer = reading->bytes;
		request->buffer_length = reading->count * PAGE_SIZE;
		reading->call.done = hammer2_read;
		hammer2_call_send(hammer2_mount_of(inode->i_sb), &reading->call);
	}
}

/* Gives the core what was written through a mapping; room for it was found when the page was first changed. */
HAMMER2_WRITEPAGE(hammer2_writepage, folio, control, data)
{
	HAMMER2_WRITEPAGE_FOLIO(folio)
	struct address_space *mapping = folio->mapping;
	struct inode *inode = mapping->host;
	loff_t size = i_size_read(inode);
	s64 result;

	if (folio_pos(folio) >= size) {
		folio_unlock(folio);
		return 0;
	}
	folio_start_writeback(folio);
	folio_unlock(folio);
	result = hammer2_write_block(inode, folio_pos(folio), folio_address(folio),
				     min_t(loff_t, folio_size(folio), size - folio_pos(folio)));
	if (result < 0)
		mapping_set_error(mapping, result);
	folio_end_writeback(folio);
	return result < 0 ? result : 0;
}

static int hammer2_writepages(struct address_space *mapping, struct writeback_control *control)
{
	return write_cache_pages(mapping, control, hammer2_writepage, NULL);
}

const struct address_space_operations hammer2_address_space_operations = {
	.read_folio = hammer2_read_folio,
	.readahead = hammer2_readahead,
	.writepages = hammer2_writepages,
	.dirty_folio = filemap_dirty_folio,
	.migrate_folio = filemap_migrate_folio,
};
