//! One mount: clients work on it, and it ends in one way or another.

use std::pin::Pin;

use hammer2_core::cluster::MemberState;
use hammer2_core::fs::FileSystem;

use crate::clients::client;
use crate::executor;
use crate::keeping::keeping;
use crate::mounting::{Refused, Seat, mount_writable, sound_seats};
use crate::plan::Plan;
use crate::served;
use crate::session::Session;
use crate::states::{name_of_state, states};
use crate::watching::watching;
use crate::world::World;

/// Mounts, works, and ends in one way or another. False if it couldn't be mounted because of unsound disks; none if the power
/// went.
pub(crate) fn work(world: &World, seats: &[Seat], plan: Plan) -> Result<Option<bool>, String> {
    log::info!("mounting {seats:?}");
    *world.plan.borrow_mut() = plan;
    world.run(async {
        let fs = match mount_writable(world, seats).await {
            Ok(fs) => fs,
            Err(Refused(name)) => {
                let is_excused = sound_seats(world, seats).len() < seats.len() || world.is_tight();
                let why = format!("I33: a quorum of sound disks isn't mounted: {name}");
                return if is_excused { Ok(false) } else { Err(why) };
            }
        };
        watching(world, &fs, on_mount(world, &fs)).await
    })
}

/// Works on a mount, and ends in one way or another.
async fn on_mount(world: &World, fs: &FileSystem) -> Result<bool, String> {
    if !served::check(world, fs).await? {
        return Ok(true);
    }
    let (steps, clients, unmounts, keeps) = {
        let plan = world.plan.borrow();
        (plan.steps, plan.clients, plan.unmounts, plan.keeps)
    };
    let session = Session::new(world, fs, steps);
    let clients = (0..clients).map(|number| Box::pin(client(&session, number)) as Pin<Box<dyn Future<Output = ()>>>);
    let clients = executor::all(clients.collect());
    if keeps {
        keeping(&session, clients).await;
    } else {
        fs.attend(clients).await;
    }
    if unmounts && !session.is_over.get() && !session.is_stopped.get() {
        session.sync().await;
        // An unmount waits for laggards, too.
        let _ = fs.attend(fs.level()).await;
    }
    let wrong = session.wrong.take();
    for state in states(fs) {
        if let MemberState::Ejected(_) = state {
            world.verdict(&name_of_state(state));
        }
    }
    wrong.map_or(Ok(true), Err)
}
