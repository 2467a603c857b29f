// SPDX-License-Identifier: BSD-3-Clause
/* The requests of a mount: making, queueing, taking by the core, answering. */
#include "hammer2.h"

#include <linux/dcache.h>
#include <linux/slab.h>

void hammer2_queue_init(struct hammer2_mount *mount)
{
	spin_lock_init(&mount->lock);
	INIT_LIST_HEAD(&mount->queued);
	INIT_LIST_HEAD(&mount->under_way);
}

/* Makes a request. One that can't be put off, and that no caller could do without, isn't refused for want of memory. */
struct hammer2_call *hammer2_call_new(u32 op, u64 inum)
{
	bool must_be = op == HAMMER2_RELEASE || op == HAMMER2_UNMOUNT;
	struct hammer2_call *call = kzalloc(sizeof(*call), GFP_NOFS | (must_be ? __GFP_NOFAIL : 0));

	if (!call)
		return NULL;
	call->request.op = op;
	call->request.inum = inum;
	return call;
}

void hammer2_call_name(struct hammer2_call *call, const struct dentry *dentry)
{
	call->request.name.bytes = dentry->d_name.name;
	call->request.name.length = dentry->d_name.len;
}

/* Returns a request to its sender. A steering sender sleeps elsewhere; none begins or ceases to steer while this is inside. */
static void hammer2_call_done(struct hammer2_mount *mount, struct hammer2_call *call)
{
	bool is_steering = READ_ONCE(mount->steering) == call;

	call->done(call);
	if (is_steering)
		wake_up(&mount->steering_wait);
}

/* Puts a request into the queue; false if it was answered with an error instead, because requests aren't answered any more. */
static bool hammer2_call_queue(struct hammer2_mount *mount, struct hammer2_call *call)
{
	bool is_dead;

	spin_lock(&mount->lock);
	is_dead = mount->is_dead;
	if (!is_dead)
		list_add_tail(&call->list, &mount->queued);
	spin_unlock(&mount->lock);
	if (is_dead) {
		call->request.result = -EIO;
		call->done(call);
	}
	return !is_dead;
}

/* Sends a request whose done() is set, and makes the core begin it. */
void hammer2_call_send(struct hammer2_mount *mount, struct hammer2_call *call)
{
	if (hammer2_call_queue(mount, call))
		hammer2_run_begin(mount);
}

static void hammer2_call_answered(struct hammer2_call *call)
{
	complete(&call->answered);
}

s64 hammer2_call_wait(struct hammer2_mount *mount, struct hammer2_call *call)
{
	init_completion(&call->answered);
	call->done = hammer2_call_answered;
	if (hammer2_call_queue(mount, call))
		hammer2_run_until_answered(mount, call);
	return call->request.result;
}

/* Ends the answering of requests: those under way fail, and so will all later ones. Called inside. */
void hammer2_queue_die(struct hammer2_mount *mount)
{
	struct hammer2_call *call, *next;
	LIST_HEAD(failed);

	spin_lock(&mount->lock);
	mount->is_dead = true;
	list_splice_init(&mount->queued, &failed);
	list_splice_init(&mount->under_way, &failed);
	spin_unlock(&mount->lock);
	list_for_each_entry_safe(call, next, &failed, list) {
		call->request.result = -EIO;
		hammer2_call_done(mount, call);
	}
}

/* ---- called by Rust, inside ---- */

struct hammer2_request *hammer2_host_next(void *argument)
{
	struct hammer2_mount *mount = argument;
	struct hammer2_call *call;

	spin_lock(&mount->lock);
	call = list_first_entry_or_null(&mount->queued, struct hammer2_call, list);
	if (call)
		list_move_tail(&call->list, &mount->under_way);
	spin_unlock(&mount->lock);
	return call ? &call->request : NULL;
}

void hammer2_host_done(void *argument, struct hammer2_request *request)
{
	struct hammer2_mount *mount = argument;
	struct hammer2_call *call = container_of(request, struct hammer2_call, request);

	spin_lock(&mount->lock);
	list_del(&call->list);
	spin_unlock(&mount->lock);
	hammer2_call_done(mount, call);
}
