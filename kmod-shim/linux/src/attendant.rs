//! Reports in the kernel's log, with the names of the disks, what a mount does by itself.

use core::cell::RefCell;

use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::{MAX_NODES, MemberState, NodeIndex};
use hammer2_core::fs::{Attendant, Error, Event, FileSystem, Pace};
use hammer2_core::io::Duration;

use crate::facts::Disks;
use crate::host::{Severity, say};
use crate::mailbox::{Begun, Mailbox};

/// How often nodes are looked at: as with a mount by FUSE, but a disk that was pulled out isn't waited for as long.
const LOOKS: Duration = Duration::from_secs(1);
const FIRST_TRY: Duration = Duration::from_secs(2);
const MOST_BETWEEN_TRIES: Duration = Duration::from_secs(60);

/// Reports events, and keeps the mount from ending in the middle of its work.
struct Teller<'m> {
    fs: &'m FileSystem,
    mailbox: &'m Mailbox,
    tries: RefCell<[Option<Begun<'m>>; MAX_NODES]>,
    syncing: RefCell<Option<Begun<'m>>>,
}

/// Looks after a mount for as long as it is polled. Every `sync_seconds` seconds, if not 0, everything is made durable.
pub(crate) async fn look_after(fs: &FileSystem, mailbox: &Mailbox, sync_seconds: u32) {
    let pace = Pace {
        looks: LOOKS,
        first_try: FIRST_TRY,
        most_between_tries: MOST_BETWEEN_TRIES,
        sync_every: (sync_seconds > 0).then(|| Duration::from_secs(sync_seconds.into())),
    };
    for member in fs.missing_members() {
        let fsid = member.fsid;
        say(Severity::Warning, format_args!("the cluster's member {fsid} is missing: mount it again with its disk"));
    }
    let tries = RefCell::new([const { None }; MAX_NODES]);
    fs.keep(&Teller { fs, mailbox, tries, syncing: RefCell::new(None) }, &pace).await;
}

/// Reports that a node is back.
pub(crate) fn tell_of_return(fs: &FileSystem, node: NodeIndex, counts: &ResyncCounts) {
    let (disks, ResyncCounts { compared, copied, removed, .. }) = (Disks(fs, node), counts);
    say(
        Severity::Notice,
        format_args!("{disks}: in step again: {compared} elements compared, {copied} copied, {removed} removed"),
    );
}

impl Attendant for Teller<'_> {
    fn may_repair(&self) -> bool {
        !self.mailbox.is_ending()
    }

    fn trying(&self, node: NodeIndex, is_trying: bool) {
        let begun = is_trying.then(|| self.mailbox.begin());
        if let Some(tried) = self.tries.borrow_mut().get_mut(usize::from(node.0)) {
            *tried = begun;
        }
    }

    fn syncing(&self, is_syncing: bool) {
        *self.syncing.borrow_mut() = is_syncing.then(|| self.mailbox.begin());
    }

    fn tell(&self, event: Event<'_>) {
        let name = |node| Disks(self.fs, node);
        match event {
            Event::QuorumLost => say(
                Severity::Error,
                format_args!("too few nodes are left: nothing can be changed until enough of their disks are back"),
            ),
            Event::QuorumBack => say(Severity::Notice, format_args!("there is a quorum again: changes go on")),
            Event::NotDurable { error: Error::NoQuorum { .. } } | Event::Answers { .. } => {}
            Event::NotDurable { error } => {
                say(Severity::Error, format_args!("nothing is made durable at the moment: {error}"));
            }
            Event::DurableAgain => say(Severity::Notice, format_args!("everything is made durable again")),
            Event::Repaired { node, blocks } => say(
                Severity::Warning,
                format_args!("{}: {blocks} bad blocks were written anew from the other nodes", name(node)),
            ),
            Event::Apart { node, state: MemberState::Ejected(why), .. } => say(
                Severity::Error,
                format_args!("{}: {why}; the others go on, and it is tried again: see to its disk", name(node)),
            ),
            Event::Apart { node, state: MemberState::Aside(why), .. } => {
                say(Severity::Error, format_args!("{}: it is no part of this mount: {why:?}", name(node)));
            }
            Event::Apart { node, .. } => {
                say(Severity::Warning, format_args!("{}: it is behind, and is brought in step", name(node)));
            }
            Event::Back { node, counts } => tell_of_return(self.fs, node, &counts),
            Event::Counts { node, trouble } => {
                say(Severity::Notice, format_args!("{}: it follows the others again; {trouble}", name(node)));
            }
            Event::Completed { node, .. } => {
                say(Severity::Notice, format_args!("{}: it has the snapshots it lacked", name(node)));
            }
            Event::Away { node, trouble: Some(trouble), .. } => {
                say(Severity::Warning, format_args!("{}: it can't be brought back yet: {trouble}", name(node)));
            }
            Event::Away { .. } => {}
        }
    }
}
