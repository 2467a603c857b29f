//! `hammer2 show`: the topology.

use std::fmt::Write;

use clap::Args;
use hammer2_core::manifest::{Hex, type_name};
use hammer2_core::media::{BlockKind, Blockref, Dirent, Inode};
use serde_json::{Map, Value, json};

use super::output::{Output, Shown, insert_bytes};
use super::session::{Session, Settings};
use super::target::Target;
use super::topology::{Step, Topology};
use super::{Failure, Outcome, progress};

/// Print the topology: every blockref, those below it indented
/// Blocks of metadata are read and verified, but not data blocks, which fsck verifies. With a label, only that PFS is shown.
#[derive(Args)]
pub(super) struct Show {
    /// Print a JSON object for each blockref
    #[arg(long)]
    json: bool,
    /// The freemap instead of the super-root
    #[arg(long)]
    freemap: bool,
    /// NODE[@LABEL]
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Show {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.target.path != b"/" {
            return Err(Failure::unusable("show is about blocks, not files: name a filesystem without a path"));
        }
        let session = Session::new(settings);
        session.run(async {
            let node = session.open_node(&self.target).await?;
            let image = node.header_image().map_err(Failure::failed)?;
            let header = image.get();
            let set = if self.freemap { &header.freemap_blockset } else { &header.sroot_blockset };
            let mut walk = Topology::new(node.blocks(), set);
            let mut outcome = Outcome::Good;
            let mut found_label = false;
            let counter = progress::beside_output(progress::counter("blocks"));
            while let Some(step) = walk.next().await {
                counter.inc(1);
                match self.label_of(&step) {
                    Some(label) if self.target.label.as_ref().is_some_and(|wanted| *wanted != label) => {
                        walk.skip_below(&step);
                        continue;
                    }
                    Some(_) => found_label = true,
                    None => {}
                }
                if step.trouble.is_some() {
                    outcome = Outcome::Bad;
                }
                output.line(if self.json { json_of(&step).to_string() } else { text_of(&step) })?;
            }
            match &self.target.label {
                Some(label) if !found_label && !self.freemap => {
                    Err(Failure::unusable(format_args!("@{}: no such PFS", Shown(label))))
                }
                _ => Ok(outcome),
            }
        })
    }

    /// The label of a PFS root.
    fn label_of(&self, step: &Step) -> Option<Vec<u8>> {
        let is_root = !self.freemap && step.inodes_above == 1 && step.bref.is(BlockKind::Inode);
        let inode = Inode::in_block(&step.block).ok().filter(|_| is_root)?;
        inode.meta.label().ok().map(<[u8]>::to_vec)
    }
}

/// The entry and the name in a directory entry's blockref.
fn directory_entry(step: &Step) -> Option<(Dirent, &[u8])> {
    let entry = Dirent::read(&step.bref).ok()?;
    let block = (!step.block.is_empty()).then_some(&step.block[..]);
    let name = entry.name(&step.bref, block).ok()?;
    Some((entry, name))
}

fn kind_name(bref: &Blockref) -> String {
    bref.kind().map_or_else(|_| format!("type {}", bref.kind_code()), |kind| kind.to_string())
}

fn check_name(bref: &Blockref) -> String {
    bref.methods.check().map_or_else(|_| format!("check {}", bref.methods.0 >> 4), |check| check.to_string())
}

fn compression_name(bref: &Blockref) -> String {
    let compression = bref.methods.compression();
    compression.map_or_else(|_| format!("compression {}", bref.methods.0 & 0xf), |compression| compression.to_string())
}

fn text_of(step: &Step) -> String {
    let bref = &step.bref;
    let mut line = format!(
        "{:indent$}{} {}/{} at {} {} {} mirror {} modify {}",
        "",
        kind_name(bref),
        bref.key(),
        bref.keybits().0,
        bref.data_off(),
        check_name(bref),
        compression_name(bref),
        bref.mirror_tid(),
        bref.modify_tid(),
        indent = 2 * step.depth,
    );
    // Writing to a string doesn't fail.
    let _ = match bref.kind() {
        Ok(BlockKind::Inode) => describe_inode(step, &mut line),
        Ok(BlockKind::Dirent) => match directory_entry(step) {
            Some((entry, name)) => write!(line, ": {} {} {}", type_name(entry.kind), entry.inum, Shown(name)),
            None => Ok(()),
        },
        Ok(BlockKind::Indirect) => write!(line, ": {} leaves", bref.leaf_count()),
        _ => Ok(()),
    };
    if let Some(trouble) = &step.trouble {
        let _ = write!(line, " BAD: {trouble}");
    }
    line
}

fn describe_inode(step: &Step, line: &mut String) -> std::fmt::Result {
    let Ok(inode) = Inode::in_block(&step.block) else { return Ok(()) };
    let meta = &inode.meta;
    let kind = meta.kind().map_or("unknown", type_name);
    write!(line, ": {kind} {} mode {:04o} size {} links {}", meta.inum(), meta.mode(), meta.size(), meta.nlinks())?;
    match meta.label() {
        Ok(label) if step.inodes_above < 2 => write!(line, " {} {}", meta.pfs_kind(), Shown(label)),
        _ => Ok(()),
    }
}

fn json_of(step: &Step) -> Value {
    let bref = &step.bref;
    let mut object = Map::new();
    let mut insert = |key: &str, value: Value| object.insert(key.to_owned(), value);
    insert("depth", step.depth.into());
    insert("kind", kind_name(bref).into());
    insert("key", bref.key().0.into());
    insert("keybits", bref.keybits().0.into());
    insert("data_off", bref.data_off().0.into());
    insert("check", check_name(bref).into());
    insert("check_code", Hex(&bref.check).to_string().into());
    insert("compression", compression_name(bref).into());
    insert("mirror_tid", bref.mirror_tid().0.into());
    insert("modify_tid", bref.modify_tid().0.into());
    insert("flags", bref.flags().bits().into());
    insert("leaf_count", bref.leaf_count().into());
    if let Some((entry, name)) = directory_entry(step) {
        object.insert("inum".to_owned(), entry.inum.0.into());
        object.insert("type".to_owned(), type_name(entry.kind).into());
        insert_bytes(&mut object, "name", name);
    }
    let inode = Inode::in_block(&step.block).ok().filter(|_| bref.is(BlockKind::Inode));
    if let Some(Inode { meta, .. }) = inode {
        let facts = [
            ("inum", json!(meta.inum().0)),
            ("type", json!(meta.kind().map_or("unknown", type_name))),
            ("mode", json!(format!("{:04o}", meta.mode()))),
            ("size", json!(meta.size())),
            ("nlink", json!(meta.nlinks())),
            ("data_bytes", json!(bref.stats().data_bytes)),
            ("inodes", json!(bref.stats().inodes)),
        ];
        object.extend(facts.into_iter().map(|(key, value)| (key.to_owned(), value)));
        if let Ok(name) = meta.name() {
            insert_bytes(&mut object, "name", name);
        }
    }
    if let Some(trouble) = &step.trouble {
        object.insert("error".to_owned(), trouble.as_str().into());
    }
    Value::Object(object)
}
