//! Who is left of those that have what was acknowledged last was written to by somebody else: nothing older may be served in its
//! place, though a quorum is there.

use super::mounting::{Refused, Seat};
use super::nodes::{self, Drive};
use super::plan::Plan;
use super::reading::{difference, read_all};
use super::world::World;

impl World {
    /// True when a quorum can do without some masters, which then have less.
    pub(super) fn can_be_spoiled(&self) -> bool {
        self.all_are_sound() && self.group().spare() > 0
    }

    /// Tries it on copies.
    pub(super) fn spoiled(&self) -> Result<(), String> {
        let (masters, quorum) = (self.group().masters(), self.group().quorum());
        let originals: Vec<Seat> = masters.iter().copied().map(Seat::Member).collect();
        self.tally.borrow_mut().fault("spoiled");
        self.session(&originals, Plan::quiet(2))?;
        let image = |number: &usize| Drive::new(self.disks[*number].drive.disk.medium.borrow().image(), *number);
        let mut copies: Vec<Drive> = masters.iter().map(image).collect();
        self.random.borrow_mut().shuffle(&mut copies);
        let seats: Vec<Seat> = copies.iter().cloned().map(Seat::Other).collect();
        let newest = self.run(async {
            let Ok(fs) = self.mount_writable(&seats[..quorum]).await else {
                return Err("I33: a quorum of copies is refused".to_owned());
            };
            self.leave_a_mark(&fs, b"newest", false).await?;
            read_all(&fs).await.map_err(|error| format!("I14: reading everything: \"{error}\" though all is well"))?
        })?;
        let Some(newest) = newest else { return Ok(()) };
        // With those that have less, just a quorum. With all, the others still have it.
        let spoiled = 2 * quorum - copies.len();
        for drive in &copies[..spoiled] {
            let written =
                self.run(async { Ok(nodes::write_as_foreigner(self.host, drive, self.group().label).await) })?;
            if let Some(Err(error)) = written {
                return Err(format!("a foreigner can't write to a copy: {error:?}"));
            }
        }
        let left: Vec<Seat> = seats[..spoiled].iter().chain(&seats[quorum..]).cloned().collect();
        self.run(async {
            match self.mount_writable(&left).await {
                Ok(_) => Err("I1: what was acknowledged is known, can't be believed, and is given up".to_owned()),
                Err(Refused(name)) if name == "no-trusted-holder" => Ok(()),
                Err(Refused(name)) => Err(format!("I33: the newest can't be believed, and that is called {name}")),
            }
        })?;
        self.run(async {
            let mounted = self.mount_writable(&seats).await;
            let fs = mounted.map_err(|refused| format!("I33: with everybody there, not mounted: {}", refused.0))?;
            let found = read_all(&fs).await.map_err(|error| format!("I14: with everybody there: \"{error}\""))??;
            if found == newest { Ok(()) } else { Err(format!("I1: {}", difference(&found, &newest))) }
        })?;
        Ok(())
    }
}
