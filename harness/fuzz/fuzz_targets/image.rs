//! Whole images: mounted, walked, everything read, and checked by fsck.
#![no_main]

use std::cell::LazyCell;

use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MountOptions};
use hammer2_core::fsck::{self, Finding, FsckOptions, Observer};
use hammer2_core::selftest::survey::survey;
use hammer2_fuzz::patches::Base;
use hammer2_fuzz::{medium, run};
use libfuzzer_sys::fuzz_target;

/// The most file blocks to read from one image: more than the image holds, but less than it can claim.
const MOST_BLOCKS: u64 = 2000;
const OPTIONS: MountOptions = MountOptions { memory_bytes: 2 << 20, spare_nodes: 0 };

const FSCK: FsckOptions = FsckOptions { cache_bytes: 1 << 20, strict: true };

/// Formats every finding, and drops the text.
struct Reader;

impl Observer for Reader {
    fn finding(&mut self, finding: &Finding<'_>) {
        assert!(!finding.to_string().is_empty());
    }
}

thread_local! {
    static BASE: LazyCell<Base> = LazyCell::new(|| Base::new().expect("the image can be made"));
}

fuzz_target!(|input: &[u8]| {
    BASE.with(|base| {
        let _changes = base.apply(input).expect("the image can be changed");
        run::run(async {
            let Ok(drives) = medium::open(run::heap(), &[base.disk().clone()]) else { return };
            let Ok(fs) = FileSystem::mount(run::heap(), drives, PfsSelector::Default, OPTIONS).await else { return };
            let _ = fs.statistics();
            survey(run::heap(), &fs, MOST_BLOCKS, &mut |_, _| {}).await.expect("memory is enough for every image");
        });
        run::run(async {
            let drives = medium::open(run::heap(), &[base.disk().clone()]).expect("a disk fits the budget");
            let _ = fsck::check(run::heap(), drives, FSCK, &mut Reader).await;
        });
    });
});
