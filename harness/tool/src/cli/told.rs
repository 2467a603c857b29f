//! What is said on standard error, for people or for programs.
//!
//! For people it is a line with the program's name. With `--json` among the arguments it is an object in a line (docs/json.md),
//! so that a program needn't take words apart; standard output stays what it is.

use std::env;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

/// Whoever called wants objects.
static AS_OBJECTS: AtomicBool = AtomicBool::new(false);

/// Has objects be told from here on if the arguments ask for JSON, whether or not they can be understood otherwise.
pub(super) fn as_arguments_say() {
    // What comes after `--` are names.
    let mut arguments = env::args_os().skip(1).take_while(|argument| argument != "--");
    AS_OBJECTS.store(arguments.any(|argument| argument == "--json"), Ordering::Relaxed);
}

/// Prints an object on standard error, where standard output is what it is about.
pub(super) fn object_beside(object: &Value) {
    // The last there is to say; that nobody reads it makes no failure of what is done.
    let _ = writeln!(io::stderr(), "{object}");
}

/// A line about something that is wrong while the command goes on: an object, or what is to follow the program's name.
pub(super) fn problem(message: &str) -> Option<Value> {
    as_object(|| json!({ "problem": { "message": message, "remedy": commands_in(message) } }))
}

/// What ended the command, if objects are wanted.
pub(super) fn error(kind: &str, message: &str, help: Option<&str>, exit_code: u8) -> Option<Value> {
    as_object(|| {
        let mut remedy = commands_in(message);
        remedy.extend(help);
        json!({ "error": { "kind": kind, "message": message, "remedy": remedy, "exit_code": exit_code } })
    })
}

fn as_object(object: impl FnOnce() -> Value) -> Option<Value> {
    AS_OBJECTS.load(Ordering::Relaxed).then(object)
}

/// The commands in a message: they stand between backticks, as they can be given. So do options, which begin with `-`.
fn commands_in(message: &str) -> Vec<&str> {
    let quoted = message.split('`').skip(1).step_by(2);
    quoted.filter(|quoted| quoted.starts_with(char::is_alphabetic) && quoted.contains(' ')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_advises_is_found_in_it() {
        let message =
            "behind: `hammer2 cluster resync a.img` copies to it, or `fsck.hammer2 -y a.img`; not with `-o ro`";
        assert_eq!(commands_in(message), ["hammer2 cluster resync a.img", "fsck.hammer2 -y a.img"]);
        assert_eq!((commands_in("it's \"gone\""), commands_in("half `quoted")), (vec![], vec![]));
    }
}
