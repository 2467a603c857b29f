//! The `hammer2` tool: one file for each command.

mod at_rest;
mod bulkfree;
mod cat;
mod chmod;
mod cluster;
mod copied;
mod destroy;
mod dragonfly;
mod events;
mod facts;
mod failure;
mod format;
mod freemap;
mod fsck;
mod fstab;
mod get;
mod growfs;
mod hash;
mod host_tree;
mod info;
mod inode;
mod ln;
mod logging;
mod ls;
mod manifest;
mod methods;
mod metrics;
mod mkdir;
mod mount;
mod mountall;
mod mounted;
mod mv;
mod named;
mod newfs;
mod not_mounted;
mod output;
mod pages;
mod pfs;
mod pfs_facts;
mod place;
mod program;
mod progress;
mod put;
mod quota;
mod recover;
mod retention;
mod rm;
mod scan;
mod session;
mod several;
mod show;
mod sim;
mod size;
mod source_tree;
mod standard_input;
mod stat;
mod tar;
pub mod target;
mod told;
mod topology;
mod transfer;
mod volume_file;
mod volumes;
mod wait;
mod within;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use hammer2_host::check_functions;
use log::LevelFilter;

use failure::ExitStatuses;
pub use failure::{Failure, Outcome};
use output::Output;
use session::Settings;

/// What the program is called.
const NAME: &str = "hammer2";

/// Makes, reads, changes and checks HAMMER2 filesystems.
#[derive(Parser)]
#[command(name = NAME, version, after_help = AFTER_HELP, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Newfs(newfs::Newfs),
    Scan(scan::Scan),
    Wait(wait::Wait),
    Info(info::Info),
    Ls(ls::Ls),
    Stat(stat::Stat),
    Cat(cat::Cat),
    Get(get::Get),
    Tar(tar::Tar),
    Put(put::Put),
    Mount(mount::Mount),
    #[command(name = "mountall")]
    MountAll(mountall::MountAll),
    Mkdir(mkdir::Mkdir),
    Rm(rm::Rm),
    Mv(mv::Mv),
    Ln(ln::Ln),
    Chmod(chmod::Chmod),
    Chown(chmod::Chown),
    Truncate(chmod::Truncate),
    #[command(name = "setcomp")]
    SetComp(methods::SetComp),
    #[command(name = "setcheck")]
    SetCheck(methods::SetCheck),
    #[command(name = "setquota")]
    SetQuota(quota::SetQuota),
    Quota(quota::ShowQuota),
    PfsList(pfs::PfsList),
    PfsClid(pfs::PfsClid),
    PfsFsid(pfs::PfsFsid),
    PfsCreate(pfs::PfsCreate),
    PfsDelete(pfs::PfsDelete),
    Snapshot(pfs::Snapshot),
    #[command(alias = "cleanup")]
    Bulkfree(bulkfree::Bulkfree),
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    Scrub(cluster::Scrub),
    Events(events::Events),
    Metrics(metrics::Metrics),
    Growfs(growfs::Growfs),
    Manifest(manifest::Manifest),
    VolumeList(volumes::VolumeList),
    #[command(name = "volhdr")]
    VolumeHeaders(volumes::VolumeHeaders),
    Show(show::Show),
    #[command(name = "printinode")]
    PrintInode(inode::PrintInode),
    Hash(hash::Hash),
    #[command(name = "dhash")]
    DataHash(hash::DataHash),
    Freemap(freemap::Freemap),
    Fsck(fsck::Fsck),
    Recover(recover::Recover),
    Destroy(destroy::Destroy),
    DestroyInum(destroy::DestroyInum),
    Send(transfer::Send),
    Receive(transfer::Receive),
    Sim(sim::Sim),
    Pages(pages::Pages),
}

const AFTER_HELP: &str = "\
A filesystem is named NODE[+NODE...][@LABEL][:/PATH], a node being IMG[:IMG2...]: all images of a volume set, in any order. \
An image is a file, a block device, or an export of an NBD server, nbd://HOST[:PORT]/EXPORT \
(nbds:// with TLS, nbd+unix:///EXPORT?socket=PATH on this machine). \
Several nodes are the members of a cluster, in any order; missing ones may be left out as long as a quorum is there. \
@LABEL, LABEL=LABEL and UUID=UUID stand for the nodes that have such a PFS: they are searched for on all block devices, or what \
HAMMER2_DEVICES names (see scan). \
Without a label, the PFS is DATA, else the only one that is neither LOCAL nor a snapshot. Where file names hold ':' or '@': \
an argument that is the name of an existing file is that file, and IMG@:/PATH says where the images end. A directory is no \
image, nor is a file that holds something else than HAMMER2.

As hammer2(8) of DragonFly has it, options may stand before the command: -s PATH names the filesystem, an image or a directory \
on which it is mounted, for commands about a whole filesystem; -t TYPE and -u CLID are for pfs-create, -r goes down trees, \
-m MEM is --memory with a unit; -a, -d, -q and -v mean nothing here.

Commands that change a filesystem have all its images for themselves, and end with everything on the devices. Those that read \
share images with other readers, but no block devices: these are used by one process at a time, and by none while the kernel \
has one mounted.

Exit status:
  0  it worked; the filesystem is whole as far as the command looked
  1  the operation failed, or damage was found
  2  wrong usage, or what was named can't be used (no such file, no HAMMER2 volume, no such PFS)
  3  `cluster status` only: too few members are there to change anything (1 means that some aren't in step)";

/// The command that these arguments call, as far as it is known: `hammer2 cluster add`.
fn called_by(arguments: &[OsString]) -> String {
    let cli = Cli::command();
    let (mut command, mut name) = (&cli, NAME.to_owned());
    for word in arguments.iter().filter_map(|word| word.to_str()).filter(|word| !word.starts_with('-')) {
        let Some(found) = command.find_subcommand(word) else { break };
        name = format!("{name} {}", found.get_name());
        command = found;
    }
    name
}

/// Runs the tool, or the program that it was called as, with the arguments of the process.
pub fn main() -> ExitCode {
    logging::end_at_panics();
    check_functions::use_processor();
    told::as_arguments_say();
    if let Some(program) = std::env::args_os().next().as_deref().and_then(program::called_by) {
        return program.run();
    }
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_else(|| NAME.into());
    let translated = match dragonfly::translated(arguments.collect()) {
        Ok(translated) => translated,
        Err(failure) => return failure::conclude(Err(failure), &ExitStatuses::HAMMER2),
    };
    let cli = match Cli::try_parse_from([called].iter().chain(&translated)) {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // If standard output is closed, nobody wants to read it.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let failure = Failure::of_usage(&error, &called_by(&translated));
            return failure::conclude(Err(failure), &ExitStatuses::HAMMER2);
        }
    };
    logging::to_terminal(LevelFilter::Warn);
    let mut output = Output::new();
    let result = cli.command.run(&cli.settings, &mut output);
    failure::conclude(output.finish_with(result), &ExitStatuses::HAMMER2)
}

impl Command {
    fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        match self {
            Self::Newfs(command) => command.run(settings, output),
            Self::Scan(command) => command.run(settings, output),
            Self::Wait(command) => command.run(output),
            Self::Info(command) => command.run(settings, output),
            Self::Ls(command) => command.run(settings, output),
            Self::Stat(command) => command.run(settings, output),
            Self::Cat(command) => command.run(settings, output),
            Self::Get(command) => command.run(settings, output),
            Self::Tar(command) => command.run(settings, output),
            Self::Put(command) => command.run(settings, output),
            Self::Mount(command) => command.run(settings, output),
            Self::MountAll(command) => command.run(settings, output),
            Self::Mkdir(command) => command.run(settings, output),
            Self::Rm(command) => command.run(settings, output),
            Self::Mv(command) => command.run(settings, output),
            Self::Ln(command) => command.run(settings, output),
            Self::Chmod(command) => command.run(settings, output),
            Self::Chown(command) => command.run(settings, output),
            Self::Truncate(command) => command.run(settings, output),
            Self::SetComp(command) => command.run(settings, output),
            Self::SetCheck(command) => command.run(settings, output),
            Self::SetQuota(command) => command.run(settings, output),
            Self::Quota(command) => command.run(settings, output),
            Self::PfsList(command) => command.run(settings, output),
            Self::PfsClid(command) => command.run(settings, output),
            Self::PfsFsid(command) => command.run(settings, output),
            Self::VolumeList(command) => command.run(settings, output),
            Self::VolumeHeaders(command) => command.run(settings, output),
            Self::PrintInode(command) => command.run(settings, output),
            Self::Hash(command) => command.run(settings, output),
            Self::DataHash(command) => command.run(settings, output),
            Self::PfsCreate(command) => command.run(settings, output),
            Self::PfsDelete(command) => command.run(settings, output),
            Self::Snapshot(command) => command.run(settings, output),
            Self::Bulkfree(command) => command.run(settings, output),
            Self::Cluster(command) => command.run(settings, output),
            Self::Scrub(command) => command.run(settings, output),
            Self::Events(command) => command.run(settings, output),
            Self::Metrics(command) => command.run(settings, output),
            Self::Growfs(command) => command.run(settings, output),
            Self::Manifest(command) => command.run(settings, output),
            Self::Show(command) => command.run(settings, output),
            Self::Freemap(command) => command.run(settings, output),
            Self::Fsck(command) => command.run(settings, output),
            Self::Recover(command) => command.run(settings, output),
            Self::Destroy(command) => command.run(settings, output),
            Self::DestroyInum(command) => command.run(settings, output),
            Self::Send(command) => command.run(settings, output),
            Self::Receive(command) => command.run(settings, output),
            Self::Sim(command) => command.run(),
            Self::Pages(command) => command.run(settings, output),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
