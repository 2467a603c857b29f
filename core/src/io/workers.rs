//! Other processors: blocks are compressed and decompressed there, if the host lends any.
//!
//! A [`Job`] owns the memory it works on and is its own result: whoever gave it polls for it, and it comes back. So nothing is
//! shared while it is under way, and whoever doesn't want it any more gives it up without waiting for it. A job that is refused,
//! or for which there was no memory, its giver does.

use core::task::{Context, Poll};

use super::Buffer;
use crate::media::check::CheckField;
use crate::media::compression::Decompressor;
use crate::media::compressor::Compressor;
use crate::media::{CheckMethod, Compression, Corruption};
use crate::memory::{Heap, NoMemory};

/// Names a job from when it was taken until it has come back or was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId(pub usize);

/// What is to be done with a file block, and what came of it.
#[derive(Debug)]
pub enum Job {
    /// Compresses it, and computes the check code of what will be stored.
    Encode {
        /// The block: what is stored, if compression saves too little.
        block: Buffer,
        /// How it is compressed.
        how: Compression,
        /// ZLIB's level.
        level: u8,
        /// The check code's method.
        check: CheckMethod,
        /// What came of it. None when it wasn't done: there was no memory.
        encoded: Option<EncodedBlock>,
    },
    /// Decompresses it.
    Decode {
        /// The block as it is stored.
        stored: Buffer,
        /// How it is compressed.
        how: Compression,
        /// As much as a file block has. What it holds before means nothing.
        block: Buffer,
        /// What came of it. None when it wasn't done: there was no memory.
        decoded: Option<Result<(), Corruption>>,
    },
}

/// A file block as it will be stored.
#[derive(Debug)]
pub struct EncodedBlock {
    /// None if it is stored as it is.
    pub compressed: Option<Buffer>,
    /// The check code of what is stored.
    pub check: CheckField,
}

/// What it takes to do jobs: tables, which are taken when they are first needed. One for each job at a time.
pub struct Tools {
    compressor: Option<Compressor>,
    decompressor: Option<Decompressor>,
    heap: Heap,
}

impl Tools {
    /// Tools with memory from here.
    pub fn new(heap: Heap) -> Self {
        Self { compressor: None, decompressor: None, heap }
    }

    fn encode(
        &mut self,
        block: &[u8],
        how: Compression,
        level: u8,
        check: CheckMethod,
    ) -> Result<EncodedBlock, NoMemory> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => none.insert(Compressor::new(self.heap)?),
        };
        let Some((stored, radix)) = compressor.compress(how, level, block)? else {
            return Ok(EncodedBlock { compressed: None, check: check.compute(block) });
        };
        let mut buffer = Buffer::new(self.heap, radix.bytes())?;
        buffer.bytes_mut().copy_from_slice(stored);
        let check = check.compute(buffer.bytes());
        Ok(EncodedBlock { compressed: Some(buffer), check })
    }

    fn decode(
        &mut self,
        how: Compression,
        stored: &[u8],
        block: &mut [u8],
    ) -> Result<Result<(), Corruption>, NoMemory> {
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new(self.heap)?),
        };
        Ok(decompressor.decompress(how, stored, block))
    }
}

impl Job {
    /// Does the job.
    pub fn run(&mut self, tools: &mut Tools) {
        match self {
            Self::Encode { block, how, level, check, encoded } => {
                *encoded = tools.encode(block.bytes(), *how, *level, *check).ok();
            }
            Self::Decode { stored, how, block, decoded } => {
                *decoded = tools.decode(*how, stored.bytes(), block.bytes_mut()).ok();
            }
        }
    }
}

/// Other processors, which do jobs in any order.
pub trait Workers {
    /// Takes a job; or gives it back, when there are as many under way as are worth waiting for. Whoever gave it does it then.
    fn submit(&self, job: Job) -> Result<JobId, Job>;

    /// The job, when it is done or can't be; its id means nothing any more then. Or `Pending` after having arranged for `cx`'s
    /// waker to be woken when it is.
    fn poll(&self, id: JobId, cx: &mut Context<'_>) -> Poll<Job>;

    /// A job that nobody has begun with, as it is: to do it is better than to wait for it, where processors are busy. Its id
    /// means nothing any more. None if it was begun with, or is done.
    fn recall(&self, id: JobId) -> Option<Job>;

    /// Gives a job up: nobody will ask for it any more.
    fn give_up(&self, id: JobId);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::{HEAP, pattern};
    use crate::media::geometry::FILE_BLOCK_BYTES;

    #[test]
    fn a_job_gives_what_its_giver_would_have_made() {
        let mut tools = Tools::new(HEAP);
        let mut text = pattern(FILE_BLOCK_BYTES, 1);
        text.bytes_mut()[1000..].fill(b'x');
        let noise = pattern(FILE_BLOCK_BYTES, 2);
        for (block, how) in [(&text, Compression::Lz4), (&text, Compression::Zlib), (&noise, Compression::Lz4)] {
            let check = CheckMethod::XxHash64;
            let block = block.try_clone(HEAP).unwrap();
            let expected = block.try_clone(HEAP).unwrap();
            let mut job = Job::Encode { block, how, level: 0, check, encoded: None };
            job.run(&mut tools);
            let Job::Encode { block, encoded: Some(encoded), .. } = job else { panic!("there is memory") };
            assert_eq!(block.bytes(), expected.bytes(), "it stays as it is");
            let mut alone = Compressor::new(HEAP).unwrap();
            let stored = alone.compress(how, 0, expected.bytes()).unwrap().map(|(stored, _)| stored);
            assert_eq!(encoded.compressed.as_ref().map(Buffer::bytes), stored);
            assert_eq!(encoded.check, check.compute(stored.unwrap_or(expected.bytes())));
            let Some(stored) = encoded.compressed else { continue };
            let mut job = Job::Decode { stored, how, block: pattern(FILE_BLOCK_BYTES, 3), decoded: None };
            job.run(&mut tools);
            let Job::Decode { block, decoded: Some(Ok(())), .. } = job else { panic!("it is sound") };
            assert_eq!(block.bytes(), expected.bytes());
        }
        let block = pattern(FILE_BLOCK_BYTES, 3);
        let mut job = Job::Decode { stored: noise, how: Compression::Zlib, block, decoded: None };
        job.run(&mut tools);
        assert!(matches!(job, Job::Decode { decoded: Some(Err(Corruption::Zlib)), .. }));
    }
}
