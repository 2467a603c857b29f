//! `hammer2 printinode`: an inode as it is stored.

use clap::Args;
use hammer2_core::media::{BlockKind, Inode, Inum};
use serde_json::{Map, Value, json};

use super::output::{Output, Shown, insert_bytes};
use super::session::{Session, Settings, path_failure};
use super::target::Target;
use super::topology::{Step, Topology};
use super::{Failure, Outcome};

/// Print an inode as it is stored, field by field
#[derive(Args)]
pub(super) struct PrintInode {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// NODE[@LABEL]:/PATH
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl PrintInode {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        let (label, inum) = session.run(async {
            let fs = session.mount(&self.target).await?;
            let found = fs.resolve(&self.target.path).await;
            let inum = found.map_err(|error| path_failure(&self.target.path, error))?;
            Ok((fs.pfs().label.to_vec(), inum))
        })?;
        let session = Session::new(settings);
        session.run(async {
            let node = session.open_node(&self.target).await?;
            let image = node.header_image().map_err(Failure::failed)?;
            let mut walk = Topology::new(node.blocks(), &image.get().sroot_blockset);
            while let Some(step) = walk.next().await {
                if is_other_pfs(&step, &label) {
                    walk.skip_below(&step);
                } else if is_inode(&step, inum) {
                    return self.print(&step, output);
                }
            }
            Err(Failure::failed(format_args!("{}: its inode {inum} can't be read; run fsck", Shown(&self.target.path))))
        })
    }

    fn print(&self, step: &Step, output: &mut Output) -> Result<Outcome, Failure> {
        let inode = Inode::in_block(&step.block).map_err(Failure::failed)?;
        let fields = fields(step, inode);
        if self.json {
            output.line(Value::Object(fields))?;
            return Ok(Outcome::Good);
        }
        for (key, value) in fields {
            let value = value.as_str().map_or_else(|| value.to_string(), |text| Shown(text.as_bytes()).to_string());
            output.line(format_args!("{key:<13} {value}"))?;
        }
        Ok(Outcome::Good)
    }
}

/// True for the root of a PFS with another label.
fn is_other_pfs(step: &Step, label: &[u8]) -> bool {
    let is_root = step.inodes_above == 1 && step.bref.is(BlockKind::Inode);
    let inode = Inode::in_block(&step.block).ok().filter(|_| is_root);
    inode.is_some_and(|inode| inode.meta.label() != Ok(label))
}

fn is_inode(step: &Step, inum: Inum) -> bool {
    let is_below_pfs = step.inodes_above == 2 || step.inodes_above == 1 && inum == Inum::PFS_ROOT;
    let is_stored = is_below_pfs && step.bref.is(BlockKind::Inode);
    is_stored && Inode::in_block(&step.block).is_ok_and(|inode| inode.meta.inum() == inum)
}

fn fields(step: &Step, inode: &Inode) -> Map<String, Value> {
    let (bref, meta) = (&step.bref, &inode.meta);
    let mut fields = Map::new();
    insert_bytes(&mut fields, "name", meta.name().unwrap_or_default());
    let facts = [
        ("inum", json!(meta.inum().0)),
        ("version", json!(meta.version())),
        ("type", json!(meta.kind().map_or("unknown", hammer2_core::manifest::type_name))),
        ("flags", json!(meta.flags().bits())),
        ("uflags", json!(meta.uflags.get())),
        ("mode", json!(format!("{:04o}", meta.mode()))),
        ("uid", json!(meta.uid.to_string())),
        ("gid", json!(meta.gid.to_string())),
        ("nlinks", json!(meta.nlinks())),
        ("size", json!(meta.size())),
        ("iparent", json!(meta.iparent().0)),
        ("rmajor", json!(meta.rmajor.get())),
        ("rminor", json!(meta.rminor.get())),
        ("name_key", json!(meta.name_key().0)),
        ("comp_algo", json!(meta.comp_algo)),
        ("check_algo", json!(meta.check_algo)),
        ("data_quota", json!(meta.data_quota())),
        ("inode_quota", json!(meta.inode_quota())),
        ("atime_us", json!(meta.atime().microseconds)),
        ("mtime_us", json!(meta.mtime().microseconds)),
        ("ctime_us", json!(meta.ctime().microseconds)),
        ("btime_us", json!(meta.btime().microseconds)),
        ("pfs_type", json!(meta.pfs_kind().to_string())),
        ("pfs_nmasters", json!(meta.pfs_nmasters)),
        ("pfs_inum", json!(meta.pfs_inum().0)),
        ("pfs_clid", json!(meta.pfs_clid.to_string())),
        ("pfs_fsid", json!(meta.pfs_fsid.to_string())),
        ("pfs_lsnap_tid", json!(meta.pfs_lsnap_tid().0)),
        ("data_off", json!(bref.data_off().0)),
        ("modify_tid", json!(bref.modify_tid().0)),
        ("mirror_tid", json!(bref.mirror_tid().0)),
        ("data_bytes", json!(bref.stats().data_bytes)),
        ("inodes", json!(bref.stats().inodes)),
    ];
    fields.extend(facts.into_iter().map(|(key, value)| (key.to_owned(), value)));
    fields
}
