// SPDX-License-Identifier: BSD-3-Clause
/*
 * The remains of mounts that ended while a disk still had memory of theirs: Linux can't take a bio back, and the disk may read or
 * write that memory at any time. So the memory stays, with the disk held, and the module stays loaded. The next mount or unmount
 * checks whether the disk has given it back.
 */
#include "hammer2.h"

#include <linux/module.h>
#include <linux/slab.h>

static LIST_HEAD(hammer2_abandoned);
static DEFINE_MUTEX(hammer2_abandoned_lock);

static void hammer2_mount_free(struct hammer2_mount *mount)
{
	kfree(mount->devices);
	kfree(mount->names);
	kfree(mount->source);
	kfree(mount);
}

static void hammer2_abandon(struct hammer2_mount *mount)
{
	u64 i;

	for (i = 0; i < mount->config.device_count; i++)
		if (mount->devices[i].handle)
			pr_err("%s: %d requests haven't come back: it stays in use, and so does their memory, until they do and something is "
			       "mounted or unmounted then\n", mount->devices[i].path, atomic_read(&mount->devices[i].in_flight));
	__module_get(THIS_MODULE);
	mutex_lock(&hammer2_abandoned_lock);
	list_add(&mount->mounts, &hammer2_abandoned);
	mutex_unlock(&hammer2_abandoned_lock);
}

/* Ends a mount whose core has ended. */
void hammer2_mount_end(struct hammer2_mount *mount)
{
	/* The core has already waited, unless it has died. */
	if (hammer2_devices_close(mount, mount->site ? 0 : HAMMER2_PATIENCE_MS)) {
		if (mount->site)
			hammer2_forget(mount->site);
		hammer2_mount_free(mount);
	} else {
		hammer2_abandon(mount);
	}
	hammer2_abandoned_reap();
}

/* Frees what disks no longer have. The caller is in the module through a mount, which keeps it loaded. */
void hammer2_abandoned_reap(void)
{
	struct hammer2_mount *mount, *next;

	mutex_lock(&hammer2_abandoned_lock);
	list_for_each_entry_safe(mount, next, &hammer2_abandoned, mounts) {
		if (!hammer2_devices_close(mount, 0))
			continue;
		pr_info("%s: everything has come back from its disks\n", mount->source);
		list_del(&mount->mounts);
		if (mount->site)
			hammer2_forget(mount->site);
		hammer2_mount_free(mount);
		module_put(THIS_MODULE);
	}
	mutex_unlock(&hammer2_abandoned_lock);
}
