//! `hammer2 pfs-list`, `pfs-create`, `pfs-delete` and `snapshot`: the PFSs of a filesystem.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::{Args, ValueEnum};
use hammer2_core::cluster::{Cluster, NewPfs, PfsOutcome, PfsSelector};
use hammer2_core::fs::{Error, TimeSource as _};
use hammer2_core::media::{PfsKind, Uuid};
use hammer2_host::device::Access;
use hammer2_host::random::new_uuid;
use hammer2_host::time_source::HostTime;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use serde_json::{Value, json};

use super::info::told_damage;
use super::mounted;
use super::not_mounted::no_such_pfs;
use super::output::{Output, Shown};
use super::pfs_facts::{json_of_pfs, list_pfss, show_pfs};
use super::retention::Retention;
use super::session::{Session, Settings};
use super::several::each;
use super::target::Target;
use super::{Failure, Outcome};
use crate::admin::PfsFacts;
use crate::admin::wire::Question;
use crate::mount::SNAPSHOT_ATTRIBUTE;
use crate::pfs_label;

/// List the PFSs
#[derive(Args)]
pub(super) struct PfsList {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    /// NODE, or the directory on which one of them is mounted [default: all mounts]
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

/// Print the id of the cluster that a PFS belongs to
#[derive(Args)]
pub(super) struct PfsClid {
    #[command(flatten)]
    named: Named,
}

/// Print the id of a PFS
#[derive(Args)]
pub(super) struct PfsFsid {
    #[command(flatten)]
    named: Named,
}

/// A PFS of a filesystem.
#[derive(Args)]
struct Named {
    /// NODE, or the directory on which a PFS of it is mounted
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The label of the PFS
    label: OsString,
}

/// Make an empty PFS; on several nodes, it becomes a cluster, and they are its masters
#[derive(Args)]
pub(super) struct PfsCreate {
    /// Its role in its cluster; MASTER, or with -u SLAVE
    #[arg(short = 't', value_enum, ignore_case = true)]
    kind: Option<PfsType>,
    /// The cluster that it is for, as `pfs-list` shows it; `cluster adopt` or `cluster add` then makes it a member
    #[arg(short = 'u', value_name = "CLID", value_parser = uuid)]
    clid: Option<Uuid>,
    /// NODE[+NODE...], or the directory on which another PFS of it is mounted
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// Its label
    label: OsString,
}

/// Remove a PFS and everything in it; bulkfree gives the space back
#[derive(Args)]
pub(super) struct PfsDelete {
    /// Remove even the only PFS, or a cluster's from only some of its nodes
    #[arg(short, long)]
    force: bool,
    /// NODE, or the directory on which another PFS of it is mounted
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// Its label
    label: OsString,
}

/// Make a writable copy of a PFS as it is now, which takes no space until one of them changes
#[derive(Args)]
pub(super) struct Snapshot {
    /// Print a JSON object with the label of the copy, and of those that were removed for it
    #[arg(long)]
    json: bool,
    /// Remove earlier dated snapshots that this rule doesn't keep: hourly=24,daily=7,weekly=4 keeps the last one of each of the
    /// last 24 hours with one, and so on, also monthly and yearly. Snapshots with labels of your own stay
    #[arg(long, value_name = "RULE", value_parser = Retention::parse, conflicts_with = "name")]
    keep: Option<Retention>,
    /// NODE[@LABEL], or the directory on which it is mounted
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The label of the copy [default: that of the PFS and the time, UTC, as HOME.20261231.235959]
    name: Option<OsString>,
}

/// Types a PFS can be made with.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "UPPER")]
enum PfsType {
    Master,
    Slave,
    #[value(name = "SOFT_MASTER")]
    SoftMaster,
    #[value(name = "SOFT_SLAVE")]
    SoftSlave,
}

impl PfsType {
    fn kind(self) -> PfsKind {
        match self {
            Self::Master => PfsKind::Master,
            Self::Slave => PfsKind::Slave,
            Self::SoftMaster => PfsKind::SoftMaster,
            Self::SoftSlave => PfsKind::SoftSlave,
        }
    }
}

/// The PFSs of a filesystem, mounted or not.
fn list(target: &Target, settings: &Settings) -> Result<mounted::Listed, Failure> {
    if let Some(directory) = target.directory() {
        return mounted::pfss(directory);
    }
    let session = Session::new(settings);
    session.run(async {
        let cluster = session.open_cluster(whole(target)?, Access::Read).await?;
        let (pfss, damage) = list_pfss(&cluster).await;
        let (pfss, damage) = (pfss.iter().map(PfsFacts::from).collect(), damage.map(|error| error.to_string()));
        Ok(mounted::Listed { nodes: Vec::new(), pfss, damage })
    })
}

impl PfsClid {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        output.line(self.named.find(settings)?.clid).map(|()| Outcome::Good)
    }
}

impl PfsFsid {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        output.line(self.named.find(settings)?.fsid).map(|()| Outcome::Good)
    }
}

impl Named {
    fn find(&self, settings: &Settings) -> Result<PfsFacts, Failure> {
        let mounted::Listed { pfss, damage, .. } = list(&self.target, settings)?;
        told_damage(damage);
        let found = pfss.into_iter().find(|pfs| pfs.label == self.label.as_bytes());
        found.ok_or_else(|| {
            let label = Shown(self.label.as_bytes());
            let target = &self.target;
            Failure::unusable(format_args!("{target}@{label}: no such PFS; `hammer2 pfs-list {target}` shows all"))
        })
    }
}

impl PfsList {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        each(&self.targets, |target| {
            let mounted::Listed { pfss, damage, .. } = list(target, settings)?;
            if self.targets.len() > 1 && !self.json {
                output.line(format_args!("{target}:"))?;
            }
            self.print(&pfss, output)?;
            Ok(told_damage(damage))
        })
    }

    fn print(&self, pfss: &[PfsFacts], output: &mut Output) -> Result<(), Failure> {
        match self.json {
            true => output.line(Value::Array(pfss.iter().map(json_of_pfs).collect())),
            false => pfss.iter().try_for_each(|pfs| show_pfs(pfs, output)),
        }
    }
}

impl PfsCreate {
    /// An ordinary PFS of this label on a target's nodes.
    pub(super) fn new(target: &Target, label: &[u8]) -> Self {
        let target = Target { label: None, ..target.clone() };
        Self { kind: None, clid: None, target, label: OsStr::from_bytes(label).to_owned() }
    }

    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        let usual = if self.clid.is_some() { PfsType::Slave } else { PfsType::Master };
        let kind = self.kind.unwrap_or(usual).kind();
        if let Some(directory) = self.target.directory() {
            let (label, clid) = (label(&self.label)?.to_vec(), self.clid.map(|clid| clid.to_string()));
            mounted::change(directory, &Question::CreatePfs { label, kind: kind.to_string(), clid })?;
            return Ok(Outcome::Good);
        }
        let mut new = new_pfs(label(&self.label)?, kind)?;
        new.clid = self.clid.unwrap_or(new.clid);
        let session = Session::new(settings);
        let target = whole(&self.target)?;
        let is_cluster = target.only_node().is_none();
        if is_cluster && (self.kind.is_some() || self.clid.is_some()) {
            return Err(Failure::unusable("-t and -u are about a PFS of one node: name one"));
        }
        session.run(async {
            let cluster = match is_cluster {
                true => session.open_whole_cluster(target).await?,
                false => session.open_cluster(target, Access::Write).await?,
            };
            let create = async {
                let made = match is_cluster {
                    true => cluster.create(&new, HostTime.random()).await,
                    false => cluster.create_pfs(&new).await,
                };
                made.map_err(Failure::failed)
            };
            match session.administer(&cluster, create).await? {
                PfsOutcome::Done => Ok(Outcome::Good),
                _ => Err(taken(new.label)),
            }
        })
    }
}

impl PfsDelete {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        let label = label(&self.label)?;
        if let Some(directory) = self.target.directory() {
            mounted::change(directory, &Question::DeletePfs { label: label.to_vec(), force: self.force })?;
            return Ok(Outcome::Good);
        }
        let session = Session::new(settings);
        session.run(async {
            let cluster = session.open_cluster(whole(&self.target)?, Access::Write).await?;
            if !self.force {
                self.refuse_loss(&cluster, label).await?;
            }
            let delete = async { cluster.delete_pfs(label).await.map_err(Failure::failed) };
            match session.administer(&cluster, delete).await? {
                PfsOutcome::Done => Ok(Outcome::Good),
                _ => Err(self.unknown(&cluster, label).await),
            }
        })
    }

    /// Refuses likely mistakes: a filesystem without a PFS can't be mounted, and a cluster's member that lacks its PFS is
    /// missing.
    async fn refuse_loss(&self, cluster: &Cluster, label: &[u8]) -> Result<(), Failure> {
        let Ok(Some(pfs)) = cluster.find_pfs(PfsSelector::Label(label)).await else { return Ok(()) };
        let (target, label) = (&self.target, Shown(label));
        let listed = cluster.header().cluster_records.find(pfs.clid).ok().flatten();
        let members = listed.map_or(0, |record| record.members.len()).max(pfs.masters.into());
        if members > cluster.nodes() {
            return Err(Failure::unusable(format_args!(
                "{target}@{label} is a cluster's, of {members} members, of which {} given: with the PFS they would lose what \
                 they have; `hammer2 pfs-delete -f {target} {label}` does it, but it is the cluster that gives up a member: name \
                 all of it, as in hammer2 cluster remove",
                match cluster.nodes() {
                    1 => "1 is".to_owned(),
                    count => format!("{count} are"),
                }
            )));
        }
        let (pfss, _) = list_pfss(cluster).await;
        if pfss.iter().any(|other| other.label != pfs.label && other.label != b"LOCAL") {
            return Ok(());
        }
        Err(Failure::unusable(format_args!(
            "{target}@{label} is the only PFS here: `hammer2 pfs-delete -f {target} {label}` removes it all the same"
        )))
    }

    async fn unknown(&self, cluster: &Cluster, label: &[u8]) -> Failure {
        let meant = Target { label: Some(label.to_vec()), ..self.target.clone() };
        no_such_pfs(&meant, &list_pfss(cluster).await.0)
    }
}

impl Snapshot {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let named = self.name.as_ref().map(label).transpose()?;
        if self.target.path != b"/" {
            return Err(Failure::unusable("a snapshot is of a whole PFS: name it without a path"));
        }
        if let Some(directory) = self.target.directory() {
            let made = snapshot_of_mounted(directory, named)?;
            self.tell(&made, output)?;
            return self.remove_expired(&made, settings, output);
        }
        let mut made = Vec::new();
        let outcome = Session::new(settings).change(&self.target, async |fs| {
            let label = named.map_or_else(|| pfs_label::dated(&fs.pfs().label, HostTime.now()), <[u8]>::to_vec);
            match fs.snapshot(&new_pfs(&label, PfsKind::Master)?).await {
                Ok(()) => self.tell(&label, output)?,
                Err(Error::Exists) => return Err(taken(&label)),
                Err(error) => return Err(Failure::failed(format_args!("{}: {error}", Shown(&label)))),
            }
            made = label;
            Ok(Outcome::Good)
        })?;
        Ok(outcome.and(self.remove_expired(&made, settings, output)?))
    }

    /// Removes the snapshots that the rule, if there is one, doesn't keep after another was made, and reports them.
    fn remove_expired(&self, made: &[u8], settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let (mut outcome, mut removed) = (Outcome::Good, Vec::new());
        if let Some(rule) = &self.keep {
            let target = Target { label: None, ..self.target.clone() };
            let mounted::Listed { pfss, damage, .. } = list(&target, settings)?;
            outcome = told_damage(damage);
            let snapshots = pfss.iter().filter(|pfs| pfs.subkind == "SNAPSHOT").map(|pfs| &pfs.label[..]);
            for label in rule.expired(snapshots, pfs_label::origin_of(made)) {
                removed.push(String::from_utf8_lossy(label).into_owned());
                let label = OsStr::from_bytes(label).to_owned();
                PfsDelete { force: false, target: target.clone(), label }.run(settings, output)?;
            }
        }
        if self.json {
            output.line(json!({ "label": String::from_utf8_lossy(made), "removed": removed }))?;
        }
        Ok(outcome)
    }

    /// Prints the label that was chosen, if the user named none.
    fn tell(&self, label: &[u8], output: &mut Output) -> Result<(), Failure> {
        if self.name.is_none() && !self.json {
            output.line(Shown(label))?;
        }
        Ok(())
    }
}

/// Asks the mount on a directory for a snapshot, and returns its label. The process is asked directly if it listens to us, as
/// that has a deadline. Otherwise the kernel passes the question on, or its own module answers; that also works for the owner of
/// the directory, and waits for as long as it takes.
fn snapshot_of_mounted(directory: &Path, named: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
    if let Some(asked) = mounted::snapshot(directory, named) {
        return asked;
    }
    let label = named.map_or_else(|| pfs_label::dated(b"", HostTime.now()), <[u8]>::to_vec);
    match rustix::fs::setxattr(directory, SNAPSHOT_ATTRIBUTE, &label, XattrFlags::empty()) {
        Ok(()) => Ok(label),
        Err(Errno::EXIST) => Err(taken(&label)),
        Err(Errno::OPNOTSUPP) => Err(Failure::unusable(format_args!(
            "{}: no HAMMER2 filesystem is mounted on this directory",
            directory.display()
        ))),
        Err(error) => Err(Failure::failed(format_args!("{}: {error}", Shown(&label)))),
    }
}

/// A UUID as it is printed.
fn uuid(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_| format!("{text} is no UUID"))
}

pub(super) fn new_pfs(label: &[u8], kind: PfsKind) -> Result<NewPfs<'_>, Failure> {
    let uuid = || new_uuid().map_err(|error| Failure::failed(format_args!("no random numbers: {error}")));
    let (clid, fsid): (Uuid, Uuid) = (uuid()?, uuid()?);
    Ok(NewPfs { label, kind, clid, fsid, time: HostTime.now() })
}

pub(super) fn taken(label: &[u8]) -> Failure {
    Failure::unusable(format_args!("{}: there is a PFS of this label already", Shown(label)))
}

/// A label that a PFS can have.
pub(super) fn label(label: &OsString) -> Result<&[u8], Failure> {
    let bytes = label.as_bytes();
    if pfs_label::is_valid(bytes) {
        Ok(bytes)
    } else {
        Err(Failure::unusable(format_args!("{}: a label has 1 to 255 bytes, none of / @ :", Shown(bytes))))
    }
}

/// A target that names a filesystem and nothing in it.
pub(super) fn whole(target: &Target) -> Result<&Target, Failure> {
    if target.label.is_none() && target.path == b"/" {
        return Ok(target);
    }
    Err(Failure::unusable("this is about a whole filesystem: name it without label and path"))
}
