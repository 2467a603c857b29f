//! Removing names and inodes that can't be removed otherwise because of damage.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use hammer2_core::media::Inode;
use hammer2_core::media::Inum;
use hammer2_core::media::inode::{INODE_BYTES, hidden_name};

use super::folder::Folder;

const IMAGE: &str = "a.img";

fn populated() -> Folder {
    let folder = Folder::new();
    folder.image(IMAGE, 64 << 20);
    folder.succeed(["newfs", IMAGE]);
    std::fs::create_dir_all(folder.path("src/full/inner")).unwrap();
    std::fs::create_dir(folder.path("src/empty")).unwrap();
    for name in ["plain", "broken", "linked", "full/file"] {
        std::fs::write(folder.path("src").join(name), name).unwrap();
    }
    std::fs::hard_link(folder.path("src/linked"), folder.path("src/other")).unwrap();
    folder.succeed(["put", "src", "a.img:/"]);
    folder
}

fn number(folder: &Folder, path: &str) -> u64 {
    folder.json(["stat", "--json", path])["inum"].as_u64().unwrap()
}

/// Flips a bit in every block that is an inode of this number.
fn spoil(folder: &Folder, inum: u64) {
    let image = File::options().read(true).write(true).open(folder.path(IMAGE)).unwrap();
    let mut spoilt = 0;
    for at in (0..folder.length(IMAGE)).step_by(INODE_BYTES) {
        let mut unit = vec![0; INODE_BYTES];
        image.read_exact_at(&mut unit, at).unwrap();
        let inode = Inode::in_block(&unit).unwrap();
        if inode.meta.inum() == Inum(inum) && inode.meta.name() == Ok(&hidden_name(Inum(inum))) {
            image.write_all_at(&[unit[0x58 + 0x200] ^ 1], at + 0x58 + 0x200).unwrap();
            spoilt += 1;
        }
    }
    assert!(spoilt > 0);
}

#[test]
fn what_is_in_order_is_removed_as_rm_does_it() {
    let folder = populated();
    for path in ["a.img:/plain", "a.img:/linked", "a.img:/empty"] {
        assert_eq!(folder.succeed(["destroy", path]), "");
        folder.refuse(["destroy", path], 2, "no such file");
    }
    folder.refuse(["destroy", "a.img:/full"], 1, "hammer2 rm -r a.img:/full");
    folder.refuse(["destroy", "a.img:/"], 2, "the root");
    assert_eq!(folder.succeed(["cat", "a.img:/other"]), "linked");
    folder.check(IMAGE);
}

#[test]
fn the_name_of_a_broken_inode_and_then_the_inode() {
    let folder = populated();
    let inum = number(&folder, "a.img:/broken");
    spoil(&folder, inum);
    assert_eq!(folder.run(["rm", "a.img:/broken"]).status.code(), Some(1));
    let told = folder.succeed(["destroy", "a.img@DATA:/broken"]);
    assert!(told.contains(&format!("hammer2 destroy-inum a.img@DATA {inum:#x}")), "{told}");
    assert!(!folder.succeed(["ls", "a.img:/"]).contains("broken"));
    assert_eq!(folder.run(["fsck", IMAGE]).status.code(), Some(1), "the inode is still there");
    folder.succeed(["destroy-inum", "a.img@DATA", &format!("{inum:#x}")]);
    folder.refuse(["destroy-inum", "a.img@DATA", &inum.to_string()], 2, "there is no inode");
    folder.check(IMAGE);
}

#[test]
fn an_inode_and_then_the_names_that_are_left() {
    let folder = populated();
    let inum = number(&folder, "a.img:/linked");
    folder.succeed(["destroy-inum", "a.img@DATA", &inum.to_string()]);
    folder.refuse(["cat", "a.img:/other"], 2, "no such file");
    folder.succeed(["destroy", "a.img@DATA:/linked"]);
    folder.succeed(["destroy", "a.img@DATA:/other"]);
    folder.check(IMAGE);

    let full = number(&folder, "a.img:/full").to_string();
    folder.refuse(["destroy-inum", "a.img@DATA", &full], 1, "destroy-inum -f");
    folder.refuse(["destroy-inum", "a.img@DATA", "1"], 2, "pfs-delete");
    folder.refuse(["destroy-inum", "a.img@DATA", "seven"], 2, "write a number");
    folder.succeed(["destroy-inum", "-f", "a.img@DATA", &full]);
    folder.succeed(["destroy", "a.img@DATA:/full"]);
}
