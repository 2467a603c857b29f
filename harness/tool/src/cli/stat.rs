//! `hammer2 stat`: a file's attributes.

use clap::Args;
use hammer2_core::manifest::type_name;
use hammer2_core::media::{FileKind, Timestamp};

use super::facts::{ModeLetters, json_of, kind_of};
use super::methods::{check_name, compression_name};
use super::mounted;
use super::output::{Output, Shown};
use super::session::{Session, Settings, path_failure};
use super::several::each;
use super::target::Target;
use super::within::Within;
use super::{Failure, Outcome};
use crate::admin::FileFacts;

/// Print all attributes of a file
#[derive(Args)]
pub(super) struct Stat {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// NODE[@LABEL][:/PATH], or a path in a mount
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

impl Stat {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        each(&self.targets, |target| self.show(settings, target, output))
    }

    fn show(&self, settings: &Settings, target: &Target, output: &mut Output) -> Result<Outcome, Failure> {
        if let Some(Within { directory, path }) = Within::of(target) {
            let file = mounted::stat(&directory, &path)?;
            return self.print(&path, &file, output);
        }
        let session = Session::new(settings);
        session.run(async {
            let path = &target.path;
            let (fs, inum) = session.mount_path(target).await?;
            let file = FileFacts::look(&fs, inum).await.map_err(|error| path_failure(path, error))?;
            self.print(path, &file, output)
        })
    }

    fn print(&self, path: &[u8], file: &FileFacts, output: &mut Output) -> Result<Outcome, Failure> {
        if self.json {
            output.line(json_of(path, file))?;
            return Ok(Outcome::Good);
        }
        let kind = kind_of(file);
        output.line(format_args!("path      {}", Shown(path)))?;
        if let Some(link) = &file.target {
            output.line(format_args!("target    {}", Shown(link)))?;
        }
        output.line(format_args!("type      {}", kind.map_or("unknown", type_name)))?;
        output.line(format_args!("inode     {} in {}", file.inum, file.parent))?;
        if let Some(kind) = kind {
            output.line(format_args!("mode      {:04o} {}", file.mode, ModeLetters(kind, file.mode)))?;
        }
        output.line(format_args!("owner     {}:{}", file.uid, file.gid))?;
        output.line(format_args!("links     {}", file.links))?;
        output.line(format_args!("size      {} bytes, {} stored", file.size, file.stored_bytes))?;
        let (compression, check) = (compression_name(file.compression), check_name(file.check));
        output.line(format_args!("methods   {compression}, {check}"))?;
        if matches!(kind, Some(FileKind::CharDevice | FileKind::BlockDevice)) {
            output.line(format_args!("device    {},{}", file.device.0, file.device.1))?;
        }
        let times = [file.atime_us, file.mtime_us, file.ctime_us, file.btime_us];
        for (name, microseconds) in ["accessed", "modified", "changed ", "created "].into_iter().zip(times) {
            output.line(format_args!("{name}  {}", Timestamp { microseconds }))?;
        }
        output.line(format_args!("tid       {}", file.modify_tid))?;
        Ok(Outcome::Good)
    }
}
