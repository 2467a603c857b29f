//! `scripts/test`: which steps there are, which are run, when, and what came of them.

mod options;
mod run;
mod summary;
mod table;

use std::path::PathBuf;

use options::Order;

use crate::build::need_cargo;
use crate::checkout::Checkout;
use crate::steps::context::Context;
use crate::system::words::say;
use crate::trouble::{Done, Trouble};

/// Does what the words say.
///
/// # Errors
///
/// It can't be run, or a step has failed.
pub(crate) fn main(checkout: &Checkout, words: lexopt::Parser) -> Done {
    match options::parse(words)? {
        Order::Help => say!("{}", options::usage().trim_end()),
        Order::Run { chosen, is_full } => {
            need_cargo()?;
            run::all(checkout, &chosen, is_full)?;
        }
    }
    Ok(())
}

/// One step in a process of its own: what it runs can be ended as a whole. The first word is its name, the second its folder.
///
/// # Errors
///
/// It has failed, or can't be run here.
pub(crate) fn step(checkout: &Checkout, mut words: lexopt::Parser) -> Done {
    let mut word = || words.value().ok().and_then(|word| word.into_string().ok());
    let (Some(name), Some(folder)) = (word(), word()) else {
        return Err(Trouble::unusable("a step has a name and a folder"));
    };
    let step = table::find(&name).ok_or_else(|| Trouble::unusable(format!("no step `{name}`")))?;
    // Where that can't be said, it only takes longer.
    let _ = rustix::process::nice(step.row.niceness());
    std::env::set_current_dir(checkout.root()).map_err(Trouble::unusable)?;
    match (step.run)(&Context::new(checkout, PathBuf::from(folder))) {
        Err(Trouble::Failed(why)) => {
            if !why.is_empty() {
                say!("{why}");
            }
            Err(Trouble::failed(""))
        }
        Err(Trouble::Skipped(why)) => {
            say!("SKIPPED {name}: {why}");
            Err(Trouble::Skipped(String::new()))
        }
        other => other,
    }
}
