//! Writes past the kernel's cache, while other threads read through it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hammer2_core::random::Random;

use super::aio::Queue;
use super::mounted::Volume;

const PAGE: usize = 4096;
const FILE_PAGES: usize = 256;
const DEPTH: usize = 16;
const READERS: u64 = 4;

/// Reads at random places through the cache until it is told to stop.
fn read_here_and_there(file: &File, seed: u64, ended: &AtomicBool) {
    let mut random = Random::new(seed);
    let mut bytes = vec![0; 16 * PAGE];
    while !ended.load(Ordering::Relaxed) {
        let (pages, at) = (1 + random.index(16), random.index(FILE_PAGES));
        file.read_at(&mut bytes[..pages * PAGE], (at * PAGE) as u64).unwrap();
    }
}

/// Places of simultaneous writes, which don't overlap.
fn places(random: &mut Random) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let mut at = random.index(8);
    while places.len() < DEPTH && at < FILE_PAGES {
        let pages = (1 + random.index(8)).min(FILE_PAGES - at);
        places.push((at, pages));
        at += pages + random.index(16);
    }
    places
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn what_is_written_past_the_cache_is_what_others_read() {
    const ROUNDS: usize = 400;
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    let path = mounted.path("file");
    let mut content = vec![0; FILE_PAGES * PAGE];
    fs::write(&path, &content).unwrap();
    let direct = OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(&path).unwrap();
    let buffered = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let ended = AtomicBool::new(false);
    let stale = thread::scope(|scope| {
        for seed in 0..READERS {
            let (buffered, ended) = (&buffered, &ended);
            scope.spawn(move || read_here_and_there(buffered, seed, ended));
        }
        let queue = Queue::new(DEPTH);
        let mut random = Random::new(451);
        let mut found = vec![0; content.len()];
        let mut stale = None;
        for round in 0..ROUNDS {
            let places = places(&mut random);
            for (at, pages) in &places {
                random.fill(&mut content[at * PAGE..(at + pages) * PAGE]);
            }
            let writes: Vec<_> = places
                .iter()
                .map(|(at, pages)| ((at * PAGE) as u64, &content[at * PAGE..(at + pages) * PAGE]))
                .collect();
            queue.write_all(&direct, &writes);
            // Sometimes there is a write through the cache, too.
            if random.percent(20) {
                let (at, bytes) = (random.index(content.len() - PAGE), 1 + random.index(PAGE));
                random.fill(&mut content[at..at + bytes]);
                buffered.write_all_at(&content[at..at + bytes], at as u64).unwrap();
            }
            buffered.read_exact_at(&mut found, 0).unwrap();
            let is_stale = |page: &usize| found[page * PAGE..][..PAGE] != content[page * PAGE..][..PAGE];
            stale = (0..FILE_PAGES).find(is_stale).map(|page| (round, page));
            if stale.is_some() {
                break;
            }
        }
        ended.store(true, Ordering::Relaxed);
        stale
    });
    assert_eq!(stale, None, "a round and a page that is stale");
    let mut found = vec![0; content.len()];
    direct.read_exact_at(&mut found, 0).unwrap();
    assert!(found == content, "the disk holds something else");
    drop((direct, buffered));
    mounted.unmount_well();
    assert!(volume.run(&["cat", "v.img:/file"]).stdout == content);
    volume.check();
}
