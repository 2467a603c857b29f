//! The orders of an administrator to a mount: they are carried out one after the other, beside everything else. Giving an order
//! doesn't wait for it; its progress and its result are read separately.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::{Poll, Waker};

use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::{Change, MAX_NODES, NodeIndex, Scrub, ScrubCounts};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::media::Uuid;
use hammer2_core::memory::{self, NoMemory, Vec};
use hammer2_kmod_shim::administration::{
    CopyFacts, OrderFacts, OutcomeFacts, ScrubFacts, Text, VERSION, order, progress,
};
use zerocopy::{FromBytes as _, FromZeros as _};

use crate::attendant;
use crate::facts::{Disks, Packer};
use crate::mailbox::Mailbox;

const EBUSY: i64 = 16;
const EINVAL: i64 = 22;
const ENODATA: i64 = 61;
const EROFS: i64 = 30;

/// The orders of a mount.
pub(crate) struct Foreman {
    is_writable: bool,
    outcome: Cell<OutcomeFacts>,
    copies: RefCell<Vec<CopyFacts>>,
    /// The next order, until it begins.
    next: Cell<Option<OrderFacts>>,
    pauses: Cell<bool>,
    /// The scrub that was paused.
    paused: Cell<Option<Scrub>>,
    waiting: RefCell<Option<Waker>>,
}

impl Foreman {
    pub(crate) fn new(fs: &FileSystem, is_writable: bool) -> Self {
        Self {
            is_writable,
            outcome: Cell::new(OutcomeFacts { version: VERSION, ..OutcomeFacts::new_zeroed() }),
            copies: RefCell::new(Vec::new_in(fs.heap())),
            next: Cell::new(None),
            pauses: Cell::new(false),
            paused: Cell::new(None),
            waiting: RefCell::new(None),
        }
    }

    /// Accepts an order; returns 0, or a negative error number.
    pub(crate) fn take(&self, bytes: &[u8]) -> i64 {
        let Ok(given) = OrderFacts::read_from_bytes(bytes) else { return -EINVAL };
        let is_busy = self.outcome.get().progress == progress::UNDER_WAY;
        match given.order {
            _ if given.version != VERSION => return -EINVAL,
            _ if !self.is_writable => return -EROFS,
            order::PAUSE_SCRUB if is_busy && is_scrub(self.outcome.get().order) => {
                self.pauses.set(true);
                return 0;
            }
            order::PAUSE_SCRUB => return -ENODATA,
            _ if is_busy => return -EBUSY,
            order::RESUME_SCRUB if self.paused.get().is_none() => return -ENODATA,
            order::SCRUB | order::RESUME_SCRUB | order::RESYNC | order::REMOVE | order::PROMOTE => {}
            _ => return -EINVAL,
        }
        self.copies.borrow_mut().clear();
        self.pauses.set(false);
        self.outcome.set(OutcomeFacts {
            version: VERSION,
            order: given.order,
            progress: progress::UNDER_WAY,
            number: self.outcome.get().number + 1,
            ..OutcomeFacts::new_zeroed()
        });
        self.next.set(Some(given));
        self.waiting.take().into_iter().for_each(Waker::wake);
        0
    }

    /// Packs the progress of the last order.
    pub(crate) fn tell(&self, fs: &FileSystem, packer: &mut Packer<'_>) -> Result<(), NoMemory> {
        let mut outcome = self.outcome.get();
        if outcome.progress == progress::UNDER_WAY && is_scrub(outcome.order) {
            let scrubbing = fs.scrub_progress();
            (outcome.bytes, outcome.expected_bytes) = (scrubbing.bytes, scrubbing.expected_bytes);
        }
        let copies = self.copies.borrow();
        packer.put(&OutcomeFacts { copies: copies.len() as u32, ..outcome })?;
        copies.iter().try_for_each(|copy| packer.put(copy))
    }

    /// Carries out orders for as long as it is polled.
    pub(crate) async fn work(&self, fs: &FileSystem, mailbox: &Mailbox) {
        loop {
            let given = poll_fn(|cx| match self.next.take() {
                Some(given) => Poll::Ready(given),
                None => {
                    *self.waiting.borrow_mut() = Some(cx.waker().clone());
                    Poll::Pending
                }
            })
            .await;
            let _begun = mailbox.begin();
            let outcome = match self.carry_out(fs, mailbox, &given).await {
                Ok(outcome) => outcome,
                Err(error) => self.failed(format_args!("{error}")),
            };
            self.outcome.set(outcome);
        }
    }

    fn ended(&self, progress: u32) -> OutcomeFacts {
        OutcomeFacts { progress, ..self.outcome.get() }
    }

    fn failed(&self, why: fmt::Arguments<'_>) -> OutcomeFacts {
        OutcomeFacts { why: Text::of(why), ..self.ended(progress::FAILED) }
    }

    async fn carry_out(&self, fs: &FileSystem, mailbox: &Mailbox, given: &OrderFacts) -> Result<OutcomeFacts, Error> {
        let fsid = Uuid(given.fsid);
        match given.order {
            order::SCRUB => self.scrub(fs, mailbox, Scrub::default()).await,
            order::RESUME_SCRUB => self.scrub(fs, mailbox, self.paused.take().unwrap_or_default()).await,
            order::RESYNC => {
                self.resync(fs).await?;
                Ok(self.ended(progress::DONE))
            }
            order::REMOVE => {
                fs.change_members(Change::Remove(fsid)).await?;
                Ok(self.ended(progress::DONE))
            }
            _ => {
                fs.change_members(Change::Promote(fsid)).await?;
                Ok(self.ended(progress::DONE))
            }
        }
    }

    /// Reads everything. It is paused on request, or when the mount is to end.
    async fn scrub(&self, fs: &FileSystem, mailbox: &Mailbox, mut scrub: Scrub) -> Result<OutcomeFacts, Error> {
        let mut goes_on = |_: &Scrub| !self.pauses.get() && !mailbox.is_ending();
        let counts = fs.scrub_on(&mut scrub, &mut goes_on).await?;
        let scrubbing = fs.scrub_progress();
        let state = match counts {
            Some(_) => progress::DONE,
            None => {
                self.paused.set(Some(scrub));
                progress::PAUSED
            }
        };
        Ok(OutcomeFacts {
            bytes: scrubbing.bytes,
            expected_bytes: scrubbing.expected_bytes,
            scrub: scrubbed(&counts.unwrap_or(scrub.counts)),
            ..self.ended(state)
        })
    }

    /// Looks again at members that left, and brings all members in step that are behind.
    async fn resync(&self, fs: &FileSystem) -> Result<(), Error> {
        // A member that no longer answers isn't in step.
        fs.probe().await?;
        for node in (0..MAX_NODES as u8).map(NodeIndex) {
            let is_lost = fs.member_statuses().any(|member| member.node == node && member.is_lost());
            if is_lost && let Err(why) = fs.look_again(node).await {
                self.note(fs, node, Err(format_args!("{why}")))?;
            }
        }
        for (node, copied) in fs.resync_all(&mut |_, _| {}).await? {
            match copied {
                Ok(counts) => {
                    // The attendant doesn't report members that this task brings back.
                    if counts != ResyncCounts::default() {
                        attendant::tell_of_return(fs, node, &counts);
                    }
                    self.note(fs, node, Ok(counts))?;
                }
                Err(why) => self.note(fs, node, Err(format_args!("{why}")))?,
            }
        }
        Ok(())
    }

    fn note(
        &self,
        fs: &FileSystem,
        node: NodeIndex,
        copied: Result<ResyncCounts, fmt::Arguments<'_>>,
    ) -> Result<(), NoMemory> {
        let devices = Text::of(format_args!("{}", Disks(fs, node)));
        let mut facts = CopyFacts { node: node.0.into(), devices, ..CopyFacts::new_zeroed() };
        match copied {
            Ok(counts) => {
                facts.is_in_sync = 1;
                (facts.compared, facts.copied, facts.removed) = (counts.compared, counts.copied, counts.removed);
                facts.bytes = counts.bytes;
                facts.snapshots_removed = counts.snapshots_removed;
                facts.snapshots_copied = counts.snapshots_copied;
                facts.snapshots_lacking = counts.snapshots_lacking;
            }
            Err(why) => facts.why = Text::of(why),
        }
        memory::push(&mut self.copies.borrow_mut(), facts)
    }
}

fn is_scrub(order: u32) -> bool {
    matches!(order, order::SCRUB | order::RESUME_SCRUB)
}

fn scrubbed(counts: &ScrubCounts) -> ScrubFacts {
    ScrubFacts {
        nodes: counts.nodes,
        elements: counts.elements,
        bytes: counts.bytes,
        bad_blocks: counts.bad_blocks,
        repaired: counts.repaired,
        rebuilt: counts.rebuilt,
        ejected: counts.ejected,
        freemaps_mended: counts.freemaps_mended.len() as u64,
        headers_mended: counts.headers_mended.len() as u64,
    }
}
