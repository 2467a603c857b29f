//! Somebody else wrote to every disk that is left with the last acknowledged state: nothing older may be served in its place,
//! although a quorum is there.

use crate::marks;
use crate::mounting::{Refused, Seat, mount_writable};
use crate::nodes::{self, Drive};
use crate::plan::Plan;
use crate::reading::{difference, read_all};
use crate::working::work;
use crate::world::World;

/// True when a quorum can do without some masters, which then lack changes.
pub(crate) fn is_possible(world: &World) -> bool {
    !world.is_tight() && world.all_are_sound() && world.group().spare() > 0
}

/// Tries it on copies.
pub(crate) fn run(world: &World) -> Result<(), String> {
    let (masters, quorum) = (world.group().masters(), world.group().quorum());
    let originals: Vec<Seat> = masters.iter().copied().map(Seat::Member).collect();
    world.fault("spoiled");
    work(world, &originals, Plan::quiet(2))?;
    let image = |number: &usize| world.disks[*number].drive.copy();
    let mut copies: Vec<Drive> = masters.iter().map(image).collect();
    world.random.borrow_mut().shuffle(&mut copies);
    let seats: Vec<Seat> = copies.iter().cloned().map(Seat::Other).collect();
    let newest = world.run(async {
        let Ok(fs) = mount_writable(world, &seats[..quorum]).await else {
            return Err("I33: a quorum of copies is refused".to_owned());
        };
        marks::leave(world, &fs, "newest", false).await?;
        read_all(&fs).await.map_err(|error| format!("I14: reading everything: \"{error}\" though all is well"))?
    })?;
    let Some(newest) = newest else { return Ok(()) };
    // Together with the masters that lack changes, these are just a quorum. With more, others would still have the state.
    let spoiled = 2 * quorum - copies.len();
    for drive in &copies[..spoiled] {
        let written =
            world.run(async { Ok(nodes::write_as_foreigner(world.host, drive, world.group().label).await) })?;
        if let Some(Err(error)) = written {
            return Err(format!("a foreigner can't write to a copy: {error:?}"));
        }
    }
    let left: Vec<Seat> = seats[..spoiled].iter().chain(&seats[quorum..]).cloned().collect();
    world.run(async {
        match mount_writable(world, &left).await {
            Ok(_) => Err("I1: what was acknowledged is known, can't be believed, and is given up".to_owned()),
            Err(Refused(name)) if name == "no-trusted-holder" => Ok(()),
            Err(Refused(name)) => Err(format!("I33: the newest can't be believed, and that is called {name}")),
        }
    })?;
    world.run(async {
        let mounted = mount_writable(world, &seats).await;
        let fs = mounted.map_err(|refused| format!("I33: with everybody there, not mounted: {}", refused.0))?;
        let found = read_all(&fs).await.map_err(|error| format!("I14: with everybody there: \"{error}\""))??;
        if found == newest { Ok(()) } else { Err(format!("I1: {}", difference(&found, &newest))) }
    })?;
    Ok(())
}
