//! `hammer2 stat`: what is known of a file.

use clap::Args;
use hammer2_core::manifest::type_name;
use hammer2_core::media::FileKind;

use super::facts::{ModeLetters, json_of, link_target};
use super::methods::{check_name, compression_name};
use super::output::{Output, Shown};
use super::session::{Session, Settings, path_failure};
use super::several::each;
use super::target::Target;
use super::{Failure, Outcome};

/// Print all that is known of a file
#[derive(Args)]
pub(super) struct Stat {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// NODE[@LABEL][:/PATH]
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

impl Stat {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        each(&self.targets, |target| self.show(settings, target, output))
    }

    fn show(&self, settings: &Settings, target: &Target, output: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        session.run(async {
            let path = &target.path;
            let failed = |error| path_failure(path, error);
            let (fs, inum) = session.mount_path(target).await?;
            let file = fs.attributes(inum).await.map_err(failed)?;
            let link = link_target(&fs, &file).await.map_err(failed)?;
            if self.json {
                output.line(json_of(path, &file, link.as_deref()))?;
                return Ok(Outcome::Good);
            }
            output.line(format_args!("path      {}", Shown(path)))?;
            if let Some(link) = link {
                output.line(format_args!("target    {}", Shown(&link)))?;
            }
            output.line(format_args!("type      {}", type_name(file.kind)))?;
            output.line(format_args!("inode     {} in {}", file.inum, file.parent))?;
            output.line(format_args!("mode      {:04o} {}", file.mode, ModeLetters(file.kind, file.mode)))?;
            output.line(format_args!("owner     {}:{}", file.uid, file.gid))?;
            output.line(format_args!("links     {}", file.links))?;
            output.line(format_args!("size      {} bytes, {} stored", file.size, file.stored_bytes))?;
            let (compression, check) = (compression_name(file.comp_algo), check_name(file.check_algo));
            output.line(format_args!("methods   {compression}, {check}"))?;
            if matches!(file.kind, FileKind::CharDevice | FileKind::BlockDevice) {
                output.line(format_args!("device    {},{}", file.device.0, file.device.1))?;
            }
            for (name, time) in
                [("accessed", file.atime), ("modified", file.mtime), ("changed ", file.ctime), ("created ", file.btime)]
            {
                output.line(format_args!("{name}  {}", time))?;
            }
            output.line(format_args!("tid       {}", file.modify_tid))?;
            Ok(Outcome::Good)
        })
    }
}
