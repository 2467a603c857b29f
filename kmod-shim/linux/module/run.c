// SPDX-License-Identifier: BSD-3-Clause
/*
 * Running the core. One thread at a time is in it: a thread with a request goes in, makes the core do what it can, and comes out
 * with the answer, or when the core has to wait for devices.
 *
 * Events (completions of devices) make the core continue. One of the threads whose requests wait steers: events wake it, and it
 * goes in. The others sleep until they are answered. While none steers, the mount's thread does: for requests that no thread
 * waits for, for alarms, and for what the core does by itself.
 */
#include "hammer2.h"

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <linux/vmalloc.h>

/* What the core takes was measured (docs/linux.md); this is three times as much, and there is a guard page below. */
#define STACK_BYTES (256 << 10)
#define PAINT 0xa5a5a5a5a5a5a5a5ull

/* The mounts, for finding the one in which a fault of the core happened. */
static LIST_HEAD(hammer2_mounts);
static DEFINE_SPINLOCK(hammer2_mounts_lock);

void hammer2_run_init(struct hammer2_mount *mount)
{
	BUILD_BUG_ON(offsetof(struct hammer2_mount, fiber));
	BUILD_BUG_ON(offsetof(struct hammer2_fiber, stack_pointer) != 0);
	BUILD_BUG_ON(offsetof(struct hammer2_fiber, seen) != 8);
	BUILD_BUG_ON(offsetof(struct hammer2_fiber, deadline_ns) != 16);
	INIT_LIST_HEAD(&mount->mounts);
	mutex_init(&mount->door);
	init_waitqueue_head(&mount->steering_wait);
	init_waitqueue_head(&mount->thread_wait);
	init_completion(&mount->opened);
}

/* ---- continuing ---- */

static bool hammer2_has_events(const struct hammer2_mount *mount)
{
	return atomic64_read(&mount->events) != READ_ONCE(mount->fiber.seen);
}

/* Wakes the thread that is to continue. */
static void hammer2_wake(struct hammer2_mount *mount)
{
	wake_up(READ_ONCE(mount->steering) ? &mount->steering_wait : &mount->thread_wait);
}

/* Whether there is something to do for a thread that sleeps until `armed_ns`. */
static bool hammer2_is_due(const struct hammer2_mount *mount, u64 armed_ns)
{
	return hammer2_has_events(mount) || READ_ONCE(mount->fiber.deadline_ns) < armed_ns;
}

/* A thread that leaves or ceases to steer looks after what comes next. Either an event sees that it left, or it is seen here. */
static void hammer2_look_after(struct hammer2_mount *mount)
{
	smp_mb();
	if (hammer2_is_due(mount, READ_ONCE(mount->steering) ? READ_ONCE(mount->steering_armed_ns) : READ_ONCE(mount->thread_armed_ns)))
		hammer2_wake(mount);
}

/* Notes an event that the core must look at; also called in interrupts. The thread inside looks again before it leaves. */
void hammer2_event(struct hammer2_mount *mount)
{
	atomic64_inc(&mount->events);
	smp_mb__after_atomic();
	if (!READ_ONCE(mount->inside))
		hammer2_wake(mount);
}

/* For tests: leaves time for events while a thread is inside and the core doesn't look, or doesn't look again. */
static void hammer2_linger(void)
{
	unsigned int linger_us = READ_ONCE(hammer2_linger_us);

	if (linger_us)
		udelay(min(linger_us, 5000u));
}

/* Lets the core continue until it stops. The door must be closed. */
static void hammer2_go_on(struct hammer2_mount *mount)
{
	unsigned int flags = memalloc_nofs_save();

	WRITE_ONCE(mount->inside, current);
	hammer2_linger();
	hammer2_fiber_switch(&mount->fiber);
	memalloc_nofs_restore(flags);
	hammer2_linger();
	if (mount->has_ended) {
		hammer2_queue_die(mount);
		if (!mount->was_opened)
			hammer2_host_opened(mount, -EIO);
		wake_up(&mount->thread_wait);
	}
}

/*
 * Goes in, and lets the core continue. `call` is what the caller waits for, if anything: the caller comes out as soon as that is
 * answered, and otherwise steers if no other thread does.
 */
static void hammer2_enter(struct hammer2_mount *mount, struct hammer2_call *call)
{
	atomic_inc(&mount->entering);
	mutex_lock(&mount->door);
	atomic_dec(&mount->entering);
	mount->served = call;
	if (!mount->has_ended && !(call && completion_done(&call->answered)))
		hammer2_go_on(mount);
	mount->served = NULL;
	if (call && !mount->steering && !completion_done(&call->answered))
		WRITE_ONCE(mount->steering, call);
	WRITE_ONCE(mount->inside, NULL);
	mutex_unlock(&mount->door);
	if (READ_ONCE(mount->needs_thread))
		wake_up(&mount->thread_wait);
	if (!mount->has_ended && !(call && READ_ONCE(mount->steering) == call))
		hammer2_look_after(mount);
}

/* How long to sleep when the core wants to continue at `deadline_ns`. */
static long hammer2_timeout(u64 deadline_ns)
{
	u64 now = ktime_get_boottime_ns();

	if (deadline_ns <= now)
		return 0;
	if (deadline_ns == U64_MAX)
		return MAX_SCHEDULE_TIMEOUT;
	return nsecs_to_jiffies(min_t(u64, deadline_ns - now, 3600ull * NSEC_PER_SEC)) + 1;
}

/* Makes the core begin what is in the queue. */
void hammer2_run_begin(struct hammer2_mount *mount)
{
	/* A thread that is freeing memory doesn't do this in between. */
	if (current->flags & PF_MEMALLOC) {
		hammer2_event(mount);
		return;
	}
	atomic64_inc(&mount->events);
	hammer2_enter(mount, NULL);
}

/* Returns when a queued request is answered. */
void hammer2_run_until_answered(struct hammer2_mount *mount, struct hammer2_call *call)
{
	atomic64_inc(&mount->events);
	for (;;) {
		u64 armed_ns;

		hammer2_enter(mount, call);
		if (completion_done(&call->answered))
			break;
		if (READ_ONCE(mount->steering) != call) {
			wait_for_completion(&call->answered);
			return;
		}
		armed_ns = READ_ONCE(mount->fiber.deadline_ns);
		WRITE_ONCE(mount->steering_armed_ns, armed_ns);
		wait_event_timeout(mount->steering_wait,
				   completion_done(&call->answered) || hammer2_is_due(mount, armed_ns),
				   hammer2_timeout(armed_ns));
		cond_resched();
	}
	if (READ_ONCE(mount->steering) != call)
		return;
	/* What is left is for the mount's thread. */
	WRITE_ONCE(mount->steering, NULL);
	hammer2_look_after(mount);
}

/* ---- called by Rust, inside ---- */

u64 hammer2_host_events(void *argument)
{
	struct hammer2_mount *mount = argument;

	return atomic64_read(&mount->events);
}

/*
 * Whether the core shall stop although it has more to do: the mount's thread lets others in; a thread that has only sent
 * something leaves when it is begun, and a thread that waits for an answer when that is there.
 */
u32 hammer2_host_shall_stop(void *argument)
{
	struct hammer2_mount *mount = argument;
	bool is_begun;

	if (mount->served)
		return completion_done(&mount->served->answered);
	if (current == mount->thread)
		return atomic_read(&mount->entering) != 0 || need_resched();
	spin_lock(&mount->lock);
	is_begun = list_empty(&mount->queued);
	spin_unlock(&mount->lock);
	return is_begun;
}

void hammer2_host_opened(void *argument, s32 status)
{
	struct hammer2_mount *mount = argument;

	mount->open_status = status;
	mount->was_opened = true;
	complete(&mount->opened);
}

/* Whether this is the mount's thread; if not, that one is made to come. */
bool hammer2_run_is_thread(struct hammer2_mount *mount)
{
	if (current == mount->thread)
		return true;
	WRITE_ONCE(mount->needs_thread, true);
	return false;
}

void __noreturn hammer2_fiber_end(struct hammer2_mount *mount)
{
	mount->has_ended = true;
	hammer2_fiber_switch(&mount->fiber);
	BUG();
}

/* The core has panicked. The state of what it holds is unknown: it is never touched again, and never freed. */
void __noreturn hammer2_host_end_mount(void)
{
	struct hammer2_mount *mount;

	spin_lock(&hammer2_mounts_lock);
	list_for_each_entry(mount, &hammer2_mounts, mounts)
		if (READ_ONCE(mount->inside) == current)
			break;
	spin_unlock(&hammer2_mounts_lock);
	BUG_ON(list_entry_is_head(mount, &hammer2_mounts, mounts));
	pr_crit("a fault in the program: %s answers every request with an error from now on, and its memory is lost; unmount it, and "
		"mount it again: what was synced is safe\n", mount->source);
	hammer2_fiber_end(mount);
}

/* ---- the thread ---- */

static int hammer2_thread(void *argument)
{
	struct hammer2_mount *mount = argument;

	while (!READ_ONCE(mount->has_ended)) {
		u64 armed_ns;

		WRITE_ONCE(mount->needs_thread, false);
		hammer2_enter(mount, NULL);
		armed_ns = READ_ONCE(mount->fiber.deadline_ns);
		WRITE_ONCE(mount->thread_armed_ns, armed_ns);
		wait_event_idle_timeout(mount->thread_wait,
					READ_ONCE(mount->has_ended) || READ_ONCE(mount->needs_thread) ||
					(!READ_ONCE(mount->steering) && hammer2_has_events(mount)) ||
					READ_ONCE(mount->fiber.deadline_ns) < armed_ns,
					hammer2_timeout(armed_ns));
		cond_resched();
	}
	/* The module may not be unloaded before this thread has left it. */
	while (!kthread_should_stop()) {
		set_current_state(TASK_IDLE);
		if (!kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
	}
	return 0;
}

/* Left unpainted below the stack pointer: for memset64(), and for an interrupt meanwhile. */
#define UNPAINTED_BYTES 1024

/* Paints the mount's stack, on which it is called, below the caller's part to look unused; returns how many bytes are above. */
u64 hammer2_host_paint_stack(void *argument)
{
	struct hammer2_mount *mount = argument;
	unsigned long pointer = current_stack_pointer;

	memset64(mount->stack, PAINT, (pointer - UNPAINTED_BYTES - (unsigned long)mount->stack) / sizeof(u64));
	return (unsigned long)mount->stack + STACK_BYTES - pointer;
}

static size_t hammer2_stack_depth(const struct hammer2_mount *mount)
{
	const u64 *word = mount->stack;
	const u64 *top = mount->stack + STACK_BYTES;

	while (word < top && *word == PAINT)
		word++;
	return (void *)top - (void *)word;
}

u64 hammer2_host_stack_depth(void *argument)
{
	return hammer2_stack_depth(argument);
}

/* Makes the stack, with what hammer2_fiber_switch() takes from it the first time. */
static int hammer2_stack_new(struct hammer2_mount *mount)
{
	u64 *word;

	mount->stack = vmalloc(STACK_BYTES);
	if (!mount->stack)
		return -ENOMEM;
	memset64(mount->stack, PAINT, STACK_BYTES / sizeof(u64));
	word = mount->stack + STACK_BYTES;
	/* The stack is aligned to 16 bytes where a function is called. */
	*--word = 0;
	*--word = 0;
	*--word = (u64)hammer2_fiber_begin;
	*--word = 0;	/* rbp */
	*--word = (u64)mount;	/* rbx */
	*--word = (u64)&mount->config;	/* r12 */
	*--word = 0;
	*--word = 0;
	*--word = 0;
	mount->fiber.stack_pointer = word;
	return 0;
}

/* Starts the core; returns 0 when it is mounted. */
int hammer2_run_start(struct hammer2_mount *mount)
{
	struct task_struct *thread;
	int error = hammer2_stack_new(mount);

	if (error)
		return error;
	thread = kthread_create(hammer2_thread, mount, "hammer2");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	get_task_struct(thread);
	mount->thread = thread;
	spin_lock(&hammer2_mounts_lock);
	list_add(&mount->mounts, &hammer2_mounts);
	spin_unlock(&hammer2_mounts_lock);
	wake_up_process(thread);
	/* The suite takes longer than the kernel lets a task wait without complaint. */
	while (!wait_for_completion_timeout(&mount->opened, 30 * HZ))
		;
	return mount->open_status;
}

/* Waits for the end of the core, which was told to end or has died. */
void hammer2_run_stop(struct hammer2_mount *mount)
{
	if (mount->thread) {
		kthread_stop(mount->thread);
		put_task_struct(mount->thread);
		spin_lock(&hammer2_mounts_lock);
		list_del(&mount->mounts);
		spin_unlock(&hammer2_mounts_lock);
		pr_info("the stack took %zu of %d bytes at most\n", hammer2_stack_depth(mount), STACK_BYTES);
	}
	vfree(mount->stack);
}
