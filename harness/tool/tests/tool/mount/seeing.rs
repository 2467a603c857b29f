//! Reports of a mount for an administrator: the states of its disks, their events, and its numbers.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::cluster::{IMAGE_BYTES, IMAGES, Masters, NODES};
use super::mounted::{Volume, noise, wait_until};

/// Takes the content of a disk away, and gives it back.
struct Pulled<'m> {
    masters: &'m Masters,
    image: &'static str,
    content: Vec<u8>,
}

impl<'m> Pulled<'m> {
    fn new(masters: &'m Masters, image: &'static str) -> Self {
        let content = fs::read(masters.path(image)).unwrap();
        File::options().write(true).open(masters.path(image)).unwrap().set_len(0).unwrap();
        // A question for the status makes the mount ask the disks.
        wait_until("it is missed", || masters.volume.run(&["cluster", "status", "mnt"]).status.code() == Some(1));
        Self { masters, image, content }
    }

    fn put_back(self) {
        let file = File::options().write(true).open(self.masters.path(self.image)).unwrap();
        file.write_all_at(&self.content, 0).unwrap();
    }
}

fn write_durably(volume: &Volume, name: &str) {
    let file = File::create(volume.directory().join(name)).unwrap();
    file.write_all_at(&noise(100_000), 0).unwrap();
    file.sync_all().unwrap();
}

/// Runs a command with its output in a file, so that it can be read while more comes.
fn follow(volume: &Volume, arguments: &[&str], to: &str) -> Child {
    let file = File::create(volume.directory().with_file_name(to)).unwrap();
    volume.tool(arguments).stdout(file).stderr(Stdio::inherit()).spawn().unwrap()
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_status_fits_a_terminal_and_says_what_to_do() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node("v.img+b.img@CL", &[]);
    write_durably(volume, "file");
    volume.succeed(&["cluster", "add", "mnt", IMAGES[2]]);
    let fits = |said: &str| {
        let is_command = |line: &str| line.contains('`');
        assert!(said.lines().all(|line| is_command(line) || line.chars().count() <= 80), "{said}");
    };
    // On a busy machine one of them may lag by a commit for a moment.
    let mut said = String::new();
    wait_until("nobody lags", || {
        said = volume.succeed(&["cluster", "status", "mnt"]);
        !said.contains("commits")
    });
    fits(&said);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 5, "a line for the cluster, a head, and a line for each disk: {said}");
    assert!(lines[0].starts_with("CL: healthy, 3 of 3 masters in sync, quorum 2"), "{said}");
    // Two of the images have the same file name.
    for (line, name) in lines[2..].iter().zip(["/v.img ", "b.img ", "c/v.img "]) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert!(line.contains(name) && line.contains("  MASTER  in sync  "), "{said}");
        assert_eq!(cells[cells.len() - 3..], ["-", "0/0/0", "-"], "{said}");
    }
    assert!(said.contains("since") && !said.contains("never"), "{said}");

    volume.succeed(&["scrub", "mnt"]);
    let json: Value = serde_json::from_str(&volume.succeed(&["cluster", "status", "--json", "mnt"])).unwrap();
    assert!(json["last_scrub"]["at_us"].as_u64().unwrap() > 0, "{json}");
    let today = json["nodes"][0]["since"].as_str().unwrap()[..10].to_owned();
    assert!(volume.succeed(&["cluster", "status", "mnt"]).lines().last().unwrap().ends_with(&today), "{today}");

    let pulled = Pulled::new(&masters, IMAGES[1]);
    write_durably(volume, "more");
    let output = volume.run(&["cluster", "status", "mnt"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    fits(&said);
    let line = said.lines().find(|line| line.starts_with("b.img")).unwrap();
    let errors = line.split_whitespace().find(|cell| cell.matches('/').count() == 2).unwrap();
    assert!(line.contains("  ejected  ") && errors != "0/0/0", "{said}");
    assert!(said.contains("`hammer2 cluster resync ") && said.contains("/b.img NEW`"), "{said}");
    // The page has it, too, with the time; the freemap's picture has the nodes in step, one below the other.
    wait_until("the page has it", || {
        let page = volume.run(&["cluster", "status", "--html", "mnt"]);
        assert_eq!(page.status.code(), Some(1));
        let page = String::from_utf8(page.stdout).unwrap();
        let parts = [">ejected</text>", ">mounted</td>", ">member-left</td>", "`hammer2 cluster resync "];
        parts.iter().all(|part| page.contains(part))
    });
    let drawn = volume.succeed(&["freemap", "--svg", "mnt"]);
    let drawn = roxmltree::Document::parse(&drawn).unwrap();
    let scales = drawn
        .descendants()
        .filter(|node| node.is_text())
        .filter_map(|node| node.text())
        .filter(|text| text.starts_with("a cell is"));
    assert_eq!(scales.count(), 2);
    let json: Value = serde_json::from_slice(&volume.run(&["cluster", "status", "--json", "mnt"]).stdout).unwrap();
    let [one, other] = [0, 1].map(|node| json["nodes"][node]["since"].as_str().unwrap().to_owned());
    assert!(one < other, "since when it is away: {json}");
    pulled.put_back();
    wait_until("it is back", || volume.run(&["cluster", "status", "mnt"]).status.success());
    let (status, _) = mounted.unmount();
    assert!(status.success());
    // No mount has seen since when it is so.
    assert!(volume.succeed(&["cluster", "status", NODES]).lines().last().unwrap().contains("in sync  -"));
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn what_happens_is_followed_and_programs_are_run_for_it() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    let hooks = masters.path("hooks");
    fs::create_dir(&hooks).unwrap();
    fs::set_permissions(&hooks, Permissions::from_mode(0o755)).unwrap();
    let told = masters.path("told");
    let program = |name: &str, mode: u32, script: &str| {
        fs::write(hooks.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(hooks.join(name), Permissions::from_mode(mode)).unwrap();
    };
    let say = format!(r#"echo "$HAMMER2_EVENT $HAMMER2_DISK $HAMMER2_LABEL $(cat)" >>{}"#, told.display());
    program("10-tell", 0o755, &say);
    // A program that fails, or a file that mustn't be run, doesn't keep others from running.
    program("05-fails", 0o755, "exit 3");
    program("20-strangers", 0o777, &format!("echo wrong >>{}", told.display()));
    program("30-tell.bak", 0o755, &format!("echo wrong >>{}", told.display()));
    program("40-no-program", 0o644, &format!("echo wrong >>{}", told.display()));

    let options = format!("hooks={}", hooks.display());
    let mounted = volume.mount_node(NODES, &["-o", &options]);
    write_durably(volume, "file");
    let mut following = follow(volume, &["events", "mnt"], "text");
    let mut json = follow(volume, &["events", "--json", "mnt"], "json");
    let mut only_new = follow(volume, &["events", "--new", "mnt"], "new");
    let printed = |name: &str| fs::read_to_string(masters.path(name)).unwrap_or_default();
    wait_until("the past is told", || printed("text").contains(" mounted: ") && !printed("json").is_empty());
    std::thread::sleep(std::time::Duration::from_millis(500));

    let pulled = Pulled::new(&masters, IMAGES[1]);
    write_durably(volume, "more");
    wait_until("it is told", || printed("text").contains(" member-left: "));
    pulled.put_back();
    wait_until("it is back", || printed("text").matches(" member-in-sync: ").count() == 1);
    volume.succeed(&["scrub", "mnt"]);
    let past = volume.succeed(&["events", "--past", "mnt"]);
    let names: Vec<&str> = past.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    let place = |name: &str| names.iter().position(|known| *known == name).unwrap_or_else(|| panic!("{name}: {past}"));
    let order = ["mounted:", "member-left:", "member-in-sync:", "scrub-begun:", "scrub-ended:"].map(place);
    assert!(order.is_sorted(), "{past}");
    assert!(names.contains(&"device-errors:"), "{past}");
    let left = past.lines().find(|line| line.contains(" member-left: ")).unwrap();
    assert!(left.contains("/b.img: it left: "), "{left}");

    let (status, _) = mounted.unmount();
    assert!(status.success());
    for child in [&mut following, &mut json, &mut only_new] {
        assert!(child.wait().unwrap().success(), "it ends with the mount");
    }
    assert!(printed("text").ends_with(": it is unmounted\n"), "{}", printed("text"));
    assert!(printed("text").starts_with(&past), "{past}");
    assert!(!printed("new").contains(" mounted: ") && printed("new").contains(" member-left: "));
    let events: Vec<Value> = printed("json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let left = events.iter().find(|event| event["kind"] == "member-left").unwrap();
    assert!(left["disk"].as_str().unwrap().ends_with("/b.img") && left["label"] == "CL" && left["fsid"].is_string());
    assert!(events.iter().enumerate().all(|(place, event)| event["number"] == place + 1), "{events:?}");

    let run = || fs::read_to_string(&told).unwrap_or_default();
    wait_until("programs were run", || run().contains("member-in-sync"));
    let line = run().lines().find(|line| line.starts_with("member-left ")).unwrap().to_owned();
    assert!(line.contains("/b.img CL {") && line.contains("\"kind\":\"member-left\""), "{line}");
    assert!(!run().contains("wrong"), "{}", run());
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn numbers_are_printed_for_prometheus() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node(NODES, &[]);
    write_durably(volume, "file");
    volume.succeed(&["scrub", "mnt"]);
    let value = |name: &str, labels: &[&str]| -> f64 {
        let said = volume.succeed(&["metrics", "mnt"]);
        let is_meant = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
        let lines: Vec<&str> = said.lines().filter(is_meant).collect();
        assert_eq!(lines.len(), 1, "{name} {labels:?}: {said}");
        lines[0].rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let disk = "/b.img\"";
    assert_eq!(value("hammer2_disk_in_sync{", &[disk]), 1.0);
    assert_eq!(value("hammer2_cluster_health{", &["healthy"]), 1.0);
    assert_eq!(value("hammer2_scrub_last_good{", &[]), 1.0);
    assert_eq!(value("hammer2_scrub_last_bad_blocks{", &[]), 0.0);
    assert_eq!(value("hammer2_size_bytes{", &["label=\"CL\""]) as u64 % (1 << 20), 0);
    assert!(value("hammer2_written_bytes_total{", &[]) >= 100_000.0);
    let fsyncs = value("hammer2_requests_total{", &["operation=\"fsync\""]);
    write_durably(volume, "again");
    assert_eq!(value("hammer2_requests_total{", &["operation=\"fsync\""]), fsyncs + 1.0);
    let said = volume.succeed(&["metrics", "mnt"]);
    for line in said.lines() {
        let is_comment = line.starts_with("# HELP hammer2_") || line.starts_with("# TYPE hammer2_");
        let is_sample = line.starts_with("hammer2_") && line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok();
        assert!(is_comment || is_sample, "{line}");
    }
    let named: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let mut distinct = named.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(named.len(), distinct.len(), "{named:?}");

    let _pulled = Pulled::new(&masters, IMAGES[1]);
    write_durably(volume, "more");
    assert_eq!(value("hammer2_disk_in_sync{", &[disk]), 0.0);
    assert_eq!(value("hammer2_cluster_health{", &["degraded"]), 1.0);
    let errors =
        ["read", "write"].map(|kind| value("hammer2_disk_errors_total{", &[disk, &format!("kind=\"{kind}\"")]));
    assert!(errors[0] + errors[1] >= 1.0, "{errors:?}");
    assert_eq!(value("hammer2_disk_errors_total{", &["c/v.img", "kind=\"write\""]), 0.0);
    let (status, _) = mounted.unmount();
    assert!(status.success());
    volume.refuse(&["metrics", "v.img"], 2, "name the directory it is mounted on");
    volume.refuse(&["events", "mnt"], 2, "no HAMMER2 filesystem is mounted");
    // A volume by itself has numbers, too.
    let single = Volume::new(256 << 20);
    let mounted = single.mount(&[]);
    let json: Value = serde_json::from_str(&single.succeed(&["metrics", "--json", "mnt"])).unwrap();
    assert!(json.as_array().unwrap().iter().any(|metric| metric["name"] == "hammer2_disk_errors_total"), "{json}");
    mounted.unmount_well();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn who_has_never_seen_it_replaces_a_dead_disk_by_what_the_screen_says() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node(NODES, &[]);
    write_durably(volume, "file");
    // The disk dies for good.
    let dead = Pulled::new(&masters, IMAGES[1]);
    fs::remove_file(masters.path(IMAGES[1])).unwrap();
    write_durably(volume, "more");
    // Only the screen is used: the command that mentions the disk, with a new disk for NEW.
    let screen = String::from_utf8(volume.run(&["cluster", "status", "mnt"]).stdout).unwrap();
    assert!(screen.contains("b.img:") && !screen.contains("volume 0"), "a disk is named by its path: {screen}");
    let commands: Vec<&str> = screen.split('`').skip(1).step_by(2).collect();
    let command = commands.iter().find(|command| command.contains(" NEW")).unwrap_or_else(|| panic!("{screen}"));
    let new = masters.path("new.img");
    File::create(&new).unwrap().set_len(IMAGE_BYTES).unwrap();
    let command = command.replace("NEW", &new.display().to_string());
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[0], "hammer2", "{command}");
    volume.succeed(&words[1..]);
    volume.succeed(&["cluster", "status", "mnt"]);
    assert!(volume.succeed(&["scrub", "mnt"]).starts_with("3 nodes"));
    let (status, _) = mounted.unmount();
    assert!(status.success());
    drop(dead);
    assert!(volume.succeed(&["ls", "new.img@CL"]).contains("more"));
    volume.succeed(&["fsck", "new.img"]);
}
