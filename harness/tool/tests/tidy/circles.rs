//! No two files import each other, directly or by others: each can be read when those below it are known.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::imports;
use super::{Source, is_rust, refuse, sources};

/// The sources of each crate, with the name that its own programs use for it; and those of examples with several files.
const CRATES: [(&str, &str); 15] = [
    ("hammer2_core", "core/src"),
    ("hammer2_kmod_shim", "kmod-shim/src"),
    ("hammer2_qemu", "qemu/src"),
    ("hammer2_host", "harness/host/src"),
    ("hammer2_model", "harness/model/src"),
    ("hammer2_tool", "harness/tool/src"),
    ("hammer2_sim", "harness/sim/src"),
    ("hammer2_torture", "harness/torture/src"),
    ("hammer2_soak", "harness/torture/soak"),
    ("hammer2_mount_bench", "harness/mount-bench/src"),
    ("xtask", "harness/xtask/src"),
    ("hammer2_bench", "harness/bench/src"),
    ("faults", "harness/torture/examples/faults"),
    ("mount_faults", "harness/torture/examples/mount_faults"),
    ("takeover", "harness/torture/examples/takeover"),
];

/// The files that import each other, directly or by others: one list for each circle.
fn circles<'t>(imports: &BTreeMap<&'t str, BTreeSet<&'t str>>) -> Vec<Vec<&'t str>> {
    let reached = |from: &'t str| {
        let mut reached = BTreeSet::new();
        let mut pending: Vec<&str> = imports[from].iter().copied().collect();
        while let Some(file) = pending.pop() {
            if reached.insert(file) {
                pending.extend(&imports[file]);
            }
        }
        reached
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|file| (*file, reached(file))).collect();
    let mut found = Vec::new();
    for (file, below) in &reached {
        let circle: Vec<&str> = below.iter().copied().filter(|other| reached[other].contains(file)).collect();
        if circle.first() == Some(file) {
            found.push(circle);
        }
    }
    found
}

#[test]
fn no_files_import_each_other_in_circles() {
    let mut complaints = Vec::new();
    for (name, folder) in CRATES {
        let found = sources(folder, is_rust);
        let names: Vec<String> = found.iter().map(Source::name).collect();
        let named = names.iter().zip(&found);
        let files: Vec<_> = named.map(|(name, source)| (&name[folder.len() + 1..], &source.text[..])).collect();
        let mut imports = imports(name, &files);
        assert!(imports.values().any(|imported| !imported.is_empty()), "{folder}: nothing is imported");
        // A folder's `mod.rs` puts the folder's files together, and a program's `main.rs` all files: they stand for the folder,
        // and don't count as files in it.
        for (file, imported) in &mut imports {
            if let Some(folder) = file.strip_suffix("mod.rs").or(file.strip_suffix("main.rs")) {
                imported.retain(|other| !other.starts_with(folder));
            }
        }
        for circle in circles(&imports) {
            complaints.push(format!("{folder}: these import each other: {}", circle.join(", ")));
        }
    }
    refuse(&complaints);
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let files = [
        ("lib.rs", "pub use a::A;\nmod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::{b::{self, B as Other}, d::D};\npub struct A;"),
        ("b.rs", "fn b() { print!(\"{}\", super::c::d()); }"),
        // The import goes by a re-export of the crate.
        ("c.rs", "// use crate::d::D;\nuse super::A;"),
        ("d.rs", "#[cfg(test)]\nmod tests {\n use crate::a;\n use super::*;\n}"),
        ("main.rs", "mod e; use e::E; use the_crate::A;"),
        ("e.rs", ""),
    ];
    let imports = imports("the_crate", &files);
    assert_eq!(imports["main.rs"], BTreeSet::from(["a.rs", "e.rs"]));
    assert_eq!(imports["a.rs"], BTreeSet::from(["b.rs", "d.rs"]));
    assert_eq!(imports["d.rs"], BTreeSet::new());
    assert_eq!(circles(&imports), [["a.rs", "b.rs", "c.rs"]]);
    // A program without a library.
    let files = [("main.rs", "mod a; struct Settings; fn main() { a::a(); }"), ("a.rs", "use crate::Settings;")];
    assert_eq!(circles(&super::imports::imports("the_program", &files)), [["a.rs", "main.rs"]]);
}
