//! The repairs that are possible from the disk itself after a check.

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::path::PathBuf;

use hammer2_core::cluster::Cluster;
use hammer2_core::fs::{Error, FileSystem, Remedy};
use hammer2_core::fsck::{Cost, Finding, Severity, Trouble};
use hammer2_core::media::Inum;
use hammer2_host::device::Access;
use serde_json::{Map, Value, json};

use crate::cli::output::{Output, insert_bytes};
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome, progress};

/// The repairs, in this order.
#[derive(Default)]
pub(in crate::cli) struct Plan {
    headers: bool,
    /// Something may be given up.
    is_costly: bool,
    freemap: Option<FreemapRemedy>,
    pfss: Vec<PfsPlan>,
}

/// The repair of the freemap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum FreemapRemedy {
    /// Blocks in use are marked so.
    Bulkfree,
    /// Unreadable parts are made anew.
    Rebuild,
}

/// The repairs of a PFS.
#[derive(Default)]
struct PfsPlan {
    label: Vec<u8>,
    /// In the order in which they were found.
    inodes: Vec<InodePlan>,
    /// The repairs among them, by inode and name.
    known: HashSet<(Inum, Option<Vec<u8>>, Remedy)>,
    /// The noted use of quotas is wrong.
    recounts: bool,
}

/// The repair of an inode.
struct InodePlan {
    /// The inode, or the directory that names it.
    inum: Inum,
    path: Option<Vec<u8>>,
    /// The name in that directory.
    name: Option<Vec<u8>>,
    remedy: Remedy,
}

impl Plan {
    /// Notes a finding.
    pub(super) fn note(&mut self, finding: &Finding<'_>) {
        let Finding { severity, place, trouble, cost } = *finding;
        if severity == Severity::Problem && place.header.is_some() {
            self.headers = true;
            self.is_costly |= cost != Cost::HeaderCopy;
        }
        self.headers |= trouble == Trouble::HeaderTorn;
        let freemap = match trouble {
            Trouble::Corrupt(_) | Trouble::Device { .. } if place.freemap => Some(FreemapRemedy::Rebuild),
            Trouble::UsedButFree | Trouble::BehindLinear(_) => Some(FreemapRemedy::Bulkfree),
            _ => None,
        };
        self.freemap = self.freemap.max(freemap);
        let Some(label) = place.pfs else { return };
        if cost == Cost::Limits {
            self.of_pfs(label).recounts = true;
        }
        let remedy = match trouble {
            Trouble::LinkCount { found, .. } => Remedy::Links(found),
            Trouble::Parent { named_in, .. } => Remedy::Parent(named_in),
            Trouble::Orphan(0) if cost == Cost::Space => Remedy::Remove,
            Trouble::Orphan(_) => Remedy::Name,
            Trouble::BeyondEnd => Remedy::Cut,
            _ => return,
        };
        if let Some(inum) = place.inode {
            let [path, name] = [place.path, place.name].map(|bytes| bytes.map(<[u8]>::to_vec));
            self.of_pfs(label).add(InodePlan { inum, path, name, remedy });
        }
    }

    fn of_pfs(&mut self, label: &[u8]) -> &mut PfsPlan {
        let place = self.pfss.iter().position(|pfs| pfs.label == label).unwrap_or_else(|| {
            self.pfss.push(PfsPlan { label: label.to_vec(), ..PfsPlan::default() });
            self.pfss.len() - 1
        });
        &mut self.pfss[place]
    }

    /// True when nothing can be mended.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        !self.headers && self.freemap.is_none() && self.pfss.is_empty()
    }

    /// True when headers are mended.
    pub(in crate::cli) fn mends_headers(&self) -> bool {
        self.headers
    }

    /// True when something may be given up.
    pub(in crate::cli) fn is_costly(&self) -> bool {
        self.is_costly
    }

    /// Prints the plan.
    pub(in crate::cli) fn tell(&self, is_json: bool, output: &mut Output) -> Result<(), Failure> {
        let mut teller = Teller { is_json, output };
        if self.headers {
            let what = match self.is_costly {
                true => "headers: go on with the newest that is whole; what was written since is given up",
                false => "headers: write those again that aren't whole",
            };
            teller.begins(About::Node, what)?;
        }
        if let Some(freemap) = self.freemap {
            let what = match freemap {
                FreemapRemedy::Bulkfree => "freemap: mark what is in use",
                FreemapRemedy::Rebuild => {
                    "freemap: make anew what can't be read; what it describes counts as in use until bulkfree has looked"
                }
            };
            teller.begins(About::Node, what)?;
        }
        for pfs in &self.pfss {
            for inode in &pfs.inodes {
                teller.begins(About::Inode(pfs, inode), inode.remedy)?;
            }
            if pfs.recounts {
                teller.begins(About::Pfs(pfs), "count anew what is used of quotas")?;
            }
        }
        Ok(())
    }

    /// Carries the repairs of a node out. Reports those that fail after all, and does the rest.
    pub(in crate::cli) fn carry_out(
        &self,
        settings: &Settings,
        images: &[PathBuf],
        is_json: bool,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let mut teller = Teller { is_json, output };
        let _waiting = progress::waiting("mending");
        if self.headers || self.freemap.is_some() {
            self.mend_node(&Session::new(settings), &Target::of_node(images), &mut teller)?;
        }
        for pfs in &self.pfss {
            let target = Target { label: Some(pfs.label.clone()), ..Target::of_node(images) };
            if let Err(failure) = pfs.carry_out(&Session::new(settings), &target, &mut teller) {
                teller.fails(About::Pfs(pfs), failure)?;
            }
        }
        Ok(())
    }

    fn mend_node(&self, session: &Session, target: &Target, teller: &mut Teller<'_>) -> Result<(), Failure> {
        session.run(async {
            let cluster = session.open_cluster(target, Access::Write).await?;
            session.administer(&cluster, self.mend_parts(&cluster, teller)).await
        })
    }

    async fn mend_parts(&self, cluster: &Cluster, teller: &mut Teller<'_>) -> Result<(), Failure> {
        if self.headers {
            cluster.mend_headers().await.map_err(Failure::failed)?;
        }
        let mended = match self.freemap {
            Some(FreemapRemedy::Rebuild) => cluster.mend_freemap().await.map(drop),
            Some(FreemapRemedy::Bulkfree) => cluster.bulkfree().await.map(drop),
            None => Ok(()),
        };
        mended.or_else(|error| teller.fails(About::Node, format_args!("freemap: {error}")))
    }
}

impl PfsPlan {
    fn add(&mut self, plan: InodePlan) {
        let InodePlan { inum, ref name, remedy, .. } = plan;
        // An inode to be removed needs no other repair; blocks behind the end of a file are found one by one.
        let is_removed = self.known.contains(&(inum, None, Remedy::Remove));
        if !is_removed && self.known.insert((inum, name.clone(), remedy)) {
            self.inodes.push(plan);
        }
    }

    fn carry_out(&self, session: &Session, target: &Target, teller: &mut Teller<'_>) -> Result<Outcome, Failure> {
        session.change(target, async |fs| {
            for inode in &self.inodes {
                if let Err(error) = inode.mend(fs).await {
                    teller.fails(About::Inode(self, inode), error)?;
                }
            }
            // A file that gets a name counts somewhere else.
            fs.recount_quotas().await.map_err(Failure::failed)?;
            Ok(Outcome::Good)
        })
    }
}

impl InodePlan {
    async fn mend(&self, fs: &FileSystem) -> Result<(), Error> {
        let inum = match &self.name {
            Some(name) => fs.lookup(self.inum, name).await?,
            None => self.inum,
        };
        fs.mend(inum, self.remedy).await
    }
}

/// Reports repairs that are done, and those that failed.
struct Teller<'o> {
    is_json: bool,
    output: &'o mut Output,
}

/// What a report is about.
#[derive(Clone, Copy)]
enum About<'p> {
    Node,
    Pfs(&'p PfsPlan),
    Inode(&'p PfsPlan, &'p InodePlan),
}

impl Teller<'_> {
    fn begins(&mut self, about: About<'_>, what: impl Display) -> Result<(), Failure> {
        match self.is_json {
            true => self.output.line(json!({ "repair": about.json("what", what) })),
            false => self.output.line(format_args!("repair: {about}{what}")),
        }
    }

    fn fails(&mut self, about: About<'_>, why: impl Display) -> Result<(), Failure> {
        match self.is_json {
            true => self.output.line(json!({ "not_mended": about.json("why", why) })),
            false => self.output.line(format_args!("not mended: {about}{why}")),
        }
    }
}

impl About<'_> {
    fn json(self, key: &str, said: impl Display) -> Map<String, Value> {
        let mut object = Map::from_iter([(key.to_owned(), said.to_string().into())]);
        if let Self::Pfs(pfs) | Self::Inode(pfs, _) = self {
            insert_bytes(&mut object, "pfs", &pfs.label);
        }
        if let Self::Inode(_, inode) = self {
            for (key, bytes) in [("path", &inode.path), ("name", &inode.name)] {
                bytes.iter().for_each(|bytes| insert_bytes(&mut object, key, bytes));
            }
            object.insert("inum".into(), inode.inum.0.into());
        }
        object
    }
}

/// With a colon behind it.
impl Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Pfs(pfs) | Self::Inode(pfs, _) = self {
            write!(f, "PFS {}", pfs.label.escape_ascii())?;
        }
        if let Self::Inode(_, inode) = self {
            if let Some(path) = &inode.path {
                write!(f, ", {}", path.escape_ascii())?;
            }
            write!(f, ", inode {}", inode.inum)?;
            if let Some(name) = &inode.name {
                write!(f, ", entry '{}'", name.escape_ascii())?;
            }
        }
        if let Self::Node = self { Ok(()) } else { f.write_str(": ") }
    }
}
