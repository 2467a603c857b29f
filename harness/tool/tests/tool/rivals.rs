//! Two rivals know the same disks by different names, so that no lock of a machine keeps them apart. Both write as often as they
//! can, and each is sometimes stopped in the middle of it, for longer than the other waits. Every acknowledged write is there at
//! the end, and the disks are whole.
//! `H2_SEED` chooses the run; `H2_MINUTES` makes it go on for that long, `HAMMER2_FULL` for five minutes.

use std::fs;
use std::process::Stdio;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use hammer2_core::media::heartbeat::HEARTBEAT_PERIOD;
use hammer2_core::random::Random;
use rustix::process::{Pid, Signal, kill_process};

use super::folder::{Folder, noise};
use super::{export_server, runs};

const IMAGES: [&str; 3] = ["a.img", "b.img", "c.img"];
const IMAGE_BYTES: u64 = 256 << 20;
const MOST_FILE_BYTES: u64 = 4 << 20;

/// The longest stop: twice as long as the other watches.
const LONGEST_STOP: Duration = Duration::from_secs(10);

/// The acknowledged writes of a rival.
#[derive(Default)]
struct Told {
    written: Vec<(String, Vec<u8>)>,
    in_use: usize,
    fenced: usize,
}

/// One of the two rivals, which calls the server of the disks `host`.
struct Rival<'a> {
    folder: &'a Folder,
    name: &'static str,
    target: String,
    random: Random,
    told: Told,
}

impl Rival<'_> {
    /// Writes a file, and may be stopped meanwhile.
    fn write(&mut self, number: usize) {
        let name = format!("{}{number}", self.name);
        let content = noise(1 + self.random.below(MOST_FILE_BYTES), self.random.next_u64());
        fs::create_dir(self.folder.path(&name)).unwrap();
        fs::write(self.folder.path(&name).join("content"), &content).unwrap();
        let mut command = self.folder.command(["put", &name, &format!("{}:/{name}", self.target)]);
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        if self.random.percent(50) {
            let pid = Pid::from_child(&child);
            sleep(Duration::from_millis(self.random.below(800)));
            let _ = kill_process(pid, Signal::STOP);
            sleep(Duration::from_millis(self.random.below(LONGEST_STOP.as_millis() as u64)));
            let _ = kill_process(pid, Signal::CONT);
        }
        let status = child.wait().unwrap();
        let complaint = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
        match status.code() {
            Some(0) => self.told.written.push((name.clone(), content)),
            Some(1 | 2) => assert!(!complaint.is_empty(), "a failure without a word"),
            code => panic!("{code:?}: {complaint}"),
        }
        println!("{name}: {:?} {}", status.code(), complaint.trim_end());
        self.told.in_use += usize::from(complaint.contains("is in use by another mount"));
        self.told.fenced += usize::from(complaint.contains("taken over"));
        fs::remove_dir_all(self.folder.path(&name)).unwrap();
    }
}

/// Makes three masters on exports; returns their ports.
fn three_exports(folder: &Folder) -> Vec<u16> {
    let serve = |image: &&str| {
        folder.image(image, IMAGE_BYTES);
        folder.succeed(["newfs", image]);
        export_server::serve(folder.path(image), |file| file)
    };
    let ports = IMAGES.iter().map(serve).collect();
    folder.succeed([&["cluster", "create", "-L", "CL"], &IMAGES[..]].concat());
    ports
}

/// The cluster's name for a rival that knows the servers by this name.
fn cluster(ports: &[u16], host: &str) -> String {
    let nodes: Vec<_> = ports.iter().map(|port| format!("nbd://{host}:{port}/x")).collect();
    format!("{}@CL", nodes.join("+"))
}

#[test]
fn who_writes_is_named_and_nobody_else_does() {
    let folder = Folder::new();
    let ports = three_exports(&folder);
    let (ours, theirs) = (cluster(&ports, "localhost"), cluster(&ports, "127.0.0.1"));
    let mut writer = folder.command(["put", "-", &format!("{ours}:/file")]).stdin(Stdio::piped()).spawn().unwrap();
    let is_named = |_: &u32| {
        sleep(Duration::from_millis(100));
        folder.succeed(["cluster", "status", &theirs]).contains("written to by ")
    };
    assert!((0..100).any(|look| is_named(&look)), "nobody is named");

    folder.refuse(["mkdir", &format!("{theirs}:/directory")], 1, "is in use by another mount");
    folder.refuse(["newfs", "-f", &format!("nbd://127.0.0.1:{}/x", ports[0])], 2, "is in use by a mount on");
    let node = theirs.split('+').next().unwrap();
    folder.refuse(["pfs-create", node, "OTHER"], 1, "is in use by another mount");

    drop(writer.stdin.take());
    assert!(writer.wait().unwrap().success());
    // The heartbeat was released, so the next mount doesn't wait.
    let started = Instant::now();
    folder.succeed(["mkdir", &format!("{theirs}:/directory")]);
    assert!(started.elapsed() < HEARTBEAT_PERIOD * 2, "{:?}", started.elapsed());
    assert!(!folder.succeed(["cluster", "status", &theirs]).contains("written to by "));
}

#[test]
fn two_machines_on_the_same_disks_lose_nothing() {
    let seed = runs::first_seed();
    let duration = runs::duration().unwrap_or(Duration::from_secs(runs::usual_or_full(40, 300)));
    let folder = Folder::new();
    let ports = three_exports(&folder);

    let until = Instant::now() + duration;
    let told: Vec<Told> = thread::scope(|scope| {
        let rivals = [("one", "localhost"), ("two", "127.0.0.1")].map(|(name, host)| {
            let mut rival = Rival {
                folder: &folder,
                name,
                target: cluster(&ports, host),
                random: Random::new(seed ^ host.len() as u64),
                told: Told::default(),
            };
            scope.spawn(move || {
                let mut number = 0;
                while Instant::now() < until {
                    number += 1;
                    rival.write(number);
                }
                rival.told
            })
        });
        rivals.into_iter().map(|rival| rival.join().unwrap()).collect()
    });

    for image in IMAGES {
        folder.check(image);
    }
    let all = format!("{}@CL", IMAGES.join("+"));
    for (name, content) in told.iter().flat_map(|told| &told.written) {
        assert!(
            folder.read(["cat", &format!("{all}:/{name}/content")]) == *content,
            "seed {seed}: {name} was written, and differs"
        );
    }
    let sum = |count: fn(&Told) -> usize| told.iter().map(count).sum::<usize>();
    let (written, in_use) = (sum(|told| told.written.len()), sum(|told| told.in_use));
    println!("seed {seed}: {written} files, {in_use} times in use, {} times fenced", sum(|told| told.fenced));
    assert!(written > 1 && in_use > 0, "seed {seed}: the two never met");
}
