//! `hammer2 cat`: a file's content.

use clap::Args;
use hammer2_core::io::Buffer;

use super::output::Output;
use super::session::{Session, Settings, TOOL_HEAP, path_failure};
use super::several::each;
use super::target::Target;
use super::{Failure, Outcome, progress};

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// Write a file's content to standard output
#[derive(Args)]
pub(super) struct Cat {
    /// NODE[@LABEL]:/PATH
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

impl Cat {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        each(&self.targets, |target| Self::print(settings, target, output))
    }

    fn print(settings: &Settings, target: &Target, output: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        session.run(async {
            let (fs, inum) = session.mount_path(target).await?;
            let size = fs.attributes(inum).await.map_or(0, |file| file.size);
            let bar = progress::beside_output(progress::byte_bar(size));
            let mut buffer = Buffer::new(TOOL_HEAP, READ_BYTES).map_err(Failure::failed)?;
            let mut offset = 0;
            loop {
                let read = fs.read(inum, offset, buffer.bytes_mut()).await;
                let count = read.map_err(|error| path_failure(&target.path, error))?;
                if count == 0 {
                    return Ok(Outcome::Good);
                }
                output.bytes(&buffer.bytes()[..count])?;
                offset += count as u64;
                bar.inc(count as u64);
            }
        })
    }
}
