//! What each disk holds after something went wrong, for whoever wants to know why.

use super::mounting::Seat;
use super::plan::Plan;
use super::reading::read_all;
use super::world::World;

impl World {
    /// Tells how what each disk holds on its own differs from every state that may be found, if anybody listens. A disk that
    /// can't be read tells that instead.
    pub(super) fn hold_inquest(&self) {
        if !log::log_enabled!(log::Level::Info) {
            return;
        }
        *self.plan.borrow_mut() = Plan::quiet(0);
        for number in 0..self.disks.len() {
            let held = self.run(async {
                let fs = self.mount(&[Seat::Member(number)]).await.map_err(|refused| refused.0)?;
                read_all(&fs).await.map_err(|error| error.to_string())?
            });
            let held = match held {
                Ok(Some(held)) => held,
                Ok(None) => continue,
                Err(why) => {
                    log::info!("disk {number} alone: {why}");
                    continue;
                }
            };
            self.group().history.borrow().tell_differences(&format!("disk {number} alone"), &held);
        }
    }
}
