//! Administration of the cluster between two mounts: replacing disks, reading and removing snapshots, freeing space, scrubbing.

use hammer2_core::random::Random;
use hammer2_model::Model;
use hammer2_torture::failure::{Failure, Result};

use crate::record::Record;
use crate::rig::{LABEL, Rig};
use crate::tree;

/// The most snapshots that are kept until the next look at them.
const MOST_SNAPSHOTS: usize = 3;

/// A snapshot, with its expected content.
struct Snapshot {
    label: String,
    /// Each client's directory, with its content.
    states: Vec<(String, Model)>,
    /// The numbers of the disks that have had it from the beginning; others aren't asked for it.
    holders: Vec<usize>,
}

/// The tasks that take turns.
pub(crate) struct Upkeep {
    random: Random,
    turn: usize,
    replaced: usize,
    taken: u64,
    snapshots: Vec<Snapshot>,
}

impl Upkeep {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), turn: 0, replaced: 0, taken: 0, snapshots: Vec::new() }
    }

    /// A new label for a snapshot.
    pub(crate) fn new_label(&mut self) -> String {
        self.taken += 1;
        format!("S{}", self.taken)
    }

    /// Notes that a snapshot was taken, and is on these disks.
    pub(crate) fn note_snapshot(&mut self, label: String, states: Vec<(String, Model)>, holders: Vec<usize>) {
        self.snapshots.push(Snapshot { label, states, holders });
    }

    /// Does the next task.
    pub(crate) fn next(&mut self, rig: &mut Rig, record: &mut Record) -> Result<()> {
        self.turn += 1;
        match self.turn % 4 {
            0 => self.scrub(rig, record),
            1 => self.replace_a_disk(rig, record),
            2 => self.look_at_snapshots(rig, record, MOST_SNAPSHOTS),
            _ => self.give_space_back(rig, record),
        }
    }

    /// Does every task once more, so that nothing is left to do.
    pub(crate) fn finish(&mut self, rig: &mut Rig, record: &mut Record) -> Result<()> {
        rig.on_cluster(&["cluster", "resync"])?;
        self.look_at_snapshots(rig, record, 0)?;
        self.give_space_back(rig, record)?;
        self.scrub(rig, record)
    }

    /// Replaces a disk by a blank one, each time the next disk. Half of the time the old one is gone.
    fn replace_a_disk(&mut self, rig: &mut Rig, record: &mut Record) -> Result<()> {
        // A quorum must be in step without the old disk.
        rig.on_cluster(&["cluster", "resync"])?;
        let node = self.replaced % rig.members.len();
        self.replaced += 1;
        let (old, new) = (rig.members[node], rig.disks.add()?);
        let old_path = rig.disks.path(old);
        let is_gone = self.random.percent(50);
        let mut others = rig.members.clone();
        if is_gone {
            others.remove(node);
            rig.disks.remove(old)?;
        }
        let target = rig.target_of(&others, Some(LABEL));
        let new_path = rig.disks.path(new);
        rig.succeed(&[
            "cluster".as_ref(),
            "replace".as_ref(),
            target.as_os_str(),
            old_path.as_os_str(),
            new_path.as_os_str(),
        ])?;
        if !is_gone {
            rig.disks.remove(old)?;
        }
        rig.members[node] = new;
        self.snapshots.iter_mut().for_each(|snapshot| snapshot.holders.retain(|disk| *disk != old));
        rig.on_cluster(&["cluster", "status"])?;
        record.count("disks replaced", 1);
        record.event(format!("disk {node} replaced{}", if is_gone { ", the old one was gone" } else { "" }));
        Ok(())
    }

    /// Compares the oldest snapshots with their expected content on all disks that have them, and removes them until `most` are
    /// left.
    fn look_at_snapshots(&mut self, rig: &Rig, record: &mut Record, most: usize) -> Result<()> {
        for snapshot in &self.snapshots {
            let wrong = |what: String| Failure::violation(format_args!("snapshot {}: {what}", snapshot.label));
            let Some(first) = snapshot.holders.first() else { continue };
            let (server, directory) = rig.mount_snapshot(*first, &snapshot.label)?;
            for (home, state) in &snapshot.states {
                let found = tree::read(&directory, home).map_err(|error| wrong(error.to_string()))?;
                if let Some(difference) = tree::difference(&found, state) {
                    return Err(wrong(difference));
                }
            }
            server.unmount()?;
            rig.hold_the_same(&snapshot.holders, &snapshot.label)?;
            record.count("snapshots compared", 1);
        }
        while self.snapshots.len() > most {
            let snapshot = self.snapshots.remove(0);
            let target = rig.target(None);
            rig.succeed(&["pfs-delete".as_ref(), target.as_os_str(), snapshot.label.as_ref()])?;
            record.count("snapshots removed", 1);
        }
        Ok(())
    }

    fn give_space_back(&mut self, rig: &Rig, record: &mut Record) -> Result<()> {
        let target = rig.target(None);
        let said = rig.succeed(&["bulkfree".as_ref(), target.as_os_str()])?;
        record.count("bulkfrees", 1);
        record.event(format!("bulkfree: {}", said.trim()));
        Ok(())
    }

    fn scrub(&mut self, rig: &Rig, record: &mut Record) -> Result<()> {
        rig.on_cluster(&["cluster", "resync"])?;
        let said = rig.on_cluster(&["cluster", "scrub"])?;
        record.count("scrubs", 1);
        record.event(format!("scrub: {}", said.trim()));
        Ok(())
    }
}
