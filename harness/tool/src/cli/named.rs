//! A filesystem by its name instead of its disks: `@LABEL`, `LABEL=LABEL`, `UUID=UUID`. The disks are searched for.

use std::path::PathBuf;

use hammer2_core::cluster::Pfs;
use hammer2_core::media::Uuid;

use super::output::Shown;
use crate::scan::{Cluster, Found, Node, SEARCHED, candidates};

/// The name of a filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The label of a PFS.
    Label(Vec<u8>),
    /// The id of a cluster, of a PFS, or of all volumes of a filesystem.
    Uuid(Uuid),
}

/// Why a filesystem can't be mounted yet.
pub(super) enum Waiting {
    /// These disks aren't there.
    For(String),
    /// More disks don't help.
    InVain(String),
}

/// The disks of a filesystem: of each node, its images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disks {
    pub(super) nodes: Vec<Vec<PathBuf>>,
    /// The PFS, if the name means one.
    pub(super) label: Option<Vec<u8>>,
}

impl Name {
    /// The name that an argument begins with, and the path behind it; none if it begins otherwise.
    pub(super) fn split(argument: &[u8]) -> Result<Option<(Self, &[u8])>, String> {
        let path_at = argument.windows(2).position(|pair| pair == b":/");
        let (name, path) = argument.split_at(path_at.unwrap_or(argument.len()));
        let path = path.strip_prefix(b":").unwrap_or(b"/");
        // mount(8) and systemd would search for a tag themselves, so `@` may precede it.
        let name = name.strip_prefix(b"@").filter(|tag| tag.starts_with(b"UUID=")).unwrap_or(name);
        let label = name.strip_prefix(b"@").or_else(|| name.strip_prefix(b"LABEL="));
        if let Some(label) = label.filter(|label| !label.is_empty() && !label.contains(&b'/')) {
            return Ok(Some((Self::Label(label.to_vec()), path)));
        }
        let Some(uuid) = name.strip_prefix(b"UUID=") else { return Ok(None) };
        let text = String::from_utf8_lossy(uuid);
        let uuid = text.parse().map_err(|_| format!("UUID={text}: this is no UUID"))?;
        Ok(Some((Self::Uuid(uuid), path)))
    }

    /// Searches for the disks.
    pub(super) fn find(&self) -> Result<Disks, String> {
        self.among(&Found::on(&candidates(&[])))
    }

    fn among(&self, found: &Found) -> Result<Disks, String> {
        let is_meant = |node: &Node, pfs: &Pfs| match self {
            Self::Label(label) => pfs.label == label[..],
            Self::Uuid(uuid) => pfs.clid == *uuid || pfs.fsid == *uuid || node.fsid == *uuid,
        };
        if let Self::Uuid(uuid) = self
            && let Some(node) = found.nodes.iter().find(|node| node.fsid == *uuid)
        {
            return Ok(Disks { nodes: vec![node.images.clone()], label: None });
        }
        let meant = found.nodes.iter().flat_map(|node| node.pfss.iter().map(move |pfs| (node, pfs)));
        let meant: Vec<(&Node, &Pfs)> = meant.filter(|(node, pfs)| is_meant(node, pfs)).collect();
        let Some((_, first)) = meant.first() else { return Err(self.unfound(found)) };
        let images =
            |node: &Node| node.images.iter().map(|image| image.display().to_string()).collect::<Vec<_>>().join(":");
        if let Some((node, other)) = meant.iter().find(|(_, pfs)| pfs.clid != first.clid) {
            return Err(format!(
                "{self}: there are several: UUID={} and UUID={} (on {}): name one of them so",
                first.clid,
                other.clid,
                images(node)
            ));
        }
        let clusters = found.clusters();
        let nodes = match clusters.iter().find(|cluster| cluster.clid == first.clid) {
            Some(cluster) => cluster.nodes().map(|member| member.images.clone()).collect(),
            None if meant.len() > 1 => {
                let all: Vec<_> = meant.iter().map(|(node, _)| images(node)).collect();
                return Err(format!(
                    "{self}: there are copies of it, {}: name the one that is meant",
                    all.join(" and ")
                ));
            }
            None => meant.iter().map(|(node, _)| node.images.clone()).collect(),
        };
        Ok(Disks { nodes, label: Some(first.label.to_vec()) })
    }

    /// Whether the filesystem can be mounted from the disks that were found, and if not, what it waits for.
    pub(super) fn waiting(&self, found: &Found) -> Result<(), Waiting> {
        let meant = match self.among(found) {
            Ok(disks) => disks,
            // Missing volumes of a set may come later; several filesystems of the same name won't become fewer.
            Err(_) if !self.is_found(found) => return Err(Waiting::For(format!("{self}: waiting for its disks"))),
            Err(why) => return Err(Waiting::InVain(why)),
        };
        let clusters = found.clusters();
        let is_meant = |cluster: &&Cluster| cluster.nodes().any(|member| meant.nodes.contains(&member.images));
        let Some(cluster) = clusters.iter().find(is_meant) else { return Ok(()) };
        let (there, quorum) = (cluster.masters_in_step(), cluster.quorum());
        if there >= quorum {
            return Ok(());
        }
        let missing = cluster.missing.iter().filter_map(|missing| missing.fsid).map(|fsid| format!(", member {fsid}"));
        let missing: String = missing.collect();
        Err(Waiting::For(format!(
            "{self}: {there} of {} masters are there, and {quorum} are needed: waiting for {} more of its disks{missing}",
            cluster.masters,
            quorum - there
        )))
    }

    fn is_found(&self, found: &Found) -> bool {
        let has = |node: &Node| match self {
            Self::Label(label) => node.pfss.iter().any(|pfs| pfs.label == label[..]),
            Self::Uuid(uuid) => node.fsid == *uuid || node.pfss.iter().any(|pfs| [pfs.clid, pfs.fsid].contains(uuid)),
        };
        found.nodes.iter().any(has)
    }

    fn unfound(&self, found: &Found) -> String {
        let unseen: String = found.unseen.iter().map(|why| format!("; {why}")).collect();
        format!("{self}: no such filesystem on the devices searched (`hammer2 scan`, {SEARCHED}){unseen}")
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(label) => write!(f, "@{}", Shown(label)),
            Self::Uuid(uuid) => write!(f, "UUID={uuid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_disks() {
        let split = |argument: &str| {
            Name::split(argument.as_bytes())
                .map(|found| found.map(|(name, path)| format!("{name} {}", String::from_utf8_lossy(path))))
        };
        let uuid = "d89fb60a-262c-4e3a-b2eb-383185504d6d";
        for (argument, expected) in [
            ("@HOME", "@HOME /".to_owned()),
            ("@HOME:/dir:/x", "@HOME /dir:/x".to_owned()),
            ("LABEL=HOME", "@HOME /".to_owned()),
            ("LABEL=a@b:/", "@a@b /".to_owned()),
            (&format!("UUID={uuid}:/x"), format!("UUID={uuid} /x")),
        ] {
            assert_eq!(split(argument), Ok(Some(expected)), "{argument}");
        }
        for argument in ["", "@", "@:/path", "LABEL=", "a.img@HOME", "/dev/sdb", "LABELS"] {
            assert_eq!(split(argument), Ok(None), "{argument}");
        }
        assert!(split("UUID=nonsense").is_err());
    }
}
