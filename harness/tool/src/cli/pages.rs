//! `hammer2 pages`: manual pages and shell completions, made from the same description of the command line as `--help`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::output::Output;
use super::session::Settings;
use super::{Cli, Failure, NAME, Outcome, program};

/// The section of the manual about administration.
const SECTION: &str = "8";

/// Where each shell looks for completions below a `share`, and what comes before and after a command's name there.
const COMPLETIONS: [(Shell, &str, &str, &str); 3] = [
    (Shell::Bash, "bash-completion/completions", "", ""),
    (Shell::Zsh, "zsh/site-functions", "_", ""),
    (Shell::Fish, "fish/vendor_completions.d", "", ".fish"),
];

/// Write the manual pages and the completions of bash, zsh and fish, for every name of the program
#[derive(Args)]
pub(super) struct Pages {
    /// A directory like /usr/share: man/man8, bash-completion/completions, ... are made in it
    directory: PathBuf,
}

impl Pages {
    pub(super) fn run(&self, _: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        let others = program::NAMES.iter().map(|called| (called.name, called.command()));
        for (name, command) in [(NAME, Cli::command())].into_iter().chain(others) {
            let written = self.manual(command.clone()).and_then(|()| self.completions(name, command));
            written.map_err(|error| Failure::failed(format_args!("{}: {error}", self.directory.display())))?;
        }
        Ok(Outcome::Good)
    }

    /// Writes a page for a command, and one for each below it.
    fn manual(&self, command: Command) -> io::Result<()> {
        let folder = self.folder(format!("man/man{SECTION}"))?;
        let mut command = command.disable_help_subcommand(true);
        command.build();
        let mut commands = vec![command];
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands().filter(|below| !below.is_hide_set()).cloned());
            Man::new(command).section(SECTION).manual("HAMMER2").generate_to(&folder)?;
        }
        Ok(())
    }

    fn completions(&self, name: &str, mut command: Command) -> io::Result<()> {
        for (shell, folder, before, after) in COMPLETIONS {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut script);
            fs::write(self.folder(folder)?.join(format!("{before}{name}{after}")), script)?;
        }
        Ok(())
    }

    fn folder(&self, below: impl AsRef<Path>) -> io::Result<PathBuf> {
        let folder = self.directory.join(below);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}
