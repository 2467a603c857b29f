//! What an administrator asks of a mount: how the cluster is, and to do something about its members while it is used.
//!
//! The images are locked, so the tool asks whoever serves them. Root, and who mounted it, may.

use std::cell::Cell;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use hammer2_core::cluster::NodeIndex;
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::io::Disk;
use hammer2_core::memory::Vec as HeapVec;
use rustix::net::{Shutdown, shutdown};

use super::mailbox::Mailbox;
use super::server::Server;
use crate::admin::wire::{Answer, Line, Question, is_trusted, listen};
use crate::admin::{Images, Open, Refused, Site, Status};

/// How often it is told how far a copy is.
const BETWEEN_TELLING: Duration = Duration::from_millis(100);

/// What it takes to carry out orders.
pub struct Administration {
    /// What the nodes were opened from.
    pub images: Images,
    /// Opens volumes. Requests wait meanwhile.
    pub open: Box<Open<'static>>,
    /// An order is being carried out: nobody else looks after the nodes.
    pub(super) busy: Cell<bool>,
}

impl Administration {
    /// For nodes that were opened from `images`, and others that `open` opens.
    pub fn new(images: Images, open: impl Fn(&[PathBuf]) -> Result<HeapVec<Disk>, Refused> + 'static) -> Self {
        Self { images, open: Box::new(open), busy: Cell::new(false) }
    }
}

/// Where orders are heard, until it is dropped.
pub(super) struct Ear(Arc<UnixListener>);

impl Ear {
    /// Listens from here on for what concerns the mount of a directory.
    pub(super) fn on(directory: &Path, mailbox: Arc<Mailbox>) -> io::Result<Self> {
        let listener = Arc::new(listen(directory)?);
        let ear = Self(listener.clone());
        thread::Builder::new().name("orders".into()).spawn(move || hear(&listener, &mailbox))?;
        Ok(ear)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        // Nothing is heard any more, and the name is free for the next mount once the thread has noticed. It can't be helped
        // where that fails: the name goes with the process.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

/// Until the mailbox is closed and nothing can be heard any more.
fn hear(listener: &UnixListener, mailbox: &Arc<Mailbox>) {
    for stream in listener.incoming() {
        match stream {
            // Strangers aren't even heard.
            Ok(stream) if is_trusted(&stream) => {
                let mailbox = mailbox.clone();
                // Whoever hangs up, or says what makes no sense, gets no answer.
                let _ = thread::Builder::new().name("order".into()).spawn(move || converse(stream, &mailbox));
            }
            Ok(_) => {}
            Err(_) if mailbox.is_closed() => break,
            // Too many files are open, for example.
            Err(_) => thread::sleep(BETWEEN_TELLING),
        }
    }
}

/// One question and its answers.
fn converse(stream: UnixStream, mailbox: &Mailbox) -> io::Result<()> {
    let mut line = Line::over(stream);
    let Some(question) = line.hear::<Question>()? else { return Ok(()) };
    let (sender, answers) = mpsc::channel();
    mailbox.post(Box::new(move |server| Box::pin(server.answer(question, sender))));
    // Ends when the job has, or with the mount.
    answers.iter().try_for_each(|answer| line.say(&answer))
}

impl Server {
    async fn answer(&self, question: Question, sender: Sender<Answer>) {
        let say = |answer| {
            // Who asked may have gone; what was ordered is done all the same.
            let _ = sender.send(answer);
        };
        let Administration { images, open, busy } = &self.administration;
        let order = match question {
            Question::Status => {
                let none = || Refused::unusable("this PFS is no cluster's: `cluster create` makes one");
                return say(match Status::of(&self.fs, images) {
                    Some(status) => Answer::Status(status),
                    None => Answer::Ended(Err(none())),
                });
            }
            Question::Order(order) => order,
        };
        if busy.replace(true) {
            return say(Answer::Ended(Err(Refused::failed("another order is being carried out: wait for its end"))));
        }
        let mut told: Option<Instant> = None;
        let mut show = |node: NodeIndex, counts: &ResyncCounts| {
            if told.is_none_or(|told| told.elapsed() >= BETWEEN_TELLING) {
                told = Some(Instant::now());
                say(Answer::Copied { node: node.0, copied: (*counts).into() });
            }
        };
        let done = Site { fs: &self.fs, images, open }.carry_out(&order, &mut show).await;
        busy.set(false);
        say(Answer::Ended(done));
    }
}
