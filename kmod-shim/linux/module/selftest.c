// SPDX-License-Identifier: BSD-3-Clause
/* Runs the suite of the core like a mount without disks: on a stack and by a thread of its own. */
#include "hammer2.h"

#include <linux/slab.h>

/* Returns 0 if every case has passed. The output of the cases is in the kernel's log. */
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
