//! All commands, as the program lists them: which print JSON, which show progress; and why the others don't.
//! A command that may take longer than a second on a volume of a terabyte shows progress on a terminal, and nothing if standard
//! error isn't one. Each row is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::folder::Folder;

/// How a command reports its result to programs.
enum Json {
    /// `--json`: objects on standard output, and nothing else.
    Printed,
    /// `--json`: an object as the last line of standard error, as the command's product is on standard output.
    Beside,
    /// It doesn't, for this reason.
    None(&'static str),
}

use Json::{Beside, None as NoJson, Printed};

/// The progress that a command shows while it runs.
enum Progress {
    /// Its progress, or a sign of life.
    Shown,
    /// Nothing, for this reason.
    None(&'static str),
}

use Progress::{None as Unseen, Shown};

/// A command, and how it is tried.
struct Row {
    name: &'static str,
    json: Json,
    progress: Progress,
    /// The commands before it.
    before: &'static str,
    /// The call; `$JSON` becomes `--json`, or nothing.
    call: &'static str,
}

const fn row(name: &'static str, json: Json, progress: Progress, before: &'static str, call: &'static str) -> Row {
    Row { name, json, progress, before, call }
}

const QUICK: &str = "it reads and writes some blocks, however large the volume is";
const PRINTS: &str = "what it prints is how far it is";
const TELLS_NOTHING: &str = "there is nothing to tell but that it worked, which the exit status does";
const ONE_WORD: &str = "it prints one word; `pfs-list --json` has it with all others";
const MOUNTED: &str = "it is there when it is mounted: `findmnt --json`, `info --json`";

const ONE: &str = "volume a.img";
const FILLED: &str = "volume a.img; hammer2 put source a.img@HOME:/";
const LIMITED: &str = "volume a.img; hammer2 setquota --inodes 9 a.img@HOME:/";
const THREE: &str = "cluster";
const FOURTH: &str = "cluster; volume d.img";
/// A cluster in which a member lacks something.
const BEHIND: &str = "cluster; hammer2 put source a.img+b.img@WORK:/ 2>/dev/null";
const STREAM: &str =
    "volume a.img; volume b.img; hammer2 put source a.img@HOME:/; hammer2 send a.img@HOME >stream 2>/dev/null";

const ROWS: [Row; 62] = [
    row("newfs", Printed, Unseen(QUICK), "truncate -s 256M a.img", "hammer2 newfs $JSON a.img"),
    row("scan", Printed, Shown, ONE, "hammer2 scan $JSON a.img"),
    row("wait", Printed, Unseen(PRINTS), ONE, "hammer2 wait $JSON @HOME"),
    row("info", Printed, Unseen(QUICK), ONE, "hammer2 info $JSON a.img"),
    row("ls", Printed, Shown, FILLED, "hammer2 ls -R $JSON a.img@HOME"),
    row("stat", Printed, Unseen(QUICK), ONE, "hammer2 stat $JSON a.img@HOME:/"),
    row("cat", NoJson("it prints what is in the file"), Shown, FILLED, "hammer2 cat a.img@HOME:/large"),
    row("get", Printed, Shown, FILLED, "hammer2 get $JSON a.img@HOME out"),
    row("tar", Beside, Shown, FILLED, "hammer2 tar $JSON a.img@HOME"),
    row("put", Printed, Shown, ONE, "hammer2 put $JSON source a.img@HOME:/"),
    row("mount", NoJson(MOUNTED), Unseen(QUICK), "", ""),
    row("mountall", Printed, Unseen(PRINTS), ": >fstab", "hammer2 mountall $JSON --fstab fstab"),
    row("mkdir", NoJson(TELLS_NOTHING), Unseen(QUICK), "", ""),
    row("rm", Printed, Shown, FILLED, "hammer2 rm -r $JSON a.img@HOME:/below"),
    row("mv", NoJson(TELLS_NOTHING), Unseen(QUICK), "", ""),
    row("ln", NoJson(TELLS_NOTHING), Unseen(QUICK), "", ""),
    row("chmod", NoJson(TELLS_NOTHING), Unseen(QUICK), "", ""),
    row("chown", NoJson(TELLS_NOTHING), Unseen(QUICK), "", ""),
    row("truncate", NoJson(TELLS_NOTHING), Unseen(QUICK), "", ""),
    row("setcomp", Printed, Shown, FILLED, "hammer2 setcomp -r $JSON lz4 a.img@HOME"),
    row("setcheck", Printed, Shown, FILLED, "hammer2 setcheck -r $JSON sha192 a.img@HOME"),
    row("setquota", Printed, Shown, FILLED, "hammer2 setquota $JSON --inodes 100 a.img@HOME:/below"),
    row("quota", Printed, Shown, LIMITED, "hammer2 quota --recount $JSON a.img@HOME"),
    row("pfs-list", Printed, Unseen(QUICK), ONE, "hammer2 pfs-list $JSON a.img"),
    row("pfs-clid", NoJson(ONE_WORD), Unseen(QUICK), "", ""),
    row("pfs-fsid", NoJson(ONE_WORD), Unseen(QUICK), "", ""),
    row("pfs-create", NoJson(TELLS_NOTHING), Unseen(QUICK), "", ""),
    row("pfs-delete", NoJson(TELLS_NOTHING), Unseen(QUICK), "", ""),
    row("snapshot", Printed, Unseen(QUICK), ONE, "hammer2 snapshot $JSON a.img@HOME"),
    row("bulkfree", Printed, Shown, FILLED, "hammer2 bulkfree $JSON a.img"),
    row(
        "cluster create",
        Printed,
        Unseen(QUICK),
        "volume a.img; volume b.img",
        "hammer2 cluster create $JSON -L W a.img b.img",
    ),
    row("cluster add", Printed, Shown, FOURTH, "hammer2 cluster add $JSON a.img+b.img+c.img@WORK d.img"),
    row("cluster remove", Printed, Unseen(QUICK), THREE, "hammer2 cluster remove $JSON a.img+b.img+c.img@WORK c.img"),
    row("cluster replace", Printed, Shown, FOURTH, "hammer2 cluster replace $JSON a.img+b.img+c.img@WORK c.img d.img"),
    row("cluster promote", Printed, Unseen(QUICK), SLAVE, "hammer2 cluster promote $JSON a.img+b.img@W b.img"),
    row("cluster adopt", Printed, Shown, ALONE, "hammer2 cluster adopt $JSON a.img+b.img@HOME"),
    row("cluster force", Printed, Shown, BEHIND, "hammer2 cluster force -f $JSON a.img+b.img+c.img@WORK a.img"),
    row("cluster status", Printed, Unseen(QUICK), THREE, "hammer2 cluster status $JSON a.img+b.img+c.img@WORK"),
    row("cluster resync", Printed, Shown, BEHIND, "hammer2 cluster resync $JSON a.img+b.img+c.img@WORK"),
    row("cluster scrub", Printed, Shown, FILLED, "hammer2 cluster scrub $JSON a.img@HOME"),
    row("scrub", Printed, Shown, FILLED, "hammer2 scrub $JSON a.img@HOME"),
    row("events", Printed, Unseen(PRINTS), "", ""),
    row("metrics", Printed, Unseen(QUICK), "", ""),
    row("growfs", Printed, Unseen(QUICK), ONE, "hammer2 growfs $JSON a.img 512M"),
    row("manifest", Beside, Shown, FILLED, "hammer2 manifest $JSON a.img@HOME"),
    row("volume-list", Printed, Unseen(QUICK), ONE, "hammer2 volume-list $JSON a.img"),
    row("volhdr", Printed, Unseen(QUICK), ONE, "hammer2 volhdr $JSON a.img"),
    row("show", Printed, Shown, FILLED, "hammer2 show $JSON a.img"),
    row("printinode", Printed, Unseen(QUICK), ONE, "hammer2 printinode $JSON a.img@HOME:/"),
    row("hash", Printed, Unseen(QUICK), "", "hammer2 hash $JSON name other"),
    row("dhash", Printed, Unseen(QUICK), "", "hammer2 dhash $JSON name"),
    row("freemap", Printed, Shown, FILLED, "hammer2 freemap $JSON a.img"),
    row("fsck", Printed, Shown, FILLED, "hammer2 fsck $JSON a.img"),
    row("recover", Printed, Shown, FILLED, "hammer2 recover $JSON a.img out"),
    row("destroy", Printed, Unseen(QUICK), FILLED, "hammer2 destroy $JSON a.img@HOME:/large"),
    row("destroy-inum", NoJson(TELLS_NOTHING), Unseen(QUICK), "", ""),
    row("send", Beside, Shown, FILLED, "hammer2 send $JSON a.img@HOME"),
    row("receive", Printed, Shown, STREAM, "hammer2 receive $JSON b.img@NEW <stream"),
    row("sim", Printed, Shown, "", "hammer2 sim $JSON --seeds 2"),
    row("pages", NoJson("it writes files, for who makes packages"), Unseen(QUICK), "", ""),
    row("fsck.hammer2", Printed, Shown, FILLED, "fsck.hammer2 $JSON -n a.img"),
    row("mkfs.hammer2", Printed, Unseen(QUICK), "truncate -s 256M a.img", "mkfs.hammer2 $JSON a.img"),
];

/// A cluster of a master and a slave.
const SLAVE: &str =
    "volume a.img; volume b.img; hammer2 cluster create -L W a.img --slave b.img; hammer2 mkdir a.img+b.img@W:/x";
/// Two volumes, of which one has an empty PFS for the other's content.
const ALONE: &str =
    "volume a.img; truncate -s 256M b.img; hammer2 newfs -q -L NONE b.img; hammer2 put source a.img@HOME:/
    hammer2 pfs-create -t SLAVE -u $(hammer2 pfs-clid a.img HOME) b.img HOME";

/// The beginning of every script: the program by its names, and functions for the rows.
const PRELUDE: &str = r#"
set -e
volume() { truncate -s 256M $1; hammer2 newfs -q -L HOME $1; }
cluster() {
    for disk in a b c; do truncate -s 256M $disk.img; hammer2 newfs -q -L NONE $disk.img; done
    hammer2 cluster create -L WORK a.img b.img c.img
}
"#;

/// A folder in which rows are tried: a tree to be copied, and the program by its names.
fn folder() -> Folder {
    let folder = Folder::new();
    for name in ["hammer2", "fsck.hammer2", "mkfs.hammer2"] {
        fs::create_dir_all(folder.path("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hammer2"), folder.path("bin").join(name)).unwrap();
    }
    fs::create_dir_all(folder.path("source/below")).unwrap();
    fs::write(folder.path("source/large"), vec![7; 1 << 20]).unwrap();
    fs::write(folder.path("source/below/file"), "content").unwrap();
    folder
}

fn shell(folder: &Folder, script: &str) -> Command {
    let mut command = Command::new("sh");
    let path = format!("{}:{}", folder.path("bin").display(), std::env::var("PATH").unwrap());
    command.args(["-c", &format!("{PRELUDE}{script}")]).current_dir(folder.path(""));
    command
        .env("PATH", path)
        .env("HAMMER2_DEVICES", "a.img")
        .env("HAMMER2_STATE", folder.path("state"))
        .env("TERM", "xterm");
    command
}

/// Runs the commands before a row's call, and the call.
fn call(row: &Row, json: &str, around: fn(&str) -> String) -> Output {
    let folder = folder();
    let prepared = shell(&folder, row.before).output().unwrap();
    assert!(prepared.status.success(), "{}: {prepared:?}", row.name);
    shell(&folder, &format!("JSON={json}\n{}", around(row.call))).output().unwrap()
}

/// The commands below one, as its help lists them; itself if there are none.
fn listed(path: &[&str], found: &mut BTreeSet<String>) {
    let help = Command::new(env!("CARGO_BIN_EXE_hammer2")).args(path).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let below = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let names = below.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let line = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?;
        line.split(' ').next()
    });
    let names: Vec<_> = names.filter(|name| *name != "help").collect();
    for name in &names {
        listed(&[path, &[name]].concat(), found);
    }
    if names.is_empty() {
        let has_json = if help.contains("--json") { " --json" } else { "" };
        found.insert(format!("{}{has_json}", path.join(" ")));
    }
}

#[test]
fn every_command_prints_json_or_has_a_reason() {
    let mut found = BTreeSet::new();
    listed(&[], &mut found);
    let is_of_tool = |row: &&Row| !row.name.contains(".hammer2");
    let with_json = |row: &Row| match row.json {
        Printed | Beside => format!("{} --json", row.name),
        NoJson(_) => row.name.to_owned(),
    };
    let known: BTreeSet<_> = ROWS.iter().filter(is_of_tool).map(with_json).collect();
    assert!(found.len() > 50, "{found:?}");
    assert_eq!(found, known, "a command that is new, or lacks --json, or has it now: say so in the table");
}

#[test]
fn objects_are_printed_and_where_it_is_said() {
    let documented = documented();
    for row in ROWS.iter().filter(|row| !row.call.is_empty()) {
        let output = call(row, "--json", str::to_owned);
        assert!(output.status.success(), "{}: {output:?}", row.name);
        let said = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<String> = match row.json {
            Printed => {
                assert_eq!(said, "", "{}", row.name);
                String::from_utf8(output.stdout).unwrap().lines().map(Into::into).collect()
            }
            Beside => {
                assert!(!output.stdout.is_empty(), "{}", row.name);
                said.lines().map(Into::into).collect()
            }
            NoJson(_) => continue,
        };
        // Nothing is mounted, and nothing is behind.
        let may_be_silent = row.name == "mountall";
        assert!(may_be_silent || !lines.is_empty(), "{}", row.name);
        let mut found = Keys::default();
        for line in lines {
            let read: Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}: {line}", row.name));
            assert!(read.is_object() || read.is_array(), "{}: {line}", row.name);
            found.note(&read);
        }
        documented
            .get(row.name)
            .unwrap_or_else(|| panic!("{} isn't in docs/json.md", row.name))
            .compare(&found, row.name);
    }
}

/// The keys of objects, each with those below it.
#[derive(Debug, Default)]
struct Keys(BTreeMap<String, Key>);

#[derive(Debug, Default)]
struct Key {
    may_be_absent: bool,
    below: Keys,
}

impl Keys {
    /// Those that `docs/json.md` has for a command: "`key` {`below`}, `other`?".
    fn documented(mut text: &str) -> Self {
        Self::until_brace(&mut text)
    }

    fn until_brace(text: &mut &str) -> Self {
        let mut keys = Self::default();
        while let Some(rest) = text.trim_start_matches([' ', ',']).strip_prefix('`') {
            let (name, rest) = rest.split_once('`').unwrap();
            let (may_be_absent, rest) = rest.strip_prefix('?').map_or((false, rest), |rest| (true, rest));
            *text = rest.trim_start();
            let mut below = Self::default();
            if let Some(rest) = text.strip_prefix('{') {
                *text = rest;
                below = Self::until_brace(text);
                *text = text.strip_prefix('}').unwrap();
            }
            assert!(keys.0.insert(name.to_owned(), Key { may_be_absent, below }).is_none(), "{name} is there twice");
        }
        keys
    }

    fn note(&mut self, value: &Value) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    self.0.entry(key.clone()).or_default().below.note(value);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.note(value)),
            _ => {}
        }
    }

    /// Everything that was found is documented, and everything that must be there was found.
    fn compare(&self, found: &Self, place: &str) {
        for (name, key) in &found.0 {
            let known = self.0.get(name).or_else(|| self.0.get("*"));
            let known = known.unwrap_or_else(|| panic!("{place}: `{name}` isn't in docs/json.md"));
            if !key.below.0.is_empty() {
                known.below.compare(&key.below, &format!("{place}, {name}"));
            }
        }
        let always = self.0.iter().filter(|(name, key)| !key.may_be_absent && *name != "*").map(|(name, _)| name);
        for name in always.filter(|_| !found.0.is_empty()) {
            assert!(found.0.contains_key(name), "{place}: docs/json.md has `{name}`, which isn't printed");
        }
    }
}

/// What `docs/json.md` has of each command.
fn documented() -> BTreeMap<String, Keys> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let text = fs::read_to_string(path).unwrap();
    let table = text.split("## Results").nth(1).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.splitn(3, " | ").collect::<Vec<_>>());
    cells
        .map(|cells| {
            let [name, _, keys] = cells[..] else { panic!("{cells:?}") };
            (name.trim_end_matches('`').to_owned(), Keys::documented(keys))
        })
        .collect()
}

#[test]
fn what_every_command_prints_is_documented() {
    let documented = documented();
    let with_json = ROWS.iter().filter(|row| matches!(row.json, Printed | Beside));
    let names: BTreeSet<_> = with_json.map(|row| row.name.to_owned()).collect();
    assert_eq!(documented.into_keys().collect::<BTreeSet<_>>(), names, "docs/json.md has a row for each");
}

/// What a call that must fail says of it: nothing on standard output, and an object in the last line of standard error.
fn error_of(name: &str, output: &Output) -> Value {
    assert!(!output.status.success() && output.stdout.is_empty(), "{name}: {output:?}");
    let said = str::from_utf8(&output.stderr).unwrap();
    let objects: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(said)).collect();
    let error = objects.last().expect(name)["error"].clone();
    assert_eq!(error["exit_code"].as_i64(), output.status.code().map(i64::from), "{name}: {said}");
    assert!(
        error["remedy"].is_array() && error["message"].as_str().is_some_and(|message| !message.is_empty()),
        "{said}"
    );
    error
}

#[test]
fn failures_are_objects_where_results_are() {
    let has_json = |row: &&Row| matches!(row.json, Printed | Beside) && !row.call.is_empty();
    for row in ROWS.iter().filter(has_json) {
        let call = format!("JSON=--json\n{}", row.call);
        let misused = shell(&folder(), &format!(": >stream\n{call} --no-such-option")).output().unwrap();
        let error = error_of(row.name, &misused);
        assert_eq!(error["kind"], "usage", "{}: {error}", row.name);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("--no-such-option"), "{}: {message}", row.name);
        // These wait for what isn't there, find nothing, or need nothing.
        if row.before.is_empty() || ["wait", "scan", "mountall", "receive"].contains(&row.name) {
            continue;
        }
        let error = error_of(row.name, &shell(&folder(), &call).output().unwrap());
        assert_eq!(error["kind"], "unusable", "{}: {error}", row.name);
    }
}

#[test]
fn what_is_told_besides_is_objects_too() {
    let folder = folder();
    let prepared = shell(&folder, FILLED).output().unwrap();
    assert!(prepared.status.success(), "{prepared:?}");
    let removed =
        shell(&folder, "hammer2 rm --json a.img@HOME:/none a.img@HOME:/large a.img@HOME:/nor-this").output().unwrap();
    assert_eq!(removed.status.code(), Some(2), "{removed:?}");
    let said = String::from_utf8(removed.stderr).unwrap();
    let objects: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(&said)).collect();
    let [first, last] = &objects[..] else { panic!("{said}") };
    assert!(first["problem"]["message"].as_str().unwrap().contains("/none"), "{said}");
    assert!(last["error"]["message"].as_str().unwrap().contains("/nor-this"), "{said}");
}

/// The sequence that clears a line of a terminal.
const CLEARED: &str = "\r\x1b[2K";

/// A call with a terminal for its standard error, and a file for the rest.
fn on_terminal(call: &str) -> String {
    format!("script -qec '{call} >printed' /dev/null")
}

#[test]
fn what_takes_long_is_seen_on_a_terminal_and_nowhere_else() {
    assert!(Path::new("/usr/bin/script").exists(), "script(1) gives the terminal: Debian's bsdutils");
    for row in ROWS.iter().filter(|row| !row.call.is_empty()) {
        let seen = call(row, "", on_terminal);
        assert!(seen.status.success(), "{}: {seen:?}", row.name);
        let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
        // Each shows how long it has run, and is cleared at the end.
        let is_shown = seen.contains("0s") && seen.contains(CLEARED);
        assert_eq!(is_shown, matches!(row.progress, Shown), "{}: {seen:?}", row.name);
    }
    for row in ROWS.iter().filter(|row| !row.call.is_empty() && matches!(row.progress, Shown)) {
        let unseen = call(row, "", |call| format!("{call} >printed"));
        let said = String::from_utf8(unseen.stderr).unwrap();
        assert!(!said.contains('\x1b') && !said.contains('\r'), "{}: {said}", row.name);
    }
}

#[test]
fn what_is_left_out_has_a_reason() {
    for row in &ROWS {
        let reasons = [
            match row.json {
                NoJson(why) => why,
                _ => QUICK,
            },
            match row.progress {
                Unseen(why) => why,
                Shown => QUICK,
            },
        ];
        assert!(reasons.iter().all(|why| !why.is_empty()), "{}", row.name);
        let is_tried = !row.call.is_empty();
        let on_mounts_only = ["events", "metrics"].contains(&row.name);
        assert!(
            is_tried || on_mounts_only || !matches!((&row.json, &row.progress), (Printed | Beside, _) | (_, Shown)),
            "{}",
            row.name
        );
    }
}

#[test]
fn every_directive_of_dragonfly_is_done_or_answered() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/directives.md");
    let text = fs::read_to_string(path).unwrap();
    let table = text.split("## hammer2(8)").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let mut names = 0;
    for row in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (there, here) = row.split_once(" | ").unwrap();
        let is_refused = here.starts_with("no");
        for code in there.split('`').step_by(2).filter(|code| code.starts_with(char::is_alphanumeric)) {
            let name = code.split(' ').next().unwrap();
            if name.contains("_hammer2") {
                continue;
            }
            let output = Command::new(env!("CARGO_BIN_EXE_hammer2")).args([name, "--help"]).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let status = if is_refused { 2 } else { 0 };
            assert_eq!(output.status.code(), Some(status), "{name}: {said}");
            assert!(!is_refused || said.starts_with(&format!("hammer2: {name}: ")), "{name}: {said}");
            names += 1;
        }
    }
    assert!(names > 40, "{names}");
}
