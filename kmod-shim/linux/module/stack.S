/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The core has its own stack, as it takes more than a stack of the kernel has (docs/linux.md). It stops there when it waits, and
 * continues there, whichever thread resumes it. The unwinder doesn't know that stack, so call traces from there end early.
 *
 * Offsets into struct hammer2_fiber are checked in run.c.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>

/*
 * void hammer2_host_wait(void *fiber, u64 seen, u64 deadline_ns): the core stops here, and its thread continues. No C may lie
 * between Rust and this: a frame guarded with one thread's canary mustn't be left by another.
 */
SYM_FUNC_START(hammer2_host_wait)
	mov %rsi, 8(%rdi)
	mov %rdx, 16(%rdi)
	jmp hammer2_fiber_switch
SYM_FUNC_END(hammer2_host_wait)
STACK_FRAME_NON_STANDARD hammer2_host_wait

/* void hammer2_fiber_switch(struct hammer2_fiber *fiber): the other side continues where it stopped, this one when that stops. */
SYM_FUNC_START(hammer2_fiber_switch)
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov (%rdi), %rax
	mov %rsp, (%rdi)
	mov %rax, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	RET
SYM_FUNC_END(hammer2_fiber_switch)
STACK_FRAME_NON_STANDARD hammer2_fiber_switch

/* Starts the core, with the mount in rbx and its configuration in r12; it doesn't return from the end. */
SYM_FUNC_START(hammer2_fiber_begin)
	mov %rbx, %rdi
	mov %r12, %rsi
	call hammer2_serve
	mov %rbx, %rdi
	call hammer2_fiber_end
SYM_FUNC_END(hammer2_fiber_begin)
STACK_FRAME_NON_STANDARD hammer2_fiber_begin
