//! Memory that runs out, at every allocation.

use hammer2_core::cluster::OpError;
use hammer2_core::fs::MountError;
use hammer2_core::memory::NoMemory;
use hammer2_core::node::OpenError;

use super::inventory::Inventory;
use super::subject::Subject;

#[test]
fn every_allocation_may_fail() {
    let subject = Subject::populated();
    let sound = subject.inventory().expect("the image is sound");
    let total = subject.budget.allocations();
    let (mut failed_mounts, mut failed_walks, mut whole) = (0, 0, 0);
    for index in 0..total {
        subject.budget.fail_at(subject.budget.allocations() + index);
        subject.run(async {
            let fs = match subject.mount().await {
                Ok(fs) => fs,
                Err(error) => {
                    assert!(is_no_memory(&error), "allocation {index} of {total}: {error}");
                    failed_mounts += 1;
                    return;
                }
            };
            match Inventory::of(subject.budget, &fs).await {
                Ok(inventory) => {
                    assert_eq!(inventory, sound, "allocation {index} of {total}");
                    whole += 1;
                }
                Err(NoMemory) => failed_walks += 1,
            }
            let again = Inventory::of(subject.budget, &fs).await;
            assert_eq!(again.as_ref(), Ok(&sound), "after the failure of allocation {index} of {total}");
        });
        assert_eq!(subject.budget.used_bytes(), 0, "memory is given back after the failure of allocation {index}");
    }
    println!("{total} allocations: {failed_mounts} fail the mount, {failed_walks} the walk, {whole} neither");
    assert!(failed_mounts > 0 && failed_walks > 0);
    assert_eq!(subject.inventory().as_ref(), Ok(&sound));
}

fn is_no_memory(error: &MountError) -> bool {
    matches!(
        error,
        MountError::NoMemory(_) | MountError::Open(OpenError::NoMemory(_)) | MountError::Op(OpError::NoMemory)
    )
}
