//! What an administrator asks of a mount: how the cluster is, and to do something about its members while it is used.
//!
//! The images are locked, so the tool asks whoever serves them. Root, and who mounted it, may.

use std::cell::Cell;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::mailbox::Mailbox;
use super::server::Server;
use crate::admin::socket::Listening;
use crate::admin::wire::{Answer, Asked, HEARTBEAT, Line, Question, VERSION};
use crate::admin::{Done, Images, Open, Refused, Site, Status, quotas_of, set_quota};
use hammer2_core::cluster::NodeIndex;
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::io::Disk;
use hammer2_core::memory::Vec as HeapVec;
use serde_json::Value;

/// How often it is told how far a copy is.
const BETWEEN_TELLING: Duration = Duration::from_millis(100);

/// Conversations at a time; who comes then is sent away.
const MOST_CONVERSATIONS: usize = 16;

/// How long a question may take, and an answer that nobody takes.
const QUESTION_DEADLINE: Duration = Duration::from_secs(5);

/// What it takes to carry out orders.
pub struct Administration {
    /// What the nodes were opened from.
    pub images: Images,
    /// Nothing is changed.
    pub read_only: bool,
    /// Opens volumes. Requests wait meanwhile.
    pub open: Box<Open<'static>>,
    /// An order is being carried out: nobody else looks after the nodes.
    pub(super) busy: Cell<bool>,
}

impl Administration {
    /// For nodes that were opened from `images`, and others that `open` opens.
    pub fn new(
        images: Images,
        read_only: bool,
        open: impl Fn(&[PathBuf]) -> Result<HeapVec<Disk>, Refused> + 'static,
    ) -> Self {
        Self { images, read_only, open: Box::new(open), busy: Cell::new(false) }
    }
}

/// Where orders are heard, until it is dropped.
pub(super) struct Ear(Arc<Listening>);

impl Ear {
    /// Listens from here on for what concerns the mount of a directory.
    pub(super) fn on(directory: &Path, mailbox: Arc<Mailbox>) -> io::Result<Self> {
        let listening = Arc::new(Listening::on(directory)?);
        let ear = Self(listening.clone());
        thread::Builder::new().name("orders".into()).spawn(move || hear(&listening, &mailbox))?;
        Ok(ear)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Until the mailbox is closed and nothing can be heard any more.
fn hear(listening: &Listening, mailbox: &Arc<Mailbox>) {
    let conversations = Arc::new(());
    loop {
        match listening.next() {
            Ok(stream) if Arc::strong_count(&conversations) > MOST_CONVERSATIONS => {
                let refused = Refused::failed("too many orders at a time: wait for the end of another");
                // Whoever doesn't listen isn't waited for: nobody else is heard meanwhile.
                let _ = Line::over(stream, Duration::from_millis(1)).say(&Answer::Ended(Err(refused)));
            }
            Ok(stream) => {
                let (mailbox, conversation) = (mailbox.clone(), conversations.clone());
                let converse = move || {
                    // Whoever hangs up, or says what makes no sense, gets no answer.
                    let _ = converse(stream, &mailbox);
                    drop(conversation);
                };
                let _ = thread::Builder::new().name("order".into()).spawn(converse);
            }
            Err(_) if mailbox.is_closed() => break,
            // Too many files are open, for example.
            Err(_) => thread::sleep(BETWEEN_TELLING),
        }
    }
}

/// One question and its answers.
fn converse(stream: UnixStream, mailbox: &Mailbox) -> io::Result<()> {
    let mut line = Line::over(stream, QUESTION_DEADLINE);
    let Some(Asked { version, question }) = line.hear::<Asked<Value>>()? else { return Ok(()) };
    if version != VERSION {
        let refused = Refused::unusable(format_args!(
            "the mount is served by another version of the tool, which hears orders of version {VERSION}, not {version}: \
             unmount it, and mount it again"
        ));
        return line.say(&Answer::Ended(Err(refused)));
    }
    let question: Question = serde_json::from_value(question)?;
    let (sender, answers) = mpsc::channel();
    mailbox.post(Box::new(move |server| Box::pin(server.answer(question, sender))));
    loop {
        match answers.recv_timeout(HEARTBEAT) {
            Ok(answer) => line.say(&answer)?,
            Err(RecvTimeoutError::Timeout) => line.say(&Answer::Working)?,
            // The job has ended, or the mount.
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

impl Server {
    /// Sees to it that what the kernel does next is what a remount means.
    async fn prepare_remount(&self, read_only: bool) -> Result<Done, Refused> {
        match (read_only, self.administration.read_only) {
            (false, true) => Err(Refused::unusable(
                "it was mounted read-only, and its disks are shared: unmount it, and mount it again",
            )),
            (true, false) => {
                self.fs.sync().await.map(|()| Done::Changed { snapshots_lacking: 0 }).map_err(Refused::failed)
            }
            _ => Ok(Done::Changed { snapshots_lacking: 0 }),
        }
    }

    async fn answer(&self, question: Question, sender: Sender<Answer>) {
        let say = |answer| {
            // Who asked may have gone; what was ordered is done all the same.
            let _ = sender.send(answer);
        };
        let Administration { images, open, busy, .. } = &self.administration;
        let order = match question {
            Question::Status => {
                let none = || Refused::unusable("this PFS is no cluster's: `hammer2 cluster create` makes one");
                // What is known of disks that nobody uses may be old. Who doesn't answer leaves, and is told of.
                if let Err(error) = self.fs.probe().await {
                    return say(Answer::Ended(Err(Refused::failed(error))));
                }
                return say(match Status::of(&self.fs, images).await {
                    Some(status) => Answer::Status(status),
                    None => Answer::Ended(Err(none())),
                });
            }
            Question::Pfss => {
                let told = self.list_pfss(&sender).await;
                return say(Answer::Ended(Ok(told)));
            }
            Question::Info => {
                say(Answer::Nodes(self.describe_nodes()));
                let told = self.list_pfss(&sender).await;
                return say(Answer::Ended(Ok(told)));
            }
            Question::CreatePfs { label, kind, clid } => {
                let made = self.create_pfs(&label, &kind, clid.as_deref()).await;
                return say(Answer::Ended(made));
            }
            Question::DeletePfs { label, force } => {
                return say(Answer::Ended(self.delete_pfs(&label, force).await));
            }
            Question::Bulkfree { discard } => return say(Answer::Ended(self.bulkfree(discard).await)),
            Question::Quotas { path, below } => {
                let told = quotas_of(&self.fs, &path, below).await;
                return say(Answer::Ended(told.map(Done::Quotas)));
            }
            Question::SetQuota { path, bytes, inodes } => {
                let set = set_quota(&self.fs, &path, bytes, inodes).await;
                return say(Answer::Ended(set.map(|()| Done::Changed { snapshots_lacking: 0 })));
            }
            Question::Remount { read_only } => return say(Answer::Ended(self.prepare_remount(read_only).await)),
            Question::Snapshot { label } => return say(Answer::Ended(self.snapshot_for_owner(label).await)),
            Question::Order(order) => order,
        };
        if busy.replace(true) {
            return say(Answer::Ended(Err(Refused::failed("another order is being carried out: wait for its end"))));
        }
        let mut told: Option<Instant> = None;
        let mut show = |node: NodeIndex, counts: &ResyncCounts| {
            if told.is_none_or(|told| told.elapsed() >= BETWEEN_TELLING) {
                told = Some(Instant::now());
                say(Answer::Copied { called: images.called(node), copied: (*counts).into() });
            }
        };
        let done = Site { fs: &self.fs, images, open }.carry_out(&order, &mut show).await;
        busy.set(false);
        say(Answer::Ended(done));
    }
}
