// SPDX-License-Identifier: BSD-3-Clause
/* The requests of a mount, and the thread that answers them. */
#include "hammer2.h"

#include <linux/dcache.h>
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

/* What the core takes is measured (docs/linux.md); this is three times as much, and there is a guard page below. */
#define STACK_BYTES (256 << 10)
#define PAINT 0xa5a5a5a5a5a5a5a5ull

void hammer2_event(struct hammer2_mount *mount)
{
	atomic64_inc(&mount->events);
	wake_up(&mount->wait);
}

void hammer2_queue_init(struct hammer2_mount *mount)
{
	init_waitqueue_head(&mount->wait);
	init_completion(&mount->opened);
	spin_lock_init(&mount->lock);
	INIT_LIST_HEAD(&mount->queued);
	INIT_LIST_HEAD(&mount->under_way);
}

/* A request; what can't be put off, and no caller could do without, isn't refused for want of memory. */
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

/* Sends a request whose done() is set. */
void hammer2_call_send(struct hammer2_mount *mount, struct hammer2_call *call)
{
	bool is_dead;

	spin_lock(&mount->lock);
	is_dead = mount->is_dead;
	if (!is_dead)
		list_add_tail(&call->list, &mount->queued);
	spin_unlock(&mount->lock);
	if (!is_dead) {
		hammer2_event(mount);
		return;
	}
	call->request.result = -EIO;
	call->done(call);
}

static void hammer2_call_answered(struct hammer2_call *call)
{
	complete(&call->answered);
}

s64 hammer2_call_wait(struct hammer2_mount *mount, struct hammer2_call *call)
{
	init_completion(&call->answered);
	call->done = hammer2_call_answered;
	hammer2_call_send(mount, call);
	wait_for_completion(&call->answered);
	return call->request.result;
}

/* Nobody answers requests any more: those there are fail, and so will all others. */
static void hammer2_die(struct hammer2_mount *mount)
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
		call->done(call);
	}
}

/* ---- what Rust calls, on the mount's thread ---- */

u64 hammer2_host_events(void *argument)
{
	struct hammer2_mount *mount = argument;

	return atomic64_read(&mount->events);
}

void hammer2_host_wait(void *argument, u64 seen, u64 deadline_ns)
{
	struct hammer2_mount *mount = argument;
	u64 now = ktime_get_ns();
	long timeout = MAX_SCHEDULE_TIMEOUT;

	if (deadline_ns <= now)
		return;
	if (deadline_ns != U64_MAX)
		timeout = nsecs_to_jiffies(min_t(u64, deadline_ns - now, 3600ull * NSEC_PER_SEC)) + 1;
	wait_event_idle_timeout(mount->wait, atomic64_read(&mount->events) != seen, timeout);
}

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
	call->done(call);
}

void hammer2_host_opened(void *argument, s32 status)
{
	struct hammer2_mount *mount = argument;

	mount->open_status = status;
	mount->was_opened = true;
	complete(&mount->opened);
}

/* The core has panicked. What it holds is in no known state: it is never touched again, and never given back. */
void __noreturn hammer2_host_end_mount(void)
{
	struct hammer2_mount *mount = kthread_data(current);

	pr_crit("a fault in the program: %s answers every request with an error from now on, and its memory is lost; unmount it, and "
		"mount it again: what was synced is safe\n", mount->source);
	hammer2_stack_leave(mount->thread_stack_pointer);
	BUG();
}

/* ---- the thread ---- */

void hammer2_stack_work(void *argument)
{
	struct hammer2_mount *mount = argument;

	hammer2_serve(mount, &mount->config);
}

static size_t hammer2_stack_depth(const struct hammer2_mount *mount)
{
	const u64 *word = mount->stack;
	const u64 *top = mount->stack + STACK_BYTES;

	while (word < top && *word == PAINT)
		word++;
	return (void *)top - (void *)word;
}

static int hammer2_thread(void *argument)
{
	struct hammer2_mount *mount = argument;
	unsigned int flags = memalloc_nofs_save();

	hammer2_stack_enter(mount, mount->stack + STACK_BYTES, &mount->thread_stack_pointer);
	memalloc_nofs_restore(flags);
	hammer2_die(mount);
	if (!mount->was_opened)
		hammer2_host_opened(mount, -EIO);
	pr_info("the stack took %zu of %d bytes at most\n", hammer2_stack_depth(mount), STACK_BYTES);
	/* The module may not go before this thread has left it. */
	while (!kthread_should_stop()) {
		set_current_state(TASK_IDLE);
		if (!kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
	}
	return 0;
}

/* Starts the thread; 0 when it is mounted. */
int hammer2_thread_start(struct hammer2_mount *mount)
{
	struct task_struct *thread;

	mount->stack = vmalloc(STACK_BYTES);
	if (!mount->stack)
		return -ENOMEM;
	memset64(mount->stack, PAINT, STACK_BYTES / sizeof(u64));
	thread = kthread_create(hammer2_thread, mount, "hammer2");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	get_task_struct(thread);
	mount->thread = thread;
	wake_up_process(thread);
	wait_for_completion(&mount->opened);
	return mount->open_status;
}

/* Waits for the end of the thread, which has been told to end or has died. */
void hammer2_thread_stop(struct hammer2_mount *mount)
{
	if (mount->thread) {
		kthread_stop(mount->thread);
		put_task_struct(mount->thread);
	}
	vfree(mount->stack);
}
