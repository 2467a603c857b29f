//! N nodes as one: what the filesystem above knows of the disks below.
//!
//! The layer speaks to nodes in commands and makes one answer of their replies. With a single node, the command is a direct call,
//! and the node's reply is the answer. With several, all nodes *in sync* execute every modification, and any of them may answer a
//! question. Faults of nodes end here: a node that fails, or answers otherwise than the others, is *ejected*; [`OpError`] is what
//! reaches the user when too few are left.
//!
//! A user makes, changes and looks at clusters by this layer, and works on files by [`FileSystem`](crate::fs::FileSystem).
//!
//! # Example
//!
//! Three disks become a cluster. Two of them are a quorum: what was written is there when the third is lost, and once it is back,
//! it is brought in step. `HEAP` and `Still` are like those of the [first example](crate#example), `disk_on` opens a disk in
//! memory.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/in_memory.txt"));
//! use hammer2_core::cluster::{Cluster, MemberState, NewPfs, NodeIndex, PfsOutcome, PfsSelector};
//! use hammer2_core::fs::{FileSystem, MountError, MountOptions, NewFile};
//! use hammer2_core::io::MemoryDisk;
//! use hammer2_core::media::{FileKind, Inum, PfsKind, Timestamp, Uuid};
//! use hammer2_core::memory::{self, Vec};
//!
//! /// Opens nodes, each of which is one disk here. Those that can't be opened are left out.
//! async fn open(media: &[&'static MemoryDisk]) -> Result<Cluster, MountError> {
//!     let mut nodes = Vec::new_in(HEAP);
//!     for medium in media {
//!         let mut disks = Vec::new_in(HEAP);
//!         memory::push(&mut disks, disk_on(medium))?;
//!         memory::push(&mut nodes, disks)?;
//!     }
//!     let mut refused = |node, why: &_| println!("node {node} is left out: {why}");
//!     FileSystem::open_nodes(HEAP, nodes, MountOptions::default(), &mut refused).await
//! }
//!
//! async fn mount(cluster: Cluster) -> Result<FileSystem, MountError> {
//!     let work = PfsSelector::Label(b"WORK");
//!     FileSystem::mount_pfs(HEAP, cluster, work, MountOptions::default()).await?.make_writable(&Still).await
//! }
//!
//! async fn example(media: [&'static MemoryDisk; 3]) -> Result<(), Box<dyn std::error::Error>> {
//!     // Real users have random ids, and know what time it is.
//!     let (clid, fsid, time) = (Uuid([1; 16]), Uuid([2; 16]), Timestamp { microseconds: 0 });
//!     let new = NewPfs { label: b"WORK", kind: PfsKind::Master, clid, fsid, time };
//!     let cluster = open(&media).await?;
//!     assert_eq!(cluster.create(&new, 7).await?, PfsOutcome::Done);
//!     drop(cluster);
//!
//!     // One disk isn't there, and a file is written.
//!     let fs = mount(open(&media[..2]).await?).await?;
//!     fs.create(Inum::PFS_ROOT, b"file", &NewFile::new(FileKind::Regular, 0o644)).await?;
//!     drop(fs.unmount().await?);
//!
//!     // It is there again, and behind.
//!     let fs = mount(open(&media).await?).await?;
//!     let behind: std::vec::Vec<NodeIndex> = fs.nodes_behind().collect();
//!     assert_eq!(behind, [NodeIndex(2)]);
//!     fs.resync(NodeIndex(2)).await?;
//!     assert!(fs.member_statuses().all(|member| matches!(member.state, MemberState::InSync)));
//!     drop(fs.unmount().await?);
//!
//!     // So the other two, of which one was away, are a quorum as well.
//!     let fs = mount(open(&media[1..]).await?).await?;
//!     fs.resolve(b"/file").await?;
//!     Ok(())
//! }
//! # fn main() {
//! #     let media = [(); 3].map(|()| medium(256 << 20));
//! #     media.iter().for_each(|medium| run(format(medium)));
//! #     run(example(media)).unwrap();
//! # }
//! ```

mod administration;
mod agree;
mod ask;
mod assent;
mod called;
mod commit;
mod create;
mod enter;
mod error;
mod hold;
mod join;
mod keeper;
mod line;
mod member;
mod members;
mod membership;
mod modify;
mod mounting;
mod open;
mod pfs;
mod read;
mod repair;
pub mod resync;
mod scrub;
mod slots;
mod snapshot;
mod status;
mod stream;
#[cfg(all(test, feature = "selftest"))]
mod tests;
pub mod vote;

pub(crate) use administration::Origin;
pub use administration::{NewPfs, PfsOutcome};
pub use called::Called;
pub(crate) use commit::{CommitTurn, CommitUnderWay};
pub use enter::ReturnError;
pub use error::OpError;
pub use hold::Holder;
pub use join::Answers;
pub(crate) use join::{Together, join_all};
pub use member::{Debt, Ejection, MemberState};
pub use membership::{Change, MembershipError};
pub use pfs::{Pfs, PfsSelector, Taken};
pub use scrub::{Scrub, ScrubCounts, ScrubPlace, ScrubProgress};
pub use status::{ClusterStatus, Health, MemberStatus};

pub use crate::node::{
    BulkfreeCounts, BulkfreeOptions, BulkfreeProgress, Element, Elements, Entry, EntryBatch, FileBlock, Growth,
    InodeRecord, Leaf, NodeFault, NodeIndex, OpenError, StoredBlock,
};
// What nodes are told and answer: the floor above gives and takes it, its users don't.
pub(crate) use crate::node::{
    Command, Creation, GivenBlock, Modification, NodeOptions, Outcome, Places, Protocol, Reply, Rule, SLOT_BYTES,
    Sharing, Slot,
};

use core::cell::{Cell, Ref, RefCell};

use crate::io::Buffer;
use crate::media::inode::INODE_NAME_BYTES;
use crate::media::{Key, KeyRange, PfsKind, VolumeHeader};
use crate::memory::{Box, Heap, NoMemory, boxed};
use crate::node::{Node, NodeError};
use assent::Assent;
use hold::Hold;
use line::Line;
use member::Member;
use members::Members;
use mounting::Mounting;
use repair::Damage;
use slots::Slots;
use stream::{SOFT_DEADLINE, Stream};
use vote::{Mount, NodeSet, Role, Target, View};

pub use vote::MAX_NODES;

/// Nodes that answer as one.
pub struct Cluster {
    members: Members,
    slots: Slots,
    /// The modifications that some members haven't executed yet.
    stream: Stream,
    line: Box<Line>,
    assent: Assent,
    mounting: Mounting,
    damage: Damage,
    /// The label of a PFS that was made but not committed; it is removed before anything else is done.
    half_made: RefCell<Option<heapless::Vec<u8, INODE_NAME_BYTES>>>,
    /// How far a scrub is.
    scrubbed: Cell<ScrubProgress>,
    /// Bytes of file blocks that the copy to each node has looked at.
    seen_by_copies: [Cell<u64>; MAX_NODES],
    /// The node that is asked first.
    focus: Cell<NodeIndex>,
    /// The hold on nodes that others can reach, once they are to be changed.
    hold: Cell<Option<Hold>>,
    protocol: Cell<Protocol>,
    /// The options with which nodes are opened.
    share: NodeOptions,
    heap: Heap,
}

impl Cluster {
    fn of(heap: Heap, members: Members, share: NodeOptions) -> Result<Self, NoMemory> {
        Ok(Self {
            members,
            slots: Slots::new(heap, share.slots)?,
            stream: Stream::new(heap)?,
            line: boxed(heap, Line::new(heap))?,
            assent: Assent::default(),
            mounting: Mounting::default(),
            damage: Damage::new(heap),
            half_made: RefCell::new(None),
            scrubbed: Cell::default(),
            seen_by_copies: Default::default(),
            focus: Cell::new(NodeIndex(0)),
            hold: Cell::new(None),
            protocol: Cell::default(),
            share,
            heap,
        })
    }

    /// The node of a filesystem that never was in a cluster: it is called directly.
    fn single(&self) -> Option<&Node> {
        self.members.only().filter(|_| !self.line.is_of_cluster()).map(|only| &*only.node)
    }

    fn member(&self, index: NodeIndex) -> &Member {
        self.members.get(index)
    }

    fn members(&self) -> impl Iterator<Item = (NodeIndex, &Member)> {
        (0..).map(NodeIndex).zip(self.members.iter())
    }

    /// Changes the rules that are followed.
    #[cfg(feature = "raw")]
    /// Changes the protocol's rules that are followed.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.protocol.set(protocol);
        self.members.iter().for_each(|member| member.node.set_protocol(protocol));
    }

    /// True if this rule is followed.
    pub(crate) fn has(&self, rule: Rule) -> bool {
        self.protocol.get().has(rule)
    }

    /// Sets how the next entered PFS is mounted, instead of the usual way.
    pub fn choose(&self, mount: Mount) {
        self.mounting.choose(mount);
    }

    /// True when a PFS whose root says `kind` may be asked for changes when it is mounted.
    pub(crate) fn is_writable(&self, kind: PfsKind) -> bool {
        match self.assent.target() {
            Target::Soft(node) => self.member(node).role.get() == Role::SoftMaster,
            _ if self.single().is_some() => kind == PfsKind::Master,
            // The cluster itself refuses what it can't do.
            _ => true,
        }
    }

    /// The number of nodes that were opened.
    pub fn nodes(&self) -> usize {
        self.members.len()
    }

    /// The nodes that have executed everything: the sync set.
    fn in_sync(&self) -> NodeSet {
        self.members().filter(|(_, member)| member.is_in_sync()).map(|(index, _)| index).collect()
    }

    fn nodes_in_sync(&self) -> impl Iterator<Item = &Node> {
        self.in_sync().iter().map(|index| &*self.member(index).node)
    }

    /// The nodes in sync whose answers count.
    fn voters(&self) -> NodeSet {
        match self.assent.target() {
            Target::Soft(node) => NodeSet::only(node).intersection(self.in_sync()),
            Target::Quorum | Target::AsOf => self.view().voting(),
        }
    }

    /// The facts by which answers are judged.
    fn view(&self) -> View {
        let mut roles = [None; MAX_NODES];
        self.members().for_each(|(index, member)| roles[usize::from(index.0)] = Some(member.role.get()));
        View { roles, sync: self.in_sync(), electorate: self.assent.electorate(), target: self.assent.target() }
    }

    /// The nodes in sync that have no backlog.
    fn abreast(&self) -> NodeSet {
        self.in_sync().difference(self.stream.lagging())
    }

    /// The nodes in sync that have executed everything that was agreed on: those that may be asked.
    fn up_to_date(&self) -> NodeSet {
        let not_asked = if self.has(Rule::UpToDate) { self.stream.out_of_date() } else { NodeSet::EMPTY };
        self.in_sync().difference(not_asked)
    }

    /// The nodes that may be asked, the focus first.
    fn read_order(&self) -> impl Iterator<Item = NodeIndex> {
        let (all, focus) = (self.up_to_date(), self.focus.get());
        let slow: NodeSet = all.iter().filter(|index| self.is_slow(*index)).collect();
        let swift = all.difference(slow);
        let first = swift.contains(focus).then_some(focus);
        first.into_iter().chain(swift.iter().filter(move |index| *index != focus)).chain(slow.iter())
    }

    /// The nodes that another may be copied from, in that order, without those that failed to execute a modification that isn't
    /// decided yet.
    fn source_order(&self) -> impl Iterator<Item = NodeIndex> {
        let failed = self.stream.failed();
        self.read_order().filter(move |index| !failed.contains(*index))
    }

    /// The node that is asked for facts that each node has for itself, such as its size and its free space.
    fn focus(&self) -> &Node {
        let index = self.read_order().next().unwrap_or(NodeIndex(0));
        &self.member(index).node
    }

    /// Takes a node out of the sync set: from then on it gets no commands.
    fn eject(&self, index: NodeIndex, why: Ejection) {
        let member = self.member(index);
        if member.is_in_sync() && self.has(Rule::Eject) {
            // The code that looks after the nodes informs users.
            log::info!("{} leaves the cluster: {why}", self.called(index));
            member.set_state(MemberState::Ejected(why));
            self.stream.forget(index);
            self.judge_all();
        }
    }

    /// Ejects nodes whose answers differed. This is done before any answer is given, so that no header commits an answer that
    /// wasn't compared.
    fn part_with(&self, leave: &[(NodeIndex, Ejection)]) {
        self.assent.note_dissent(leave);
        if self.has(Rule::Permit) {
            self.eject_dissenters();
        }
    }

    fn eject_dissenters(&self) {
        self.assent.take_dissenters().for_each(|(index, why)| self.eject(index, why));
    }

    fn eject_for(&self, index: NodeIndex, error: NodeError) {
        self.eject(index, Ejection::of(error));
    }

    fn no_quorum(&self) -> OpError {
        let voters = self.assent.electorate().current.count;
        OpError::NoQuorum { in_sync: self.voters().len() as u8, voters: voters as u8 }
    }

    /// Stops all changes, because no answer can be agreed on.
    fn suspend(&self) -> OpError {
        self.assent.suspend();
        OpError::Lost
    }

    /// Fails unless changes are possible.
    pub(crate) fn require_quorum(&self) -> Result<(), OpError> {
        if let Some(node) = self.single() {
            return node.fault().map_or(Ok(()), |fault| Err(OpError::AllCopiesBad(fault)));
        }
        if self.is_lost() {
            return Err(OpError::Lost);
        }
        if self.assent.has_quorum(self.voters()) {
            return Ok(());
        }
        // The mount that took over continues elsewhere: what is here has no future.
        self.fence().map_or_else(
            || Err(self.no_quorum()),
            |fault| {
                self.assent.suspend();
                Err(OpError::AllCopiesBad(fault))
            },
        )
    }

    /// True when no node is left that knows everything done: only a new mount helps.
    pub(crate) fn is_lost(&self) -> bool {
        self.assent.is_suspended() || self.in_sync() == NodeSet::EMPTY
    }

    /// The capacity and free space of the cluster: those of its smallest member.
    pub fn header(&self) -> Ref<'_, VolumeHeader> {
        self.nodes_in_sync().min_by_key(|node| node.header().allocator_size()).unwrap_or(self.focus()).header()
    }

    /// How many inodes can be open at a time.
    pub(crate) fn slot_count(&self) -> usize {
        self.slots.count()
    }

    /// Returns the buffer of a [`FileBlock`] that was read, for the next read, to the node that has fewest, as nodes read by
    /// turns.
    pub(crate) fn give_back(&self, buffer: Buffer) {
        let spare = |index: &NodeIndex| self.member(*index).node.blocks().spare_buffers();
        let poorest = self.up_to_date().iter().min_by_key(spare).unwrap_or(self.focus.get());
        self.member(poorest).node.blocks().give_back(buffer);
    }

    /// Memory for a file block, from one that was written or given back, if there is any. Its content means nothing.
    pub(crate) fn spare_buffer(&self) -> Option<Buffer> {
        self.in_sync().iter().find_map(|index| self.member(index).node.spare_buffer())
    }

    /// Bytes that new blocks can take on every node, without those already promised to data on its way to the disks.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.least(Node::free_bytes)
    }

    /// Bytes that are kept for writing what is modified, and for deleting.
    pub(crate) fn reserve_bytes(&self) -> u64 {
        self.least(Node::reserve_bytes)
    }

    /// Waits until the nodes know how much they have free: a node that has lost a part of its freemap finds out, or leaves.
    pub(crate) async fn counted(&self) {
        for index in self.in_sync().iter() {
            self.member(index).node.counted().await;
        }
    }

    /// The least value that any node in sync has, less what it has yet to execute.
    fn least(&self, of: impl Fn(&Node) -> u64) -> u64 {
        let left =
            |index: NodeIndex| of(&self.member(index).node).saturating_sub(self.stream.backlog_bytes(index) as u64);
        self.in_sync().iter().map(left).min().unwrap_or(0)
    }

    /// True when `count` blocks of the largest size find room on all nodes, each in one piece. It doesn't wait for a node that
    /// can't tell soon.
    pub(crate) async fn has_room_in_pieces(&self, count: u64) -> Result<bool, OpError> {
        if let Some(node) = self.single() {
            return Ok(node.has_room_in_pieces(count).await?);
        }
        let mut asked = Together::new(self.heap);
        for index in self.up_to_date().iter() {
            asked.add(index, || self.member(index).node.has_room_in_pieces(count))?;
        }
        let mut has_room = true;
        for (index, answer) in asked.join_until(self.clock(), SOFT_DEADLINE).await {
            match answer {
                Ok(has) => has_room &= has,
                Err(error) => self.failed(index, error)?,
            }
        }
        self.require_quorum()?;
        Ok(has_room)
    }

    /// The first block at or after `range`'s start that isn't a hole.
    pub(crate) async fn next_block(&self, file: Slot, range: KeyRange) -> Result<Option<Key>, OpError> {
        match self.execute(Command::NextBlock { file, range }).await? {
            Reply::Key(key) => Ok(Some(key)),
            _ => Ok(None),
        }
    }

    /// Bytes of the blocks stored for what is below an inode. Nodes may differ in that, and any node's answer will do.
    pub(crate) async fn stored_bytes(&self, slot: Slot) -> Result<u64, OpError> {
        match self.execute(Command::Stored { slot }).await? {
            Reply::Stored(bytes) => Ok(bytes),
            _ => Ok(0),
        }
    }
}
