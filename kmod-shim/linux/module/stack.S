/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another stack for the thread of a mount: what the core takes is more than a stack of the kernel's has (docs/linux.md). The unwinder
 * doesn't know of it, so call traces from there end early.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>

/* void hammer2_stack_enter(void *argument, void *top, void **saved): hammer2_stack_work(argument), on the stack below top. */
SYM_FUNC_START(hammer2_stack_enter)
	push %rbp
	mov %rsp, %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rbp, (%rdx)
	mov %rsi, %rsp
	call hammer2_stack_work
	lea -40(%rbp), %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	RET
SYM_FUNC_END(hammer2_stack_enter)
STACK_FRAME_NON_STANDARD hammer2_stack_enter

/* void hammer2_stack_leave(void *saved): returns from hammer2_stack_enter, which has saved that; for good, wherever this is called. */
SYM_FUNC_START(hammer2_stack_leave)
	mov %rdi, %rbp
	lea -40(%rbp), %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	RET
SYM_FUNC_END(hammer2_stack_leave)
STACK_FRAME_NON_STANDARD hammer2_stack_leave
