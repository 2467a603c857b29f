//! Orders of an administrator: to a cluster that is mounted only for them, or to the process that serves its mount.

use std::path::PathBuf;

use hammer2_host::device::Access;
use serde_json::{Value, json};

use crate::admin::{Done, Order, Refused, Resynced, Site, while_scrubbing};
use crate::cli::failure::complain;
use crate::cli::output::Output;
use crate::cli::progress;
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome, mounted};

/// Where and how results are printed.
pub(super) struct Print<'o> {
    pub(super) output: &'o mut Output,
    pub(super) json: bool,
}

/// Has an order carried out, and prints the result.
pub(super) fn carry_out(
    settings: &Settings,
    target: &Target,
    order: &Order,
    print: &mut Print<'_>,
) -> Result<Outcome, Failure> {
    if let Some(directory) = target.directory() {
        return print.done(&mounted::carry_out(directory, order)?);
    }
    let session = Session::new(settings);
    session.change_members(target, None, async |fs, images| {
        let open = |images: &[PathBuf]| session.open_disks(images, Access::Write).map_err(Refused::unusable);
        // A scrub's place is kept all the time, so it can be resumed if the user ends the command.
        let site = Site { fs, images, open: &open, pauses: &|| false };
        if order.is_scrub() {
            let bar = progress::byte_bar(0);
            bar.tick();
            let mut nothing = |_, _: &_| {};
            let work = site.carry_out(order, &mut nothing);
            let done =
                while_scrubbing(fs, session.clock(), work, |scrubbing| progress::show_scrub(&bar, scrubbing)).await;
            bar.finish_and_clear();
            return print.done(&done?);
        }
        let counter = progress::byte_counter();
        if order.copies() {
            counter.tick();
        }
        let done = site
            .carry_out(order, &mut |node, counts| {
                progress::show_copy(&counter, &images.called(node), &(*counts).into())
            })
            .await;
        counter.finish_and_clear();
        print.done(&done?)
    })
}

impl Print<'_> {
    fn done(&mut self, done: &Done) -> Result<Outcome, Failure> {
        match done {
            Done::Changed { snapshots_lacking } => {
                if *snapshots_lacking > 0 {
                    complain(&format_args!(
                        "the new node goes without {snapshots_lacking} of the snapshots: it has no room for them"
                    ));
                }
                if self.json {
                    self.output.line(json!({ "changed": true, "snapshots_lacking": snapshots_lacking }))?;
                }
                Ok(Outcome::Good)
            }
            Done::Made { .. }
            | Done::Told { .. }
            | Done::Freed(_)
            | Done::Quotas(_)
            | Done::Grown(_)
            | Done::File(_) => Ok(Outcome::Good),
            Done::Resynced { nodes, missing } => {
                missing.iter().for_each(|missing| complain(missing));
                if nodes.is_empty() && missing.is_empty() && !self.json {
                    self.output.line("all members are in step: there was nothing to do")?;
                }
                let whole = if missing.is_empty() { Outcome::Good } else { Outcome::Bad };
                nodes.iter().try_fold(whole, |outcome, node| Ok(outcome.and(self.resynced(node)?)))
            }
            Done::Paused(so_far) if self.json => {
                let mut line = object(so_far)?;
                line["paused"] = json!(true);
                self.output.line(line)?;
                Ok(Outcome::Good)
            }
            Done::Paused(so_far) => {
                self.output.line(format_args!("paused, when {so_far}: it goes on with --resume"))?;
                Ok(Outcome::Good)
            }
            Done::Scrubbed { counts, unread } => {
                if self.json {
                    let mut line = object(counts)?;
                    line["unread"] = json!(unread);
                    self.output.line(line)?;
                } else {
                    self.output.line(counts)?;
                }
                unread.iter().for_each(|unread| complain(&format_args!("not read: {unread}")));
                Ok(if counts.is_whole() && unread.is_empty() { Outcome::Good } else { Outcome::Bad })
            }
        }
    }

    pub(super) fn resynced(&mut self, Resynced { node, called, copied }: &Resynced) -> Result<Outcome, Failure> {
        match copied {
            Ok(copied) if self.json => {
                let mut line = json!({ "node": node, "called": called });
                if let (Value::Object(line), Value::Object(counts)) = (&mut line, object(copied)?) {
                    line.extend(counts);
                }
                self.output.line(line)?;
            }
            Ok(copied) => self.output.line(format_args!("{called}: in sync; {copied}"))?,
            Err(why) => {
                complain(&format_args!("{called}: {why}"));
                return Ok(Outcome::Bad);
            }
        }
        Ok(Outcome::Good)
    }
}

fn object(counts: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(counts).map_err(Failure::failed)
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unusable(why) => Self::Unusable(why),
            Refused::Failed(why) => Self::Failed(why),
        }
    }
}
