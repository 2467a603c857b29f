//! Commands on a mount: the process that serves it carries out orders, and answers questions.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use hammer2_core::fs::NewAttributes;
use hammer2_host::unsynced;
use serde::Serialize;
use serde_json::Value;

use super::{Failure, progress};
use crate::admin::socket::{Unreachable, call};
use crate::admin::wire::{Answer, Asked, LINE_DEADLINE, Line, Question, VERSION};
use crate::admin::{
    Done, Event, FileFacts, Freed, Grown, KernelMount, Metric, NodeFacts, Order, PfsFacts, QuotaFacts, Refused, Status,
};

/// The facts about a filesystem that were asked for.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) nodes: Vec<NodeFacts>,
    pub(super) pfss: Vec<PfsFacts>,
    /// Why PFSs are missing, if they are.
    pub(super) damage: Option<String>,
}

/// The state of the cluster that is mounted on a directory.
pub(super) fn status(directory: &Path) -> Result<Status, Failure> {
    match ask(directory, &Question::Status, &mut |_| {})? {
        Answer::Status(status) => Ok(status),
        Answer::Ended(Err(refused)) => Err(refused.into()),
        _ => Err(misunderstood(directory)),
    }
}

/// The past events of the mount on a directory, as far as it remembers.
pub(super) fn past_events(directory: &Path) -> Result<Vec<Event>, Failure> {
    let mut conversation = Conversation::begin(directory, &Question::Events { past: true, future: false })?;
    let mut events = Vec::new();
    loop {
        match conversation.hear()? {
            Answer::Event(event) => events.push(event),
            Answer::Ended(ended) => return Ok(ended.map(|_| events)?),
            _ => {}
        }
    }
}

/// The PFSs on the disks of the mount on a directory, the mounted one included.
pub(super) fn pfss(directory: &Path) -> Result<Listed, Failure> {
    list(directory, &Question::Pfss)
}

/// The same, with facts about the nodes.
pub(super) fn facts(directory: &Path) -> Result<Listed, Failure> {
    list(directory, &Question::Info)
}

fn list(directory: &Path, question: &Question) -> Result<Listed, Failure> {
    let mut listed = Listed::default();
    let mut note = |answer| match answer {
        Answer::Nodes(nodes) => listed.nodes = nodes,
        Answer::Pfs(pfs) => listed.pfss.push(pfs),
        _ => {}
    };
    match ended(directory, question, &mut note)? {
        Done::Told { damage } => Ok(Listed { damage, ..listed }),
        _ => Err(misunderstood(directory)),
    }
}

/// Gives an order, shows its progress, and returns its result.
pub(super) fn carry_out(directory: &Path, order: &Order) -> Result<Done, Failure> {
    ended(directory, &Question::Order(order.clone()), &mut |_| {})
}

/// Gives an order that has no result to report.
pub(super) fn change(directory: &Path, question: &Question) -> Result<(), Failure> {
    ended(directory, question, &mut |_| {}).map(drop)
}

/// Frees space.
pub(super) fn bulkfree(directory: &Path, discard: bool) -> Result<Freed, Failure> {
    match ended(directory, &Question::Bulkfree { discard }, &mut |_| {})? {
        Done::Freed(freed) => Ok(freed),
        _ => Err(misunderstood(directory)),
    }
}

/// The limits that apply to the content of a directory of a mount, or those of all directories below it.
pub(super) fn quotas(directory: &Path, below: bool) -> Result<Vec<QuotaFacts>, Failure> {
    let (root, path) = place_of(directory)?;
    match ended(&root, &Question::Quotas { path, below }, &mut |_| {})? {
        Done::Quotas(quotas) => Ok(quotas),
        _ => Err(misunderstood(directory)),
    }
}

/// Makes the filesystem take the new space of its devices.
pub(super) fn grow(directory: &Path, volume_bytes: Option<u64>) -> Result<Grown, Failure> {
    match ended(directory, &Question::Grow { volume_bytes }, &mut |_| {})? {
        Done::Grown(grown) => Ok(grown),
        _ => Err(misunderstood(directory)),
    }
}

/// Pauses the scrub of a mount.
pub(super) fn pause_scrub(directory: &Path) -> Result<(), Failure> {
    change(directory, &Question::PauseScrub)
}

/// Gives a directory of a mount limits.
pub(super) fn set_quota(directory: &Path, bytes: Option<u64>, inodes: Option<u64>) -> Result<(), Failure> {
    let (root, path) = place_of(directory)?;
    change(&root, &Question::SetQuota { path, bytes, inodes })
}

/// The root of the mount that a directory is in, and its path from there.
fn place_of(directory: &Path) -> Result<(PathBuf, Vec<u8>), Failure> {
    let failed = |error| Failure::failed(format_args!("{}: {error}", directory.display()));
    let whole = directory.canonicalize().map_err(failed)?;
    // The path is split at the root of a mount of its own; outside of any mount, `call` says so.
    let root = whole.ancestors().find(|above| unsynced::is_mount_root(above)).unwrap_or(&whole);
    let path = whole.strip_prefix(root).unwrap_or(Path::new(""));
    Ok((root.to_owned(), [b"/", path.as_os_str().as_bytes()].concat()))
}

/// Facts about a file.
pub(super) fn stat(directory: &Path, path: &[u8]) -> Result<FileFacts, Failure> {
    match ended(directory, &Question::Stat { path: path.to_vec() }, &mut |_| {})? {
        Done::File(facts) => Ok(facts),
        _ => Err(misunderstood(directory)),
    }
}

/// Sets how new data is stored; returns what couldn't be reached, if anything.
pub(super) fn set_methods(
    directory: &Path,
    path: &[u8],
    new: &NewAttributes,
    recursive: bool,
) -> Result<Option<String>, Failure> {
    let (compression, check) = (new.comp_algo, new.check_algo);
    let question = Question::SetMethods { path: path.to_vec(), compression, check, recursive };
    match ended(directory, &question, &mut |_| {})? {
        Done::Told { damage } => Ok(damage),
        _ => Err(misunderstood(directory)),
    }
}

/// The counters.
pub(super) fn metrics(directory: &Path) -> Result<Vec<Metric>, Failure> {
    let mut metrics = Vec::new();
    ended(directory, &Question::Metrics, &mut |answer| {
        if let Answer::Metric(metric) = answer {
            metrics.push(metric);
        }
    })?;
    Ok(metrics)
}

/// Makes a snapshot, and returns its label; none when no process listens to us.
pub(super) fn snapshot(directory: &Path, label: Option<&[u8]>) -> Option<Result<Vec<u8>, Failure>> {
    if let Err(Unreachable::NotMounted | Unreachable::NotAllowed | Unreachable::Deaf) = call(directory) {
        return None;
    }
    let question = Question::Snapshot { label: label.map(<[u8]>::to_vec) };
    Some(ended(directory, &question, &mut |_| {}).and_then(|done| match done {
        Done::Made { label } => Ok(label),
        _ => Err(misunderstood(directory)),
    }))
}

/// Asks, and waits for the result.
fn ended(directory: &Path, question: &Question, note: &mut dyn FnMut(Answer)) -> Result<Done, Failure> {
    match ask(directory, question, note)? {
        Answer::Ended(ended) => Ok(ended?),
        _ => Err(misunderstood(directory)),
    }
}

pub(super) fn misunderstood(directory: &Path) -> Failure {
    Failure::failed(format_args!("{}: an answer to something else", directory.display()))
}

/// Asks, and waits for the last answer; `note` gets those before it.
fn ask(directory: &Path, question: &Question, note: &mut dyn FnMut(Answer)) -> Result<Answer, Failure> {
    let mut conversation = Conversation::begin(directory, question)?;
    let mut counter = progress::byte_counter();
    // Shows that work goes on while there is nothing to count.
    let mut waiting = None;
    loop {
        match conversation.hear()? {
            Answer::Working => waiting = waiting.or_else(|| Some(progress::waiting("working"))),
            Answer::Copied { called, copied } => {
                waiting = None;
                progress::show_copy(&counter, &called, &copied);
            }
            Answer::Scrubbing(scrubbing) => {
                waiting = None;
                if counter.length().is_none() {
                    counter.finish_and_clear();
                    counter = progress::byte_bar(0);
                }
                progress::show_scrub(&counter, scrubbing);
            }
            Answer::Freeing(freeing) => {
                waiting = None;
                if counter.length().is_none() {
                    counter.finish_and_clear();
                    counter = progress::share_bar();
                }
                progress::show_freeing(&counter, freeing);
            }
            answer @ (Answer::Nodes(_) | Answer::Pfs(_) | Answer::Metric(_) | Answer::Event(_)) => note(answer),
            last => {
                drop(waiting);
                counter.finish_and_clear();
                return Ok(last);
            }
        }
    }
}

/// A conversation with a mount, begun by a question.
pub(super) struct Conversation {
    directory: PathBuf,
    with: Mounter,
}

/// What has mounted it.
enum Mounter {
    Process { line: Line, process: i32 },
    Kernel(KernelMount),
}

impl Conversation {
    /// Asks.
    pub(super) fn begin(directory: &Path, question: &Question) -> Result<Self, Failure> {
        let directory = directory.to_owned();
        if let Some(mut kernel) = KernelMount::of(&directory) {
            kernel.ask(question).map_err(|refused| at(&directory, refused))?;
            return Ok(Self { directory, with: Mounter::Kernel(kernel) });
        }
        let (line, process) = call(&directory).map_err(|error| unreachable(&directory, &error))?;
        let mut conversation = Self { directory, with: Mounter::Process { line, process } };
        conversation.say(&Asked { version: VERSION, question })?;
        Ok(conversation)
    }

    /// Sends another message.
    pub(super) fn say(&mut self, what: &impl Serialize) -> Result<(), Failure> {
        match &mut self.with {
            Mounter::Process { line, process } => {
                line.say(what).map_err(|error| silent(&self.directory, *process, &error))
            }
            // The kernel has the question, and takes no more messages.
            Mounter::Kernel(_) => Ok(()),
        }
    }

    /// The next answer.
    pub(super) fn hear(&mut self) -> Result<Answer, Failure> {
        let (line, process) = match &mut self.with {
            Mounter::Process { line, process } => (line, *process),
            Mounter::Kernel(kernel) => {
                let failed = |error| Failure::failed(format_args!("{}: {error}", self.directory.display()));
                return kernel.hear().map_err(failed);
            }
        };
        let heard: Option<Value> = line.hear().map_err(|error| silent(&self.directory, process, &error))?;
        let heard = heard.ok_or_else(|| unreachable(&self.directory, &Unreachable::Gone))?;
        // Answers in between that only a newer tool knows aren't needed.
        Ok(serde_json::from_value(heard).unwrap_or(Answer::Working))
    }
}

/// The failure for a process that doesn't answer.
fn silent(directory: &Path, process: i32, error: &io::Error) -> Failure {
    let place = directory.display();
    match error.kind() {
        ErrorKind::TimedOut => {
            Failure::failed(format_args!("{place}: process {process}, which serves this mount, {}", Silence(process)))
        }
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => unreachable(directory, &Unreachable::Gone),
        _ => Failure::failed(format_args!("{place}: {error}")),
    }
}

/// A refusal, with the name of the directory.
fn at(directory: &Path, refused: Refused) -> Failure {
    match refused {
        Refused::Unusable(why) => Failure::Unusable(format!("{}: {why}", directory.display())),
        Refused::Failed(why) => Failure::Failed(format!("{}: {why}", directory.display())),
    }
}

fn unreachable(directory: &Path, error: &Unreachable) -> Failure {
    let message = format!("{}: {error}", directory.display());
    match error {
        Unreachable::NotMounted => Failure::Unusable(message),
        _ => Failure::Failed(message),
    }
}

/// What is wrong with a process that says nothing, and what can be done.
struct Silence(i32);

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (process, seconds) = (self.0, LINE_DEADLINE.as_secs());
        // `PID (NAME) STATE ...`, and the name may hold anything.
        let facts = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let state = facts.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        match state {
            Some('T' | 't') => write!(f, "is stopped; `kill -CONT {process}` has it go on"),
            Some('Z' | 'X') | None => write!(f, "is gone; unmount it, and mount it again"),
            _ => write!(f, "has said nothing for {seconds} seconds; what was asked of it may still be done"),
        }
    }
}
