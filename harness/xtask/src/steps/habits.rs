//! What no compiler looks at: one version of Rust everywhere, files that are named are there, spelling, licences.

use std::fs;
use std::path::Path;

use super::checks::workspaces_beside;
use super::context::{Context, skip};
use crate::system::command::Run;
use crate::system::need::is_there;
use crate::system::words::say;
use crate::trouble::{About, Done, Trouble};

/// All habits. Skipped, after everything that could be done, where a program is missing.
pub(crate) fn habits(step: &Context) -> Done {
    let root = step.checkout.root();
    let beside = workspaces_beside(root)?;
    say!("ok      Rust {}", rust_version(root, &beside)?);
    named_files(root)?;
    say!("ok      what CONTRIBUTING.md names");
    let mut missing = Vec::new();
    if is_there("typos") {
        let mut typos = crate::system::command::program("typos", &["--format", "brief"]);
        typos.current_dir(root).run()?;
        say!("ok      typos");
    } else {
        missing.push("typos-cli");
    }
    if is_there("cargo-deny") {
        let deny = |manifest: &str, words: &[&str]| {
            let mut deny = step.cargo(&["deny", "--log-level", "error", "--manifest-path"]);
            deny.arg(root.join(manifest)).args(["check", "--config"]).arg(root.join("deny.toml")).args(words).run()
        };
        deny("Cargo.toml", &[])?;
        // Smaller trees don't need every licence that is allowed.
        beside.iter().try_for_each(|manifest| deny(manifest, &["--allow", "license-not-encountered"]))?;
        say!("ok      cargo deny");
    } else {
        missing.push("cargo-deny");
    }
    if missing.is_empty() {
        return Ok(());
    }
    skip(format!("not everything is installed: cargo install --locked {}", missing.join(" ")))
}

/// The oldest Rust that will do, which must be the same in all manifests and in the README; rust-toolchain.toml asks for no older
/// one.
fn rust_version(root: &Path, beside: &[String]) -> Done<String> {
    let read = |name: &str| fs::read_to_string(root.join(name)).about(name);
    let oldest = value("rust-version", &read("Cargo.toml")?);
    for manifest in beside {
        let found = value("rust-version", &read(manifest)?);
        if found != oldest {
            return Err(Trouble::failed(format!("{manifest}: rust-version is `{found}`, in Cargo.toml `{oldest}`")));
        }
    }
    if !read("README.md")?.contains(&format!("Rust {oldest} or later")) {
        let words = format!("README.md: doesn't say `Rust {oldest} or later`, which is the rust-version in Cargo.toml");
        return Err(Trouble::failed(words));
    }
    let channel = value("channel", &read("rust-toolchain.toml")?);
    if is_older(&channel, &oldest) {
        let words = format!(
            "rust-toolchain.toml: asks for Rust `{channel}`, older than the rust-version in Cargo.toml, `{oldest}`"
        );
        return Err(Trouble::failed(words));
    }
    Ok(oldest)
}

/// The value of a line `KEY = "VALUE"`.
fn value(key: &str, text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
    lines.map(str::to_owned).next().unwrap_or_default()
}

/// Whether a channel is a version that is older than another. One that is no number is the newest of its kind.
fn is_older(channel: &str, oldest: &str) -> bool {
    let numbers = |version: &str| version.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>();
    match (numbers(channel), numbers(oldest)) {
        (Ok(channel), Ok(oldest)) => channel < oldest,
        _ => false,
    }
}

/// Every path that CONTRIBUTING.md has in backticks exists.
fn named_files(root: &Path) -> Done {
    let text = fs::read_to_string(root.join("CONTRIBUTING.md")).about("CONTRIBUTING.md")?;
    let absent: Vec<&str> = paths_in(&text).filter(|path| !root.join(path).exists()).collect();
    if absent.is_empty() {
        return Ok(());
    }
    Err(Trouble::failed(format!("CONTRIBUTING.md: names what isn't there: {}", absent.join(" "))))
}

/// The paths in backticks, but for those with a NAME to choose.
fn paths_in(text: &str) -> impl Iterator<Item = &str> {
    let is_path = |word: &&str| {
        let (first, rest) = word.split_once('/').unwrap_or_default();
        let is_name = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c));
        !first.is_empty() && is_name(first) && is_name(rest) && !word.contains("NAME")
    };
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{is_older, named_files, paths_in, rust_version};
    use crate::trouble::Trouble;

    /// A project whose files say these versions.
    fn project(manifest: &str, beside: &str, readme: &str, channel: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).expect("a file");
        write("Cargo.toml", format!("[workspace.package]\nrust-version = \"{manifest}\"\n"));
        write("beside.toml", format!("[package]\nrust-version = \"{beside}\"\n"));
        write("README.md", format!("It wants Rust {readme} or later.\n"));
        write("rust-toolchain.toml", format!("[toolchain]\nchannel = \"{channel}\"\n"));
        folder
    }

    #[test]
    fn one_version_of_rust_is_named_everywhere() {
        let said = |project: &tempfile::TempDir| rust_version(project.path(), &["beside.toml".to_owned()]);
        assert_eq!(said(&project("1.95", "1.95", "1.95", "stable")), Ok("1.95".to_owned()));
        assert_eq!(said(&project("1.95", "1.95", "1.95", "1.100")), Ok("1.95".to_owned()));
        let wrong = [
            (project("1.95", "1.94", "1.95", "stable"), "beside.toml: rust-version is `1.94`, in Cargo.toml `1.95`"),
            (
                project("1.95", "1.95", "1.9", "stable"),
                "README.md: doesn't say `Rust 1.95 or later`, which is the rust-version in Cargo.toml",
            ),
            (
                project("1.95", "1.95", "1.95", "1.94"),
                "rust-toolchain.toml: asks for Rust `1.94`, older than the rust-version in Cargo.toml, `1.95`",
            ),
        ];
        for (project, words) in wrong {
            assert_eq!(said(&project), Err(Trouble::failed(words)));
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_older("1.9", "1.95") && is_older("1.94.2", "1.95"));
        assert!(!is_older("1.100", "1.95") && !is_older("1.95", "1.95") && !is_older("stable", "1.95"));
    }

    #[test]
    fn paths_in_backticks_must_be_there() {
        let text = "Run `scripts/test`, `cargo test -p x/y`, `a/NAME.rs`, `and/or` but not here/there, `alone`.\n";
        assert_eq!(paths_in(text).collect::<Vec<_>>(), ["scripts/test", "and/or"]);
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("CONTRIBUTING.md"), "`a/b` and `a/c`\n").expect("a file");
        fs::create_dir_all(folder.path().join("a/c")).expect("a folder");
        let words = "CONTRIBUTING.md: names what isn't there: a/b";
        assert_eq!(named_files(folder.path()), Err(Trouble::failed(words)));
        fs::write(Path::new(folder.path()).join("a/b"), "").expect("a file");
        assert_eq!(named_files(folder.path()), Ok(()));
    }
}
