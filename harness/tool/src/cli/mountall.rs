//! `hammer2 mountall`: mounts all HAMMER2 lines of fstab(5), or everything that is found.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use hammer2_core::cluster::Health;
use hammer2_host::mount_table::mounts;
use serde_json::json;

use super::failure::complain;
use super::fstab::{FSTAB, Line};
use super::output::Output;
use super::scan::{name, search};
use super::session::Settings;
use super::{Failure, Outcome};
use crate::admin::socket::MOUNT_TYPE;
use crate::scan::Found;

/// The name by which the program is called to mount something.
const MOUNT_HELPER: &str = "mount.hammer2";

/// Mount all HAMMER2 lines of fstab(5), or everything that is found
/// With DIR, everything found on all block devices (see scan) is mounted in it, each filesystem on a new directory with the name
/// of its label: the PFS of a cluster, or the default PFS of another volume. Without DIR, all lines of fstab(5) without `noauto`
/// are mounted. A line for each says what became of it; existing mounts stay as they are.
#[derive(Args)]
#[command(after_help = "Exit status: 0 all is mounted, or has the option nofail, 1 something isn't, 2 wrong usage.")]
pub(super) struct MountAll {
    /// Print a JSON object for each
    #[arg(long)]
    json: bool,
    /// Read this file instead of /etc/fstab
    #[arg(short = 'T', long, value_name = "FILE", conflicts_with = "directory")]
    fstab: Option<PathBuf>,
    /// Options of mount(8) for the found filesystems, separated by commas
    #[arg(short = 'o', value_name = "OPTIONS", requires = "directory", default_value = "defaults")]
    options: String,
    /// Where to mount the found filesystems
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Something to be mounted.
struct Wish {
    line: Line,
    /// The directory is made, and removed if nothing is mounted on it.
    makes_directory: bool,
}

/// The outcome of a wish.
enum Became {
    Mounted,
    /// It was mounted before.
    Already,
    Failed(String),
}

impl MountAll {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::Good;
        let wishes = match &self.directory {
            Some(directory) => {
                let found = search(&[]);
                for why in not_whole(&found) {
                    complain(&why);
                    outcome = Outcome::Bad;
                }
                self.found(&found, &directory.canonicalize().map_err(|error| unusable(directory, &error))?)
            }
            None => self.listed()?,
        };
        for wish in wishes {
            let became = wish.grant(settings)?;
            if matches!(became, Became::Failed(_)) && !wish.line.has("nofail") {
                outcome = Outcome::Bad;
            }
            self.tell(&wish.line, &became, output)?;
        }
        Ok(outcome)
    }

    /// The wishes of fstab.
    fn listed(&self) -> Result<Vec<Wish>, Failure> {
        let fstab = self.fstab.as_deref().unwrap_or(Path::new(FSTAB));
        let content = fs::read(fstab).map_err(|error| unusable(fstab, &error))?;
        let lines = Line::all(&content).into_iter().filter(|line| !line.has("noauto"));
        Ok(lines.map(|line| Wish { line, makes_directory: false }).collect())
    }

    /// The found filesystems, each for a directory below `directory`. Disks with two filesystems count for the first.
    fn found(&self, found: &Found, directory: &Path) -> Vec<Wish> {
        let (mut wishes, mut names) = (Vec::new(), HashSet::new());
        let mut wish = |label: &[u8], id: String, spec: OsString| {
            let mut name = label.to_vec();
            if !names.insert(name.clone()) {
                name.extend_from_slice(format!("-{id}").as_bytes());
            }
            let options = self.options.split(',').map(Into::into).collect();
            let directory = directory.join(OsStr::from_bytes(&name));
            let line = Line { spec, directory, options };
            wishes.push(Wish { line, makes_directory: true });
        };
        for cluster in found.clusters().iter().filter(|cluster| cluster.health() != Health::Stopped) {
            let nodes = cluster.nodes().map(|member| &member.images[..]);
            wish(&cluster.label, cluster.clid.to_string(), spec(nodes, &cluster.label));
        }
        for node in found.single_nodes().filter(|node| node.copy_of.is_none()) {
            if let Some(pfs) = node.usual_pfs() {
                let images = std::iter::once(&node.images[..]);
                wish(&pfs.label, pfs.fsid.to_string(), spec(images, &pfs.label));
            }
        }
        wishes
    }

    fn tell(&self, Line { spec, directory, .. }: &Line, became: &Became, output: &mut Output) -> Result<(), Failure> {
        let (state, why) = match became {
            Became::Mounted => ("mounted", None),
            Became::Already => ("already mounted", None),
            Became::Failed(why) => ("failed", Some(why)),
        };
        if self.json {
            let (source, directory) = (spec.display().to_string(), directory.display().to_string());
            output.line(json!({ "source": source, "directory": directory, "state": state, "why": why }))?;
        } else if let Some(why) = why {
            complain(&format_args!("{}: {why}", directory.display()));
        } else {
            output.line(format_args!("{}: {} {state}", directory.display(), spec.display()))?;
        }
        // The next mount may take its time.
        output.finish()
    }
}

/// The found filesystems that can't be mounted, and why.
fn not_whole(found: &Found) -> Vec<String> {
    let mut told = found.unseen.clone();
    let stopped = found.clusters().into_iter().filter(|cluster| cluster.health() == Health::Stopped);
    told.extend(stopped.map(|cluster| {
        let label = String::from_utf8_lossy(&cluster.label).into_owned();
        format!(
            "@{label}: {} of {} masters in step were found, and {} are needed: `hammer2 wait @{label}` waits for more",
            cluster.masters_in_step(),
            cluster.masters,
            cluster.quorum()
        )
    }));
    let copies = found.single_nodes().filter_map(|node| Some((node, node.copy_of.as_ref()?)));
    told.extend(copies.map(|(node, other)| {
        format!(
            "{}: a copy of {}, or it of this: mount the one that is meant by its images",
            name(&node.images),
            name(other)
        )
    }));
    told.extend(found.incomplete.iter().map(|set| {
        format!("{}: not all of its volumes can be used: `hammer2 scan` says which aren't", name(&set.images))
    }));
    told
}

impl Wish {
    fn grant(&self, settings: &Settings) -> Result<Became, Failure> {
        let Line { directory, .. } = &self.line;
        let whole = directory.canonicalize().unwrap_or_else(|_| directory.clone());
        let topmost = mounts().into_iter().rev().find(|mount| mount.directory == whole);
        if topmost.is_some_and(|mount| mount.kind == MOUNT_TYPE) {
            return Ok(Became::Already);
        }
        let made = self.makes_directory && fs::create_dir(directory).is_ok();
        let became = self.mount(settings)?;
        if made && matches!(became, Became::Failed(_)) {
            // It was made for this mount, and is empty.
            let _ = fs::remove_dir(directory);
        }
        Ok(became)
    }

    /// Starts a process that mounts it, as mount(8) would.
    fn mount(&self, settings: &Settings) -> Result<Became, Failure> {
        let Line { spec, directory, options } = &self.line;
        let failed = |error| Failure::failed(format_args!("can't start {MOUNT_HELPER}: {error}"));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg0(MOUNT_HELPER).args(settings.arguments());
        if !options.is_empty() {
            command.arg("-o").arg(options.join(","));
        }
        command.arg("--").arg(spec).arg(directory);
        let ended = command.stdin(Stdio::null()).output().map_err(failed)?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let prefix = format!("{MOUNT_HELPER}: ");
        let lines: Vec<_> = said.lines().map(|line| line.strip_prefix(&prefix).unwrap_or(line)).collect();
        if ended.status.success() {
            lines.iter().for_each(|line| complain(&format_args!("{}: {line}", directory.display())));
            return Ok(Became::Mounted);
        }
        Ok(Became::Failed(lines.join("; ")))
    }
}

/// A PFS on nodes, as commands take it.
fn spec<'n>(nodes: impl Iterator<Item = &'n [PathBuf]>, label: &[u8]) -> OsString {
    let node =
        |images: &[PathBuf]| images.iter().map(|image| image.as_os_str().as_bytes()).collect::<Vec<_>>().join(&b':');
    let nodes: Vec<_> = nodes.map(node).collect();
    OsString::from_vec([&nodes.join(&b'+')[..], b"@", label].concat())
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::unusable(format_args!("{}: {error}", path.display()))
}
