//! The tool's advice works: every command that a refusal names in backquotes is run as it stands.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use super::tool::Folder;

/// The commands in backquotes.
pub(crate) fn advice(said: &str) -> Vec<String> {
    let quoted = said.split('`').skip(1).step_by(2);
    quoted.filter_map(|words| words.strip_prefix("hammer2 ")).map(str::to_owned).collect()
}

impl Folder {
    /// The complaint of a command that fails.
    fn complaint(&self, command: &str) -> String {
        let output = self.run(command);
        let said = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success(), "{command}: {said}");
        said
    }

    /// Follows the `choice`th advice of a complaint, and further advice from there, until a command succeeds.
    pub(crate) fn follow(&self, said: &str, choice: usize) {
        let (mut said, mut choice) = (said.to_owned(), choice);
        for _ in 0..3 {
            let commands = advice(&said);
            let command = commands.get(choice).unwrap_or_else(|| panic!("no advice: {said}"));
            let output = self.run(&command.replace("NEW", "new"));
            if output.status.success() {
                return;
            }
            assert_eq!(output.status.code(), Some(2), "{command}: {output:?}");
            (said, choice) = (String::from_utf8(output.stderr).unwrap(), 0);
        }
        panic!("advice without end: {said}");
    }
}

#[test]
fn after_a_split_either_side_is_kept() {
    for (choice, kept) in [(0, "other"), (1, "one")] {
        let folder = Folder::new("ABC", 3);
        folder.expect(0, "cluster create -L W A B C");
        fs::copy(folder.path().join("B"), folder.path().join("X")).unwrap();
        folder.expect(0, "mkdir A+B@W:/one");
        folder.expect(0, "mkdir X+C@W:/other");
        let said = folder.complaint("mkdir A+B+C@W:/more");
        assert!(said.contains("/A (node 0, fsid ") && said.contains("/C (node 2, fsid "), "{said}");
        assert_eq!(advice(&said), advice(&folder.complaint("cluster status A+B+C@W")));
        let sides: Vec<String> =
            advice(&said).iter().map(|command| command.rsplit('/').next().unwrap().into()).collect();
        assert_eq!(
            {
                let mut sorted = sides.clone();
                sorted.sort();
                sorted
            },
            ["A", "C"],
            "{said}"
        );
        let choice = sides.iter().position(|side| (side == "C") == (kept == "other")).unwrap_or(choice);
        folder.follow(&said, choice);
        assert!(folder.listing("A+B+C@W").contains(kept));
        folder.expect(0, "cluster status A+B+C@W");
    }
}

#[test]
fn masters_made_one_by_one_are_joined() {
    let folder = Folder::new("AB", 2);
    folder.expect(0, "pfs-create A W");
    let listed: serde_json::Value = serde_json::from_slice(&folder.expect(0, "pfs-list --json A").stdout).unwrap();
    let own = listed.as_array().unwrap().iter().find(|pfs| pfs["label"] == "W").unwrap();
    folder.expect(0, &format!("pfs-create -t MASTER -u {} B W", own["clid"].as_str().unwrap()));
    let said = folder.complaint("mkdir A+B@W:/x");
    folder.follow(&said, 0);
    folder.expect(0, "mkdir A+B@W:/x");
}

#[test]
fn a_member_that_is_gone_is_given_up() {
    let folder = Folder::new("ABC", 3);
    folder.expect(0, "cluster create -L W A B C");
    fs::remove_file(folder.path().join("C")).unwrap();
    for command in ["cluster status A+B@W", "cluster resync A+B@W", "cluster scrub A+B@W"] {
        let said = folder.complaint(command);
        assert!(advice(&said).iter().any(|advice| advice.starts_with("cluster remove A+B@W ")), "{command}: {said}");
    }
    folder.follow(&folder.complaint("cluster scrub A+B@W"), 0);
    folder.expect(0, "cluster status A+B@W");
    folder.expect(0, "cluster scrub A+B@W");
    let said = String::from_utf8(folder.expect(0, "cluster resync A+B@W").stdout).unwrap();
    assert!(said.contains("nothing to do"), "{said}");
}

#[test]
fn a_member_that_was_named_and_is_gone_is_called_by_its_name() {
    let folder = Folder::new("ABC", 3);
    folder.expect(0, "cluster create -L W A B C");
    fs::remove_file(folder.path().join("C")).unwrap();
    File::create(folder.path().join("new")).unwrap().set_len(128 << 20).unwrap();
    for command in ["cluster status A+B+C@W", "cluster resync A+B+C@W", "cluster scrub A+B+C@W"] {
        let said = folder.complaint(command);
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(" is missing: ") && words.contains("C: No such file"), "{command}: {said}");
        assert_eq!(advice(&said).len(), 2, "{command}: {said}");
    }
    let said = folder.complaint("cluster status A+B+C@W");
    assert!(said.lines().any(|line| line.starts_with("C ") && line.contains("  missing  ")), "{said}");
    assert!(advice(&said)[0].starts_with("cluster resync A+B+C@W"), "{said}");
    folder.follow(&said, 1);
    folder.expect(0, "cluster status A+B+new@W");
}

#[test]
fn too_few_that_are_left_advise_nothing_that_takes_a_quorum() {
    let folder = Folder::new("ABC", 3);
    folder.expect(0, "cluster create -L W A B C");
    for image in ["B", "C"] {
        fs::rename(folder.path().join(image), folder.path().join(image.to_lowercase())).unwrap();
    }
    let shown: serde_json::Value =
        serde_json::from_slice(&folder.expect(3, "cluster status --json A@W").stdout).unwrap();
    let missing: Vec<&str> =
        shown["missing"].as_array().unwrap().iter().map(|member| member["fsid"].as_str().unwrap()).collect();
    for target in ["A@W", "A+B+C@W"] {
        for command in ["cluster status", "cluster scrub", "cluster resync", "mkdir"] {
            let path = if command == "mkdir" { ":/x" } else { "" };
            let said = folder.complaint(&format!("{command} {target}{path}"));
            let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(missing.iter().all(|fsid| words.contains(fsid)), "{command}: {said}");
            let commands = advice(&said);
            let force = format!("cluster force {target} ");
            assert!(commands.iter().any(|command| command.starts_with(&force) && command.ends_with("/A")), "{said}");
            let takes_a_quorum = |command: &String| command.contains(" remove ") || command.contains(" replace ");
            assert!(!commands.iter().any(takes_a_quorum), "{command}: {said}");
        }
    }
    // The disks come back.
    let said = folder.complaint("cluster status A+B+C@W");
    for image in ["B", "C"] {
        fs::rename(folder.path().join(image.to_lowercase()), folder.path().join(image)).unwrap();
    }
    for command in advice(&said).iter().filter(|command| command.starts_with("cluster resync")) {
        folder.expect(0, command);
    }
    folder.expect(0, "cluster status A+B+C@W");
}

#[test]
fn what_is_no_filesystem_and_what_is_named_twice_is_told_in_words() {
    let folder = Folder::new("AB", 1);
    let said = folder.complaint("ls B");
    assert!(
        said.contains("B: no HAMMER2 volume header: nobody has made") && said.contains("`hammer2 recover "),
        "{said}"
    );
    folder.expect(0, "mkdir A:/one");
    let said = folder.complaint("mv A:/one A:/two");
    assert!(said.contains("A:/two: it is in A, too: name it without that, as /two"), "{said}");
    folder.expect(0, "mv A:/one /two");
    let said = folder.complaint("cluster add A");
    assert!(said.contains("; see hammer2 cluster add --help"), "{said}");
    let said = folder.complaint("newfs -s 1M B");
    assert!(said.contains("is used whole: give no size"), "{said}");
}

#[test]
fn what_force_gives_up_can_be_removed_afterwards() {
    let folder = Folder::new("ABC", 3);
    folder.expect(0, "cluster create -L W A B C");
    let said = folder.complaint("cluster force A@W A");
    assert_eq!(said.matches("votes no more").count(), 2, "{said}");
    let forced = folder.expect(0, &advice(&said)[0]);
    let said = String::from_utf8(forced.stdout).unwrap();
    assert_eq!(advice(&said).len(), 2, "{said}");
    for command in advice(&said) {
        folder.expect(0, &command);
    }
    folder.expect(0, "cluster status A@W");
}

#[test]
fn a_second_master_is_asked_for() {
    for choice in [0, 1] {
        let folder = Folder::new("AB", 1);
        let said = folder.complaint("cluster add A B");
        assert!(said.contains("when either stops"), "{said}");
        assert!(fs::read(folder.path().join("B")).unwrap().iter().all(|byte| *byte == 0), "it is formatted already");
        folder.expect(0, &advice(&said)[choice]);
        let role = ["SLAVE in sync", "MASTER in sync"][choice];
        assert_eq!(folder.nodes(0, "A+B").0, ["MASTER in sync", role]);
    }
}

#[test]
fn none_that_can_be_used_is_told_by_name() {
    let folder = Folder::new("AB", 2);
    folder.expect(0, "cluster create -L W A B");
    for image in ["A", "B"] {
        fs::remove_file(folder.path().join(image)).unwrap();
    }
    let said = folder.complaint("ls A+B@W");
    assert!(said.contains("A+B@W: none of its nodes can be used") && !said.contains("no volume given"), "{said}");
}

#[test]
fn a_disk_with_a_bad_root_is_named_and_replaced() {
    let folder = Folder::new("ABC", 3);
    folder.expect(0, "cluster create -L W A B C");
    let shown = String::from_utf8(folder.expect(0, "show B@W").stdout).unwrap();
    let root = shown.lines().find(|line| line.ends_with(" MASTER W")).unwrap();
    let place = root.split(" at 0x").nth(1).unwrap().split('/').next().unwrap();
    let image = File::options().write(true).open(folder.path().join("B")).unwrap();
    image.write_all_at(b"rot", u64::from_str_radix(place, 16).unwrap() + 200).unwrap();

    let said = folder.complaint("cluster status A+B+C@W");
    let line = said.lines().find(|line| line.contains("  unread  ")).unwrap_or_else(|| panic!("{said}"));
    let note = said.split(line).nth(1).unwrap();
    assert!(line.starts_with("B ") && note.contains("/B: ") && note.contains(place), "the disk and the block: {said}");
    File::create(folder.path().join("new")).unwrap().set_len(128 << 20).unwrap();
    for command in ["cluster scrub A+B+C@W", "cluster resync A+B+C@W"] {
        let said = folder.complaint(command);
        assert!(said.contains("/B (node 1") && said.contains(place), "{command}: {said}");
    }
    let said = folder.complaint("cluster scrub A+B+C@W");
    let choice = advice(&said).iter().position(|command| command.starts_with("cluster replace")).unwrap();
    folder.follow(&said, choice);
    folder.expect(0, "cluster status A+C+new@W");
}
