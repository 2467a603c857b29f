//! A cluster as the simulation knows it: the role of each disk, and the expected content. Several may lie on the same disks.

use std::cell::{Cell, Ref, RefCell};

use hammer2_core::cluster::{MAX_NODES, NewPfs, NodeIndex};
use hammer2_core::media::{PfsKind, Timestamp, Uuid};
use hammer2_model::Model;

use crate::history::History;
use crate::snapshots::Snapshots;

/// Whether a disk can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It holds everything that was acknowledged with it.
    Sound,
    /// It is an old copy of itself, or somebody else wrote to it, or it is new; until it is brought in step.
    Forgetful,
    /// A part of its content is wrong, and nobody knows where.
    Damaged,
}

/// The role of each disk; none for a disk that isn't a member.
pub(crate) type Roles = Vec<Option<PfsKind>>;

/// A cluster.
pub(crate) struct Group {
    pub(crate) number: u8,
    pub(crate) label: &'static [u8],
    /// A soft member, which is mounted by itself and has a history of its own.
    pub(crate) is_alone: bool,
    /// The current roles, and, while nobody knows whether a change of the members was made, the ones after it.
    roles: RefCell<Vec<Roles>>,
    trust: Vec<Cell<Trust>>,
    /// The id of the PFS on each disk.
    fsids: Vec<Cell<Uuid>>,
    pub(crate) model: RefCell<Model>,
    pub(crate) history: RefCell<History>,
    pub(crate) snapshots: Snapshots,
}

impl Group {
    pub(crate) fn new(number: u8, label: &'static [u8], roles: Roles) -> Self {
        let trust = roles.iter().map(|_| Cell::new(Trust::Sound)).collect();
        let fsid = |disk| Cell::new(Uuid([number + 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, disk as u8, 0]));
        let fsids = (0..roles.len()).map(fsid).collect();
        Self {
            number,
            label,
            is_alone: false,
            roles: RefCell::new(vec![roles]),
            trust,
            fsids,
            model: RefCell::new(Model::new()),
            history: RefCell::new(History::new(Model::new())),
            snapshots: Snapshots::default(),
        }
    }

    /// A soft member of the first cluster, mounted by itself.
    pub(crate) fn alone(number: u8, label: &'static [u8], roles: Roles) -> Self {
        Self { is_alone: true, ..Self::new(number, label, roles) }
    }

    /// Its label, for readers.
    pub(crate) fn name(&self) -> String {
        let label = String::from_utf8_lossy(self.label);
        if self.is_alone { format!("{label}, a soft member") } else { label.into_owned() }
    }

    /// The PFS to make on a disk.
    pub(crate) fn new_pfs(&self, disk: usize, time: Timestamp) -> NewPfs<'static> {
        let fsid = self.fsid(disk);
        NewPfs { label: self.label, kind: PfsKind::Master, clid: Uuid([7 + self.number; 16]), fsid, time }
    }

    /// The id of the PFS on a disk.
    pub(crate) fn fsid(&self, disk: usize) -> Uuid {
        self.fsids[disk].get()
    }

    /// Notes that the PFS on a disk was made as that of a node of a new cluster.
    pub(crate) fn made_as(&self, new: &NewPfs<'_>, disk: usize, node: NodeIndex) {
        self.fsids[disk].set(new.fsid_on(node));
    }

    /// An id that is unique in a run; the last byte is left to nodes.
    pub(crate) fn uuid(&self, kind: u8, number: u64) -> Uuid {
        let mut bytes = [kind; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8] = self.number;
        Uuid(bytes)
    }

    /// The possible roles of the disks, the last certain ones first.
    pub(crate) fn roles(&self) -> Ref<'_, [Roles]> {
        Ref::map(self.roles.borrow(), Vec::as_slice)
    }

    pub(crate) fn role(&self, disk: usize) -> Option<PfsKind> {
        self.roles.borrow()[0][disk]
    }

    /// True while nobody knows whether a change of the members was made.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.roles.borrow().len() > 1
    }

    /// From here on, the disks may have these roles, too.
    pub(crate) fn may_become(&self, roles: Roles) {
        self.roles.borrow_mut().push(roles);
    }

    /// The disks certainly have these roles.
    pub(crate) fn settle(&self, roles: Roles) {
        *self.roles.borrow_mut() = vec![roles];
    }

    /// The members of one kind.
    pub(crate) fn members(&self, kind: PfsKind) -> Vec<usize> {
        members(&self.roles.borrow()[0], kind).collect()
    }

    /// The masters there may be.
    pub(crate) fn masters(&self) -> Vec<usize> {
        self.members(PfsKind::Master)
    }

    /// All disks: masters first, then other members, then the rest.
    pub(crate) fn by_role(&self) -> Vec<usize> {
        let mut disks: Vec<usize> = (0..self.trust.len()).collect();
        disks.sort_by_key(|disk| match self.role(*disk) {
            Some(PfsKind::Master) => 0,
            Some(_) => 1,
            None => 2,
        });
        disks
    }

    pub(crate) fn member_count(&self) -> usize {
        self.roles.borrow()[0].iter().flatten().count()
    }

    pub(crate) fn quorum(&self) -> usize {
        quorum(&self.roles.borrow()[0])
    }

    /// How many masters may be bad at a time without anything being lost.
    pub(crate) fn spare(&self) -> usize {
        self.masters().len() - self.quorum()
    }

    /// True when the disks for which this is true are a quorum, by all possible roles.
    pub(crate) fn is_quorum(&self, is_there: impl Fn(usize) -> bool) -> bool {
        let is_enough =
            |roles: &Roles| members(roles, PfsKind::Master).filter(|d| is_there(*d)).count() >= quorum(roles);
        self.roles.borrow().iter().all(is_enough)
    }

    pub(crate) fn trust(&self, disk: usize) -> Trust {
        self.trust[disk].get()
    }

    pub(crate) fn set_trust(&self, disk: usize, trust: Trust) {
        self.trust[disk].set(trust);
    }

    /// True when nothing is lost if one more disk can't be relied on, by all possible roles.
    pub(crate) fn can_do_without(&self, disk: usize, is_unsound: impl Fn(usize) -> bool) -> bool {
        is_unsound(disk)
            || self.roles.borrow().iter().all(|roles| {
                let bad = members(roles, PfsKind::Master).filter(|d| is_unsound(*d)).count();
                roles[disk] != Some(PfsKind::Master) || bad < spare(roles)
            })
    }
}

/// The roles in words.
pub(crate) fn names_of_roles(roles: &Roles) -> Vec<Option<&'static str>> {
    let name = |kind: PfsKind| if kind == PfsKind::Master { "master" } else { "slave" };
    roles.iter().map(|role| role.map(name)).collect()
}

/// True when nothing is lost although some disks can't be relied on.
pub(crate) fn is_safe(roles: &Roles, is_unsound: impl Fn(usize) -> bool) -> bool {
    let masters = members(roles, PfsKind::Master).count();
    let bad = members(roles, PfsKind::Master).filter(|disk| is_unsound(*disk)).count();
    masters > 0 && roles.iter().flatten().count() <= MAX_NODES && bad <= spare(roles)
}

fn members(roles: &Roles, kind: PfsKind) -> impl Iterator<Item = usize> {
    roles.iter().enumerate().filter(move |(_, role)| **role == Some(kind)).map(|(disk, _)| disk)
}

fn quorum(roles: &Roles) -> usize {
    members(roles, PfsKind::Master).count() / 2 + 1
}

fn spare(roles: &Roles) -> usize {
    (members(roles, PfsKind::Master).count() + 1) - quorum(roles) - 1
}
