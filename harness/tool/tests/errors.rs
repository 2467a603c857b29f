//! Every error of the tool, and of the library below it, is provoked once: `docs/errors.md` names the test for each variant of
//! each error, and the words that the test looks for; or why the error can't be provoked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A message with fewer letters has no words of its own: the variant passes on those of the error that it wraps.
const LEAST_LETTERS: usize = 10;

/// The least letters that are looked for in a test.
const LEAST_EVIDENCE: usize = 8;

/// Enums that aren't errors of commands.
const FINDINGS: [(&str, &str); 6] = [
    ("Corruption", "what media can be, of which tests of the format have each"),
    ("Trouble", "findings of fsck and of recovery, of which `core fsck::tests` has each"),
    ("Cost", "what a finding costs"),
    ("Remedy", "what mends a finding"),
    ("ImageError", "what the builder of test images refuses"),
    ("CutError", "what the replayer of power cuts refuses"),
];

/// An error's variant, with its message.
#[derive(Debug)]
struct Variant {
    name: String,
    words: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Text in which lines that a backslash continues are one.
fn joined(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |joined, line| joined + line.trim_start())
}

/// The variants of an enum that begins at the first of these lines.
fn variants(body: &str) -> Vec<Variant> {
    let mut found = Vec::new();
    for part in joined(body).split("#[error(").skip(1) {
        let Some((words, rest)) = part.split_once(")]") else { continue };
        let name = rest.lines().map(str::trim).find(|line| line.starts_with(|letter: char| letter.is_uppercase()));
        let end = |letter: char| !letter.is_alphanumeric();
        let name = name.and_then(|line| line.split(end).next()).unwrap_or_default();
        found.push(Variant { name: name.to_owned(), words: words.to_owned() });
    }
    found
}

/// All errors with words of their own, by enum and file.
fn errors() -> BTreeMap<(String, String), Vec<Variant>> {
    let (mut files, mut found) = (Vec::new(), BTreeMap::new());
    ["harness/tool/src", "harness/host/src", "core/src"]
        .iter()
        .for_each(|folder| rust_files(&root().join(folder), &mut files));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for part in text.split("thiserror::Error").skip(1) {
            let Some((name, body)) = part
                .split_once("enum ")
                .and_then(|(before, rest)| (before.lines().count() < 5).then(|| rest.split_once(" {")).flatten())
            else {
                continue;
            };
            let body = body.split("\n}").next().unwrap_or_default();
            let own = variants(body).into_iter().filter(|variant| letters(&variant.words) >= LEAST_LETTERS).collect();
            let file = file.strip_prefix(root()).unwrap().display().to_string();
            if FINDINGS.iter().all(|(finding, _)| *finding != name) {
                found.insert((name.to_owned(), file), own);
            }
        }
    }
    found
}

/// The number of letters of a message outside of placeholders.
fn letters(words: &str) -> usize {
    let Some(text) = words.split('"').nth(1) else { return 0 };
    let mut depth = 0;
    let is_own = |letter: &char| {
        depth += i32::from(*letter == '{') - i32::from(*letter == '}');
        depth == 0 && letter.is_alphabetic()
    };
    text.chars().filter(is_own).count()
}

/// A row of the document about a variant.
struct Row {
    test: String,
    evidence: String,
}

/// The document's rows, by enum, file and variant.
fn rows(text: &str) -> BTreeMap<(String, String, String), Row> {
    let (mut found, mut of) = (BTreeMap::new(), (String::new(), String::new()));
    for line in text.lines() {
        if let Some((name, file)) = line.strip_prefix("### `").and_then(|rest| rest.split_once("`, ")) {
            of = (name.to_owned(), file.to_owned());
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<&str> = row.split(" | ").collect();
            let [variant, test, evidence] = cells[..] else { panic!("{line}: three cells") };
            let bare = |cell: &str| cell.trim_end_matches(" |").trim_matches('`').to_owned();
            let key = (of.0.clone(), of.1.clone(), bare(variant));
            assert!(found.insert(key, Row { test: test.to_owned(), evidence: bare(evidence) }).is_none(), "{line}");
        }
    }
    found
}

/// The body of a test, `SUITE FILE::NAME`; of commands with what they answer, `printed FILE`.
fn body_of(test: &str) -> Option<String> {
    let (suite, test) = test.split_once(' ')?;
    if suite == "printed" {
        return fs::read_to_string(root().join(format!("harness/tool/tests/tool/printed/{test}.trycmd"))).ok();
    }
    let (file, name) = test.rsplit_once("::")?;
    let folder = match suite {
        "core" => "core/src".to_owned(),
        "src" => "harness/tool/src".to_owned(),
        "host" => "harness/host/src".to_owned(),
        suite => format!("harness/tool/tests/{suite}"),
    };
    let text = fs::read_to_string(root().join(folder).join(format!("{}.rs", file.replace("::", "/")))).ok()?;
    let begin = text.find(&format!("fn {name}("))?;
    let indent = text[..begin].rsplit('\n').next()?.replace(|letter: char| !letter.is_whitespace(), "");
    let indent = &indent[..indent.len() - indent.trim_start_matches(' ').len()];
    let end = text[begin..].find(&format!("\n{indent}}}"))?;
    Some(joined(&text[begin..begin + end]))
}

#[test]
fn every_error_was_provoked_once() {
    let text = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let mut rows = rows(&text);
    let (mut complaints, mut provoked, mut total) = (Vec::new(), 0, 0);
    for ((name, file), variants) in errors() {
        for Variant { name: variant, words } in variants {
            total += 1;
            let place = format!("{name}::{variant} ({file})");
            let Some(Row { test, evidence }) = rows.remove(&(name.clone(), file.clone(), variant.clone())) else {
                complaints.push(format!("{place}: docs/errors.md has no row for it"));
                continue;
            };
            if let Some(test) = test.strip_prefix('`').and_then(|test| test.strip_suffix('`')) {
                provoked += 1;
                let is_its_own = evidence.ends_with(&format!("::{variant}"))
                    || evidence.len() >= LEAST_EVIDENCE && words.contains(&evidence);
                match body_of(test) {
                    None => complaints.push(format!("{place}: there is no test {test}")),
                    Some(_) if !is_its_own => complaints.push(format!("{place}: `{evidence}` is none of its words")),
                    Some(body) if !body.contains(&evidence) => {
                        complaints.push(format!("{place}: {test} doesn't look for `{evidence}`"));
                    }
                    Some(_) => {}
                }
            } else if test.len() < 20 {
                complaints.push(format!("{place}: which test, or why is there none?"));
            }
        }
    }
    complaints.extend(rows.keys().map(|(name, file, variant)| format!("{name}::{variant} ({file}): there is none")));
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    println!("{total} errors, {provoked} provoked");
    assert!(total > 100 && provoked > 90, "{total} errors, {provoked} provoked");
}

#[test]
fn enums_are_read_as_they_are_written() {
    let body = "
    /// Words.
    #[error(\"a message, {0}, that \\\n     goes on\")]
    First(u32),
    #[error(transparent)]
    Second(#[from] Other),
    /// More.
    #[error(\"{}: {more}\", path.display())]
    Third {";
    let found = variants(body);
    let names: Vec<_> = found.iter().map(|variant| (variant.name.as_str(), letters(&variant.words))).collect();
    assert_eq!(names, [("First", 18), ("Second", 0), ("Third", 0)]);
    assert!(found[0].words.contains("that goes on"));
}
