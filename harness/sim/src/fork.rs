//! The disks of a cluster, imaged, and both sets used: two histories that must never be mixed.

use hammer2_core::cluster::Change;
use hammer2_core::fs::{FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum};

use super::model;
use super::mounting::{Refused, Seat};
use super::nodes::Drive;
use super::plan::Plan;
use super::world::World;

impl World {
    pub(super) fn fork(&self) -> Result<(), String> {
        let numbers = self.group().by_part();
        let originals: Vec<Seat> = numbers.iter().copied().map(Seat::Member).collect();
        self.tally.borrow_mut().fault("forked");
        // All in step: a disk that neither set writes to belongs to both.
        self.session(&originals, Plan::quiet(2))?;
        let image = |number: usize| Drive::new(self.disks[number].drive.disk.medium.borrow().image(), number);
        let copies: Vec<Seat> = numbers.iter().map(|number| Seat::Other(image(*number))).collect();
        // Each set may have gone on with other members.
        let masters = self.group().masters();
        let (first, last) = (masters[0], masters[masters.len() - 1]);
        let change_members = masters.len() > 2 && self.chance("member-change", 50);
        let served = self.run(async {
            let Ok(fs) = self.mount_writable(&originals).await else { return Err("I33: all disks are refused".into()) };
            if !self.check_served(&fs).await? {
                return Ok(());
            }
            if change_members {
                let mut parts = self.group().parts()[0].clone();
                parts[first] = None;
                self.group().may_become(parts.clone());
                self.remove(&fs, first).await?;
                self.group().settle(parts);
            }
            self.leave_a_mark(&fs, b"mine", true).await
        })?;
        if served.is_none() {
            return Ok(());
        }
        self.run(async {
            let Ok(fs) = self.mount_writable(&copies).await else { return Err("I33: all copies are refused".into()) };
            if change_members {
                self.remove(&fs, last).await?;
            }
            self.leave_a_mark(&fs, b"theirs", false).await
        })?;
        // At least one master of each set, and a quorum altogether.
        let from_copies = 1 + self.random.borrow_mut().index(masters.len() - 1);
        let mixed: Vec<Seat> = copies[..from_copies].iter().chain(&originals[from_copies..]).cloned().collect();
        self.run(async {
            match self.mount_writable(&mixed).await {
                Ok(_) => Err("two histories are mounted as one".to_owned()),
                Err(Refused(_)) => Ok(()),
            }
        })?;
        Ok(())
    }

    async fn remove(&self, fs: &FileSystem, disk: usize) -> Result<(), String> {
        let removed = fs.change_members(Change::Remove(self.group().fsid(disk))).await;
        removed.map_err(|error| format!("I14: remove: \"{error}\" though all is well"))
    }

    /// Changes something and syncs it.
    pub(super) async fn leave_a_mark(&self, fs: &FileSystem, name: &[u8], is_ours: bool) -> Result<(), String> {
        let number = self.marks.get() + 1;
        self.marks.set(number);
        let name = [name, number.to_string().as_bytes()].concat();
        let made = fs.create(Inum::PFS_ROOT, &name, &NewFile::new(FileKind::Regular, 0o644)).await;
        let made = made.map_err(|error| format!("I14: create: \"{error}\" though all is well"))?;
        fs.sync().await.map_err(|error| format!("I14: sync: \"{error}\" though all is well"))?;
        // What is done with the disks next relies on what each of them has.
        fs.level().await.map_err(|error| format!("I14: sync: \"{error}\" though all is well"))?;
        if is_ours {
            let change = model::Change::Create { directory: Inum::PFS_ROOT, name, kind: FileKind::Regular };
            let group = self.group();
            group.model.borrow_mut().apply(change, Some(made));
            let mut history = group.history.borrow_mut();
            history.changed(&group.model.borrow());
            let now = history.now();
            history.acked(now);
        }
        Ok(())
    }
}
