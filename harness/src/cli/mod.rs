//! The `hammer2` tool: one file for each command.

mod bulkfree;
mod cat;
mod chmod;
mod cluster;
mod destroy;
mod facts;
mod failure;
mod format;
mod freemap;
mod fsck;
mod get;
mod growfs;
mod host_tree;
mod info;
mod ln;
mod logging;
mod ls;
mod manifest;
mod methods;
mod mkdir;
mod mount;
mod mv;
mod newfs;
mod not_mounted;
mod output;
mod pfs;
mod pfs_facts;
mod place;
mod progress;
mod put;
mod recover;
mod rm;
mod session;
mod show;
mod sim;
mod size;
mod source_tree;
mod standard_input;
mod stat;
pub mod target;
mod topology;
mod transfer;
mod volume_file;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use log::LevelFilter;

pub use failure::{Failure, Outcome};
use output::Output;
use session::Settings;

/// Makes, reads, changes and checks HAMMER2 filesystems.
#[derive(Parser)]
#[command(name = "hammer2", version, after_help = AFTER_HELP, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Newfs(newfs::Newfs),
    Info(info::Info),
    Ls(ls::Ls),
    Stat(stat::Stat),
    Cat(cat::Cat),
    Get(get::Get),
    Put(put::Put),
    Mount(mount::Mount),
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
    PfsList(pfs::PfsList),
    PfsCreate(pfs::PfsCreate),
    PfsDelete(pfs::PfsDelete),
    Snapshot(pfs::Snapshot),
    Bulkfree(bulkfree::Bulkfree),
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    Growfs(growfs::Growfs),
    Manifest(manifest::Manifest),
    Show(show::Show),
    Freemap(freemap::Freemap),
    Fsck(fsck::Fsck),
    Recover(recover::Recover),
    Destroy(destroy::Destroy),
    DestroyInum(destroy::DestroyInum),
    Send(transfer::Send),
    Receive(transfer::Receive),
    Sim(sim::Sim),
}

const AFTER_HELP: &str = "\
A filesystem is named NODE[+NODE...][@LABEL][:/PATH], a node being IMG[:IMG2...]: all images of a volume set, in any order. \
An image is a file, a block device, or an export of an NBD server, nbd://HOST[:PORT]/EXPORT. \
Several nodes are the members of a cluster, in any order; missing ones may be left out as long as a quorum is there. \
Without a label, the PFS is DATA, else the only one that is neither LOCAL nor a snapshot. Where file names hold ':' or '@': \
an argument that is the name of an existing file is that file, and IMG@:/PATH says where the images end. A directory is no \
image, nor is a file that holds something else than HAMMER2.

Commands that change a filesystem have all its images for themselves, and end with everything on the devices. Those that read \
share images with other readers, but no block devices: these are used by one process at a time, and by none while the kernel \
has one mounted.

Exit status:
  0  it worked; the filesystem is whole as far as the command looked
  1  the operation failed, or damage was found
  2  wrong usage, or what was named can't be used (no such file, no HAMMER2 volume, no such PFS)
  3  `cluster status` only: too few members are there to change anything (1 means that some aren't in step)";

/// Runs the tool with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // The simulator has a trace of its own.
    if !matches!(cli.command, Command::Sim(_)) {
        logging::to_terminal(LevelFilter::Warn);
    }
    let mut output = Output::new();
    let result = cli.command.run(&cli.settings, &mut output);
    failure::conclude(result.and_then(|outcome| output.finish().map(|()| outcome)))
}

impl Command {
    fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        match self {
            Self::Newfs(command) => command.run(settings, output),
            Self::Info(command) => command.run(settings, output),
            Self::Ls(command) => command.run(settings, output),
            Self::Stat(command) => command.run(settings, output),
            Self::Cat(command) => command.run(settings, output),
            Self::Get(command) => command.run(settings, output),
            Self::Put(command) => command.run(settings, output),
            Self::Mount(command) => command.run(settings, output),
            Self::Mkdir(command) => command.run(settings, output),
            Self::Rm(command) => command.run(settings, output),
            Self::Mv(command) => command.run(settings, output),
            Self::Ln(command) => command.run(settings, output),
            Self::Chmod(command) => command.run(settings, output),
            Self::Chown(command) => command.run(settings, output),
            Self::Truncate(command) => command.run(settings, output),
            Self::SetComp(command) => command.run(settings, output),
            Self::SetCheck(command) => command.run(settings, output),
            Self::PfsList(command) => command.run(settings, output),
            Self::PfsCreate(command) => command.run(settings, output),
            Self::PfsDelete(command) => command.run(settings, output),
            Self::Snapshot(command) => command.run(settings, output),
            Self::Bulkfree(command) => command.run(settings, output),
            Self::Cluster(command) => command.run(settings, output),
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
            Self::Sim(command) => command.run(settings, output),
        }
    }
}

/// Help goes to standard output; what is wrong with the arguments becomes one line.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Whoever closed standard output doesn't want to read it.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let what = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let what = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no command given",
        _ => what.strip_prefix("error: ").unwrap_or(&what),
    };
    failure::conclude(Err(Failure::unusable(format_args!("{what}; see hammer2 --help"))))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
