// SPDX-License-Identifier: BSD-3-Clause
/* Listing directories. */
#include "hammer2.h"

#include <linux/slab.h>

#define BATCH_BYTES (32 << 10)

/* An entry as packed by Rust: the place after it, inode number, kind, length; then the name. */
#define HEAD_BYTES 18

/* The position at the end of a listing. No place after a name is greater. */
#define END_POSITION S64_MAX

static unsigned int hammer2_entry_type(u8 kind)
{
	switch (kind) {
	case HAMMER2_KIND_DIRECTORY:
		return DT_DIR;
	case HAMMER2_KIND_REGULAR:
		return DT_REG;
	case HAMMER2_KIND_FIFO:
		return DT_FIFO;
	case HAMMER2_KIND_CHAR_DEVICE:
	case HAMMER2_KIND_WHITEOUT:
		return DT_CHR;
	case HAMMER2_KIND_BLOCK_DEVICE:
		return DT_BLK;
	case HAMMER2_KIND_SYMLINK:
		return DT_LNK;
	case HAMMER2_KIND_SOCKET:
		return DT_SOCK;
	default:
		return DT_UNKNOWN;
	}
}

/* Emits a batch; false when the caller takes no more. */
static bool hammer2_emit(struct dir_context *context, const u8 *packed, const u8 *end)
{
	while (packed < end) {
		u64 behind = get_unaligned_le64(packed);
		u64 inum = get_unaligned_le64(packed + 8);
		u8 length = packed[17];

		if (!dir_emit(context, packed + HEAD_BYTES, length, inum, hammer2_entry_type(packed[16])))
			return false;
		context->pos = behind;
		packed += HEAD_BYTES + length;
	}
	return true;
}

/*
 * A position is 0 or 1 at the dots, 2 after them, and otherwise the place after a name, which is larger. Missing entries are
 * reported at the end, when nothing else is left to report.
 */
static int hammer2_iterate(struct file *file, struct dir_context *context)
{
	struct inode *directory = file_inode(file);
	struct hammer2_call *call;
	s64 result = 0;
	void *batch;

	if (!dir_emit_dots(file, context))
		return 0;
	if (context->pos == END_POSITION) {
		result = file->private_data ? -EIO : 0;
		file->private_data = NULL;
		return result;
	}
	call = hammer2_call_new(HAMMER2_READDIR, directory->i_ino);
	batch = kvmalloc(BATCH_BYTES, GFP_KERNEL);
	if (!call || !batch) {
		result = -ENOMEM;
		goto out;
	}
	call->request.buffer = batch;
	call->request.buffer_length = BATCH_BYTES;
	call->request.offset = context->pos == 2 ? 0 : context->pos;
	do {
		result = hammer2_call_wait(hammer2_mount_of(directory->i_sb), call);
		if (result < 0)
			goto out;
		if (call->request.flags & HAMMER2_DAMAGED)
			file->private_data = file;
		if (!hammer2_emit(context, batch, batch + result)) {
			result = 0;
			goto out;
		}
		call->request.offset = call->request.next;
	} while (call->request.next);
	context->pos = END_POSITION;
	result = 0;
out:
	kvfree(batch);
	kfree(call);
	return result;
}

const struct file_operations hammer2_directory_operations = {
	.read = generic_read_dir,
	.iterate_shared = hammer2_iterate,
	.llseek = generic_file_llseek,
	.fsync = hammer2_fsync,
	.unlocked_ioctl = hammer2_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
