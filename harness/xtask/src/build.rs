//! Has cargo build what a command needs. A first build takes minutes: it is announced, and shown to who sits at a terminal.

use std::env;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout::{Checkout, PROGRAMS};
use crate::system::command::{Run, program};
use crate::system::need::is_there;
use crate::system::words::tell;
use crate::trouble::{Done, Trouble};

/// Cargo, in the checkout, with these words.
pub(crate) fn cargo(checkout: &Checkout, words: &[&str]) -> Command {
    let mut cargo = program("cargo", words);
    cargo.current_dir(checkout.root()).env("CARGO_TARGET_DIR", checkout.target());
    cargo
}

/// A build by cargo: at a terminal it shows how far it is, elsewhere it is quiet.
pub(crate) fn building(checkout: &Checkout, words: &[&str]) -> Command {
    let mut cargo = cargo(checkout, words);
    if !io::stderr().is_terminal() {
        cargo.arg("--quiet");
    }
    cargo
}

/// Cargo has to be there.
///
/// # Errors
///
/// It isn't.
pub(crate) fn need_cargo() -> Done {
    if is_there("cargo") {
        Ok(())
    } else {
        Err(Trouble::unusable("cargo is missing; install Rust (https://rustup.rs)"))
    }
}

/// Builds the test kernel, and says where it is.
///
/// # Errors
///
/// It doesn't build.
pub(crate) fn kernel(checkout: &Checkout) -> Done<PathBuf> {
    need_cargo()?;
    let kernel = checkout.target().join("release/hammer2-qemu");
    announce(&kernel, "the kernel, which takes a minute or two the first time");
    let built = building(checkout, &["build", "--release", "--package", "hammer2-qemu", "--features", "kernel"]).run();
    built.map_err(|trouble| instead(trouble, "the kernel doesn't build"))?;
    Ok(kernel)
}

/// Builds programs for the host, optimized, and says in which folder they are. Where everything is built already, nothing is.
///
/// # Errors
///
/// They don't build.
pub(crate) fn for_scripts(checkout: &Checkout, what: &str, words: &[&str]) -> Done<PathBuf> {
    if let Some(folder) = env::var_os(PROGRAMS).filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    need_cargo()?;
    let folder = checkout.target().join("release");
    let last = words.last().map_or_else(|| folder.clone(), |example| folder.join("examples").join(example));
    announce(&last, &format!("{what}, which takes some minutes the first time"));
    let built = building(checkout, &["build", "--release"]).args(words).run();
    built.map_err(|trouble| instead(trouble, "the tools don't build"))?;
    Ok(folder)
}

/// Says what is built if it was never built here.
fn announce(file: &Path, what: &str) {
    if !file.exists() {
        tell!("boot: building {what}");
    }
}

/// Other words for what has failed; a signal is no failure.
fn instead(trouble: Trouble, words: &str) -> Trouble {
    match trouble {
        Trouble::Failed(_) => Trouble::unusable(words),
        other => other,
    }
}
