//! Whole blocks that are written or read together: what compression they take, [workers](Workers) do beside this processor.
//!
//! A call that writes or reads several whole blocks gives the workers as many of them as they take and does the others itself,
//! at last those that they haven't begun with. No job outlives the call. Written blocks go to the nodes in their order, whatever
//! order they were compressed in, so what is there when one fails is what would be without workers; and nobody else changes
//! anything meanwhile, as the call holds the gate.

use core::future::poll_fn;
use core::task::Poll;

use super::encoding::{Encoded, check_of};
use super::inode_cache::InodeRef;
use super::{Error, FileSystem};
use crate::cluster::{Command, FileBlock, Reply, StoredBlock};
use crate::io::{EncodedBlock, Job, JobId, Workers};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{Compression, InodeMeta, Key, Methods, is_zero};

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;
/// Blocks that are written or read together, at most.
const MOST_BLOCKS: usize = 16;

/// How a block of several stands that are done together.
#[derive(Default)]
enum Slot {
    /// It has nothing to do with workers, or not yet.
    #[default]
    Here,
    /// Workers have it.
    Away(JobId),
    /// It is encoded.
    Encoded(Encoded),
}

/// Blocks that are done together. Those that workers have when it goes are given up.
struct Together<'w> {
    workers: &'w dyn Workers,
    slots: [Slot; MOST_BLOCKS],
}

impl<'w> Together<'w> {
    fn new(workers: &'w dyn Workers) -> Self {
        Self { workers, slots: Default::default() }
    }

    /// The job of a block that workers have, if it is done.
    async fn look(&mut self, index: usize) -> Option<Job> {
        let Slot::Away(id) = self.slots[index] else { return None };
        let Poll::Ready(job) = poll_fn(|cx| Poll::Ready(self.workers.poll(id, cx))).await else { return None };
        self.slots[index] = Slot::Here;
        Some(job)
    }

    /// The job of a block that workers have: when it is done, or at once if it wasn't begun.
    async fn wait(&mut self, index: usize) -> Option<Job> {
        let Slot::Away(id) = self.slots[index] else { return None };
        let job = match self.workers.recall(id) {
            Some(job) => job,
            None => poll_fn(|cx| self.workers.poll(id, cx)).await,
        };
        self.slots[index] = Slot::Here;
        Some(job)
    }
}

impl Drop for Together<'_> {
    fn drop(&mut self) {
        for slot in &self.slots {
            if let Slot::Away(id) = slot {
                self.workers.give_up(*id);
            }
        }
    }
}

impl FileSystem {
    /// Blocks of so many bytes that may be done together: those that workers have take memory besides.
    pub(super) fn most_together(&self, bytes: usize) -> usize {
        (bytes / FILE_BLOCK_BYTES).min(MOST_BLOCKS).min((self.read_ahead_bytes / BLOCK) as usize)
    }

    /// Blocks from `key` on that may be written together: of the next `bytes`, those that aren't in memory.
    pub(super) fn blocks_together(&self, file: &InodeRef<'_>, key: Key, bytes: usize) -> usize {
        let is_here = |block: &usize| self.files.has(file.inum, Key(key.0 + *block as u64 * BLOCK));
        (0..self.most_together(bytes)).take_while(|block| !is_here(block)).count()
    }

    /// Sends whole file blocks that aren't in memory to the nodes, from `key` on.
    pub(super) async fn write_together(
        &self,
        workers: &dyn Workers,
        file: &InodeRef<'_>,
        key: Key,
        data: &[u8],
    ) -> Result<(), Error> {
        let meta = file.with(|record| record.meta);
        let block_at = |index: usize| &data[index * FILE_BLOCK_BYTES..(index + 1) * FILE_BLOCK_BYTES];
        let count = data.len() / FILE_BLOCK_BYTES;
        let mut together = Together::new(workers);
        // Blocks before this one were given to workers, or are done here.
        let mut given = 1;
        for index in 0..count {
            let encoded = loop {
                while given < count {
                    match self.give(&together, file, &meta, block_at(given)) {
                        Some(slot) => together.slots[given] = slot,
                        None => break,
                    }
                    given += 1;
                }
                if let Some(job) = together.look(index).await {
                    break self.take_encoded(file, &meta, job, block_at(index))?;
                }
                match core::mem::take(&mut together.slots[index]) {
                    Slot::Encoded(encoded) => break encoded,
                    Slot::Here => {
                        given = given.max(index + 1);
                        break self.encode_whole(file, &meta, block_at(index))?;
                    }
                    away => together.slots[index] = away,
                }
                if given < count {
                    // Workers have enough for now.
                    together.slots[given] = Slot::Encoded(self.encode_whole(file, &meta, block_at(given))?);
                    given += 1;
                } else if let Some(job) = together.wait(index).await {
                    break self.take_encoded(file, &meta, job, block_at(index))?;
                }
            };
            let at = Key(key.0 + index as u64 * BLOCK);
            self.write_encoded(file, at, encoded, false).await?;
            self.files.forget_pieces(file.inum, at);
            // What was written so far belongs to the file, whatever becomes of the rest.
            file.change(|record| record.meta.set_size(record.meta.size().max(at.0 + BLOCK)));
            self.relieve().await?;
        }
        Ok(())
    }

    /// Gives workers a block to encode. None if they have enough, or there is no memory for it; a block that isn't compressed is
    /// better done here.
    fn give(&self, together: &Together<'_>, file: &InodeRef<'_>, meta: &InodeMeta, data: &[u8]) -> Option<Slot> {
        let how = Compression::from_code(meta.comp_algo & 0xf).unwrap_or(Compression::None);
        let is_compressed = matches!(how, Compression::Lz4 | Compression::Zlib);
        if !is_compressed || !file.tries_compression() || is_zero(data) {
            return Some(Slot::Here);
        }
        let mut block = self.page_buffer(None).ok()?;
        block.bytes_mut().copy_from_slice(data);
        let (level, check) = (meta.comp_algo >> 4, check_of(meta));
        match together.workers.submit(Job::Encode { block, how, level, check, encoded: None }) {
            Ok(id) => Some(Slot::Away(id)),
            Err(job) => {
                self.end_undone(job);
                None
            }
        }
    }

    /// What workers made of a block, or what is made of it here if they had no memory for that.
    fn take_encoded(&self, file: &InodeRef<'_>, meta: &InodeMeta, job: Job, data: &[u8]) -> Result<Encoded, Error> {
        match job {
            Job::Encode { block, how, check, encoded: Some(EncodedBlock { compressed, check: field }), .. } => {
                file.note_compression(compressed.is_some());
                let (buffer, compression) = match compressed {
                    Some(compressed) => {
                        self.cluster.give_back(block);
                        (compressed, how)
                    }
                    None => (block, Compression::None),
                };
                Ok(Encoded::Block(StoredBlock { buffer, methods: Methods::new(check, compression), check: field }))
            }
            undone => {
                self.end_undone(undone);
                self.encode_whole(file, meta, data)
            }
        }
    }

    /// The memory of a job that nobody does.
    fn end_undone(&self, job: Job) {
        match job {
            Job::Encode { block, .. } => self.cluster.give_back(block),
            Job::Decode { stored, block, .. } => {
                self.cluster.give_back(stored);
                self.cluster.give_back(block);
            }
        }
    }

    /// Reads whole file blocks from `key` on.
    pub(super) async fn read_together(
        &self,
        workers: &dyn Workers,
        file: &InodeRef<'_>,
        key: Key,
        out: &mut [u8],
    ) -> Result<(), Error> {
        let mut together = Together::new(workers);
        // Whoever gave the others something to do does the last.
        let last = out.len() / FILE_BLOCK_BYTES - 1;
        for (index, part) in out.chunks_exact_mut(FILE_BLOCK_BYTES).enumerate() {
            let at = Key(key.0 + index as u64 * BLOCK);
            if self.files.has(file.inum, at) || self.files.has_pieces(file.inum, at) {
                self.read_within_block(file, at, 0, part).await?;
                continue;
            }
            match self.cluster.execute(Command::ReadBlock { file: file.slot, key: at }).await? {
                Reply::Block(FileBlock::Stored { buffer, compression })
                    if compression != Compression::None && index < last =>
                {
                    let job = match self.page_buffer(None) {
                        Ok(block) => together.workers.submit(Job::Decode {
                            stored: buffer,
                            how: compression,
                            block,
                            decoded: None,
                        }),
                        Err(_) => {
                            self.decode(file, buffer, compression, 0, part)?;
                            continue;
                        }
                    };
                    match job {
                        Ok(id) => together.slots[index] = Slot::Away(id),
                        Err(refused) => self.take_decoded(file, refused, part)?,
                    }
                }
                reply => self.lay_out(file, at, reply, 0, part)?,
            }
        }
        for (index, part) in out.chunks_exact_mut(FILE_BLOCK_BYTES).enumerate() {
            if let Some(job) = together.wait(index).await {
                self.take_decoded(file, job, part)?;
            }
        }
        Ok(())
    }

    /// What workers made of a stored block; it is decompressed here if they didn't.
    fn take_decoded(&self, file: &InodeRef<'_>, job: Job, out: &mut [u8]) -> Result<(), Error> {
        match job {
            Job::Decode { stored, block, decoded: Some(decoded), .. } => {
                decoded.map_err(|corruption| Error::Corrupt { inum: file.inum, corruption })?;
                out.copy_from_slice(block.bytes());
                self.cluster.give_back(stored);
                self.cluster.give_back(block);
                Ok(())
            }
            Job::Decode { stored, how, block, decoded: None } => {
                self.cluster.give_back(block);
                self.decode(file, stored, how, 0, out).map(drop)
            }
            // Nobody asks for one to be decoded and is given the other.
            Job::Encode { .. } => Err(Error::NoMemory),
        }
    }
}

#[cfg(test)]
mod tests;
