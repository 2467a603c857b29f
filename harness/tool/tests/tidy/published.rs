//! What others are given: which crates are published, and what of the core is public.

use std::process::Command;

use serde_json::Value;

use super::{refuse, root, sources};

/// The crates that are published, in the order of their names.
const PUBLISHED: [&str; 5] = ["hammer2-core", "hammer2-host", "hammer2-kmod-shim", "hammer2-shared", "hammer2-tool"];

/// What the registry, and docs.rs, show of a crate.
const SHOWN: [&str; 7] = ["description", "license", "readme", "rust_version", "keywords", "categories", "metadata"];

fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let output = cargo.current_dir(root()).output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let Value::Object(mut metadata) = serde_json::from_slice(&output.stdout).expect("JSON") else {
        panic!("an object")
    };
    let Some(Value::Array(packages)) = metadata.remove("packages") else { panic!("packages") };
    packages
}

/// Nothing that breaks the protocol, and nothing that is of use in this repository only.
#[test]
fn what_is_published_is_fit_for_it() {
    // An empty list of registries is `publish = false`.
    let is_published = |package: &Value| package["publish"].is_null();
    let packages = packages();
    let published: Vec<&Value> = packages.iter().filter(|package| is_published(package)).collect();
    let mut names: Vec<&str> = published.iter().filter_map(|package| package["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, PUBLISHED);
    let mut complaints = Vec::new();
    for package in published {
        let name = &package["name"];
        for key in SHOWN {
            let is_there = match &package[key] {
                Value::Null => false,
                Value::Array(words) => (1..=5).contains(&words.len()),
                _ => true,
            };
            if !is_there {
                complaints.push(format!("{name}: has no {key}, or too many"));
            }
        }
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let (of, version) = (&dependency["name"], &dependency["req"]);
            let is_for_users = dependency["kind"] != "dev";
            if is_for_users && dependency["path"].is_string() && *version != format!("^{}", env!("CARGO_PKG_VERSION")) {
                complaints
                    .push(format!("{name}: {of} is {version}, not what this version is (workspace.dependencies)"));
            }
        }
    }
    refuse(&complaints);
}

/// Who looks below the core's public floors (docs/architecture.md has the reasons).
const RAW: [&str; 2] = ["harness/fuzz/Cargo.toml", "harness/tool/Cargo.toml"];

#[test]
fn few_look_below_the_public_floors() {
    let manifests = sources("", |path| path.ends_with("Cargo.toml")).into_iter();
    let asking = manifests.filter(|manifest| manifest.text.contains("features = [\"raw\""));
    let mut asking: Vec<String> = asking.map(|manifest| manifest.name()).collect();
    asking.sort();
    assert_eq!(asking, RAW);
}
