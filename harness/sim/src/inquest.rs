//! The content of each disk after a violation, to find out its cause.

use crate::chronicle::What;
use crate::mounting::{Seat, mount};
use crate::plan::Plan;
use crate::reading::{difference, read_all};
use crate::world::World;

/// Reports how the content of each disk by itself differs from every allowed state, or that it can't be read, if events are kept.
pub(crate) fn hold(world: &World) {
    if !log::log_enabled!(log::Level::Info) && !world.chronicle.is_kept() {
        return;
    }
    world.tell(|| What::Round { name: "inquest", cluster: world.group().name() });
    *world.plan.borrow_mut() = Plan::quiet(0);
    for number in 0..world.disks.len() {
        let held = world.run(async {
            let fs = mount(world, &[Seat::Member(number)]).await.map_err(|refused| refused.0)?;
            read_all(&fs).await.map_err(|error| error.to_string())?
        });
        let held = match held {
            Ok(Some(held)) => held,
            Ok(None) => continue,
            Err(why) => {
                log::info!("disk {number} alone: {why}");
                world.tell(|| What::Held { disk: number, text: why });
                continue;
            }
        };
        let text = || difference(&held, world.group().history.borrow().last_acked());
        world.tell(|| What::Held { disk: number, text: text() });
        world.group().history.borrow().tell_differences(&format!("disk {number} alone"), &held);
    }
}
