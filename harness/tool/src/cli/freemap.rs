//! `hammer2 freemap`: what is allocated.

use clap::Args;
use hammer2_core::media::freemap::{self, ChunkState, FreemapRecord, RECORD_CHUNKS};
use hammer2_core::media::geometry::{CHUNK_BYTES, LEAF_SPAN_BYTES, SEGMENT_BYTES};
use hammer2_core::media::{BlockKind, Key, MediaOffset, VolumeHeader};
use hammer2_core::node::Node;
use hammer2_host::device::Access;
use indicatif::HumanBytes;
use serde_json::json;

use super::failure::complain;
use super::output::Output;
use super::session::{Session, Settings};
use super::target::Target;
use super::topology::{Step, Topology};
use super::{Failure, Outcome, at_rest, progress};

/// Print what the freemap says: allocated, staged and free bytes
///
/// Staged is what one bulkfree pass found free and another must confirm. What has no leaf is free.
#[derive(Args)]
pub(super) struct Freemap {
    /// Print JSON objects
    #[arg(long)]
    json: bool,
    /// A line for every segment of 4 MiB in use, too
    #[arg(long)]
    segments: bool,
    /// NODE, or the directory on which it is mounted
    #[arg(value_parser = Target::parser())]
    target: Target,
}

/// Bytes by the state of their chunks.
#[derive(Clone, Copy, Default)]
struct Usage {
    free: u64,
    staged: u64,
    allocated: u64,
    reserved: u64,
}

impl Usage {
    fn of(record: &FreemapRecord) -> Self {
        let mut usage = Self::default();
        for index in 0..RECORD_CHUNKS {
            match record.chunk(index) {
                ChunkState::Free => usage.free += CHUNK_BYTES,
                ChunkState::Staged => usage.staged += CHUNK_BYTES,
                ChunkState::Allocated => usage.allocated += CHUNK_BYTES,
                ChunkState::Reserved => usage.reserved += CHUNK_BYTES,
            }
        }
        usage
    }

    fn add(&mut self, other: Self) {
        self.free += other.free;
        self.staged += other.staged;
        self.allocated += other.allocated;
        self.reserved += other.reserved;
    }
}

impl Freemap {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.target.label.is_some() || self.target.path != b"/" {
            return Err(Failure::unusable("the freemap is a whole filesystem's: name it without label and path"));
        }
        let Some(directory) = self.target.directory() else {
            let session = Session::new(settings);
            return session.run(async {
                let node = session.open_node(&self.target).await?;
                self.show(&node, output).await
            });
        };
        at_rest::each_node(directory, self.json, output, |images, output| {
            let session = Session::new(settings);
            session.run(async {
                let node = session.open_node_of(&self.target, images, Access::Look).await?;
                self.show(&node, output).await
            })
        })
    }

    async fn show(&self, node: &Node, output: &mut Output) -> Result<Outcome, Failure> {
        let image = node.header_image().map_err(Failure::failed)?;
        let header = image.get();
        let total_bytes = node.volumes().total_bytes();
        let mut outcome = Outcome::Good;
        let mut total = Usage::default();
        let mut next_leaf = 0;
        let mut walk = Topology::new(node.blocks(), &header.freemap_blockset);
        let bar = progress::beside_output(progress::bar("leaves", total_bytes.div_ceil(LEAF_SPAN_BYTES)));
        while let Some(step) = walk.next().await {
            if let Some(trouble) = &step.trouble {
                complain(&format_args!("{}: {trouble}", step.bref.name()));
                outcome = Outcome::Bad;
            }
            if step.bref.kind() == Ok(BlockKind::FreemapLeaf) {
                let leaf = step.bref.key().0;
                bar.inc(1);
                total.free += free_between(next_leaf, leaf.min(total_bytes), header, total_bytes);
                next_leaf = leaf.saturating_add(LEAF_SPAN_BYTES);
                if step.trouble.is_none() {
                    total.add(self.leaf(&step, header, total_bytes, output)?);
                }
            }
        }
        total.free += free_between(next_leaf, total_bytes, header, total_bytes);
        self.show_total(&total, header, output)?;
        Ok(outcome)
    }

    /// Shows a leaf; the usage of what it manages.
    fn leaf(
        &self,
        step: &Step,
        header: &VolumeHeader,
        total_bytes: u64,
        output: &mut Output,
    ) -> Result<Usage, Failure> {
        let key = step.bref.key();
        let records = freemap::records(&step.block).map_err(Failure::failed)?;
        let (low, high) = freemap::managed_range(key, header.allocator_beg(), total_bytes);
        let rotation = freemap::rotation(key, step.bref.keybits(), step.bref.data_off()).map_err(Failure::failed)?;
        let mut usage = Usage::default();
        for (index, record) in records.iter().enumerate() {
            let segment = key.0.saturating_add(index as u64 * SEGMENT_BYTES);
            if !(low.0..high.0).contains(&segment) {
                continue;
            }
            let of_record = Usage::of(record);
            usage.add(of_record);
            if self.segments && of_record.free < SEGMENT_BYTES {
                self.show_segment(MediaOffset(segment), record, &of_record, output)?;
            }
        }
        let Usage { free, staged, allocated, reserved } = usage;
        if self.json {
            output.line(json!({
                "leaf": key.0, "rotation": rotation, "free_bytes": free, "staged_bytes": staged,
                "allocated_bytes": allocated, "reserved_bytes": reserved,
            }))?;
        } else {
            output.line(format_args!(
                "leaf {key} rotation {rotation}: {allocated} allocated, {staged} staged, {free} free"
            ))?;
        }
        Ok(usage)
    }

    fn show_segment(
        &self,
        segment: MediaOffset,
        record: &FreemapRecord,
        usage: &Usage,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let (class, linear, avail) = (record.class(), record.linear(), record.avail());
        let Usage { free, staged, allocated, .. } = usage;
        if self.json {
            output.line(json!({
                "segment": segment.0, "class": class, "linear": linear, "avail": avail, "free_bytes": free,
                "staged_bytes": staged, "allocated_bytes": allocated,
            }))
        } else {
            output.line(format_args!(
                "  segment {segment} class {class:#06x} linear {linear:#x}: {allocated} allocated, {staged} staged, {free} free"
            ))
        }
    }

    fn show_total(&self, total: &Usage, header: &VolumeHeader, output: &mut Output) -> Result<(), Failure> {
        let Usage { free, staged, allocated, reserved } = total;
        let (size, header_free) = (header.allocator_size(), header.allocator_free());
        if self.json {
            output.line(json!({
                "free_bytes": free, "staged_bytes": staged, "allocated_bytes": allocated, "reserved_bytes": reserved,
                "allocator_size": size, "allocator_free": header_free,
            }))
        } else {
            let [free, staged, allocated] = [free, staged, allocated].map(|bytes| HumanBytes(*bytes));
            output.line(format_args!("total: {allocated} allocated, {staged} staged, {free} free"))?;
            output.line(format_args!("the header says: {} free of {}", HumanBytes(header_free), HumanBytes(size)))
        }
    }
}

/// Bytes managed by the leaves that aren't there, from one address to another.
fn free_between(from: u64, to: u64, header: &VolumeHeader, total_bytes: u64) -> u64 {
    let mut free = 0;
    let mut leaf = from;
    while leaf < to {
        let (low, high) = freemap::managed_range(Key(leaf), header.allocator_beg(), total_bytes);
        free += high.0.saturating_sub(low.0);
        leaf = leaf.saturating_add(LEAF_SPAN_BYTES);
    }
    free
}
