//! `hammer2 events`: what happens to a mount and its disks.

use clap::Args;

use super::mounted::Conversation;
use super::output::Output;
use super::pfs::whole;
use super::session::Settings;
use super::target::Target;
use super::{Failure, Outcome};
use crate::admin::Event;
use crate::admin::wire::{Answer, Question};

/// Follow what happens to a mount and its disks: members that leave and come back, errors, repairs, scrubs
/// The events since it was mounted come first, up to a thousand. It ends when the directory is unmounted.
#[derive(Args)]
#[command(
    after_help = "Programs are run for events by the mount itself: see -o hooks=DIR of mount. Each is told by its \
environment, as HAMMER2_EVENT, HAMMER2_TEXT, HAMMER2_DIRECTORY, HAMMER2_LABEL, HAMMER2_DISK and HAMMER2_FSID, and by the line \
that --json prints on its standard input.

Events: mounted, unmounted, member-in-sync, member-behind, member-left, member-aside, member-missing, quorum-lost, \
quorum-back, device-errors, bad-blocks, repaired, fenced, scrub-begun, scrub-paused, \
scrub-ended"
)]
pub(super) struct Events {
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
    /// Print the events so far, and end
    #[arg(long, conflicts_with = "new")]
    past: bool,
    /// Print only events from now on
    #[arg(long)]
    new: bool,
    /// The directory on which it is mounted
    #[arg(value_name = "DIR", value_parser = Target::parser())]
    target: Target,
}

impl Events {
    pub(super) fn run(&self, _: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let directory = whole(&self.target)?.directory().ok_or_else(|| only_of_mounts(&self.target))?;
        let question = Question::Events { past: !self.new, future: !self.past };
        let mut conversation = Conversation::begin(directory, &question)?;
        loop {
            match conversation.hear()? {
                Answer::Event(event) => self.print(&event, output)?,
                Answer::Ended(ended) => return Ok(ended.map(|_| Outcome::Good)?),
                _ => {}
            }
        }
    }

    fn print(&self, event: &Event, output: &mut Output) -> Result<(), Failure> {
        match self.json {
            true => output.line(serde_json::to_string(event).map_err(Failure::failed)?)?,
            false => output.line(event)?,
        }
        // Followers want each event at once.
        output.finish()
    }
}

/// The failure for a target that isn't a mount, where only a mount makes sense.
pub(super) fn only_of_mounts(target: &Target) -> Failure {
    Failure::unusable(format_args!("{target}: this is about what is mounted: name the directory it is mounted on"))
}
