//! Mounts of the kernel's own: questions to one go through extended attributes of its root, which
//! [`hammer2_kmod_shim::administration`] describes.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use hammer2_core::media::Uuid;
use hammer2_host::mount_table::mount_of;
use hammer2_host::unsynced;
use hammer2_kmod_shim::administration::{
    CopyFacts, ORDER, OUTCOME, OrderFacts, OutcomeFacts, STATUS, VERSION, order, progress,
};
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use zerocopy::{FromBytes, IntoBytes};

use super::names::Name;
use super::report::{Copied, Scrubbed};
use super::status::{KernelFacts, several, words};
use super::wire::{Answer, Question};
use super::{Done, LastScrub, Order, Refused, Resynced, Scrubbing};

/// What the kernel calls the type of its own mounts.
const MOUNT_TYPE: &str = "hammer2";

/// The largest attribute: many times what eight nodes of many disks take.
const MOST_BYTES: usize = 64 << 10;

/// How often the progress of an order is asked for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// A question to a mount of the kernel's.
pub struct KernelMount {
    directory: PathBuf,
    /// The order that was given, if one was, by its number.
    given: Option<u64>,
    /// The next answer, if it is known already.
    answer: Option<Answer>,
}

impl KernelMount {
    /// The kernel's mount on a directory; none if something else is mounted there, or nothing.
    pub fn of(directory: &Path) -> Option<Self> {
        let device = unsynced::device(directory).ok()?;
        let mount = mount_of(device)?;
        let is_ours = mount.kind == MOUNT_TYPE && unsynced::is_mount_root(directory);
        is_ours.then(|| Self { directory: directory.to_owned(), given: None, answer: None })
    }

    /// Asks. The error says why the question makes no sense or can't be carried out.
    pub fn ask(&mut self, question: &Question) -> Result<(), Refused> {
        match question {
            Question::Status => {
                let no_cluster = || {
                    Refused::unusable("this PFS is no cluster's: unmount it, and `hammer2 cluster add` makes it one")
                };
                let status = self.facts()?.status(&self.place()).ok_or_else(no_cluster)?;
                self.answer = Some(Answer::Status(status));
                Ok(())
            }
            Question::Order(given) => self.order(given),
            Question::PauseScrub => {
                self.give(order::PAUSE_SCRUB, Uuid::NIL)?;
                self.answer = Some(Answer::told());
                Ok(())
            }
            other => Err(Refused::unusable(self.not_there(other))),
        }
    }

    /// The next answer.
    pub fn hear(&mut self) -> io::Result<Answer> {
        if let Some(answer) = self.answer.take() {
            return Ok(answer);
        }
        let Some(given) = self.given else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let ended = match self.outcome() {
            Ok((outcome, _)) if outcome.number != given => Err(Refused::failed(
                "somebody has given another order since: `hammer2 cluster status` shows how it is, and the kernel's log (dmesg) \
                 what has happened",
            )),
            Ok((outcome, _)) if outcome.progress == progress::UNDER_WAY => {
                thread::sleep(BETWEEN_LOOKS);
                let OutcomeFacts { bytes, expected_bytes, .. } = outcome;
                return Ok(match expected_bytes {
                    0 => Answer::Working,
                    _ => Answer::Scrubbing(Scrubbing { bytes, expected_bytes }),
                });
            }
            Ok((outcome, copies)) => self.done(&outcome, &copies),
            Err(refused) => Err(refused),
        };
        Ok(Answer::Ended(ended))
    }

    fn place(&self) -> String {
        self.directory.display().to_string()
    }

    fn order(&mut self, given: &Order) -> Result<(), Refused> {
        match given {
            Order::Scrub => self.begin(order::SCRUB, Uuid::NIL),
            Order::ResumeScrub => self.begin(order::RESUME_SCRUB, Uuid::NIL),
            Order::Resync => self.begin(order::RESYNC, Uuid::NIL),
            Order::Remove(member) => self.begin(order::REMOVE, self.member(member)?),
            Order::Promote(member) => self.begin(order::PROMOTE, self.member(member)?),
            Order::Add { .. } | Order::Replace { .. } | Order::Detach { .. } => Err(Refused::unusable(
                "the kernel takes in no disks, and lets go of none, while they are mounted: unmount it, give this order for the \
                 disks themselves, and mount it again",
            )),
        }
    }

    /// The fsid of a member that the user names.
    fn member(&self, name: &Name) -> Result<Uuid, Refused> {
        let facts = self.facts()?;
        let fsids = facts.members.iter().map(|member| member.fsid).chain(facts.missing_fsids()).map(Uuid);
        if let Some(fsid) = { fsids }.find(|fsid| name.is_fsid(*fsid)) {
            return Ok(fsid);
        }
        let node = facts.images(&self.place()).node(name)?;
        let member = facts.members.iter().find(|member| member.node == u32::from(node.0));
        member.map(|member| Uuid(member.fsid)).ok_or_else(|| Refused::failed("it isn't there any more"))
    }

    /// Gives an order, and waits for its end from here on.
    fn begin(&mut self, order: u32, fsid: Uuid) -> Result<(), Refused> {
        let (before, _) = self.outcome()?;
        self.give(order, fsid)?;
        self.given = Some(before.number + 1);
        Ok(())
    }

    fn give(&self, order: u32, fsid: Uuid) -> Result<(), Refused> {
        let facts = OrderFacts { version: VERSION, order, fsid: fsid.0 };
        rustix::fs::setxattr(&self.directory, ORDER, facts.as_bytes(), XattrFlags::empty()).map_err(|error| match error
        {
            Errno::BUSY => Refused::failed("another order is under way: give this one when that has ended"),
            Errno::ROFS => Refused::unusable("it is mounted read-only: unmount it, and mount it without `-o ro`"),
            Errno::NODATA if order == order::PAUSE_SCRUB => Refused::unusable("no scrub is under way"),
            Errno::NODATA => Refused::unusable(
                "no scrub was paused since it was mounted: without --resume everything is read from the beginning",
            ),
            error => self.failed(error),
        })
    }

    fn facts(&self) -> Result<KernelFacts, Refused> {
        let bytes = self.read(STATUS)?;
        KernelFacts::of(&bytes).ok_or_else(Self::misunderstood)
    }

    fn outcome(&self) -> Result<(OutcomeFacts, Vec<CopyFacts>), Refused> {
        let bytes = self.read(OUTCOME)?;
        let (outcome, rest) = OutcomeFacts::read_from_prefix(&bytes).map_err(|_| Self::misunderstood())?;
        let (copies, rest) = several(rest, outcome.copies).ok_or_else(Self::misunderstood)?;
        if rest.is_empty() { Ok((outcome, copies)) } else { Err(Self::misunderstood()) }
    }

    /// The value of an attribute, if it has the version that this tool knows.
    fn read(&self, attribute: &str) -> Result<Vec<u8>, Refused> {
        let mut bytes = vec![0; MOST_BYTES];
        let count = rustix::fs::getxattr(&self.directory, attribute, &mut bytes).map_err(|error| self.failed(error))?;
        bytes.truncate(count);
        match u32::read_from_prefix(&bytes) {
            Ok((VERSION, _)) => Ok(bytes),
            _ => Err(Self::misunderstood()),
        }
    }

    fn misunderstood() -> Refused {
        Refused::failed(
            "the module in the kernel is of another version than this tool: use those that were built together",
        )
    }

    fn failed(&self, error: Errno) -> Refused {
        match error {
            Errno::PERM => Refused::failed("only root, and the owner of its root, may ask this mount"),
            Errno::OPNOTSUPP => Self::misunderstood(),
            Errno::IO => Refused::failed(
                "the mount answers nothing but errors: the kernel's log (dmesg) says why; unmount it, and mount it again",
            ),
            error => Refused::failed(io::Error::from(error)),
        }
    }

    /// The result of an order that has ended.
    fn done(&self, outcome: &OutcomeFacts, copies: &[CopyFacts]) -> Result<Done, Refused> {
        match (outcome.progress, outcome.order) {
            (progress::FAILED, _) => Err(Refused::failed(words(&outcome.why))),
            (progress::PAUSED, _) => {
                let OutcomeFacts { bytes, expected_bytes, .. } = *outcome;
                Ok(Done::Paused(Scrubbing { bytes, expected_bytes }))
            }
            (_, order::SCRUB | order::RESUME_SCRUB) => self.scrubbed(outcome),
            (_, order::RESYNC) => {
                let facts = self.facts()?;
                let nodes = copies.iter().map(resynced).collect();
                Ok(Done::Resynced { nodes, missing: facts.about_missing(&self.place()) })
            }
            _ => Ok(Done::Changed { snapshots_lacking: 0 }),
        }
    }

    fn scrubbed(&self, outcome: &OutcomeFacts) -> Result<Done, Refused> {
        let (facts, counts) = (self.facts()?, Scrubbed::from(outcome.scrub));
        let status = facts.status(&self.place());
        let unread: Vec<String> =
            status.iter().flat_map(|status| status.apart()).chain(facts.about_missing(&self.place())).collect();
        if let Some(status) = status {
            LastScrub::now(counts, status.in_sync(), unread.len()).keep(Uuid(facts.cluster.clid));
        }
        Ok(Done::Scrubbed { counts, unread })
    }

    /// A message that the kernel doesn't take this question, and what can be done.
    fn not_there(&self, question: &Question) -> String {
        let directory = self.place();
        let instead = match question {
            Question::Bulkfree { .. } => format!("`fstrim {directory}` gives space back"),
            Question::Events { .. } => "what happens is in the kernel's log (dmesg)".into(),
            Question::Metrics => format!("`hammer2 cluster status --json {directory}` has the numbers of its disks"),
            Question::Remount { .. } => format!("`mount -o remount,ro {directory}` is for that"),
            Question::Snapshot { .. } => format!("`hammer2 snapshot {directory} LABEL` is for that"),
            _ => "unmount it, and name its disks instead of the directory".into(),
        };
        format!("the kernel itself has mounted it, and can't be asked for this: {instead}")
    }
}

fn resynced(copy: &CopyFacts) -> Resynced {
    let called = format!("{} (node {})", words(&copy.devices), copy.node);
    let copied = if copy.is_in_sync != 0 { Ok(Copied::from(*copy)) } else { Err(words(&copy.why)) };
    Resynced { node: copy.node as u8, called, copied }
}
