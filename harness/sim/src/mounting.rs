//! Mounting, and judging what comes of it.

use hammer2_core::cluster::{Cluster, MemberState, OpError, PfsSelector, Protocol};
use hammer2_core::fs::{FileSystem, MountError};

use super::group::Trust;
use super::nodes::{self, Drive, HEAP, mount_options};
use super::reading::{difference, read_all};
use super::world::World;

/// Something that is given to a mount as a node.
#[derive(Clone, Debug)]
pub(super) enum Seat {
    /// A disk of the cluster.
    Member(usize),
    /// Something else that looks like one.
    Other(Drive),
}

/// A mount that can't be made, by the name of the reason.
pub(super) struct Refused(pub(super) String);

impl World {
    fn drive(&self, seat: &Seat) -> Drive {
        match seat {
            Seat::Member(number) => self.disks[*number].drive.clone(),
            Seat::Other(drive) => drive.clone(),
        }
    }

    /// Opens seats as nodes and notes which disk is which node.
    async fn open(&self, seats: &[Seat]) -> Result<Cluster, MountError> {
        let drives: Vec<Drive> = seats.iter().map(|seat| self.drive(seat)).collect();
        let mut left_out = Vec::new();
        let cluster = nodes::open(self.host, &drives, &mut |position, _| left_out.push(position)).await?;
        let opened = seats.iter().enumerate().filter(|(position, _)| !left_out.contains(position));
        let disk = |(_, seat): (usize, &Seat)| match seat {
            Seat::Member(number) => Some(*number),
            Seat::Other(_) => None,
        };
        *self.seats.borrow_mut() = opened.map(disk).collect();
        left_out.iter().for_each(|_| self.tally.borrow_mut().verdict("not-a-volume"));
        Ok(cluster)
    }

    /// Mounts seats to look at them.
    pub(super) async fn mount(&self, seats: &[Seat]) -> Result<FileSystem, Refused> {
        self.mount_label(seats, self.group().label).await
    }

    /// The same with another PFS than the clients'.
    pub(super) async fn mount_label(&self, seats: &[Seat], label: &[u8]) -> Result<FileSystem, Refused> {
        let mounted = async {
            let cluster = self.open(seats).await?;
            cluster.set_protocol(self.settings.without.map_or(Protocol::default(), Protocol::without));
            FileSystem::mount_pfs(HEAP, cluster, PfsSelector::Label(label), mount_options(seats.len())).await
        };
        mounted.await.map_err(|error| self.refused(&error))
    }

    /// Mounts seats to change something.
    pub(super) async fn mount_writable(&self, seats: &[Seat]) -> Result<FileSystem, Refused> {
        let fs = self.mount(seats).await?;
        let mut in_step = 0;
        for state in states(&fs) {
            in_step += usize::from(state == MemberState::InSync);
            self.tally.borrow_mut().verdict(&format!("node-{}", name_of_state(state)));
        }
        let fs = fs.make_writable(self.host).await.map_err(|error| self.refused(&error))?;
        self.tally.borrow_mut().verdict(if in_step < self.group().quorum() { "rolled-forward" } else { "served" });
        Ok(fs)
    }

    fn refused(&self, error: &MountError) -> Refused {
        let name = match error {
            MountError::Op(OpError::Refused(refusal)) => variant(refusal),
            MountError::Op(OpError::Alarm(alarm)) => variant(alarm),
            MountError::Op(error) => variant(error),
            other => variant(other),
        };
        self.tally.borrow_mut().verdict(&name);
        self.host.note(7);
        log::info!("refused: {error}");
        Refused(name)
    }

    /// Disks of the cluster among seats that are what they should be.
    pub(super) fn sound_seats(&self, seats: &[Seat]) -> Vec<Seat> {
        let is_sound = |seat: &&Seat| match seat {
            Seat::Member(number) => self.group().trust(*number) == Trust::Sound,
            Seat::Other(_) => false,
        };
        seats.iter().filter(is_sound).cloned().collect()
    }

    /// Checks that a quorum serves nothing older than what was acknowledged, and nothing that never was. From here on
    /// it is acknowledged.
    pub(super) async fn check_served(&self, fs: &FileSystem) -> Result<bool, String> {
        let found = match read_all(fs).await {
            Ok(found) => found?,
            Err(error) if self.must_work(fs) => return Err(format!("I14: reading everything: \"{error}\"")),
            Err(_) => return Ok(false),
        };
        self.learn(fs)?;
        let mut history = self.group().history.borrow_mut();
        if !history.may_be_served(&found) {
            history.tell_differences("what is served", &found);
            return Err(format!(
                "I1: neither what was acknowledged nor later: {}",
                difference(&found, history.last_acked())
            ));
        }
        history.found(&found);
        let now = history.now();
        drop(history);
        *self.group().model.borrow_mut() = found;
        self.note_acked(fs, now);
        Ok(true)
    }
}

/// The name of an enum's variant, as its debug form begins.
fn variant(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(text.len());
    dashed(&text[..end])
}

fn dashed(name: &str) -> String {
    let mut dashed = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !dashed.is_empty() {
            dashed.push('-');
        }
        dashed.extend(letter.to_lowercase());
    }
    dashed
}

/// What the nodes of a mount are to it, in order.
pub(super) fn states(fs: &FileSystem) -> impl Iterator<Item = MemberState> {
    fs.member_statuses().map(|member| member.state)
}

/// What a node is to a mount.
pub(super) fn name_of_state(state: MemberState) -> String {
    match state {
        MemberState::InSync => "in-sync".to_owned(),
        MemberState::Behind(debt) if debt.thorough => "behind-to-compare".to_owned(),
        MemberState::Behind(_) => "behind".to_owned(),
        MemberState::Aside(state) => variant(&state),
        MemberState::Ejected(why) => format!("ejected-{}", variant(&why)),
    }
}
