//! `hammer2 hash` and `dhash`: what names become in directories.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use hammer2_core::media::check::xxhash64;
use hammer2_core::media::directory_hash;

use super::output::{Output, Shown};
use super::session::Settings;
use super::{Failure, Outcome};

/// Bytes of a directory entry's block of its own.
const ENTRY_BLOCK_BYTES: usize = 1024;

/// Print the directory hash of file names
#[derive(Args)]
pub(super) struct Hash {
    /// The names
    #[arg(value_name = "NAME")]
    names: Vec<OsString>,
}

/// Print the check code of the blocks that long file names lie in
#[derive(Args)]
pub(super) struct DataHash {
    /// The names
    #[arg(value_name = "NAME")]
    names: Vec<OsString>,
}

impl Hash {
    pub(super) fn run(&self, _: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        print(&self.names, output, |name| directory_hash(name).first.0)
    }
}

impl DataHash {
    pub(super) fn run(&self, _: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        print(&self.names, output, |name| {
            let mut block = [0; ENTRY_BLOCK_BYTES];
            // The last byte is the end of the longest name.
            let len = name.len().min(ENTRY_BLOCK_BYTES - 1);
            block[..len].copy_from_slice(&name[..len]);
            xxhash64(&block)
        })
    }
}

fn print(names: &[OsString], output: &mut Output, hash: impl Fn(&[u8]) -> u64) -> Result<Outcome, Failure> {
    for name in names {
        let name = name.as_bytes();
        output.line(format_args!("{:016x} {}", hash(name), Shown(name)))?;
    }
    Ok(Outcome::Good)
}
