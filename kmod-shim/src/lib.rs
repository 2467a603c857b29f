//! What a kernel lends `hammer2-core`. Nothing here assumes a particular kernel; userspace uses the memory budget too.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

pub mod budget;
