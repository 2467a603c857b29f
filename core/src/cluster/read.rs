//! Reading from several nodes: one answers, others stand in for it.
//!
//! All nodes in sync hold the same content, and every block is checked before it is used, so the answer of one is enough as
//! long as it shows something. That something is *not* there is believed only when a quorum says so: this is where a node that
//! lost something is found out. A node that can't answer is stood in for by the next, and what it couldn't read is repaired.
//!
//! Who is asked first is always the same node, so that one has in memory what is asked for often; but for the blocks of a file
//! the nodes take turns, so that a large file is read from all disks at once.

use super::join::join_all;
use super::vote::{Element, MAX_NODES, Target, Verdict, Vote, resolve};
use super::{Cluster, Command, Ejection, NodeIndex, OpError, Reply, Slot};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{BlockKind, Key, KeyBits, KeyRange, ModifyTid};
use crate::memory::aside;
use crate::node::{NodeError, NodeFault};

/// Those that are asked, one after the other.
type Order = heapless::Vec<NodeIndex, MAX_NODES>;

impl Cluster {
    /// Executes a command; the answer that holds for the cluster.
    pub async fn execute(&self, mut command: Command<'_>) -> Result<Reply, OpError> {
        let single = self.single();
        let order = if single.is_some() { Order::new() } else { self.order_for(&command) };
        let alone = order.first().filter(|_| is_question(&command)).map(|first| &self.member(*first).node);
        let Some(node) = single.or(alone) else {
            return aside(self.heap, self.execute_on_several(order, command))?.await;
        };
        let answer = node.execute(command.again()).await;
        if single.is_some() {
            return answer.map_err(OpError::from);
        }
        // Mostly that is all there is to do.
        match answer {
            Ok(reply) if !matches!(reply, Reply::Absent) && damage(&command).is_none() => Ok(reply),
            answer => aside(self.heap, self.read(order, Some(answer), command))?.await,
        }
    }

    /// The nodes in sync in the order in which they are asked.
    fn order_for(&self, command: &Command<'_>) -> Order {
        let mut order: Order = self.read_order().collect();
        if let (Command::ReadBlock { key, .. }, Target::Quorum) = (command, self.target.get()) {
            let turn = turn_of(*key, order.len());
            order.rotate_left(turn);
        }
        order
    }

    async fn execute_on_several(&self, order: Order, command: Command<'_>) -> Result<Reply, OpError> {
        match command {
            Command::Prefetch { file, range } => self.prefetch(&order, file, range).await,
            Command::Close { slot } => {
                self.on_all_in_sync(|| Command::Close { slot }).await;
                Ok(Reply::Done)
            }
            Command::OpenInode { pfs, inum, into } => {
                let reply = self.read(order, None, command).await?;
                if matches!(reply, Reply::Inode(_)) {
                    self.on_all_in_sync(|| Command::Name { pfs, inum, into }).await;
                }
                Ok(reply)
            }
            // Which PFSs there are is each node's own affair.
            Command::OpenPfs { .. } | Command::NextPfs { .. } => Ok(self.focus().execute(command).await?),
            command => self.read(order, None, command).await,
        }
    }

    /// Has each node start reading those blocks that it will be asked for. What can't be read is found out then; but who can't
    /// even look leaves.
    async fn prefetch(&self, order: &Order, file: Slot, range: KeyRange) -> Result<Reply, OpError> {
        let rotates = self.target.get() == Target::Quorum;
        let readers = if rotates { &order[..] } else { &order[..order.len().min(1)] };
        let on_node =
            |(turn, index): (usize, &NodeIndex)| (*index, self.prefetch_on(*index, (turn, readers.len()), file, range));
        let answers = join_all(self.heap, readers.iter().enumerate().map(on_node)).await?;
        if answers.iter().any(|(_, answer)| answer.is_ok()) {
            for (index, answer) in answers {
                if let Err(NodeError::Fault(fault)) = answer {
                    self.note_unreadable(index, &Command::Prefetch { file, range }, fault);
                }
            }
        }
        Ok(Reply::Done)
    }

    /// The part of it that is up to one of so many nodes.
    async fn prefetch_on(
        &self,
        index: NodeIndex,
        (turn, nodes): (usize, usize),
        file: Slot,
        range: KeyRange,
    ) -> Result<(), NodeError> {
        let mut first = range.first;
        while first <= range.last {
            let block = Key(first.0 - first.0 % BLOCK);
            let last = Key(block.0.saturating_add(BLOCK - 1)).min(range.last);
            if turn_of(block, nodes) == turn {
                let range = KeyRange { first, last };
                self.member(index).node.execute(Command::Prefetch { file, range }).await?;
            }
            let Some(next) = last.0.checked_add(1) else { break };
            first = Key(next);
        }
        Ok(())
    }

    /// Has nodes answer, one after the other, until one shows something or a quorum says that there is nothing. The first may
    /// have answered already.
    async fn read(
        &self,
        order: Order,
        mut first: Option<Result<Reply, NodeError>>,
        mut command: Command<'_>,
    ) -> Result<Reply, OpError> {
        let mut votes = [Vote::Pending; MAX_NODES];
        let mut shown = None;
        for index in order {
            let answer = match first.take() {
                Some(answer) => answer,
                None => self.member(index).node.execute(command.again()).await,
            };
            let answer = match answer {
                Ok(reply) => damage(&command).map_or(Ok(reply), |fault| Err(NodeError::Fault(fault))),
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
                    self.note_failed(&votes, &command);
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
                    // Who can't even look leaves, also when that makes them too few: changes stop until they are back.
                    self.note_failed(&votes, &command);
                    return Err(self.no_quorum());
                }
                // Who doesn't vote may still have a good copy.
                Verdict::AllFailed { .. } if self.is_unasked(&votes) => continue,
                Verdict::AllFailed { fault, .. } => return Err(OpError::AllCopiesBad(fault)),
            };
            self.note_failed(&votes, &command);
            care.evict.iter().for_each(|index| self.eject(index, Ejection::Dissent));
            return Ok(shown.unwrap_or(Reply::Absent));
        }
        Err(self.no_quorum())
    }

    fn is_unasked(&self, votes: &[Vote; MAX_NODES]) -> bool {
        self.in_sync().iter().any(|index| matches!(votes[usize::from(index.0)], Vote::Pending))
    }

    fn note_failed(&self, votes: &[Vote; MAX_NODES], command: &Command<'_>) {
        for (index, member) in self.members() {
            if let (Vote::Failed(fault), true) = (votes[usize::from(index.0)], member.is_in_sync()) {
                self.note_unreadable(index, command, fault);
            }
        }
    }

    /// Executes a command that only concerns the nodes' tables of slots.
    async fn on_all_in_sync<'c>(&self, command: impl Fn() -> Command<'c>) {
        for index in self.in_sync().iter() {
            if let Err(error) = self.member(index).node.execute(command()).await {
                self.eject_for(index, error);
            }
        }
    }
}

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

/// Whose turn it is among so many to read a file block.
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

/// What is compared of a reply between nodes. Not the transaction ids: those of containers depend on what a node has written
/// back so far.
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

/// What was found damaged though the command was answered.
fn damage(command: &Command<'_>) -> Option<NodeFault> {
    match command {
        Command::Scan { batch, .. } => batch.damaged(),
        _ => None,
    }
}
