//! `hammer2 hash` and `dhash`: the hashes of names in directories.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use hammer2_core::media::check::xxhash64;
use hammer2_core::media::directory_hash;
use serde_json::{Map, Value};

use super::output::{Output, Shown, insert_bytes};
use super::session::Settings;
use super::{Failure, Outcome};

/// Bytes of a directory entry's block of its own.
const ENTRY_BLOCK_BYTES: usize = 1024;

/// Print the directory hash of file names
#[derive(Args)]
pub(super) struct Hash {
    /// Print a JSON object for each name
    #[arg(long)]
    json: bool,
    /// The names
    #[arg(value_name = "NAME")]
    names: Vec<OsString>,
}

/// Print the check code of the blocks that long file names lie in
#[derive(Args)]
pub(super) struct DataHash {
    /// Print a JSON object for each name
    #[arg(long)]
    json: bool,
    /// The names
    #[arg(value_name = "NAME")]
    names: Vec<OsString>,
}

impl Hash {
    pub(super) fn run(&self, _: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        print(&self.names, self.json, output, |name| directory_hash(name).first.0)
    }
}

impl DataHash {
    pub(super) fn run(&self, _: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        print(&self.names, self.json, output, |name| {
            let mut block = [0; ENTRY_BLOCK_BYTES];
            // The last byte is the end of the longest name.
            let len = name.len().min(ENTRY_BLOCK_BYTES - 1);
            block[..len].copy_from_slice(&name[..len]);
            xxhash64(&block)
        })
    }
}

fn print(names: &[OsString], json: bool, output: &mut Output, hash: impl Fn(&[u8]) -> u64) -> Result<Outcome, Failure> {
    for name in names {
        let name = name.as_bytes();
        if json {
            let mut object = Map::new();
            insert_bytes(&mut object, "name", name);
            object.insert("hash".into(), hash(name).into());
            output.line(Value::Object(object))?;
        } else {
            output.line(format_args!("{:016x} {}", hash(name), Shown(name)))?;
        }
    }
    Ok(Outcome::Good)
}
