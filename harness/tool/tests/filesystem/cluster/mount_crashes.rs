//! The power goes while a cluster is mounted, again and again, with other disks each time: later acknowledged changes are never
//! outranked by an epoch that landed on one disk and is unknown to the others.

use super::crash_states::Writes;
use super::members::{CLID, Members, fill};
use super::of_three;

/// Every state that a mount of some disks may leave if it is cut while it begins.
fn cut_mounts(members: &Members, mounted: &[usize]) -> Vec<Members> {
    let before = members.copied();
    let writes = Writes::of(members, || members.change_on(mounted, async |_| ()).unwrap());
    writes.crashes(CLID).iter().map(|cut| writes.cut(&before, cut)).collect()
}

#[test]
fn what_is_acknowledged_after_mounts_that_were_cut_stays() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "before", 1).await).unwrap().unwrap();
    let mut tried = 0;
    for once in cut_mounts(&members, &[0, 1]) {
        for twice in cut_mounts(&once, &[0, 2]) {
            twice.change_on(&[1, 2], async |fs| fill(fs, "kept", 1).await).unwrap().unwrap();
            let kept = twice.copied().content(&[1, 2]);
            for mounted in [&[0, 1][..], &[0, 2], &[0, 1, 2]] {
                let found = twice.copied();
                found.change_on(mounted, async |_| ()).unwrap_or_else(|error| panic!("{mounted:?}: {error}"));
                assert_eq!(found.content(mounted), kept, "{mounted:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 50, "{tried}");
}
