// SPDX-License-Identifier: BSD-3-Clause
/* The suite of the core, run as a mount would be, but of no disks: on a stack and by a thread of its own. */
#include "hammer2.h"

#include <linux/slab.h>

/* 0 if every case has passed. What the cases say is in the kernel's log. */
int hammer2_selftest(void)
{
	struct hammer2_mount *mount = kzalloc(sizeof(*mount), GFP_KERNEL);
	int error;

	if (!mount)
		return -ENOMEM;
	mount->source = "the self-test";
	mount->config.is_selftest = 1;
	hammer2_queue_init(mount);
	hammer2_run_init(mount);
	error = hammer2_run_start(mount);
	hammer2_run_stop(mount);
	kfree(mount);
	return error;
}
