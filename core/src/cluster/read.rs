//! Reading from several nodes: one answers, others stand in for it.
//!
//! All nodes in sync hold the same content, and every block is checked before it is used, so the answer of one is enough as
//! long as it shows something. That something is *not* there is believed only when a quorum says so: this is where a node that
//! lost something is found out. A node that can't answer is stood in for by the next, and what it couldn't read is repaired.

use super::join::aside;
use super::vote::{Element, MAX_NODES, Verdict, Vote, resolve};
use super::{Cluster, Command, Ejection, OpError, Reply};
use crate::media::{BlockKind, Key, KeyBits, ModifyTid};
use crate::node::{NodeError, NodeFault};

impl Cluster {
    /// Executes a command; the answer that holds for the cluster.
    pub async fn execute(&self, command: Command<'_>) -> Result<Reply, OpError> {
        if let Some(node) = self.single() {
            return node.execute(command).await.map_err(OpError::from);
        }
        aside(self.heap, self.execute_on_several(command)).await
    }

    async fn execute_on_several(&self, command: Command<'_>) -> Result<Reply, OpError> {
        match command {
            Command::Close { slot } => {
                self.on_all_in_sync(|| Command::Close { slot }).await;
                Ok(Reply::Done)
            }
            Command::OpenInode { pfs, inum, into } => {
                let reply = self.read(command).await?;
                if matches!(reply, Reply::Inode(_)) {
                    self.on_all_in_sync(|| Command::Name { pfs, inum, into }).await;
                }
                Ok(reply)
            }
            // Which PFSs there are is each node's own affair.
            Command::OpenPfs { .. } | Command::NextPfs { .. } => Ok(self.focus().execute(command).await?),
            command => self.read(command).await,
        }
    }

    /// Has nodes answer, one after the other, until one shows something or a quorum says that there is nothing.
    async fn read(&self, mut command: Command<'_>) -> Result<Reply, OpError> {
        let mut votes = [Vote::Pending; MAX_NODES];
        let mut shown = None;
        for index in self.read_order() {
            let answer = match self.member(index).node.execute(command.again()).await {
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
                Verdict::NoQuorum { .. } => return Err(self.no_quorum()),
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

/// What is compared of a reply between nodes. Not the transaction ids: those of containers depend on what a node has written
/// back so far.
fn vote_of(reply: &Reply) -> Vote {
    let (key, kind) = match reply {
        Reply::Absent => return Vote::Absent,
        Reply::Inode(record) => (record.key, BlockKind::Inode),
        Reply::Entry(key, _) => (*key, BlockKind::Dirent),
        Reply::Key(key) => (*key, BlockKind::Data),
        Reply::Scanned(_) | Reply::Block(_) | Reply::Done => (Key(0), BlockKind::Data),
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
