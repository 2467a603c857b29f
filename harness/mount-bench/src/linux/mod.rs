//! Filesystems of Linux's kernel in a guest, compared by the processor time of the whole guest.
//!
//! The guest runs one instruction in a nanosecond of its time (`-icount shift=0`), so what it is busy for is how many
//! instructions the work took, whoever did it: programs, system calls, threads of the kernel, interrupts. [`guest`] measures
//! there, and prints a line for each row; [`report`] compares the lines on the host.

pub(crate) mod guest;
pub(crate) mod measured;
pub(crate) mod report;
