//! Filesystems of Linux's kernel in a guest, compared by the processor time of the whole guest.
//! The guest runs one instruction in a nanosecond of its time (`-icount shift=0`), so its busy time is how many instructions the
//! work took, in programs, system calls, threads of the kernel and interrupts. [`guest`] measures there, and prints a line for
//! each row; [`report`] compares the lines on the host.

pub(crate) mod guest;
pub(crate) mod measured;
pub(crate) mod report;
