//! Reading from several nodes: one answers, and others replace it if it can't.
//!
//! All nodes in sync hold the same content, and every block is checked before it is used, so one node's answer is enough as long
//! as it shows something. That something is *absent* is believed only when a quorum says so: this finds a node that has lost
//! something. When a node can't answer, the next one is asked, and what the first couldn't read is repaired.
//!
//! The same node is always asked first, so that one node has frequently read data in memory; but for the blocks of a file the
//! nodes take turns, so that a large file is read from all disks at once.

use core::cell::RefCell;

use super::ask::Question;
use super::stream::Entry;
use super::vote::{Element, MAX_NODES, NodeSet, Target, Verdict, Vote, resolve};
use super::{Cluster, Command, Ejection, NodeIndex, OpError, Reply, Slot};
use crate::io::Instant;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{BlockKind, Key, KeyBits, KeyRange, ModifyTid};
use crate::memory::aside;
use crate::node::{Halt, NodeError, NodeFault, Progress};

/// Nodes to be asked, one after the other.
type Order = heapless::Vec<NodeIndex, MAX_NODES>;

/// What the first node answered at once.
struct First {
    index: NodeIndex,
    attempt: Result<Reply, Halt>,
    progress: Progress,
}

impl Cluster {
    /// Executes a command and returns the cluster's answer.
    pub(crate) async fn execute(&self, mut command: Command<'_>) -> Result<Reply, OpError> {
        if let Some(node) = self.single() {
            let mut progress = Progress::default();
            let halt = match node.attempt(&mut command, &mut progress) {
                Ok(reply) => return Ok(reply),
                Err(Halt::Failed(error)) => return Err(error.into()),
                Err(halt) => halt,
            };
            return Ok(aside(self.heap, || node.resume(command, progress, halt))?.await?);
        }
        let order = self.order_for(&command);
        let mut first = None;
        if let (Some(index), true) = (order.first(), is_question(&command)) {
            let mut progress = Progress::default();
            match self.member(*index).node.attempt(&mut command, &mut progress) {
                // Mostly that is all there is to do.
                Ok(reply) if !matches!(reply, Reply::Absent) && damage(&command).is_none() => return Ok(reply),
                Ok(Reply::Absent) if self.is_absent_at_once(&order, &mut command) => return Ok(Reply::Absent),
                attempt => first = Some(First { index: *index, attempt, progress }),
            }
        }
        aside(self.heap, || self.execute_on_several(order, first, command))?.await
    }

    /// True when a quorum says at once that there is nothing; the first of these nodes has said so. A node that can't say so at
    /// once, or says something else, is asked in the usual way.
    fn is_absent_at_once(&self, order: &[NodeIndex], command: &mut Command<'_>) -> bool {
        let Some((first, others)) = order.split_first() else { return false };
        if self.assent.target() != Target::Quorum {
            return false;
        }
        let mut agreeing = NodeSet::only(*first);
        for index in others {
            if self.assent.has_quorum(agreeing) {
                break;
            }
            let attempt = self.member(*index).node.attempt(command, &mut Progress::default());
            if !matches!(attempt, Ok(Reply::Absent)) {
                return false;
            }
            agreeing.insert(*index);
        }
        self.assent.has_quorum(agreeing)
    }

    /// The nodes that may be asked, in order. For the blocks of a file, the nodes that aren't slow take turns.
    fn order_for(&self, command: &Command<'_>) -> Order {
        let mut order: Order = self.read_order().collect();
        if let (Command::ReadBlock { key, .. }, Target::Quorum) = (command, self.assent.target()) {
            let swift = order.iter().filter(|index| !self.is_slow(**index)).count();
            order[..swift].rotate_left(turn_of(*key, swift));
        }
        order
    }

    async fn execute_on_several(
        &self,
        order: Order,
        first: Option<First>,
        command: Command<'_>,
    ) -> Result<Reply, OpError> {
        match command {
            Command::Prefetch { file, range } => {
                self.prefetch(&order, file, range);
                Ok(Reply::Done)
            }
            Command::OpenInode { pfs, inum, into } => {
                let reply = self.read(order, first, command).await?;
                if matches!(reply, Reply::Inode(_)) {
                    let entry = |late_at| Entry::name(pfs, inum, into, late_at);
                    self.on_tables(|| Command::Name { pfs, inum, into }, entry);
                }
                Ok(reply)
            }
            // Each node has its own set of PFSs.
            Command::OpenPfs { .. } | Command::NextPfs { .. } => Ok(self.focus().execute(command).await?),
            command => self.read(order, first, command).await,
        }
    }

    /// Lets each node start reading the blocks that it will be asked for. A node that can't even look yet isn't waited for, and
    /// unreadable blocks are found out when they are asked for.
    fn prefetch(&self, order: &Order, file: Slot, range: KeyRange) {
        let rotates = self.assent.target() == Target::Quorum;
        let readers = if rotates { &order[..] } else { &order[..order.len().min(1)] };
        let swift = readers.iter().filter(|index| !self.is_slow(**index)).count();
        for (turn, index) in readers[..swift].iter().enumerate() {
            match self.prefetch_on(*index, (turn, swift), file, range) {
                Ok(()) | Err(Halt::Full | Halt::Busy | Halt::Lost | Halt::Failed(_)) => {}
                Err(Halt::Needs(bref)) => self.member(*index).node.load_ahead(&bref),
            }
        }
    }

    /// The part of the range that one of `count` nodes will be asked for.
    fn prefetch_on(
        &self,
        index: NodeIndex,
        (turn, nodes): (usize, usize),
        file: Slot,
        range: KeyRange,
    ) -> Result<(), Halt> {
        let mut first = range.first;
        while first <= range.last {
            let block = Key(first.0 - first.0 % BLOCK);
            let last = Key(block.0.saturating_add(BLOCK - 1)).min(range.last);
            if turn_of(block, nodes) == turn {
                let mut command = Command::Prefetch { file, range: KeyRange { first, last } };
                self.member(index).node.attempt(&mut command, &mut Progress::default())?;
            }
            let Some(next) = last.0.checked_add(1) else { break };
            first = Key(next);
        }
        Ok(())
    }

    /// Asks nodes until one shows something or a quorum says that there is nothing. The first may have answered already, or have
    /// begun.
    async fn read(&self, mut order: Order, first: Option<First>, command: Command<'_>) -> Result<Reply, OpError> {
        let mut question = Question::new(command);
        let mut first = match first {
            None => None,
            Some(First { attempt: Ok(reply), .. }) => Some(Ok(reply)),
            Some(First { attempt: Err(Halt::Failed(error)), .. }) => Some(Err(error)),
            Some(First { attempt: Err(halt), index, progress }) => {
                question.begun_by(index, progress, halt);
                None
            }
        };
        let question = RefCell::new(question);
        let mut votes = [Vote::Pending; MAX_NODES];
        let mut shown = None;
        loop {
            if order.is_empty() {
                // Lagging nodes may have caught up, and those that still lag will.
                order = self.unasked(&votes);
            }
            if order.is_empty() && !self.stream.out_of_date().is_empty() {
                // The first node to catch up may be enough: a silent node is waited for only when no other is left.
                order = self.await_up_to_date(|| Some(self.unasked(&votes)).filter(|order| !order.is_empty())).await?;
            }
            let Some(next) = order.first().copied() else { return Err(self.no_quorum()) };
            let (index, answer) = match first.take() {
                Some(answer) => (next, answer),
                None => {
                    let next = |asked: NodeSet| {
                        let known = order.iter().copied().find(|index| !asked.contains(*index));
                        known.or_else(|| self.unasked(&votes).into_iter().find(|index| !asked.contains(*index)))
                    };
                    self.ask(&question, next).await?.ok_or_else(|| self.no_quorum())?
                }
            };
            order.retain(|asked| *asked != index);
            let question = question.borrow();
            let command = question.command();
            let answer = match answer {
                Ok(reply) => damage(command).map_or(Ok(reply), |fault| Err(NodeError::Fault(fault))),
                failed => failed,
            };
            let is_first = votes.iter().all(|vote| matches!(vote, Vote::Pending | Vote::Failed(_)));
            votes[usize::from(index.0)] = match &answer {
                Ok(reply) => vote_of(reply),
                Err(NodeError::Fault(fault)) => Vote::Failed(*fault),
                Err(error) => return Err((*error).into()),
            };
            if let Ok(reply) = answer
                && !matches!(reply, Reply::Absent)
            {
                if is_first {
                    self.note_failed(&votes, command);
                    return Ok(reply);
                }
                shown.get_or_insert(reply);
            }
            let care = match resolve(&votes, &self.view()) {
                Verdict::InProgress { .. } => continue,
                Verdict::Present { care, .. } => care,
                Verdict::NotFound(care) => {
                    shown = None;
                    care
                }
                Verdict::NoQuorum { .. } => {
                    // A node that can't even look leaves, even when that makes too few: changes stop until enough are back.
                    self.note_failed(&votes, command);
                    break;
                }
                // A node without a vote may still have a good copy.
                Verdict::AllFailed { .. } if !self.unasked(&votes).is_empty() => continue,
                Verdict::AllFailed { fault, .. } => return Err(OpError::AllCopiesBad(fault)),
            };
            self.note_failed(&votes, command);
            care.evict.iter().for_each(|index| self.eject(index, Ejection::Dissent));
            return Ok(shown.unwrap_or(Reply::Absent));
        }
        // Either sectors are bad on too many nodes, or whole disks are; if disks are, there is no quorum, and callers wait for
        // one.
        aside(self.heap, || self.probe_each(failed_devices(&votes)))?.await?;
        Err(self.unknown(&votes))
    }

    /// The nodes that may be asked and haven't answered.
    fn unasked(&self, votes: &[Vote; MAX_NODES]) -> Order {
        self.read_order().filter(|index| matches!(votes[usize::from(index.0)], Vote::Pending)).collect()
    }

    /// The error when too few nodes can say whether it is there: too few are left, or it is bad on too many.
    fn unknown(&self, votes: &[Vote; MAX_NODES]) -> OpError {
        let is_bad = |vote: &Vote| match vote {
            Vote::Failed(fault) => fault.bad_block().map(|_| *fault),
            _ => None,
        };
        let bad = votes.iter().find_map(is_bad).filter(|_| self.require_quorum().is_ok());
        bad.map_or_else(|| self.no_quorum(), OpError::AllCopiesBad)
    }

    fn note_failed(&self, votes: &[Vote; MAX_NODES], command: &Command<'_>) {
        for (index, member) in self.members() {
            if let (Vote::Failed(fault), true) = (votes[usize::from(index.0)], member.is_in_sync()) {
                self.note_unreadable(index, command, fault);
            }
        }
    }

    /// Executes a command that only concerns the nodes' tables of slots; lagging nodes execute it when they get there.
    pub(super) fn on_tables<'c>(&self, command: impl Fn() -> Command<'c>, entry: impl FnOnce(Instant) -> Entry) {
        let lagging = self.stream.lagging().intersection(self.in_sync());
        for index in self.in_sync().difference(lagging).iter() {
            let node = &self.member(index).node;
            if let Err(Halt::Failed(error)) = node.attempt(&mut command(), &mut Progress::default()) {
                self.eject_for(index, error);
            }
        }
        if !lagging.is_empty() && self.put_behind(entry(self.late_at()), lagging).is_err() {
            lagging.iter().for_each(|index| self.give_up(index, NodeError::NoMemory));
        }
    }
}

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

/// Which of `nodes` nodes is to read a file block.
fn turn_of(key: Key, nodes: usize) -> usize {
    (key.0 / BLOCK % nodes.max(1) as u64) as usize
}

/// True for commands that one node can answer for all.
fn is_question(command: &Command<'_>) -> bool {
    matches!(
        command,
        Command::MatchName { .. }
            | Command::Scan { .. }
            | Command::ReadBlock { .. }
            | Command::NextBlock { .. }
            | Command::Stored { .. }
    )
}

/// The nodes whose devices failed.
fn failed_devices(votes: &[Vote; MAX_NODES]) -> NodeSet {
    let failed = |vote: &Vote| matches!(vote, Vote::Failed(NodeFault::Device { .. }));
    (0..).map(NodeIndex).zip(votes).filter(|(_, vote)| failed(vote)).map(|(index, _)| index).collect()
}

/// The part of a reply that is compared between nodes. Transaction ids aren't: those of containers depend on what a node has
/// written back so far.
fn vote_of(reply: &Reply) -> Vote {
    let (key, kind) = match reply {
        Reply::Absent => return Vote::Absent,
        Reply::Inode(record) => (record.key, BlockKind::Inode),
        Reply::Entry(key, _) => (*key, BlockKind::Dirent),
        Reply::Key(key) => (*key, BlockKind::Data),
        Reply::Scanned(_) | Reply::Block(_) | Reply::Stored(_) | Reply::Done => (Key(0), BlockKind::Data),
    };
    Vote::Present(Element { key, kind, keybits: KeyBits(0), modify_tid: ModifyTid(0), bytes: 0 })
}

/// Damage that was found although the command was answered.
fn damage(command: &Command<'_>) -> Option<NodeFault> {
    match command {
        Command::Scan { batch, .. } => batch.damaged(),
        _ => None,
    }
}
