/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Structures and functions shared by C and Rust: src/abi.rs has the same. When the module is loaded, HAMMER2_LAYOUT is compared
 * with the layout in Rust.
 */
#ifndef HAMMER2_ABI_H
#define HAMMER2_ABI_H

#include <linux/types.h>

enum hammer2_op {
	HAMMER2_LOOKUP = 1,
	HAMMER2_GETATTR,
	HAMMER2_SETATTR,
	HAMMER2_READDIR,
	HAMMER2_READLINK,
	HAMMER2_READ,
	HAMMER2_WRITE,
	HAMMER2_CREATE,
	HAMMER2_LINK,
	HAMMER2_UNLINK,
	HAMMER2_RMDIR,
	HAMMER2_RENAME,
	HAMMER2_EXCHANGE,
	HAMMER2_RELEASE,
	HAMMER2_STATFS,
	HAMMER2_SYNC,
	HAMMER2_UNMOUNT,
	HAMMER2_SEEK_DATA,
	HAMMER2_SEEK_HOLE,
	HAMMER2_ALLOCATE,
	HAMMER2_TRIM,
	HAMMER2_SNAPSHOT,
	HAMMER2_PANIC,
	HAMMER2_STATUS,
	HAMMER2_ORDER,
	HAMMER2_OUTCOME,
};

/* Which attributes HAMMER2_SETATTR sets. */
#define HAMMER2_SET_MODE 1u
#define HAMMER2_SET_UID 2u
#define HAMMER2_SET_GID 4u
#define HAMMER2_SET_SIZE 8u
#define HAMMER2_SET_ATIME 16u
#define HAMMER2_SET_MTIME 32u
#define HAMMER2_SET_CTIME 64u

/* For HAMMER2_RENAME: the new name must be free. */
#define HAMMER2_NO_REPLACE 1u
/* For HAMMER2_READDIR, in the answer: entries are missing. */
#define HAMMER2_DAMAGED 2u
/* For HAMMER2_ALLOCATE: the file's end stays where it is; zeros, or a hole, instead of room. */
#define HAMMER2_KEEP_SIZE 4u
#define HAMMER2_ZERO_RANGE 8u
#define HAMMER2_PUNCH_HOLE 16u

/* Operations of a device. */
#define HAMMER2_DEVICE_READ 0u
#define HAMMER2_DEVICE_WRITE 1u
#define HAMMER2_DEVICE_FLUSH 2u
#define HAMMER2_DEVICE_DISCARD 3u

/* The status of a request under way; that of a completed one is 0 or a negative error number. */
#define HAMMER2_UNDER_WAY 1

/* Kinds of files, as they are on media. */
#define HAMMER2_KIND_DIRECTORY 1u
#define HAMMER2_KIND_REGULAR 2u
#define HAMMER2_KIND_FIFO 4u
#define HAMMER2_KIND_CHAR_DEVICE 5u
#define HAMMER2_KIND_BLOCK_DEVICE 6u
#define HAMMER2_KIND_SYMLINK 7u
#define HAMMER2_KIND_SOCKET 9u
#define HAMMER2_KIND_WHITEOUT 10u

struct hammer2_attributes {
	u64 inum;
	u64 size;
	u64 stored_bytes;
	u64 links;
	u64 atime_us;
	u64 mtime_us;
	u64 ctime_us;
	u32 mode;
	u32 kind;
	u32 uid;
	u32 gid;
	u32 major;
	u32 minor;
};

struct hammer2_text {
	const void *bytes;
	u64 length;
};

#define HAMMER2_REFRESHED 4

struct hammer2_request {
	u32 op;
	u32 flags;
	u64 inum;	/* the file, or the directory of name */
	u64 other;	/* the directory of other_name, or the file to be linked */
	u64 kept;	/* a file that loses its last name, and is kept until HAMMER2_RELEASE */
	u64 offset;
	struct hammer2_text name;
	struct hammer2_text other_name;	/* the second name, or a symbolic link's target */
	void *buffer;
	u64 buffer_length;	/* or the length of the range to allocate */
	s64 result;	/* bytes, a place or 0, or a negative error number */
	u64 next;	/* for HAMMER2_READDIR: where to continue; 0 at the end */
	u32 set;
	u32 reserved;
	struct hammer2_attributes attributes;
	struct hammer2_attributes refreshed[HAMMER2_REFRESHED];	/* filled in where inum isn't 0 */
	u64 total_bytes;
	u64 free_bytes;
	u64 available_bytes;
	u64 inodes;
};

struct hammer2_device_config {
	void *device;
	u64 size_bytes;
	struct hammer2_text name;
	u32 node;
	u32 is_read_only;
};

struct hammer2_config {
	const struct hammer2_device_config *devices;
	u64 device_count;
	struct hammer2_text label;
	u64 memory_bytes;
	u32 sync_seconds;
	u32 queue_depth;
	u32 is_writable;
	u32 is_selftest;	/* run the suite of the core instead of mounting */
};

#define HAMMER2_AT(type, member) (u32)offsetof(struct type, member)

/* In the order of LAYOUT in src/abi.rs. */
#define HAMMER2_LAYOUT { \
	sizeof(struct hammer2_attributes), \
	HAMMER2_AT(hammer2_attributes, inum), HAMMER2_AT(hammer2_attributes, size), \
	HAMMER2_AT(hammer2_attributes, stored_bytes), HAMMER2_AT(hammer2_attributes, links), \
	HAMMER2_AT(hammer2_attributes, atime_us), HAMMER2_AT(hammer2_attributes, mtime_us), \
	HAMMER2_AT(hammer2_attributes, ctime_us), HAMMER2_AT(hammer2_attributes, mode), \
	HAMMER2_AT(hammer2_attributes, kind), HAMMER2_AT(hammer2_attributes, uid), \
	HAMMER2_AT(hammer2_attributes, gid), HAMMER2_AT(hammer2_attributes, major), \
	HAMMER2_AT(hammer2_attributes, minor), \
	sizeof(struct hammer2_text), \
	HAMMER2_AT(hammer2_text, bytes), HAMMER2_AT(hammer2_text, length), \
	sizeof(struct hammer2_request), \
	HAMMER2_AT(hammer2_request, op), HAMMER2_AT(hammer2_request, flags), \
	HAMMER2_AT(hammer2_request, inum), HAMMER2_AT(hammer2_request, other), \
	HAMMER2_AT(hammer2_request, kept), HAMMER2_AT(hammer2_request, offset), \
	HAMMER2_AT(hammer2_request, name), HAMMER2_AT(hammer2_request, other_name), \
	HAMMER2_AT(hammer2_request, buffer), HAMMER2_AT(hammer2_request, buffer_length), \
	HAMMER2_AT(hammer2_request, result), HAMMER2_AT(hammer2_request, next), \
	HAMMER2_AT(hammer2_request, set), HAMMER2_AT(hammer2_request, attributes), \
	HAMMER2_AT(hammer2_request, refreshed), HAMMER2_REFRESHED, \
	HAMMER2_AT(hammer2_request, total_bytes), HAMMER2_AT(hammer2_request, free_bytes), \
	HAMMER2_AT(hammer2_request, available_bytes), HAMMER2_AT(hammer2_request, inodes), \
	sizeof(struct hammer2_device_config), \
	HAMMER2_AT(hammer2_device_config, device), HAMMER2_AT(hammer2_device_config, size_bytes), \
	HAMMER2_AT(hammer2_device_config, name), HAMMER2_AT(hammer2_device_config, node), \
	HAMMER2_AT(hammer2_device_config, is_read_only), \
	sizeof(struct hammer2_config), \
	HAMMER2_AT(hammer2_config, devices), HAMMER2_AT(hammer2_config, device_count), \
	HAMMER2_AT(hammer2_config, label), HAMMER2_AT(hammer2_config, memory_bytes), \
	HAMMER2_AT(hammer2_config, sync_seconds), HAMMER2_AT(hammer2_config, queue_depth), \
	HAMMER2_AT(hammer2_config, is_writable), HAMMER2_AT(hammer2_config, is_selftest), \
	HAMMER2_OUTCOME, HAMMER2_SET_CTIME, HAMMER2_PUNCH_HOLE, HAMMER2_DEVICE_DISCARD, \
}

/* Functions of Rust. */
void hammer2_serve(void *mount, const struct hammer2_config *config);
const u32 *hammer2_layout(u32 *count);
void hammer2_forget(void *site);

/* Functions that Rust calls. */
void *hammer2_host_allocate(size_t bytes, size_t alignment);
void hammer2_host_free(void *block, size_t bytes, size_t alignment);
void hammer2_host_say(u32 severity, const char *bytes, size_t length);
void __noreturn hammer2_host_end_mount(void);
u64 hammer2_host_nanoseconds(void);
u64 hammer2_host_wall_microseconds(void);
u64 hammer2_host_random(void);
u32 hammer2_host_crc32c(const void *bytes, size_t length);
u64 hammer2_host_events(void *mount);
u32 hammer2_host_shall_stop(void *mount);
void hammer2_host_wait(void *mount, u64 seen, u64 deadline_ns);	/* stack.S */
struct hammer2_request *hammer2_host_next(void *mount);
void hammer2_host_done(void *mount, struct hammer2_request *request);
void hammer2_host_opened(void *mount, s32 status);
u64 hammer2_host_paint_stack(void *mount);
u64 hammer2_host_stack_depth(void *mount);
void hammer2_host_submit(void *device, u32 ticket, u32 op, u64 offset, void *buffer, u64 length);
s32 hammer2_host_status(void *device, u32 ticket);
s32 hammer2_host_reopen(void *device);
u64 hammer2_host_size(void *device);
u32 hammer2_host_drain(void *device);
void hammer2_host_abandon(void *mount, void *site);

#endif
