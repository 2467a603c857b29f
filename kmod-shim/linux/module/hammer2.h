/* SPDX-License-Identifier: BSD-3-Clause */
/* Declarations shared by the files of the module. */
#ifndef HAMMER2_H
#define HAMMER2_H

#undef pr_fmt
#define pr_fmt(fmt) "hammer2: " fmt

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "compat.h"
#include "hammer2_abi.h"

#define HAMMER2_MAGIC 0x48414d32
#define HAMMER2_QUEUE_DEPTH 32
#define HAMMER2_MAX_DEVICES 16
/* How long unmounting waits for a disk that doesn't answer. */
#define HAMMER2_PATIENCE_MS 10000u

/* A request under way. */
struct hammer2_call {
	struct hammer2_request request;	/* first: Rust knows only this */
	struct list_head list;
	/* Called by the thread inside when it is answered; it must not send another request. */
	void (*done)(struct hammer2_call *call);
	struct completion answered;
};

struct hammer2_mount;
struct hammer2_device;

/* A request to a device. It may take several bios. */
struct hammer2_ticket {
	struct hammer2_device *device;
	atomic_t bios;
	int error;
	int status;
};

struct hammer2_device {
	struct hammer2_mount *mount;
	const char *path;
	hammer2_bdev_handle handle;	/* null while the device is absent */
	atomic_t in_flight;
	struct hammer2_ticket tickets[HAMMER2_QUEUE_DEPTH];
};

/* The state with which the core stops and continues; stack.S knows the offsets. */
struct hammer2_fiber {
	void *stack_pointer;	/* of the side that isn't running: the core, or the thread inside */
	u64 seen;	/* the number of events the core had looked at when it stopped, */
	u64 deadline_ns;	/* and when it wants to continue without another */
};

/* A mount. One thread at a time is inside, and runs the core, on a stack of its own: see run.c. */
struct hammer2_mount {
	struct hammer2_fiber fiber;	/* first: Rust and stack.S use the same pointer */
	void *stack;
	struct list_head mounts;
	struct mutex door;
	atomic_t entering;	/* threads before the door */
	struct task_struct *inside;
	struct hammer2_call *served;	/* the request that the thread inside waits for, if any */
	bool has_ended;	/* the core doesn't continue any more */
	bool needs_thread;	/* there is work that only the mount's thread may do */
	atomic64_t events;

	struct hammer2_call *steering;	/* its sender goes in when there are events; if null, the thread does */
	wait_queue_head_t steering_wait;
	u64 steering_armed_ns;	/* when that one wakes up at the latest */

	struct task_struct *thread;
	wait_queue_head_t thread_wait;
	u64 thread_armed_ns;
	struct completion opened;
	bool was_opened;	/* or failed: the result is there */
	int open_status;

	spinlock_t lock;	/* for what follows */
	struct list_head queued;
	struct list_head under_way;
	bool is_dead;	/* requests aren't answered any more */

	void *site;	/* Rust's memory of an ended mount of which devices still have buffers */
	bool is_writable;
	unsigned int memory_mib;
	unsigned int sync_seconds;
	char *source;
	char *names;
	struct hammer2_device *devices;
	struct hammer2_device_config device_configs[HAMMER2_MAX_DEVICES];
	struct hammer2_config config;
};

static inline struct hammer2_mount *hammer2_mount_of(struct super_block *sb)
{
	return sb->s_fs_info;
}

/* queue.c */
void hammer2_queue_init(struct hammer2_mount *mount);
void hammer2_queue_die(struct hammer2_mount *mount);
struct hammer2_call *hammer2_call_new(u32 op, u64 inum);
s64 hammer2_call_wait(struct hammer2_mount *mount, struct hammer2_call *call);
void hammer2_call_send(struct hammer2_mount *mount, struct hammer2_call *call);
void hammer2_call_name(struct hammer2_call *call, const struct dentry *dentry);

/* run.c */
void hammer2_run_init(struct hammer2_mount *mount);
int hammer2_run_start(struct hammer2_mount *mount);
void hammer2_run_stop(struct hammer2_mount *mount);
void hammer2_run_begin(struct hammer2_mount *mount);
void hammer2_run_until_answered(struct hammer2_mount *mount, struct hammer2_call *call);
bool hammer2_run_is_thread(struct hammer2_mount *mount);
void hammer2_event(struct hammer2_mount *mount);
void __noreturn hammer2_fiber_end(struct hammer2_mount *mount);

/* stack.S */
void hammer2_fiber_begin(void);
void hammer2_fiber_switch(struct hammer2_fiber *fiber);

/* device.c */
int hammer2_devices_open(struct hammer2_mount *mount, const char *source);
bool hammer2_devices_close(struct hammer2_mount *mount, unsigned int patience_ms);

/* abandoned.c */
void hammer2_mount_end(struct hammer2_mount *mount);
void hammer2_abandoned_reap(void);

/* selftest.c */
int hammer2_selftest(void);

/* super.c */
extern struct file_system_type hammer2_type;
extern bool hammer2_provoke_panic;
extern unsigned int hammer2_linger_us;

/* inode.c */
struct inode *hammer2_inode_get(struct super_block *sb, const struct hammer2_attributes *attributes);
void hammer2_inode_fill(struct inode *inode, const struct hammer2_attributes *attributes);
void hammer2_inode_evict(struct inode *inode);
void hammer2_inode_keep(struct inode *inode);
int hammer2_setattr(hammer2_idmap *idmap, struct dentry *dentry, struct iattr *attr);
void hammer2_call_refresh(struct hammer2_call *call, int index, struct inode *inode);
void hammer2_call_refreshed(struct hammer2_call *call, int index, struct inode *inode);

/* directory.c, names.c, file.c, pages.c */
extern const struct inode_operations hammer2_directory_inode_operations;
extern const struct file_operations hammer2_directory_operations;
extern const struct inode_operations hammer2_file_inode_operations;
extern const struct file_operations hammer2_file_operations;
extern const struct address_space_operations hammer2_address_space_operations;
s64 hammer2_write_block(struct inode *inode, u64 offset, void *bytes, size_t length);
int hammer2_fsync(struct file *file, loff_t start, loff_t end, int datasync);

/* ranges.c */
loff_t hammer2_llseek(struct file *file, loff_t offset, int whence);
int hammer2_fiemap(struct inode *inode, struct fiemap_extent_info *info, u64 start, u64 length);
long hammer2_fallocate(struct file *file, int mode, loff_t offset, loff_t length);

/* xattr.c */
extern const struct xattr_handler *hammer2_xattr_handlers[];

/* export.c */
extern const struct export_operations hammer2_export_operations;

/* ioctl.c */
long hammer2_ioctl(struct file *file, unsigned int order, unsigned long argument);

#endif
