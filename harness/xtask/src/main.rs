//! What `scripts/test` and `scripts/boot` do, and what other scripts have in common with them. Nobody types its name: the scripts
//! stay.
#![forbid(unsafe_code)]

mod boot;
mod build;
mod checkout;
mod lend;
mod qemu;
mod steps;
mod system;
mod test;
mod trouble;

use std::process::ExitCode;

use checkout::Checkout;
use system::signals;
use system::words::tell;
use trouble::{Done, Trouble};

/// The variable by which a script says what it is called.
const SCRIPT: &str = "HAMMER2_SCRIPT";

fn main() -> ExitCode {
    let mut words = lexopt::Parser::from_env();
    let order = words.value().map(|order| order.to_string_lossy().into_owned()).unwrap_or_default();
    match run(&order, words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            if let Trouble::Failed(why) | Trouble::Unusable(why) = &trouble
                && !why.is_empty()
            {
                tell!("{}: {why}", name(&order));
            }
            ExitCode::from(trouble.code())
        }
    }
}

/// In whose name something is said: a part of `scripts/test` speaks for it.
fn name(order: &str) -> String {
    match order {
        "step" => "test".to_owned(),
        "test" | "boot" => order.to_owned(),
        _ => std::env::var(SCRIPT).unwrap_or_else(|_| "xtask".to_owned()),
    }
}

fn run(order: &str, words: lexopt::Parser) -> Done {
    signals::catch()?;
    let checkout = Checkout::here();
    match order {
        "test" => test::main(&checkout, words),
        "step" => test::step(&checkout, words),
        "boot" => boot::main(&checkout, words),
        "image" => lend::image(&checkout, &name(order), words),
        "drives" => lend::drives(words),
        _ => Err(Trouble::unusable("nobody types this name: use scripts/test and scripts/boot")),
    }
}
