// SPDX-License-Identifier: BSD-3-Clause
/* Mounts: mounting, reporting, making durable, unmounting; and the module. */
#include "hammer2.h"

#include <linux/backing-dev.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#define DEFAULT_MEMORY_MIB 32
#define LEAST_MEMORY_MIB 2
#define MOST_MEMORY_MIB 4096
#define DEFAULT_SYNC_SECONDS 5

/* The unit of free space, the same as in a mount by FUSE. */
#define FRAGMENT_BYTES 4096
/* How far the kernel reads ahead: blocks have 64 KiB. */
#define READ_AHEAD_BYTES (1 << 20)

static int hammer2_statfs(struct dentry *dentry, struct kstatfs *stat)
{
	struct hammer2_call *call = hammer2_call_new(HAMMER2_STATFS, 0);
	struct hammer2_request *request;
	s64 result;

	if (!call)
		return -ENOMEM;
	request = &call->request;
	result = hammer2_call_wait(hammer2_mount_of(dentry->d_sb), call);
	if (!result) {
		stat->f_type = HAMMER2_MAGIC;
		stat->f_bsize = FRAGMENT_BYTES;
		stat->f_frsize = FRAGMENT_BYTES;
		stat->f_blocks = request->total_bytes / FRAGMENT_BYTES;
		stat->f_bfree = request->free_bytes / FRAGMENT_BYTES;
		stat->f_bavail = request->available_bytes / FRAGMENT_BYTES;
		/* Inodes come from free space: one for each free KiB. */
		stat->f_ffree = request->free_bytes / 1024;
		stat->f_files = request->inodes + stat->f_ffree;
		stat->f_namelen = 255;
		stat->f_fsid = u64_to_fsid(huge_encode_dev(dentry->d_sb->s_dev));
	}
	kfree(call);
	return result;
}

static int hammer2_sync_fs(struct super_block *sb, int wait)
{
	struct hammer2_mount *mount = hammer2_mount_of(sb);
	struct hammer2_call *call;
	s64 result;

	if (!mount->is_writable || !wait)
		return 0;
	call = hammer2_call_new(HAMMER2_SYNC, 0);
	if (!call)
		return -ENOMEM;
	result = hammer2_call_wait(mount, call);
	kfree(call);
	return result;
}

/* Earlier changes are durable; nothing is changed until it thaws, so nothing has to be made durable either. */
static int hammer2_freeze(struct super_block *sb)
{
	return hammer2_sync_fs(sb, 1);
}

static int hammer2_show_options(struct seq_file *seq, struct dentry *root)
{
	struct hammer2_mount *mount = hammer2_mount_of(root->d_sb);

	seq_printf(seq, ",memory=%u,sync=%u", mount->memory_mib, mount->sync_seconds);
	return 0;
}

/* The core only knows whether it may change anything, and that stays. */
static int hammer2_remount(struct super_block *sb, int *flags, char *data)
{
	sync_filesystem(sb);
	if (!(*flags & SB_RDONLY) && !hammer2_mount_of(sb)->is_writable) {
		pr_err("%s: it was mounted read-only: unmount it, and mount it again to change it\n", hammer2_mount_of(sb)->source);
		return -EROFS;
	}
	*flags |= SB_NOATIME | SB_NODIRATIME;
	return 0;
}

static const struct super_operations hammer2_super_operations = {
	.evict_inode = hammer2_inode_evict,
	.statfs = hammer2_statfs,
	.sync_fs = hammer2_sync_fs,
	.freeze_fs = hammer2_freeze,
	.remount_fs = hammer2_remount,
	.show_options = hammer2_show_options,
};

/* memory=MIB, sync=SECONDS */
static int hammer2_options(struct hammer2_mount *mount, char *options)
{
	char *option;

	mount->memory_mib = DEFAULT_MEMORY_MIB;
	mount->sync_seconds = DEFAULT_SYNC_SECONDS;
	while ((option = strsep(&options, ","))) {
		int error = 0;

		if (!*option)
			continue;
		if (!strncmp(option, "memory=", 7))
			error = kstrtouint(option + 7, 10, &mount->memory_mib);
		else if (!strncmp(option, "sync=", 5))
			error = kstrtouint(option + 5, 10, &mount->sync_seconds);
		else
			error = -EINVAL;
		if (!error && (mount->memory_mib < LEAST_MEMORY_MIB || mount->memory_mib > MOST_MEMORY_MIB))
			error = -EINVAL;
		if (error) {
			pr_err("the option `%s` isn't known, or out of range; there are memory=MIB (%d to %d) and sync=SECONDS\n", option,
			       LEAST_MEMORY_MIB, MOST_MEMORY_MIB);
			return -EINVAL;
		}
	}
	mount->config.memory_bytes = (u64)mount->memory_mib << 20;
	mount->config.sync_seconds = mount->sync_seconds;
	return 0;
}

struct hammer2_source {
	const char *devices;
	void *options;
};

static struct dentry *hammer2_root(struct super_block *sb)
{
	struct hammer2_call *call = hammer2_call_new(HAMMER2_GETATTR, 1);
	struct dentry *root = ERR_PTR(-ENOMEM);
	struct inode *inode;
	s64 result;

	if (!call)
		return root;
	result = hammer2_call_wait(hammer2_mount_of(sb), call);
	inode = result ? ERR_PTR(result) : hammer2_inode_get(sb, &call->request.attributes);
	kfree(call);
	if (IS_ERR(inode))
		return ERR_CAST(inode);
	root = d_make_root(inode);
	return root ? root : ERR_PTR(-ENOMEM);
}

/* After a failure, hammer2_kill_sb() cleans up. */
static int hammer2_fill_super(struct super_block *sb, void *data, int silent)
{
	struct hammer2_source *source = data;
	struct hammer2_mount *mount = kzalloc(sizeof(*mount), GFP_KERNEL);
	struct dentry *root;
	int error;

	if (!mount)
		return -ENOMEM;
	hammer2_abandoned_reap();
	sb->s_fs_info = mount;
	hammer2_queue_init(mount);
	hammer2_run_init(mount);
	mount->is_writable = !sb_rdonly(sb);
	error = hammer2_options(mount, source->options);
	if (!error)
		error = hammer2_devices_open(mount, source->devices);
	if (!error)
		error = hammer2_run_start(mount);
	if (!error)
		error = super_setup_bdi(sb);
	if (error)
		return error;
	sb->s_magic = HAMMER2_MAGIC;
	sb->s_op = &hammer2_super_operations;
	sb->s_xattr = hammer2_xattr_handlers;
	sb->s_export_op = &hammer2_export_operations;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_time_gran = NSEC_PER_USEC;
	sb->s_time_min = 0;
	sb->s_flags |= SB_NOATIME | SB_NODIRATIME;
	sb->s_bdi->ra_pages = READ_AHEAD_BYTES / PAGE_SIZE;
	root = hammer2_root(sb);
	if (IS_ERR(root))
		return PTR_ERR(root);
	sb->s_root = root;
	return 0;
}

static struct dentry *hammer2_mount(struct file_system_type *type, int flags, const char *name, void *options)
{
	struct hammer2_source source = { name, options };

	return mount_nodev(type, flags, &source, hammer2_fill_super);
}

static void hammer2_unmount(struct hammer2_mount *mount)
{
	struct hammer2_call *call = hammer2_call_new(HAMMER2_UNMOUNT, 0);

	if (hammer2_call_wait(mount, call))
		pr_err("%s: unmounting it has failed; what was changed since the last sync is lost\n", mount->source);
	kfree(call);
}

static void hammer2_kill_sb(struct super_block *sb)
{
	struct hammer2_mount *mount = hammer2_mount_of(sb);

	kill_anon_super(sb);
	if (!mount)
		return;
	if (mount->thread && !mount->open_status)
		hammer2_unmount(mount);
	hammer2_run_stop(mount);
	hammer2_mount_end(mount);
}

struct file_system_type hammer2_type = {
	.owner = THIS_MODULE,
	.name = "hammer2",
	.mount = hammer2_mount,
	.kill_sb = hammer2_kill_sb,
};
MODULE_ALIAS_FS("hammer2");

/* For tests: the core of the next mount that is asked for a name panics. */
bool hammer2_provoke_panic;
module_param_named(provoke_panic, hammer2_provoke_panic, bool, 0600);
MODULE_PARM_DESC(provoke_panic, "have the mount that looks up a name next fail, as by a fault in the program (for tests)");

unsigned int hammer2_linger_us;
module_param_named(linger_us, hammer2_linger_us, uint, 0600);
MODULE_PARM_DESC(linger_us, "have threads that go inside linger there for so many microseconds, before the core goes on and after it (for tests)");

static bool hammer2_does_selftest;
module_param_named(selftest, hammer2_does_selftest, bool, 0400);
MODULE_PARM_DESC(selftest, "run the suite of the core first; the module isn't loaded if a case fails (scripts/kmod --selftest)");

/* Checks that C and Rust agree on the structures they share. */
static bool hammer2_layouts_agree(void)
{
	static const u32 expected[] = HAMMER2_LAYOUT;
	u32 count, i;
	const u32 *found = hammer2_layout(&count);

	if (count != ARRAY_SIZE(expected)) {
		pr_err("the parts in C and in Rust don't belong together: %u numbers and %zu\n", count, ARRAY_SIZE(expected));
		return false;
	}
	for (i = 0; i < count; i++)
		if (found[i] != expected[i]) {
			pr_err("the parts in C and in Rust don't belong together: number %u is %u and %u\n", i, found[i], expected[i]);
			return false;
		}
	return true;
}

static int __init hammer2_init(void)
{
	int error = hammer2_layouts_agree() ? 0 : -EINVAL;

	if (!error && hammer2_does_selftest)
		error = hammer2_selftest();
	return error ? error : register_filesystem(&hammer2_type);
}

static void __exit hammer2_exit(void)
{
	unregister_filesystem(&hammer2_type);
	/* Inodes are freed after a grace period. */
	rcu_barrier();
}

module_init(hammer2_init);
module_exit(hammer2_exit);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("HAMMER2, and several disks as one");
