//! `hammer2 send`: a PFS, or its changes, as a stream.

use std::io::{self, IsTerminal};

use clap::Args;
use hammer2_core::cluster::{Element, EntryBatch, FileBlock, Leaf, PfsSelector};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::media::inode::InodeFlags;
use hammer2_core::media::{BlockKind, Inum, Key, ModifyTid, PfsSubkind};
use hammer2_host::device::Access;
use indicatif::ProgressBar;
use serde_json::json;

use super::super::output::{Output, Shown};
use super::super::progress::byte_counter;
use super::super::session::{Session, Settings, TOOL_HEAP};
use super::super::target::Target;
use super::super::told::object_beside;
use super::super::{Failure, Outcome};
use super::listing::Listing;
use super::outgoing::Outgoing;
use super::stream::{Mark, PfsState, Record};

/// Write a PFS, or its changes, to standard output, for `receive`
/// Blocks are sent as they are stored, compressed ones compressed. Every record has a check code, and the stream has one over
/// everything.
#[derive(Args)]
pub(in super::super) struct Send {
    /// Print the result as a JSON object on standard error
    #[arg(long)]
    json: bool,
    /// NODE[@LABEL]
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// Send only changes since then: the label of a snapshot that was sent before and not changed since, or the transaction id
    /// that an earlier `send` printed
    from: Option<String>,
    /// Leave out the part of the same stream that was received before it was cut: `receive --keep FILE --token` prints the value
    #[arg(long, value_name = "TOKEN", default_value_t)]
    resume: Mark,
}

/// The base of a stream: the state that the receiver has.
struct Base {
    state: PfsState,
    since: ModifyTid,
}

impl Send {
    pub(in super::super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.target.path != b"/" {
            return Err(Failure::unusable("send is about a whole PFS: name it without a path"));
        }
        if io::stdout().is_terminal() {
            return Err(Failure::unusable(
                "a stream isn't for a terminal: redirect standard output to a file or to `hammer2 receive`",
            ));
        }
        let session = Session::new(settings);
        session.run(async {
            let label_base = self.label_base(&session).await?;
            let fs = session.mount(&self.target).await?;
            let root = fs.record(Inum::PFS_ROOT).await.map_err(Failure::failed)?;
            let state = PfsState { clid: fs.pfs().clid, tid: root.modify_tid };
            let base = match (&self.from, label_base) {
                (None, _) => None,
                (Some(_), Some(base)) => Some(base),
                (Some(from), None) => {
                    let tid = number(from).ok_or_else(|| self.no_base(from))?;
                    Some(Base { state: PfsState { tid, ..state }, since: tid })
                }
            };
            if let Some(base) = base.as_ref().filter(|base| base.since > root.modify_tid) {
                return Err(Failure::unusable(format_args!(
                    "{}: its last change is {}: there is nothing that {} could be the beginning of",
                    self.target, root.modify_tid, base.since
                )));
            }
            let since = base.as_ref().map_or(ModifyTid(0), |base| base.since);
            let base_tid = base.as_ref().map(|base| base.state.tid.0);
            let begin = Record::Begin { state, base: base.map(|base| base.state), label: fs.pfs().label.to_vec() };
            let bar = byte_counter();
            let mut sending = Sending { fs: &fs, since, outgoing: Outgoing::new(output, self.resume), bar };
            sending.outgoing.put(&begin)?;
            sending.tree().await?;
            sending.outgoing.put(&Record::Root { meta: Box::new(root.meta) })?;
            let Sending { outgoing, bar, .. } = sending;
            let bytes = outgoing.bytes;
            outgoing.end()?;
            bar.finish_and_clear();
            let tid = root.modify_tid;
            match self.json {
                true => object_beside(&json!({
                    "target": self.target.to_string(), "tid": tid.0, "base_tid": base_tid, "bytes": bytes,
                })),
                false => eprintln!("{} was sent as of {tid}", self.target),
            }
            Ok(Outcome::Good)
        })
    }

    /// The snapshot that is named, if one is.
    async fn label_base(&self, session: &Session) -> Result<Option<Base>, Failure> {
        let Some(from) = &self.from else { return Ok(None) };
        let cluster = session.open_cluster(&self.target, Access::Read).await?;
        let found = cluster.find_pfs(PfsSelector::Label(from.as_bytes())).await.map_err(Failure::failed)?;
        let Some(pfs) = found else { return Ok(None) };
        if pfs.subkind == PfsSubkind::None {
            let label = Shown(from.as_bytes());
            return Err(Failure::unusable(format_args!("{label} is no snapshot: name one, or a transaction id")));
        }
        let state = PfsState { clid: pfs.clid, tid: pfs.root.modify_tid };
        Ok(Some(Base { state, since: pfs.root.meta.pfs_lsnap_tid() }))
    }

    fn no_base(&self, from: &str) -> Failure {
        let label = Shown(from.as_bytes());
        Failure::unusable(format_args!("{}: there is no snapshot {label}, and it is no transaction id", self.target))
    }
}

fn number(text: &str) -> Option<ModifyTid> {
    let read = text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    read.ok().map(ModifyTid)
}

struct Sending<'s> {
    fs: &'s FileSystem,
    since: ModifyTid,
    outgoing: Outgoing<'s>,
    bar: ProgressBar,
}

fn failed(inum: Inum) -> impl Fn(Error) -> Failure {
    move |error| Failure::failed(format_args!("inode {inum}: {error}; the stream is cut"))
}

impl Sending<'_> {
    /// Sends everything below the root.
    async fn tree(&mut self) -> Result<(), Failure> {
        let mut listing = Listing::new(Inum::PFS_ROOT, self.since);
        while let Some(element) = listing.peek(self.fs).await.map_err(failed(Inum::PFS_ROOT))? {
            listing.advance();
            match element {
                Element::Leaf(leaf) if leaf.kind == BlockKind::Inode && leaf.modify_tid > self.since => {
                    self.inode(Inum(leaf.span.first.0)).await?;
                }
                other => self.element(Inum::PFS_ROOT, other).await?,
            }
        }
        Ok(())
    }

    async fn inode(&mut self, inum: Inum) -> Result<(), Failure> {
        let record = self.fs.record(inum).await.map_err(failed(inum))?;
        let is_direct = record.meta.flags().contains(InodeFlags::DIRECTDATA);
        let content = match is_direct {
            false => None,
            true => match self.fs.stored_block(inum, Key(0)).await.map_err(failed(inum))? {
                FileBlock::Embedded(content) => Some(Box::new(*content)),
                _ => None,
            },
        };
        self.outgoing.put(&Record::Inode { methods: record.methods, meta: Box::new(record.meta), content })?;
        if !is_direct {
            let mut listing = Listing::new(inum, self.since);
            while let Some(element) = listing.peek(self.fs).await.map_err(failed(inum))? {
                listing.advance();
                self.element(inum, element).await?;
            }
        }
        self.outgoing.put(&Record::EndInode)?;
        self.bar.set_position(self.outgoing.bytes);
        Ok(())
    }

    async fn element(&mut self, inum: Inum, element: Element) -> Result<(), Failure> {
        let record = match element {
            Element::Unchanged(range) => Record::Unchanged(range),
            Element::Leaf(leaf) if leaf.modify_tid <= self.since => Record::Same(leaf.span.first),
            Element::Leaf(leaf) if leaf.kind == BlockKind::Data => self.block(inum, leaf).await?,
            Element::Leaf(leaf) => self.entry(inum, leaf).await?,
        };
        self.outgoing.put(&record)
    }

    async fn block(&mut self, inum: Inum, leaf: Leaf) -> Result<Record, Failure> {
        let key = leaf.span.first;
        match self.fs.stored_block(inum, key).await.map_err(failed(inum))? {
            FileBlock::Stored { buffer, .. } => {
                let (methods, check) = (leaf.methods, Box::new(leaf.check));
                Ok(Record::Block { key, methods, check, bytes: buffer.bytes().to_vec() })
            }
            _ => Err(Failure::failed(format_args!("inode {inum}: its block at {key} isn't there; the stream is cut"))),
        }
    }

    async fn entry(&mut self, inum: Inum, leaf: Leaf) -> Result<Record, Failure> {
        let key = leaf.span.first;
        let mut batch = EntryBatch::new(TOOL_HEAP, 0).map_err(Failure::failed)?;
        self.fs.stored_entry(inum, key, &mut batch).await.map_err(failed(inum))?;
        let found = batch.iter().next();
        let entry =
            found.ok_or_else(|| Failure::failed(format_args!("inode {inum}: its entry at {key} isn't there")))?;
        let (inum, kind, name) = (entry.inum, entry.kind as u8, entry.name.to_vec());
        Ok(Record::Entry { key, methods: leaf.methods, inum, kind, name })
    }
}
