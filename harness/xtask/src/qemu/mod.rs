//! A virtual machine: its disks, its command line, a run of it, what its exit code says.

pub(crate) mod disk;
pub(crate) mod image;
pub(crate) mod machine;
pub(crate) mod run;
pub(crate) mod verdict;
