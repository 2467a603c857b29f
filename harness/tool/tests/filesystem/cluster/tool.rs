//! The `cluster` commands, as an administrator uses them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with images.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// A folder with blank images of these names, of which the first few are formatted.
    pub(crate) fn new(names: &str, formatted: usize) -> Self {
        let folder = Self(TempDir::new().unwrap());
        for (number, name) in names.chars().enumerate() {
            File::create(folder.0.path().join(name.to_string())).unwrap().set_len(128 << 20).unwrap();
            if number < formatted {
                folder.expect(0, &format!("newfs {name}"));
            }
        }
        fs::create_dir(folder.0.path().join("tree")).unwrap();
        fs::write(folder.0.path().join("tree/file"), "content").unwrap();
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn run(&self, command: &str) -> Output {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_hammer2"));
        tool.current_dir(self.path()).args(command.split(' ')).env("HAMMER2_STATE", self.path().join("state"));
        tool.output().unwrap()
    }

    /// Runs a command, which must end with this status.
    pub(crate) fn expect(&self, status: i32, command: &str) -> Output {
        let output = self.run(command);
        assert_eq!(output.status.code(), Some(status), "{command}: {output:?}");
        output
    }

    /// Roles and states of the nodes, and how many members are missing.
    pub(crate) fn nodes(&self, status: i32, target: &str) -> (Vec<String>, usize) {
        let output = self.expect(status, &format!("cluster status --json {target}"));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let word = |node: &Value, key: &str| node[key].as_str().unwrap().to_owned();
        let nodes =
            said["nodes"].as_array().unwrap().iter().map(|node| word(node, "role") + " " + &word(node, "state"));
        (nodes.collect(), said["missing"].as_array().unwrap().len())
    }

    pub(crate) fn listing(&self, target: &str) -> String {
        String::from_utf8(self.expect(0, &format!("manifest {target}")).stdout).unwrap()
    }
}

#[test]
fn members_come_and_go() {
    let folder = Folder::new("ABCDE", 3);
    folder.expect(0, "cluster create -L W A B --slave C");
    folder.expect(0, "put tree A+B+C@W:/tree");
    assert_eq!(
        folder.nodes(0, "A+B+C@W"),
        (vec!["MASTER in sync".into(), "MASTER in sync".into(), "SLAVE in sync".into()], 0)
    );
    // The new image was never formatted.
    folder.expect(0, "cluster add A+B+C@W D");
    fs::remove_file(folder.path().join("B")).unwrap();
    let (nodes, missing) = folder.nodes(1, "A+B+C+D@W");
    assert_eq!((&nodes[2][..], missing), ("MASTER in sync", 1));
    folder.expect(0, "cluster replace A+B+C+D@W B E");
    assert_eq!(folder.nodes(0, "A+C+D+E@W").1, 0);
    folder.expect(0, "cluster promote A+C+D+E@W C");
    folder.expect(0, "cluster remove A+C+D+E@W A");
    assert_eq!(folder.nodes(0, "C+D+E@W"), (vec!["MASTER in sync".to_owned(); 3], 0));
    let whole = folder.listing("C+D+E@W");
    assert!(whole.contains("tree/file"), "{whole}");
    for image in ["C", "D", "E"] {
        assert_eq!(folder.listing(&format!("{image}@W")), whole);
    }
    for image in ["A", "C", "D", "E"] {
        folder.expect(0, &format!("fsck --strict {image}"));
    }
    folder.expect(2, "cluster remove C+D+E@W A");
    folder.expect(2, "cluster remove C+D+E@W 00000000-0000-0000-0000-000000000000");
}

#[test]
fn a_side_is_chosen() {
    let folder = Folder::new("ABC", 3);
    folder.expect(0, "cluster create -L W A B C");
    fs::copy(folder.path().join("B"), folder.path().join("X")).unwrap();
    folder.expect(0, "mkdir A+B@W:/one");
    folder.expect(0, "mkdir X+C@W:/other");
    let refused = String::from_utf8(folder.expect(1, "ls A+B+C@W").stderr).unwrap();
    assert!(refused.contains("split brain"), "{refused}");
    let shown = String::from_utf8(folder.expect(3, "cluster status A+B+C@W").stdout).unwrap();
    assert!(shown.contains("split brain") && shown.contains("cluster force"), "{shown}");
    assert!(folder.listing("A+B+C@W --as-of 0").contains("one"));
    assert!(folder.listing("A+B+C@W --as-of 2").contains("other"));
    folder.expect(1, "mkdir A+B+C@W:/more --as-of 2");
    let announced = String::from_utf8(folder.expect(2, "cluster force A+B+C@W C").stderr).unwrap();
    assert!(announced.contains("/A (node 0, fsid ") && announced.contains("/B (node 1, fsid "), "{announced}");
    assert!(folder.listing("A+B+C@W --as-of 0").contains("one"), "nothing was done");
    folder.expect(0, "cluster force -f A+B+C@W C");
    assert_eq!(folder.nodes(0, "A+B+C@W"), (vec!["MASTER in sync".to_owned(); 3], 0));
    for image in ["A", "B", "C"] {
        let whole = folder.listing(&format!("{image}@W"));
        assert!(whole.contains("other") && !whole.contains("one"), "{whole}");
    }
}

#[test]
fn members_made_one_by_one_are_adopted() {
    let folder = Folder::new("ABC", 3);
    folder.expect(0, "pfs-create A W");
    let listed: Value = serde_json::from_slice(&folder.expect(0, "pfs-list --json A").stdout).unwrap();
    let own = listed.as_array().unwrap().iter().find(|pfs| pfs["label"] == "W").unwrap();
    let clid = own["clid"].as_str().unwrap();
    folder.expect(0, &format!("pfs-create -t MASTER -u {clid} B W"));
    folder.expect(0, &format!("pfs-create -u {clid} C W"));
    folder.expect(0, "put tree A@W:/tree");
    let refused = String::from_utf8(folder.expect(1, "put tree A+B+C@W:/more").stderr).unwrap();
    assert!(refused.contains("cluster adopt"), "{refused}");
    folder.expect(0, "cluster adopt A+B+C@W");
    assert_eq!(
        folder.nodes(0, "A+B+C@W"),
        (vec!["MASTER in sync".into(), "MASTER in sync".into(), "SLAVE in sync".into()], 0)
    );
    assert!(folder.listing("C@W").contains("tree/file"));
    folder.expect(2, "pfs-create -u nonsense C V");
}

#[test]
fn what_is_done_to_a_filesystem_is_done_to_all_its_nodes() {
    let folder = Folder::new("ABC", 3);
    folder.expect(0, "cluster create -L W A B C");
    folder.expect(0, "put tree A+B+C@W:/tree");
    folder.expect(0, "setcomp zlib:6 A+B+C@W:/tree");
    folder.expect(0, "setcheck sha192 A+B+C@W:/tree");
    folder.expect(0, "put tree A+B+C@W:/tree/again");

    // The disks have different sizes: the smallest limits the room.
    for (image, mebibytes) in [("A", 200), ("B", 160), ("C", 256)] {
        File::options().write(true).open(folder.path().join(image)).unwrap().set_len(mebibytes << 20).unwrap();
    }
    let grown: Value = serde_json::from_slice(&folder.expect(0, "growfs --json A+B+C").stdout).unwrap();
    assert_eq!(grown["new_bytes"], 160 << 20);
    let grown: Value = serde_json::from_slice(&folder.expect(0, "growfs --json A+B+C 256M").stdout).unwrap();
    assert_eq!(grown["new_bytes"], 256 << 20);

    // Another cluster is made on the same disks, with snapshots of both, and removed again.
    folder.expect(0, "pfs-create A+B+C V");
    folder.expect(2, "pfs-create A+B+C V");
    folder.expect(2, "pfs-create -t SLAVE A+B+C U");
    folder.expect(0, "put tree B+C@V:/other");
    folder.expect(0, "cluster resync A+B+C@V");
    folder.expect(0, "snapshot A+B+C@V OLD-V");
    folder.expect(0, "snapshot A+B+C@W OLD-W");
    folder.expect(0, "rm -r A+B+C@W:/tree");
    assert!(folder.listing("A+C@OLD-W").contains("tree/again/file"));
    for label in ["V", "OLD-V", "OLD-W"] {
        folder.expect(0, &format!("pfs-delete A+B+C {label}"));
        folder.expect(2, &format!("pfs-delete A+B+C {label}"));
    }
    folder.expect(0, "bulkfree A+B+C");
    assert_eq!(folder.nodes(0, "A+B+C@W"), (vec!["MASTER in sync".to_owned(); 3], 0));
    let whole = folder.listing("A+B+C@W");
    for image in ["A", "B", "C"] {
        assert_eq!(folder.listing(&format!("{image}@W")), whole);
        folder.expect(0, &format!("fsck --strict {image}"));
    }
}
