//! The shape of the source: small files that say what they are about, nothing left unfinished, and floors that use only what is
//! below them, so that `docs/architecture.md` stays true. References to the format or the protocol cite existing sections.

mod circles;
mod imports;
mod published;
mod rooms;

use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 600;
/// The width that rustfmt allows for code, and a little more for comments.
const MAX_COLUMNS: usize = 130;

/// The folders of the core that each folder may use. A floor reaches down, never up; `fs` reaches nodes and chains only through
/// `cluster`.
const FLOORS: &[(&str, &[&str])] = &[
    ("memory", &[]),
    ("media", &["memory"]),
    ("io", &["media", "memory"]),
    ("chain", &["io", "media", "memory"]),
    ("freemap", &["chain", "io", "media", "memory"]),
    ("node", &["freemap", "chain", "io", "media", "memory"]),
    ("cluster", &["node", "io", "media", "memory"]),
    ("fs", &["cluster", "io", "media", "memory"]),
    // Jobs on whole volumes, beside the floors.
    ("newfs", &["io", "media", "memory"]),
    ("fsck", &["node", "chain", "io", "media", "memory"]),
    ("rescue", &["node", "chain", "io", "media", "memory"]),
    ("manifest", &["fs", "io", "media", "memory"]),
];

/// Folders for tests, above all floors: they may use anything, and no floor uses them.
const TOP: &[&str] = &["selftest", "random"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace").to_path_buf()
}

/// A file of the project with its text.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        is_rust(&self.path)
    }

    /// True for a file of unit tests.
    fn is_test(&self) -> bool {
        self.path.file_name().is_some_and(|name| name == "tests.rs")
    }

    /// The path below the workspace.
    fn name(&self) -> String {
        self.path.strip_prefix(root()).expect("below the workspace").display().to_string()
    }
}

/// All files of a folder and those below that `wanted` accepts; hidden and generated folders are left out.
fn collect(folder: &Path, wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "corpus", "artifacts"].contains(&name.as_str()) {
                collect(&path, wanted, found);
            }
        } else if wanted(&path) {
            let text = fs::read_to_string(&path).expect("a text");
            found.push(Source { path, text });
        }
    }
}

fn sources(folder: &str, wanted: impl Fn(&Path) -> bool) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), &wanted, &mut found);
    assert!(!found.is_empty(), "nothing found in {folder}");
    found
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

fn is_text(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("rs" | "md" | "toml" | "ld" | "sh"))
        || path.parent().is_some_and(|parent| parent.ends_with("scripts"))
}

/// Fails with all lines at once.
fn refuse(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn files_are_small_and_say_what_they_are() {
    let mut complaints = Vec::new();
    for source in sources("", is_rust) {
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            complaints.push(format!("{}: {lines} lines; {MAX_LINES} are enough for one subject", source.name()));
        }
        if !source.text.starts_with("//! ") {
            complaints.push(format!("{}: opens without `//!` saying what it is", source.name()));
        }
    }
    refuse(&complaints);
}

#[test]
fn nothing_is_left_unfinished() {
    let unfinished = ["todo", "dbg", "unimplemented"].map(|name| format!("{name}!("));
    let mut complaints = Vec::new();
    for source in sources("", is_rust) {
        for (number, line) in source.text.lines().enumerate() {
            for marker in &unfinished {
                if line.contains(marker) {
                    complaints.push(format!("{}:{}: {marker}", source.name(), number + 1));
                }
            }
        }
    }
    refuse(&complaints);
}

#[test]
fn lines_have_no_tabs_no_space_at_their_end_and_fit_the_screen() {
    let mut complaints = Vec::new();
    for source in sources("", is_text) {
        for (number, line) in source.text.lines().enumerate() {
            if source.is_rust() && line.chars().count() > MAX_COLUMNS {
                complaints.push(format!("{}:{}: more than {MAX_COLUMNS} columns", source.name(), number + 1));
            }
            if line.contains('\t') || line.ends_with(char::is_whitespace) {
                complaints.push(format!("{}:{}: a tab, or space at the end", source.name(), number + 1));
            }
        }
        if !source.text.ends_with('\n') {
            complaints.push(format!("{}: doesn't end with a line end", source.name()));
        }
    }
    refuse(&complaints);
}

/// The modules of the core that a line of code names; "" for a list of them, which isn't looked into.
fn named_modules(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::").skip(1).filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next())
}

#[test]
fn floors_reach_down_only() {
    let modules: Vec<&str> = FLOORS.iter().map(|(name, _)| *name).chain(TOP.iter().copied()).collect();
    let mut complaints = Vec::new();
    for (floor, below) in FLOORS {
        for source in sources(&format!("core/src/{floor}"), is_rust).iter().filter(|source| !source.is_test()) {
            // Tests come last in a file, and may use anything.
            let code = source.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                for named in named_modules(line) {
                    if named.is_empty() {
                        complaints.push(format!("{}:{}: name one module a line", source.name(), number + 1));
                    }
                    if modules.contains(&named) && named != *floor && !below.contains(&named) {
                        complaints.push(format!("{}:{}: {floor} uses {named}", source.name(), number + 1));
                    }
                }
            }
        }
    }
    refuse(&complaints);
}

#[test]
fn every_module_of_the_core_has_its_floor() {
    let text = fs::read_to_string(root().join("core/src/lib.rs")).expect("the core");
    let modules: Vec<&str> =
        text.lines().filter_map(|line| line.trim_start().strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(!modules.is_empty());
    let complaints: Vec<String> = modules
        .iter()
        .filter(|module| !TOP.contains(*module) && !FLOORS.iter().any(|(name, _)| name == *module))
        .map(|module| format!("core/src/{module}: which floor is it? (docs/architecture.md, and the table here)"))
        .collect();
    refuse(&complaints);
}

/// The dependencies of a manifest.
fn dependencies(manifest: &str) -> String {
    let text = fs::read_to_string(root().join(manifest)).expect("a manifest");
    let (_, from) = text.split_once("\n[dependencies]\n").expect("dependencies");
    from.split("\n\n").next().unwrap_or_default().to_owned()
}

#[test]
fn the_simulator_alone_uses_the_core_that_can_leave_out_a_rule() {
    let (core, unsound) = ("core/Cargo.toml", "harness/sim/unsound-core/Cargo.toml");
    assert_eq!(dependencies(unsound), dependencies(core), "of the same sources");
    let users = sources("", |path| path.ends_with("Cargo.toml")).into_iter();
    // How it is compiled is no use of it.
    let uses = |line: &str| line.contains("hammer2-core-unsound") && !line.starts_with("[profile.");
    let users = users.filter(|manifest| manifest.text.lines().any(uses)).map(|manifest| manifest.name());
    let mut users: Vec<String> = users.filter(|name| name != unsound).collect();
    users.sort();
    assert_eq!(users, ["harness/sim/Cargo.toml"]);
}

/// The documents whose sections are cited, by the word that stands for each: "format 7.5", "protocol 5.3".
const CITED: [(&str, &str); 2] = [("format", "docs/format.md"), ("protocol", "docs/protocol.md")];

/// The only file that may mention what lies beside the checkout, as the checkers and volumes there are optional.
const TELLS_OF_SHARED: &str = "docs/testing.md";

/// The numbers of a document's headings.
fn sections(text: &str) -> Vec<&str> {
    let headings = text.lines().filter_map(|line| Some(line.strip_prefix("##")?.trim_start_matches('#').trim_start()));
    headings.filter_map(number).map(|(number, _)| number).collect()
}

/// The number that a text begins with, without a full stop at its end, and the rest.
fn number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number = text.get(..end)?.trim_end_matches('.');
    number.starts_with(|c: char| c.is_ascii_digit()).then(|| (number, text.get(number.len()..).unwrap_or_default()))
}

/// The sections that a line, in lower case, cites by a word: "word 1.3", "word 1.3 and 1.4", "word 1 to 6", "words 1, 2".
fn cited<'a>(line: &'a str, word: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut before = "";
    for (place, after) in line.split(word).enumerate() {
        let is_word = place > 0 && !before.ends_with(|c: char| c.is_alphanumeric());
        before = after;
        let mut next = after.strip_prefix('s').unwrap_or(after).strip_prefix(' ').filter(|_| is_word);
        while let Some((section, rest)) = next.and_then(number) {
            found.push(section);
            next = [" and ", " to ", ", "].iter().find_map(|joint| rest.strip_prefix(joint));
        }
    }
    found
}

#[test]
fn what_cites_the_format_or_the_protocol_cites_a_section_that_is_there() {
    let texts = CITED.map(|(word, path)| (word, path, fs::read_to_string(root().join(path)).expect("a document")));
    let documents = texts.each_ref().map(|(word, path, text)| (*word, *path, sections(text)));
    let mut complaints = Vec::new();
    for source in sources("", is_text) {
        for (place, line) in source.text.lines().enumerate() {
            let line = line.to_lowercase();
            for (word, path, sections) in &documents {
                // A document cites itself by "section".
                let own = if source.name() == *path { cited(&line, "section") } else { Vec::new() };
                for section in cited(&line, word).iter().chain(&own).filter(|section| !sections.contains(section)) {
                    complaints.push(format!("{}:{}: {path} has no section {section}", source.name(), place + 1));
                }
            }
            if line.contains(&["..", "shared"].join("/")) && source.name() != TELLS_OF_SHARED {
                complaints.push(format!("{}:{}: tells of what isn't in the repository", source.name(), place + 1));
            }
        }
    }
    refuse(&complaints);
}

/// The tests that a document names, as suite, file and name.
fn tests_named(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| {
        let (suite, test) = code.split_once(' ')?;
        let (file, name) = test.rsplit_once("::")?;
        Some((suite, file, name))
    })
}

#[test]
fn what_there_is_for_others_is_tested_by_tests_that_are_there() {
    let path = "docs/directives.md";
    let text = fs::read_to_string(root().join(path)).expect("a document");
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let promises = line.contains("| yes") || line.contains("| in part");
        if promises && tests_named(line).next().is_none() {
            complaints.push(format!("{path}:{}: which test shows that?", number + 1));
        }
        for (suite, file, name) in tests_named(line) {
            let source = root().join(format!("harness/tool/tests/{suite}/{}.rs", file.replace("::", "/")));
            let source = fs::read_to_string(source).unwrap_or_default();
            if !source.contains(&format!("\nfn {name}() {{")) {
                complaints.push(format!("{path}:{}: there is no test {suite} {file}::{name}", number + 1));
            }
        }
    }
    assert!(tests_named(&text).count() > 0);
    refuse(&complaints);
}

#[test]
fn a_wrong_citation_is_found() {
    for word in ["format", "protocol"] {
        assert_eq!(cited(&format!("sizes ({word} 1.3 and 99)."), word), ["1.3", "99"]);
        assert_eq!(cited(&format!("in{word} 3, {word}ted 4, {word}: 5"), word), [""; 0]);
    }
    assert_eq!(cited("see sections 2.1, 3 and 4.", "section"), ["2.1", "3", "4"]);
    assert_eq!(sections("# A title\n## 1. One\n### 1.2 Two\n## Other\n"), ["1", "1.2"]);
}
