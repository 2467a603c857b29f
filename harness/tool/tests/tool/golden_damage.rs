//! Damaged volumes made by others: `fsck --repair` either mends one, so that another's checker finds nothing, or names what it
//! can't mend. Content that could be read before reads the same afterwards.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::folder::Folder;

const IMAGE: &str = "damaged.img";

fn folder_of_golden() -> PathBuf {
    env::var_os("H2_GOLDEN").expect("H2_GOLDEN names the folder of the golden volumes").into()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Makes the image of a description.
fn make(description: &Value, image: &Path) {
    let packed = folder_of_golden().join(format!("{}.img.zst", description["base"].as_str().unwrap()));
    let mut unpack = Command::new("zstd");
    assert!(unpack.args(["-d", "-q", "-f", "--sparse"]).arg(packed).arg("-o").arg(image).status().unwrap().success());
    fs::set_permissions(image, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = File::options().write(true).open(image).unwrap();
    for patch in description["patches"].as_array().into_iter().flatten() {
        file.write_all_at(&unhex(patch[2].as_str().unwrap()), patch[0].as_u64().unwrap()).unwrap();
    }
    if let Some(bytes) = description["truncate_to"].as_u64() {
        file.set_len(bytes).unwrap();
    }
}

/// The readable files of all PFSs: kind, size, and digest or target.
fn readable(folder: &Folder) -> BTreeMap<String, String> {
    let listed = folder.run(["pfs-list", IMAGE]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut all = BTreeMap::new();
    for label in listed.lines().filter_map(|line| line.strip_prefix("pfs ")) {
        let told = folder.run(["manifest", &format!("{IMAGE}@{label}")]).stdout;
        let entries = String::from_utf8_lossy(&told).into_owned();
        for entry in entries.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            if entry["error"].is_null() {
                let place = format!("{label} {} {}", entry["path"], entry["path_hex"]);
                let content = ["type", "size", "sha256", "target", "target_hex"].map(|key| entry[key].to_string());
                all.insert(place, content.join(" "));
            }
        }
    }
    all
}

/// Mends a damaged volume as far as possible; true if no problem is left.
fn mend(name: &str, description: &Value) -> bool {
    let folder = Folder::new();
    make(description, &folder.path(IMAGE));
    let before = readable(&folder);
    let mended = folder.run(["fsck", "--repair", IMAGE]);
    let said = String::from_utf8_lossy(&mended.stdout).into_owned() + &String::from_utf8_lossy(&mended.stderr);
    let after = readable(&folder);
    for (place, content) in &before {
        assert_eq!(after.get(place), Some(content), "{name}: {place} was whole: {said}");
    }
    if !mended.status.success() {
        let reasons = ["not mended: ", "problem: ", "hammer2: "];
        assert!(said.lines().any(|line| reasons.iter().any(|reason| line.starts_with(reason))), "{name}: {said}");
        return false;
    }
    let again = folder.run(["fsck", IMAGE]);
    assert!(again.status.success(), "{name}: {again:?}");
    if let Some(checker) = env::var_os("H2_CHECKER") {
        let command = format!("{} {}", checker.display(), folder.path(IMAGE).display());
        let checked = Command::new("sh").arg("-c").arg(&command).output().unwrap();
        assert!(checked.status.success(), "{name}: {command}: {checked:?}");
    }
    true
}

#[test]
#[ignore = "needs golden volumes, in H2_GOLDEN: scripts/test golden-check"]
fn golden_damage_is_mended_or_told() {
    let mut mended = Vec::new();
    let mut names: Vec<_> = fs::read_dir(folder_of_golden()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let description: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        if description["patches"].is_array() && description["base"].is_string() && mend(&name, &description) {
            mended.push(name);
        }
    }
    println!("mended, or nothing was wrong: {mended:?}");
    assert!(mended.iter().any(|name| name == "c31-freemap-off"), "a freemap is made anew: {mended:?}");
}
