//! `hammer2 growfs`: images become larger, and their space is used to the last block. Every volume is checked strictly.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;

use hammer2_core::media::VolumeHeader;
use hammer2_core::media::geometry::header_offset;
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use serde_json::Value;
use zerocopy::FromBytes as _;

use super::folder::{Folder, noise};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Bytes that aren't content: the room kept back from files and that of the first inodes, which count as free, the blockrefs of
/// content, and the most that the last, refused file would have needed, which is more than it takes in the end.
const OTHER_BYTES: u64 = (2 + 4 + 1 + 3) * MIB;

impl Folder {
    /// Makes an image larger, outside of the tool.
    fn extend(&self, name: &str, bytes: u64) {
        File::options().write(true).open(self.path(name)).unwrap().set_len(bytes).unwrap();
    }

    fn grow(&self, arguments: &[&str]) -> Value {
        self.json(["growfs", "--json"].iter().chain(arguments))
    }

    fn free_bytes(&self, node: &str) -> u64 {
        let info = self.json(["info", "--json", node]);
        info["header"]["allocator_free"].as_u64().unwrap_or_else(|| panic!("{info}"))
    }

    fn put(&self, content: &[u8], target: &str) -> bool {
        let mut child = self.command(["put", "-", target]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // The tool closes its input when it finds no room.
        let _ = child.stdin.take().unwrap().write_all(content);
        child.wait().unwrap().success()
    }

    /// Puts files in until none of any size is accepted; returns how many bytes were.
    fn fill(&self, node: &str) -> u64 {
        let mut taken = 0;
        for (round, bytes) in [16 * MIB, MIB, 60_000, 60_000].into_iter().enumerate() {
            // Removed files, and the leftovers of each commit, take room until then.
            self.succeed(["bulkfree", node]);
            for number in 0.. {
                let content = noise(bytes, number);
                let target = format!("{node}@DATA:/{round}-{free}-{number}", free = self.free_bytes(node));
                if !self.put(&content, &target) {
                    // The part with room is there; there may have been too little room for the name.
                    let removed = self.run(["rm", &target]);
                    let message = String::from_utf8_lossy(&removed.stderr);
                    assert!(removed.status.success() || message.contains("no such file"), "{message}");
                    break;
                }
                let read = self.run(["cat", &target]).stdout;
                assert!(read == content, "{target} reads differently");
                taken += bytes;
            }
        }
        taken
    }
}

#[test]
fn a_grown_volume_is_as_one_made_so_large() {
    let folder = Folder::new();
    let sizes = [(64 * MIB, 72 * MIB), (256 * MIB, GIB), (GIB, 2 * GIB + 8 * MIB), (3 * GIB, 9 * GIB)];
    for (version, (from, to)) in ["1", "2"].iter().flat_map(|version| sizes.map(|sizes| (version, sizes))) {
        let newfs = |image, bytes| {
            folder.image(image, bytes);
            folder.succeed(["newfs", "-V", version, "-b", "8M", "-r", "8M", image]);
        };
        newfs("grown", from);
        newfs("made", to);
        let before = folder.free_bytes("grown");
        let report = folder.grow(&["grown", &(to + MIB).to_string()]);
        assert_eq!((&report["old_bytes"], &report["new_bytes"]), (&from.into(), &to.into()), "version {version}");
        assert_eq!(folder.length("grown"), to + MIB);
        assert!(folder.free_bytes("grown") > before);
        assert_eq!(folder.free_bytes("grown"), folder.free_bytes("made"), "{from} to {to}");
        assert_eq!(report["free_bytes"], folder.free_bytes("grown"));
        folder.check("grown");
    }
}

#[test]
fn the_new_space_is_used_to_the_last_block() {
    let folder = Folder::new();
    folder.image("v", 80 * MIB);
    folder.succeed(["newfs", "-b", "8M", "-r", "8M", "v"]);
    assert!(folder.put(&noise(4 * MIB, 77), "v@DATA:/before"));
    folder.extend("v", 120 * MIB);
    folder.grow(&["v"]);
    let free = folder.free_bytes("v");
    let taken = folder.fill("v");
    assert!(taken + OTHER_BYTES > free, "{taken} of {free} bytes could be used");
    assert_eq!(folder.run(["cat", "v@DATA:/before"]).stdout, noise(4 * MIB, 77));
    folder.check("v");
    folder.grow(&["v", "160M"]);
    assert!(folder.fill("v") > 30 * MIB);
    folder.check("v");
}

#[test]
fn the_last_volume_of_a_set_grows() {
    let folder = Folder::new();
    folder.image("a", GIB);
    folder.image("b", 64 * MIB);
    folder.succeed(["newfs", "a", "b"]);
    assert!(folder.put(&noise(2 * MIB, 1), "a:b@DATA:/before"));
    let report = folder.grow(&["b:a", "3G"]);
    assert_eq!((&report["old_bytes"], &report["new_bytes"]), (&(GIB + 64 * MIB).into(), &(4 * GIB).into()));
    assert_eq!((folder.length("a"), folder.length("b")), (GIB, 3 * GIB));
    folder.check("a:b");
    assert_eq!(folder.run(["cat", "a:b@DATA:/before"]).stdout, noise(2 * MIB, 1));
    assert!(folder.put(&noise(2 * MIB, 2), "a:b@DATA:/after"));
    folder.check("b:a");
}

#[test]
fn nothing_happens_when_there_is_no_more_space() {
    let folder = Folder::new();
    folder.image("v", 100 * MIB);
    folder.succeed(["newfs", "v"]);
    let before = fs::read(folder.path("v")).unwrap();
    assert!(folder.succeed(["growfs", "v"]).contains("as before"));
    assert!(folder.succeed(["growfs", "v", "80M"]).contains("as before"));
    assert!(fs::read(folder.path("v")).unwrap() == before, "the image is untouched");
    for arguments in [["growfs", "v@DATA", "1G"], ["growfs", "v", "many"], ["growfs", "missing", "1G"]] {
        let output = folder.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
    }
}

#[test]
fn figures_that_another_growfs_got_wrong_are_put_right_by_the_next_write() {
    let folder = Folder::new();
    folder.image("a.img", GIB);
    folder.succeed(["newfs", "a.img"]);
    folder.extend("a.img", 3 * GIB);
    folder.grow(&["a.img"]);
    let figure = |name: &str| folder.json(["info", "--json", "a.img"])["header"][name].as_u64().unwrap();
    let (size, free) = (figure("allocator_size"), figure("allocator_free"));

    // Others count the reserved segments of the new space as capacity.
    let image = File::options().read(true).write(true).open(folder.path("a.img")).unwrap();
    for copy in 0..2 {
        let offset = header_offset(copy);
        let mut bytes = vec![0; VOLUME_HEADER_BYTES];
        image.read_exact_at(&mut bytes, offset).unwrap();
        let (header, _) = VolumeHeader::mut_from_prefix(&mut bytes).unwrap();
        header.set_allocator_size(size + 8 * MIB);
        header.set_allocator_free(size + 8 * MIB);
        header.seal();
        image.write_all_at(&bytes, offset).unwrap();
    }
    assert_eq!(figure("allocator_size"), size + 8 * MIB);
    folder.succeed(["mkdir", "a.img:/changed"]);
    assert_eq!(figure("allocator_size"), size);
    assert!(figure("allocator_free") <= size && free <= size, "more is free than there is");
    assert!(folder.run(["fsck", "a.img"]).status.success());
}
