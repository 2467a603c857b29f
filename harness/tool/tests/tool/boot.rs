//! System integration: mounts that wait for their disks at boot, scrubs and snapshots by timers, the output for udev.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::folder::Folder;

/// Runs `scripts/install` with a folder as its prefix.
fn install(folder: &Folder) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/install");
    let mut install = Command::new(script);
    install.arg("--prefix").arg(folder.path("usr")).args(["--program", env!("CARGO_BIN_EXE_hammer2")]);
    let output = install.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn tool(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hammer2"));
    command.current_dir(folder.path("")).args(arguments).env("HAMMER2_DEVICES", folder.path("disks"));
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn units_are_such_that_systemd_finds_no_fault() {
    let folder = Folder::new();
    install(&folder);
    let units = folder.path("usr/lib/systemd/system");
    let mut names: Vec<String> =
        fs::read_dir(&units).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "hammer2-scrub@.service",
            "hammer2-scrub@.timer",
            "hammer2-snapshot@.service",
            "hammer2-snapshot@.timer",
            "hammer2-wait@.service"
        ]
    );
    // The program has every command in them, with these options.
    for name in &names {
        let unit = fs::read_to_string(units.join(name)).unwrap();
        let Some(command) = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")) else { continue };
        let command = command.replace("%f", "nothing").replace("%I", "@NOTHING").replace("${KEEP}", "daily=7");
        let mut words = command.split(' ');
        assert_eq!(Path::new(words.next().unwrap()), folder.path("usr/bin/hammer2"), "{unit}");
        let arguments: Vec<&str> = words.map(|word| if word == "90" { "0" } else { word }).collect();
        let output = tool(&folder, &arguments).output().unwrap();
        assert!(!text(&output).contains("--help"), "{command}: {}", text(&output));
    }
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("systemd-analyze isn't there: the units aren't verified");
        return;
    }
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()));
    verify.args(names.iter().map(|name| name.replace("@.", "@mnt-disk.")));
    let output = verify.output().unwrap();
    let ours: Vec<String> = text(&output).lines().filter(|line| line.contains("hammer2")).map(str::to_owned).collect();
    assert!(output.status.success() && ours.is_empty(), "{output:?}");
}

#[test]
fn a_mount_named_by_its_label_waits_for_its_disks() {
    let folder = Folder::new();
    install(&folder);
    fs::create_dir(folder.path("units")).unwrap();
    let fstab =
        "# disks\n/dev/sda1 / ext4 defaults 0 1\n@W /mnt/a\\040b hammer2 noatime 0 0\n@X /x hammer2 noauto 0 0\n";
    fs::write(folder.path("fstab"), fstab).unwrap();
    let mut generator = Command::new(folder.path("usr/lib/systemd/system-generators/hammer2-generator"));
    generator.env("SYSTEMD_FSTAB", folder.path("fstab")).args([folder.path("units"), folder.path(""), folder.path("")]);
    let output = generator.output().unwrap();
    assert!(output.status.success() && text(&output).is_empty(), "{output:?}");
    let drop_in = fs::read_to_string(folder.path("units/mnt-a\\x20b.mount.d/50-hammer2.conf")).unwrap();
    assert!(
        drop_in.contains("\nRequires=hammer2-wait@\\x40W.service\nAfter=hammer2-wait@\\x40W.service\n"),
        "{drop_in}"
    );
    assert_eq!(fs::read_dir(folder.path("units")).unwrap().count(), 1);
    // Without an fstab there is nothing to do; a missing folder is an error.
    generator.env("SYSTEMD_FSTAB", folder.path("nothing"));
    assert!(generator.output().unwrap().status.success());
}

#[test]
fn a_label_and_an_id_are_no_devices_to_a_mount_of_a_cluster() {
    let folder = Folder::new();
    install(&folder);
    let (units, uuid) = (folder.path("units"), "11111111-2222-3333-4444-555555555555");
    fs::create_dir(&units).unwrap();
    let fstab = format!(
        "LABEL=HO-ME\\040A /mnt/a hammer2 noatime 0 2\nUUID={uuid} /mnt/u hammer2 nofail 0 0\n\
         LABEL=X /mnt/x hammer2 noauto 0 0\n@W /mnt/w hammer2 defaults 0 0\n"
    );
    fs::write(folder.path("fstab"), fstab).unwrap();
    let own = folder.path("usr/lib/systemd/system-generators/hammer2-generator");
    let systemds = Path::new("/usr/lib/systemd/system-generators/systemd-fstab-generator");
    let has_systemd = systemds.exists();
    for generator in [systemds, &own].into_iter().filter(|generator| generator.exists()) {
        // Systemd checks only types whose fsck it finds.
        let path = format!("{}:{}", folder.path("usr/sbin").display(), std::env::var("PATH").unwrap());
        let mut generate = Command::new(generator);
        generate.env("SYSTEMD_FSTAB", folder.path("fstab")).env("PATH", path).args([&units; 3]);
        let output = generate.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let read = |name: &str| fs::read_to_string(units.join(name)).unwrap();
    assert!(read("mnt-a.mount.d/50-hammer2.conf").ends_with("[Mount]\nWhat=@HO-ME A\n"));
    assert!(read("mnt-a.mount.d/50-hammer2.conf").contains("After=hammer2-wait@LABEL\\x3dHO\\x2dME\\x20A.service"));
    assert!(read("mnt-u.mount.d/50-hammer2.conf").ends_with(&format!("[Mount]\nWhat=@UUID={uuid}\n")));
    assert_eq!(read("mnt-x.mount.d/50-hammer2.conf"), "# Written by hammer2-generator\n[Mount]\nWhat=@X\n");
    let check = "systemd-fsck@dev-disk-by\\x2dlabel-HO\\x2dME\\x5cx20A.service";
    assert!(read(check).contains("\nExecStart=/bin/true\n"));
    if !has_systemd || Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("systemd isn't there: what it makes of the units isn't seen");
        return;
    }
    // Systemd must accept all units together.
    let path = format!("{}:{}:", units.display(), folder.path("usr/lib/systemd/system").display());
    for (unit, what) in [("mnt-a.mount", "@HO-ME A"), ("mnt-u.mount", &format!("@UUID={uuid}")), ("mnt-w.mount", "@W")]
    {
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", "--recursive-errors=no", unit]);
        verify.env("SYSTEMD_UNIT_PATH", &path).env("SYSTEMD_LOG_LEVEL", "debug");
        let said = text(&verify.output().unwrap());
        let of_unit = said.split(&format!("-> Unit {unit}:")).nth(1).unwrap_or_else(|| panic!("{said}"));
        let of_unit = of_unit.split("-> Unit ").next().unwrap();
        assert!(of_unit.contains(&format!("What: {what}\n")), "{of_unit}");
        assert!(!of_unit.contains("/dev/disk"), "no device is needed: {of_unit}");
    }
}

#[test]
fn a_quorum_is_waited_for_and_what_is_missing_is_told() {
    let folder = Folder::new();
    for name in ["disks", "away"] {
        fs::create_dir(folder.path(name)).unwrap();
    }
    for name in ["A", "B", "C"] {
        fs::File::create(folder.path(format!("disks/{name}"))).unwrap().set_len(64 << 20).unwrap();
        assert!(tool(&folder, &["newfs", &format!("disks/{name}")]).status().unwrap().success());
    }
    let made = tool(&folder, &["cluster", "create", "-L", "W", "disks/A", "disks/B", "disks/C"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let wait = |arguments: &[&str]| tool(&folder, &[&["wait", "--timeout", "0"], arguments].concat()).output().unwrap();
    assert!(wait(&["@W"]).status.success());
    for name in ["B", "C"] {
        fs::rename(folder.path(format!("disks/{name}")), folder.path(format!("away/{name}"))).unwrap();
    }
    let output = wait(&["@W"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("@W: 1 of 3 masters are there, and 2 are needed: waiting for 1 more of its disks, member "),
        "{said}"
    );
    assert!(text(&wait(&["@NONE"])).contains("@NONE: waiting for its disks"));
    assert_eq!(wait(&["disks/A"]).status.code(), Some(2));
    let waiting = tool(&folder, &["wait", "--timeout", "60", "@W"]).stdout(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_millis(1500));
    fs::rename(folder.path("away/C"), folder.path("disks/C")).unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success() && text(&output).matches("waiting for").count() == 1, "{output:?}");
}

#[test]
fn snapshots_stay_as_the_rule_has_it() {
    let folder = Folder::new();
    fs::create_dir(folder.path("disks")).unwrap();
    fs::File::create(folder.path("v.img")).unwrap().set_len(64 << 20).unwrap();
    let run = |arguments: &[&str]| {
        let output = tool(&folder, arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(&output)
    };
    run(&["newfs", "v.img"]);
    let dated = ["20200101.000000", "20200101.235959", "20200102.120000", "20200106.120000", "20190101.000000"];
    for label in dated.map(|date| format!("DATA.{date}")).iter().map(String::as_str).chain(["MINE", "DATA.20200101"]) {
        run(&["snapshot", "v.img", label]);
    }
    let made = run(&["snapshot", "--keep", "hourly=1,daily=3,yearly=3", "v.img"]);
    let listed: serde_json::Value = serde_json::from_str(&run(&["pfs-list", "--json", "v.img"])).unwrap();
    let labels: Vec<&str> = listed.as_array().unwrap().iter().map(|pfs| pfs["label"].as_str().unwrap()).collect();
    // The rule keeps three days (today, the 6th, the 2nd), and three years (this one, 2020, 2019).
    let stays = [made.trim_end(), "DATA.20200106.120000", "DATA.20200102.120000", "DATA.20190101.000000"];
    for label in stays.into_iter().chain(["MINE", "DATA.20200101", "DATA", "LOCAL"]) {
        assert!(labels.contains(&label), "{label}: {labels:?}");
    }
    assert_eq!(labels.len(), 8, "{labels:?}");
    for (arguments, why) in [
        (&["snapshot", "--keep", "hourly=0", "v.img"], "keep nothing"),
        (&["snapshot", "--keep", "weekdays=1", "v.img"], "a rule is written as hourly=24"),
    ] {
        let output = tool(&folder, arguments).output().unwrap();
        assert!(output.status.code() == Some(2) && text(&output).contains(why), "{output:?}");
    }
    run(&["fsck", "v.img"]);
}

#[test]
fn udev_is_told_what_a_device_holds() {
    let folder = Folder::new();
    fs::File::create(folder.path("v.img")).unwrap().set_len(64 << 20).unwrap();
    let told = |path: &str| text(&tool(&folder, &["scan", "--udev", path]).output().unwrap());
    assert_eq!(told("v.img"), "");
    assert!(tool(&folder, &["newfs", "-L", "a b\\", "v.img"]).status().unwrap().success());
    let said = told("v.img");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["ID_FS_TYPE=hammer2", "ID_FS_USAGE=filesystem"], "{said}");
    assert!(lines[2].starts_with("ID_FS_UUID=") && lines[2].len() == "ID_FS_UUID=".len() + 36, "{said}");
    assert_eq!(lines[4..], ["ID_FS_LABEL=a_b_", "ID_FS_LABEL_ENC=a\\x20b\\x5c"], "{said}");
    if let Ok(verified) = Command::new("udevadm")
        .arg("verify")
        .arg("packaging/udev")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap())
        .output()
        && !text(&verified).contains("Unknown command")
    {
        assert!(verified.status.success(), "{verified:?}");
    }
}
