//! `hammer2 receive`: applying a stream to a PFS.

use std::path::PathBuf;

use clap::Args;
use hammer2_core::cluster::{Element, Leaf, PfsSelector, StoredBlock};
use hammer2_core::fs::{Error, FileSystem, Replica};
use hammer2_core::io::Buffer;
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_core::media::inode::EMBEDDED_BYTES;
use hammer2_core::media::{
    BlockKind, Dirent, FileKind, Inode, InodeMeta, Inum, Key, KeyRange, Methods, ModifyTid, Radix, directory_hash,
};
use hammer2_host::device::Access;
use indicatif::ProgressBar;
use serde_json::json;

use super::super::output::Output;
use super::super::pfs::PfsCreate;
use super::super::progress::byte_counter;
use super::super::session::{Session, Settings, TOOL_HEAP};
use super::super::standard_input::StandardInput;
use super::super::target::Target;
use super::super::{Failure, Outcome};
use super::incoming::Incoming;
use super::kept::Kept;
use super::listing::Listing;
use super::stream::{PfsState, Record};

/// Apply a stream of `send` on standard input to a PFS
/// A whole stream makes the PFS, or fills an empty one; a stream of changes goes into a PFS that received their base, and that
/// wasn't changed since. All of the stream is applied, durably, or nothing.
#[derive(Args)]
pub(in super::super) struct Receive {
    /// Print the result as a JSON object
    #[arg(long)]
    json: bool,
    /// Keep the received bytes in this file until the stream is at its end. If it is cut, only the rest is needed: `send --resume
    /// TOKEN` sends it, to the same `receive`
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Only print the TOKEN for the kept bytes
    #[arg(long, requires = "keep")]
    token: bool,
    /// NODE@LABEL
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Receive {
    pub(in super::super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.target.path != b"/" {
            return Err(Failure::unusable("receive is about a whole PFS: name it without a path"));
        }
        let session = Session::new(settings);
        let kept = self.keep.as_deref().map(Kept::open).transpose()?;
        if self.token {
            let token = kept.map(|kept| kept.mark).unwrap_or_default().to_string();
            output.line(if self.json { json!({ "token": token }).to_string() } else { token })?;
            return Ok(Outcome::Good);
        }
        let mut incoming = session.run(Incoming::new(StandardInput::open(), kept))?;
        let begin = session.run(incoming.next())?;
        let Record::Begin { state, base, .. } = begin else { return Err(incoming.damaged()) };
        if base.is_none() && !session.run(self.is_there(&session))? {
            let label = self.target.label.as_deref().unwrap_or_default();
            PfsCreate::new(&self.target, label).run(settings, output)?;
        }
        session.run(async {
            let (fs, _) = session.mount_to_serve(&self.target, Access::Write).await?;
            let received = fs.attend(self.receive(&fs, incoming, state, base)).await;
            // Unless it is committed now, nothing of the stream is ever applied.
            let incoming = received?;
            let bytes = incoming.bytes;
            incoming.finish()?;
            fs.unmount().await.map_err(|error| Failure::failed(format_args!("{}: {error}", self.target)))?;
            match self.json {
                true => output.line(json!({
                    "target": self.target.to_string(), "tid": state.tid.0, "bytes": bytes,
                }))?,
                false => eprintln!("{} is what was sent as of {}", self.target, state.tid),
            }
            Ok(Outcome::Good)
        })
    }

    /// True if the PFS is there, or if it is the default one.
    async fn is_there(&self, session: &Session) -> Result<bool, Failure> {
        let Some(label) = &self.target.label else { return Ok(true) };
        let cluster = session.open_cluster(&self.target, Access::Read).await?;
        Ok(cluster.find_pfs(PfsSelector::Label(label)).await.map_err(Failure::failed)?.is_some())
    }

    async fn receive(
        &self,
        fs: &FileSystem,
        incoming: Incoming,
        state: PfsState,
        base: Option<PfsState>,
    ) -> Result<Incoming, Failure> {
        let root = fs.record(Inum::PFS_ROOT).await.map_err(Failure::failed)?;
        match base {
            Some(base) if base.mark(root.modify_tid) != root.meta.received() => {
                return Err(Failure::unusable(format_args!(
                    "{}: these changes begin with {}, which isn't what it received last, or it was changed since: send those \
                     in between first, or all of it into an empty PFS",
                    self.target, base.tid
                )));
            }
            None if Listing::new(Inum::PFS_ROOT, ModifyTid(0)).peek(fs).await.map_err(Failure::failed)?.is_some() => {
                return Err(Failure::unusable(format_args!(
                    "{}: isn't empty, and the stream is a whole PFS: receive it under a new label",
                    self.target
                )));
            }
            _ => {}
        }
        let tid = fs.begin_replica().map_err(Failure::failed)?;
        let mut receiving = Receiving { fs, incoming, tid, bar: byte_counter() };
        receiving.tree(state.mark(tid)).await?;
        receiving.bar.finish_and_clear();
        let failed = |error| Failure::failed(format_args!("{}: {error}; nothing was changed", self.target));
        fs.sync().await.map_err(failed)?;
        Ok(receiving.incoming)
    }
}

struct Receiving<'r> {
    fs: &'r FileSystem,
    incoming: Incoming,
    tid: ModifyTid,
    bar: ProgressBar,
}

/// The failure for an error of the target.
fn failed(error: Error) -> Failure {
    Failure::failed(format_args!("{error}; nothing was changed"))
}

impl Receiving<'_> {
    async fn replicate(&self, replica: Replica<'_>) -> Result<(), Failure> {
        self.fs.replicate(self.tid, replica).await.map_err(failed)
    }

    /// Receives the whole tree, the end included.
    async fn tree(&mut self, mark: u64) -> Result<(), Failure> {
        let mut own = Listing::new(Inum::PFS_ROOT, ModifyTid(0));
        let root = loop {
            match self.incoming.next().await? {
                Record::Inode { methods, meta, content } => {
                    let key = meta.inum().key();
                    let found = self.reach(Inum::PFS_ROOT, &mut own, key).await?;
                    self.inode(found.is_some(), methods, &meta, content.as_deref()).await?;
                    self.bar.set_position(self.incoming.bytes);
                }
                Record::Root { meta } => break meta,
                other => self.element(Inum::PFS_ROOT, &mut own, other).await?,
            }
        };
        self.drop_rest(Inum::PFS_ROOT, &mut own).await?;
        let mut meta = *root;
        meta.set_received(mark);
        self.replicate(Replica::Inode { inum: Inum::PFS_ROOT, meta: &meta, content: None }).await?;
        match self.incoming.next().await? {
            Record::End { .. } => Ok(()),
            _ => Err(self.incoming.damaged()),
        }
    }

    async fn inode(
        &mut self,
        exists: bool,
        methods: Methods,
        meta: &InodeMeta,
        content: Option<&[u8; EMBEDDED_BYTES]>,
    ) -> Result<(), Failure> {
        let inum = meta.inum();
        if inum <= Inum::PFS_ROOT || inum.key().is_visible() {
            return Err(self.incoming.damaged());
        }
        let inode = Inode { meta: *meta, body: content.copied().unwrap_or([0; EMBEDDED_BYTES]) };
        inode.check().map_err(|_| self.incoming.damaged())?;
        if exists {
            self.replicate(Replica::Inode { inum, meta, content }).await?;
        } else {
            self.replicate(Replica::NewInode { inode: &inode, methods }).await?;
        }
        let mut own = Listing::new(inum, ModifyTid(0));
        loop {
            match self.incoming.next().await? {
                Record::EndInode => break,
                Record::Inode { .. } => return Err(self.incoming.damaged()),
                other => self.element(inum, &mut own, other).await?,
            }
        }
        self.drop_rest(inum, &mut own).await
    }

    /// Applies an element below an inode, except inodes.
    async fn element(&mut self, inum: Inum, own: &mut Listing, record: Record) -> Result<(), Failure> {
        match record {
            Record::Unchanged(range) => {
                self.reach(inum, own, range.first).await?;
                own.skip_through(range.last);
                Ok(())
            }
            Record::Same(key) => match self.reach(inum, own, key).await? {
                Some(_) => Ok(()),
                None => Err(Failure::failed(
                    "the stream goes with another PFS: it lacks what didn't change; nothing was changed",
                )),
            },
            Record::Entry { key, methods, inum: of, kind, name } => {
                if self.reach(inum, own, key).await?.is_some() {
                    self.replicate(Replica::NoEntry { directory: inum, key }).await?;
                }
                let kind = FileKind::from_code(kind).map_err(|_| self.incoming.damaged())?;
                let entry = Dirent { inum: of, name_len: name.len(), kind };
                let bref = entry.blockref(key, &name, methods);
                let is_name = Dirent::with_block(&bref).is_ok() && entry.name(&bref, Some(&name)).is_ok();
                if !is_name || !directory_hash(&name).contains(KeyRange::only(key)) {
                    return Err(self.incoming.damaged());
                }
                self.replicate(Replica::Entry { directory: inum, key, entry, name: &name, methods }).await
            }
            Record::Block { key, methods, check, bytes } => {
                self.reach(inum, own, key).await?;
                let is_good = methods.check().is_ok_and(|method| method.verify(&bytes, &check).is_ok());
                let is_size = Radix::holding(bytes.len()).is_some_and(|radix| radix.bytes() == bytes.len());
                if !is_good || !is_size || !key.0.is_multiple_of(FILE_BLOCK_BYTES as u64) || key.is_visible() {
                    return Err(self.incoming.damaged());
                }
                let mut buffer = Buffer::new(TOOL_HEAP, bytes.len()).map_err(Failure::failed)?;
                buffer.bytes_mut().copy_from_slice(&bytes);
                let block = StoredBlock { buffer, methods, check: *check };
                self.replicate(Replica::Block { file: inum, key, block }).await
            }
            _ => Err(self.incoming.damaged()),
        }
    }

    /// Removes the target's elements before a key; returns the one at the key.
    async fn reach(&mut self, inum: Inum, own: &mut Listing, key: Key) -> Result<Option<Leaf>, Failure> {
        while let Some(Element::Leaf(leaf)) = own.peek(self.fs).await.map_err(failed)? {
            if leaf.span.first > key {
                break;
            }
            own.advance();
            if leaf.span.first == key {
                return Ok(Some(leaf));
            }
            self.remove(inum, leaf).await?;
        }
        Ok(None)
    }

    async fn drop_rest(&mut self, inum: Inum, own: &mut Listing) -> Result<(), Failure> {
        while let Some(Element::Leaf(leaf)) = own.peek(self.fs).await.map_err(failed)? {
            own.advance();
            self.remove(inum, leaf).await?;
        }
        Ok(())
    }

    async fn remove(&self, inum: Inum, leaf: Leaf) -> Result<(), Failure> {
        let key = leaf.span.first;
        self.replicate(match leaf.kind {
            BlockKind::Inode => Replica::NoInode(Inum(key.0)),
            BlockKind::Data => Replica::NoBlock { file: inum, key },
            _ => Replica::NoEntry { directory: inum, key },
        })
        .await
    }
}
