//! `hammer2 freemap`: what is allocated.

mod drawn;

use std::path::Path;

use clap::Args;
use drawn::{Map, Use};
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
use crate::picture::Picture;

/// Print the freemap: allocated, staged and free bytes
/// Staged bytes are those that one bulkfree pass found free and another must confirm. Space without a leaf is free.
#[derive(Args)]
pub(super) struct Freemap {
    /// Print JSON objects
    #[arg(long)]
    json: bool,
    /// A line for every segment of 4 MiB in use, too
    #[arg(long)]
    segments: bool,
    /// Print a picture: the use of each part of the filesystem, and how full it is
    #[arg(long, conflicts_with_all = ["json", "segments"])]
    svg: bool,
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
                if self.svg {
                    let (map, outcome) = draw(&node).await?;
                    output.line(map.picture(&self.target.to_string()).alone())?;
                    return Ok(outcome);
                }
                self.show(&node, output).await
            });
        };
        if self.svg {
            return self.draw_each(settings, directory, output);
        }
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
        let mut total = Usage::default();
        let outcome = each_leaf(node, header, &mut |leaf| {
            match leaf {
                Leaf::Absent(key) => {
                    let (low, high) = freemap::managed_range(key, header.allocator_beg(), total_bytes);
                    total.free += high.0.saturating_sub(low.0);
                }
                Leaf::There(step) => total.add(self.leaf(step, header, total_bytes, output)?),
                Leaf::Unread(_) => {}
            }
            Ok(())
        })
        .await?;
        self.show_total(&total, header, output)?;
        Ok(outcome)
    }

    /// Draws each node of a mount, all as of the same moment, one below the other.
    fn draw_each(&self, settings: &Settings, directory: &Path, output: &mut Output) -> Result<Outcome, Failure> {
        let mut pictures = Vec::new();
        let outcome = at_rest::each_node(directory, false, &mut Output::nowhere(), |images, _| {
            let session = Session::new(settings);
            session.run(async {
                let node = session.open_node_of(&self.target, images, Access::Look).await?;
                let (map, outcome) = draw(&node).await?;
                pictures.push(map.picture(&Target::of_node(images).to_string()));
                Ok(outcome)
            })
        })?;
        output.line(Picture::stacked(&pictures).alone())?;
        Ok(outcome)
    }

    /// Shows a leaf; returns the usage of the space that it manages.
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

/// A leaf of the freemap, or where one would be.
enum Leaf<'s> {
    There(&'s Step),
    /// It can't be read.
    Unread(Key),
    /// There is none: all space that it would manage is free.
    Absent(Key),
}

/// Visits the leaves of a freemap in order, including those that aren't there. Complains of those that can't be read.
async fn each_leaf(
    node: &Node,
    header: &VolumeHeader,
    look: &mut dyn FnMut(Leaf<'_>) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let total_bytes = node.volumes().total_bytes();
    let absent = |from: u64, to: u64, look: &mut dyn FnMut(Leaf<'_>) -> Result<(), Failure>| {
        let mut leaf = from;
        while leaf < to {
            look(Leaf::Absent(Key(leaf)))?;
            leaf = leaf.saturating_add(LEAF_SPAN_BYTES);
        }
        Ok::<(), Failure>(())
    };
    let mut outcome = Outcome::Good;
    let mut next_leaf = 0;
    let mut walk = Topology::new(node.blocks(), &header.freemap_blockset);
    let bar = progress::beside_output(progress::bar("leaves", total_bytes.div_ceil(LEAF_SPAN_BYTES)));
    while let Some(step) = walk.next().await {
        if let Some(trouble) = &step.trouble {
            complain(&format_args!("{}: {trouble}", step.bref.name()));
            outcome = Outcome::Bad;
        }
        if step.bref.is(BlockKind::FreemapLeaf) {
            let leaf = step.bref.key();
            bar.inc(1);
            absent(next_leaf, leaf.0.min(total_bytes), look)?;
            next_leaf = leaf.0.saturating_add(LEAF_SPAN_BYTES);
            look(if step.trouble.is_none() { Leaf::There(&step) } else { Leaf::Unread(leaf) })?;
        }
    }
    absent(next_leaf, total_bytes, look)?;
    Ok(outcome)
}

/// The use of each part of a node.
async fn draw(node: &Node) -> Result<(Map, Outcome), Failure> {
    let image = node.header_image().map_err(Failure::failed)?;
    let header = image.get();
    let total_bytes = node.volumes().total_bytes();
    let mut map = Map::new(total_bytes);
    let outcome = each_leaf(node, header, &mut |leaf| {
        let key = match leaf {
            Leaf::There(step) => step.bref.key(),
            Leaf::Unread(key) | Leaf::Absent(key) => key,
        };
        // Space that no leaf manages is for headers, freemaps and the boot area.
        let end = key.0.saturating_add(LEAF_SPAN_BYTES);
        let (low, high) = freemap::managed_range(key, header.allocator_beg(), total_bytes);
        map.add(key.0, low.0.min(end), Use::Reserved);
        map.add(high.0, end, Use::Reserved);
        match leaf {
            Leaf::There(step) => {
                let records = freemap::records(&step.block).map_err(Failure::failed)?;
                for (segment, record) in (key.0..).step_by(SEGMENT_BYTES as usize).zip(records) {
                    if (low.0..high.0).contains(&segment) {
                        map.add_segment(segment, record);
                    }
                }
            }
            Leaf::Unread(_) => map.add(low.0, high.0, Use::Unread),
            Leaf::Absent(_) => map.add(low.0, high.0, Use::Free),
        }
        Ok(())
    })
    .await?;
    Ok((map, outcome))
}
