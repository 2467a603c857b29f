//! Why a PFS can't be mounted, in the user's terms.
//! A mount takes the nodes, and when it fails they are gone. So their names are looked up before.

use hammer2_core::cluster::{Cluster, NodeIndex, OpError, OpenError, Pfs, PfsSelector};
use hammer2_core::fs::{FileSystem, MountError};
use hammer2_core::media::{Corruption, Uuid};
use hammer2_core::memory::NoMemory;

use super::Failure;
use super::output::Shown;
use super::pfs_facts::list_pfss;
use super::target::Target;
use crate::admin::{Images, Known};

/// A mount that failed.
pub(super) struct NotMounted {
    failure: Failure,
    /// The nodes could be read, but the cluster can't be mounted.
    pub(super) is_refused: bool,
}

impl From<NotMounted> for Failure {
    fn from(NotMounted { failure, .. }: NotMounted) -> Self {
        failure
    }
}

/// A look at nodes before they are mounted.
pub(super) struct Look<'l> {
    target: &'l Target,
    fsids: Vec<(NodeIndex, Uuid)>,
    away: Vec<String>,
    images: Images,
}

impl<'l> Look<'l> {
    /// Looks at the named PFS; fails if there is none, or not the same for all nodes.
    pub(super) async fn at(
        cluster: &Cluster,
        images: &Images,
        target: &'l Target,
        selector: PfsSelector<'_>,
    ) -> Result<Self, Failure> {
        let mut fsids = Vec::new();
        for node in (0..cluster.nodes() as u8).map(NodeIndex) {
            // The mount reports a node that can't be read.
            if let Ok(Some(pfs)) = cluster.pfs_of(node, selector).await {
                fsids.push((node, pfs.fsid));
            }
        }
        let look = Self { target, fsids, away: Vec::new(), images: images.clone() };
        match cluster.find_pfs(selector).await {
            Ok(None) => Err(no_such_pfs(target, &list_pfss(cluster).await.0)),
            Ok(Some(_)) => Ok(look),
            Err(error @ OpError::Refused(_)) => Err(Failure::unusable(look.words(&error))),
            // The mount meets this error, too.
            Err(_) => Ok(look),
        }
    }

    /// Notes the members that aren't there, which are known as soon as the others can be read.
    pub(super) fn note_away(&mut self, fs: &FileSystem) {
        self.away = self.images.away(fs);
    }

    fn words(&self, error: &OpError) -> String {
        Known::new(&self.images, self.fsids.iter().copied()).without(self.away.clone()).op_error(error)
    }

    /// The error of a mount of these nodes.
    pub(super) fn not_mounted(&self, error: MountError) -> NotMounted {
        let is_refused = matches!(error, MountError::Op(_));
        NotMounted { failure: failure(self.target, error, |error| self.words(error)), is_refused }
    }
}

/// The failure for an error of a mount; `words` describes that of an operation.
pub(super) fn failure(target: &Target, error: MountError, words: impl Fn(&OpError) -> String) -> Failure {
    match error {
        // These errors name the device.
        MountError::Open(error @ OpenError::Header { corruption: Corruption::NoHeader, .. }) => {
            let images: Vec<_> = target.images().map(|image| image.display().to_string()).collect();
            Failure::unusable(format_args!(
                "{error}: nobody has made a HAMMER2 filesystem there, which newfs does, or all its headers are lost: then \
                 `hammer2 recover {} NEW` brings its files out into a folder",
                images.join(":")
            ))
        }
        MountError::Open(error) => Failure::unusable(error),
        MountError::Op(error) => Failure::failed(format_args!("{target}: {}", words(&error))),
        MountError::NoMemory(NoMemory) => Failure::failed("out of memory: give more with --memory"),
        // What was asked for isn't there, or isn't to be mounted so.
        other => Failure::unusable(format_args!("{target}: {other}")),
    }
}

/// The failure for a label that no PFS has, or without a default PFS: it lists the labels.
pub(super) fn no_such_pfs(target: &Target, pfss: &[Pfs]) -> Failure {
    let labels: Vec<_> =
        pfss.iter().map(|pfs| Shown(&pfs.label).to_string()).filter(|label| label != "LOCAL").collect();
    let nodes = Target { label: None, ..target.clone() };
    let Some(first) = labels.first() else {
        return Failure::unusable(format_args!("{target}: no such PFS, and no other: `pfs-create` makes one"));
    };
    let all = labels.join(", ");
    match target.label {
        Some(_) => Failure::unusable(format_args!("{target}: no such PFS; there are {all}")),
        None => Failure::unusable(format_args!(
            "{nodes}: no such PFS as DATA, and several others ({all}): name one, as in {nodes}@{first}"
        )),
    }
}
