//! Masters that all return as they once were, within one mount: what was acknowledged since then is only where nobody votes, or
//! on too few. Nothing may be changed then.

use super::mounting::{Refused, Seat};
use super::nodes::Drive;
use super::plan::Plan;
use super::world::World;

impl World {
    /// True when some disk can know better than a quorum of masters that are old.
    pub(super) fn can_be_rewound(&self) -> bool {
        self.all_are_sound() && self.group().member_count() > self.group().quorum()
    }

    pub(super) fn rewound(&self) -> Result<(), String> {
        let (numbers, masters) = (self.group().by_part(), self.group().masters());
        let quorum = self.group().quorum();
        let originals: Vec<Seat> = numbers[..self.group().member_count()].iter().copied().map(Seat::Member).collect();
        self.tally.borrow_mut().fault("rewound");
        self.session(&originals, Plan::quiet(2))?;
        let copies = self.run(async {
            let Ok(fs) = self.mount_writable(&originals).await else { return Err("I33: all disks are refused".into()) };
            if !self.check_served(&fs).await? {
                return Err("I14: all disks are sound and not readable".to_owned());
            }
            self.leave_a_mark(&fs, b"kept", true).await?;
            let image = |number: &usize| Drive::new(self.disks[*number].drive.disk.medium.borrow().image(), *number);
            let copies: Vec<Seat> = masters.iter().map(image).map(Seat::Other).collect();
            self.leave_a_mark(&fs, b"lost", true).await?;
            // A commit says which one before it was acknowledged: of the last alone nobody could tell.
            self.leave_a_mark(&fs, b"proof", true).await?;
            Ok(copies)
        })?;
        let Some(copies) = copies else { return Ok(()) };
        // Without slaves, or a tail of their own, the masters that are left out would only be rolled forward from.
        let beside_slaves =
            self.group().spare() == 0 || originals.len() > copies.len() && self.random.borrow_mut().percent(50);
        if !beside_slaves || self.random.borrow_mut().percent(50) {
            self.run(async {
                match self.mount_writable(&copies).await {
                    Ok(fs) => self.leave_a_mark(&fs, b"other", false).await,
                    Err(Refused(name)) => Err(format!("I33: masters that are old are refused by themselves: {name}")),
                }
            })?;
        }
        let mixed: Vec<Seat> = if beside_slaves {
            copies.iter().chain(&originals[copies.len()..]).cloned().collect()
        } else {
            copies[..quorum].iter().chain(&originals[quorum..copies.len()]).cloned().collect()
        };
        self.run(async {
            match self.mount_writable(&mixed).await {
                Ok(_) => Err("I1: what was acknowledged is known, and changes are made without it".to_owned()),
                Err(Refused(_)) => Ok(()),
            }
        })?;
        Ok(())
    }
}
