//! Limits: open files, memory for a check, bytes of a symbolic link that a manifest can show.

use allocator_api2::alloc::Global;
use hammer2_core::fs::{Error, NewFile};
use hammer2_core::fsck::{self, Finding, FsckError, FsckOptions, Observer, Progress};
use hammer2_core::manifest;
use hammer2_core::media::{FileKind, Inum};
use hammer2_kmod_shim::budget::Budget;

use crate::cluster::members::{HEAP, Members, fill};

/// More open files than any mount here allows.
const MOST_OPEN: usize = 1 << 20;
/// Enough memory for any check of a small volume.
const ENOUGH_BYTES: usize = 4 << 20;

/// A receiver that ignores the findings of a check.
struct Deaf;

impl Observer for Deaf {
    fn finding(&mut self, _: &Finding<'_>) {}

    fn progress(&mut self, _: Progress) {}
}

#[test]
fn no_more_files_are_open_than_a_mount_has_memory_for() {
    let opened = Members::masters(1).change_on(&[0], async |fs| {
        let create = async |number: usize| {
            let name = format!("{number}");
            let file = fs.create(Inum::PFS_ROOT, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o600)).await?;
            fs.open(file).await.map(|()| file)
        };
        let mut opened = Vec::new();
        let refused = loop {
            match create(opened.len()).await {
                Ok(file) => opened.push(file),
                Err(error) => break error,
            }
            assert!(opened.len() < MOST_OPEN);
        };
        assert!(matches!(refused, Error::TooManyOpen), "{refused}");
        // Closing some makes room for others.
        for file in opened.drain(..10) {
            fs.release(file).await?;
        }
        opened.push(create(MOST_OPEN).await?);
        for file in &opened {
            fs.release(*file).await?;
        }
        Ok::<_, Error>(opened.len())
    });
    assert!(opened.unwrap().unwrap() > 100);
}

#[test]
fn a_check_without_memory_says_so() {
    let members = Members::masters(1);
    members.change_on(&[0], async |fs| fill(fs, "all", 100).await).unwrap().unwrap();
    let mut ends = Vec::new();
    for budget_bytes in (0..ENOUGH_BYTES).step_by(64 << 10) {
        let budget: &'static Budget<Global> = Box::leak(Box::new(Budget::new(Global, budget_bytes)));
        let options = FsckOptions { strict: false, cache_bytes: 0 };
        ends.push(members.run(fsck::check(budget, members.node(0), options, &mut Deaf)));
    }
    assert!(ends.iter().any(|end| matches!(end, Err(FsckError::NoMemory))));
    assert!(ends.is_sorted_by_key(Result::is_ok), "more memory is never worse: {:?}", ends.iter().map(Result::is_ok));
    assert!(ends.last().unwrap().is_ok());
}

#[test]
fn a_symbolic_link_that_no_system_could_follow_is_told() {
    let target = [b't'; 5000];
    let told = Members::masters(1).change_on(&[0], async |fs| {
        let new = NewFile { target: &target, ..NewFile::new(FileKind::Symlink, 0o777) };
        fs.create(Inum::PFS_ROOT, b"link", &new).await.unwrap();
        let mut told = String::new();
        manifest::write(HEAP, fs, Inum::PFS_ROOT, &mut told).await.unwrap();
        told
    });
    let told = told.unwrap();
    assert!(told.contains("a symbolic link of 5000 bytes"), "{told}");
}
