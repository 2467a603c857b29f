//! Administration while clients work: snapshots, bulkfree, scrubs.

use hammer2_core::cluster::{NewPfs, Scrub};
use hammer2_core::fs::{Error, TimeSource};
use hammer2_core::media::PfsKind;

use crate::session::Session;

/// Does one of these, and returns its name.
pub(crate) async fn administer(session: &Session<'_>) -> &'static str {
    let kind = session.random.borrow_mut().below(3);
    let _administering = session.administering();
    match kind {
        0 => {
            snapshot(session).await;
            "snapshot"
        }
        1 => {
            if session.commit("bulkfree", session.fs.bulkfree()).await {
                session.world.verdict("bulkfreed");
            }
            "bulkfree"
        }
        _ => {
            if session.commit("scrub", scrub_in_parts(session)).await {
                session.world.verdict("scrubbed");
            }
            "scrub"
        }
    }
}

/// Scrubs in parts so small that other operations come in between.
async fn scrub_in_parts(session: &Session<'_>) -> Result<(), Error> {
    let mut scrub = Scrub { part_elements: 8, ..Scrub::default() };
    while session.fs.scrub_on(&mut scrub, &mut |scrub| scrub.counts.elements % 3 > 0).await?.is_none() {}
    Ok(())
}

/// Takes a snapshot, unless another client is taking one.
async fn snapshot(session: &Session<'_>) {
    let group = session.world.group();
    let begun = group.snapshots.begin(&group.model.borrow());
    let Some(number) = begun else { return };
    // Several clusters on the disks may have the same label.
    let label = format!("{}{}-{number}", String::from_utf8_lossy(group.label), group.number);
    let new = NewPfs {
        label: label.as_bytes(),
        kind: PfsKind::Master,
        clid: group.uuid(1, number),
        fsid: group.uuid(2, number),
        time: TimeSource::now(session.host),
    };
    if session.commit("snapshot", session.fs.snapshot(&new)).await {
        session.world.verdict("snapshot-taken");
        group.snapshots.acknowledge(label, session.world.disks_in_step(session.fs));
    } else {
        group.snapshots.give_up();
    }
}
