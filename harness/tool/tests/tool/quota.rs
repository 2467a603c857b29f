//! Quotas: set, shown, kept, checked and mended by the tool.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use hammer2_core::media::Inode;
use hammer2_core::media::inode::INODE_BYTES;
use serde_json::Value;
use zerocopy::IntoBytes as _;

use super::folder::{Folder, noise};

const IMAGE: &str = "a.img";

fn populated() -> Folder {
    let folder = Folder::new();
    folder.image(IMAGE, 64 << 20);
    folder.succeed(["newfs", IMAGE]);
    std::fs::create_dir_all(folder.path("src/d/inner")).unwrap();
    std::fs::write(folder.path("src/d/large"), noise(200_000, 1)).unwrap();
    std::fs::write(folder.path("src/d/inner/small"), b"small").unwrap();
    folder.succeed(["put", "src", "a.img:/"]);
    folder
}

fn used(folder: &Folder, target: &str) -> (u64, u64) {
    let quota = folder.json(["quota", "--json", target]);
    (quota["bytes_used"].as_u64().unwrap(), quota["inodes_used"].as_u64().unwrap())
}

#[test]
fn limits_are_set_kept_and_shown() {
    let folder = populated();
    assert_eq!(folder.succeed(["quota", "a.img@DATA:/d"]), "no quota\n");
    folder.succeed(["setquota", "a.img@DATA:/d", "--bytes", "1M", "--inodes", "5"]);
    // This counts three inodes, three whole blocks and one for the rest.
    assert_eq!(used(&folder, "a.img:/d/inner"), (3 * 1024 + 3 * 65536 + 4096, 3));
    let quota = folder.json(["quota", "--json", "a.img:/d"]);
    assert_eq!((&quota["bytes_limit"], &quota["inodes_limit"]), (&(1u64 << 20).into(), &5.into()));
    std::fs::write(folder.path("much"), noise(900_000, 2)).unwrap();
    folder.refuse(["put", "much", "a.img:/d/much"], 1, "disk quota exceeded");
    folder.succeed(["put", "much", "a.img:/much"]);
    folder.check(IMAGE);
    assert!(used(&folder, "a.img:/d").0 <= 1 << 20);
    folder.succeed(["mkdir", "a.img:/d/one", "a.img:/d/two"]);
    folder.refuse(["mkdir", "a.img:/d/three"], 1, "disk quota exceeded");
    folder.succeed(["rm", "-r", "a.img:/d/one", "a.img:/d/two", "a.img:/d/large"]);
    folder.succeed(["rm", "-f", "a.img:/d/much"]);
    assert_eq!(used(&folder, "a.img:/d"), (2 * 1024, 2));
    folder.refuse(["mv", "a.img:/d/inner", "/inner"], 1, "counts in the quota of another directory");
    folder.succeed(["setquota", "a.img:/d", "--bytes", "none", "--inodes", "0"]);
    assert_eq!(folder.succeed(["quota", "--all", "a.img"]), "no quota\n");
    folder.succeed(["put", "much", "a.img:/d/much"]);
    folder.check(IMAGE);
}

#[test]
fn limits_within_limits() {
    let folder = populated();
    folder.succeed(["setquota", "a.img:/", "--inodes", "100"]);
    folder.succeed(["setquota", "a.img:/d/inner", "--bytes", "64K"]);
    let lines = folder.succeed(["quota", "--json", "a.img:/d/inner"]);
    let paths = |lines: &str| -> Vec<String> {
        let path = |line| serde_json::from_str::<Value>(line).unwrap()["path"].as_str().unwrap().to_owned();
        lines.lines().map(path).collect()
    };
    assert_eq!(paths(&lines), ["/d/inner", "/"]);
    assert_eq!(paths(&folder.succeed(["quota", "--all", "--json", "a.img"])), ["/", "/d/inner"]);
    assert_eq!(paths(&folder.succeed(["quota", "--all", "--json", "a.img:/d"])), ["/d/inner"]);
    assert_eq!(used(&folder, "a.img:/d"), (4 * 1024 + 3 * 65536 + 4096, 4));
    let shown = folder.succeed(["quota", "a.img:/d/inner"]);
    assert!(shown.contains("65536") && shown.contains("no limit") && shown.ends_with("  /\n"), "{shown}");
    folder.refuse(["setquota", "a.img:/d/large", "--bytes", "1"], 2, "only directories have quotas");
    folder.refuse(["setquota", "a.img:/none", "--bytes", "1"], 2, "no such file");
    assert_eq!(folder.run(["setquota", "a.img:/d"]).status.code(), Some(2));
    folder.check(IMAGE);
}

/// Makes a directory with limits note a wrong use. No check code protects the note.
fn miscount(folder: &Folder) {
    let image = File::options().read(true).write(true).open(folder.path(IMAGE)).unwrap();
    let mut changed = 0;
    for at in (0..folder.length(IMAGE)).step_by(INODE_BYTES) {
        let mut unit = vec![0; INODE_BYTES];
        image.read_exact_at(&mut unit, at).unwrap();
        let mut inode = *Inode::in_block(&unit).unwrap();
        if inode.meta.version() == 1 && inode.meta.data_quota() == 1 << 20 {
            inode.meta.set_subtree_bytes(77);
            image.write_all_at(inode.as_bytes(), at).unwrap();
            changed += 1;
        }
    }
    assert!(changed > 0);
}

#[test]
fn what_is_miscounted_is_found_and_counted_anew() {
    let folder = populated();
    folder.succeed(["setcheck", "disabled", "a.img:/"]);
    folder.succeed(["mkdir", "a.img:/unprotected"]);
    folder.succeed(["setcheck", "xxhash64", "a.img:/", "a.img:/unprotected"]);
    folder.succeed(["setquota", "a.img:/unprotected", "--bytes", "1M"]);
    folder.succeed(["put", "src", "a.img:/unprotected/"]);
    let right = used(&folder, "a.img:/unprotected");
    for mend in [&["fsck", "--repair", IMAGE][..], &["quota", "--recount", "a.img:/"]] {
        miscount(&folder);
        assert_eq!(used(&folder, "a.img:/unprotected"), (77, right.1));
        let found = folder.run(["fsck", IMAGE]);
        assert_eq!(found.status.code(), Some(1));
        let told = String::from_utf8(found.stdout).unwrap();
        assert!(told.contains("/unprotected") && told.contains(&format!("quota: {} bytes", right.0)), "{told}");
        folder.succeed(mend);
        assert_eq!(used(&folder, "a.img:/unprotected"), right);
        folder.succeed(["fsck", IMAGE]);
    }
}
