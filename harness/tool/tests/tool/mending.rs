//! `fsck --repair` on trees whose inodes contradict their names and content, from seeds. Afterwards every file is there with its
//! content, a strict check finds nothing, and nothing is left to mend.
//! `H2_SEED` chooses the first seed and `H2_RUNS` the number of seeds; `HAMMER2_FULL` makes many more.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;
use hammer2_core::selftest::image::population::FileContent;
use hammer2_core::selftest::image::{Content, Editor, FileRecipe, ImageError};

use super::content::{check_content, folder_with};
use super::export_server::serve;
use super::folder::Folder;
use super::runs;

const IMAGE: &str = "fs.img";
const MOST_FILE_BYTES: u64 = 300_000;

/// A known file.
struct Known {
    inum: Inum,
    kind: FileKind,
    /// Its names, each with the directory.
    names: Vec<(Inum, String)>,
    content: FileContent,
    /// The inode's link count.
    links: u64,
}

impl Known {
    fn new(inum: Inum, kind: FileKind, name: (Inum, String), size: u64) -> Self {
        let content = FileContent { size, content: Content::Noise(inum.0) };
        Self { inum, kind, names: vec![name], content, links: 1 }
    }

    /// True if no name leads to it, and none should.
    fn is_removed(&self) -> bool {
        self.names.is_empty() && self.links == 0 && self.kind == FileKind::Regular
    }
}

/// Makes a tree; directories come before their content.
fn populate(editor: &mut Editor<'_>, random: &mut Random) -> Result<Vec<Known>, ImageError> {
    let (mut all, mut directories) = (Vec::<Known>::new(), vec![Inum::PFS_ROOT]);
    for number in 0..5 + random.below(30) {
        let parent = directories[random.below(directories.len() as u64) as usize];
        let name = format!("{number}");
        if random.percent(30) {
            let inum = editor.directory(parent, name.as_bytes())?;
            directories.push(inum);
            all.push(Known::new(inum, FileKind::Directory, (parent, name), 0));
            continue;
        }
        let size = random.below(MOST_FILE_BYTES);
        // Inodes are numbered in the order in which they are made.
        let seed = all.last().map_or(Inum::FIRST_DYNAMIC.0, |last| last.inum.0 + 1);
        let inum = editor.file(parent, name.as_bytes(), &FileRecipe::new(size, Content::Noise(seed)))?;
        assert_eq!(inum.0, seed);
        let mut file = Known::new(inum, FileKind::Regular, (parent, name), size);
        if random.percent(20) {
            let name = format!("{number} again");
            editor.link(parent, name.as_bytes(), inum)?;
            file.names.push((parent, name));
            file.links += 1;
        }
        all.push(file);
    }
    Ok(all)
}

/// Makes inodes wrong, and removes names; returns the number of faults.
fn strike(editor: &mut Editor<'_>, all: &mut [Known], random: &mut Random) -> Result<usize, ImageError> {
    let mut wrong = 0;
    for known in all {
        if random.percent(15) {
            let index = random.below(known.names.len() as u64) as usize;
            let (parent, name) = known.names.remove(index);
            editor.forget_name(parent, name.as_bytes(), known.inum)?;
        }
        if random.percent(20) {
            known.links = random.below(4);
            editor.alter(known.inum, |inode| inode.meta.set_nlinks(known.links))?;
        }
        let is_directory = known.kind == FileKind::Directory;
        wrong += usize::from(known.names.is_empty() || !is_directory && known.links != known.names.len() as u64);
        if is_directory && !known.names.is_empty() && random.percent(20) {
            editor.alter(known.inum, |inode| inode.meta.set_iparent(Inum(0x777)))?;
            wrong += 1;
        }
        let blocks = |bytes: u64| bytes.div_ceil(1 << 16);
        if known.kind == FileKind::Regular && random.percent(20) && known.content.size > 512 {
            let size = random.below(known.content.size);
            editor.alter(known.inum, |inode| inode.meta.set_size(size))?;
            // A removed file isn't cut.
            wrong += usize::from(blocks(size) < blocks(known.content.size) && !known.is_removed());
            known.content.size = size;
        }
    }
    Ok(wrong)
}

/// The paths of each file, by its number.
fn places(all: &[Known]) -> HashMap<Inum, Vec<String>> {
    let mut places = HashMap::from([(Inum::PFS_ROOT, vec![String::new()])]);
    for known in all.iter().filter(|known| !known.is_removed()) {
        let paths = match &known.names[..] {
            [] => vec![format!("/lost+found/#{}", known.inum.0)],
            names => names.iter().map(|(parent, name)| format!("{}/{name}", places[parent][0])).collect(),
        };
        places.insert(known.inum, paths);
    }
    places
}

/// An image with faults, its expected content after the repair, and the number of faults.
fn struck(seed: u64) -> (Folder, Vec<Known>, usize) {
    println!("H2_SEED={seed}");
    let random = &mut Random::new(seed);
    let (folder, (all, wrong)) = folder_with(|editor| {
        let mut all = populate(editor, random)?;
        let wrong = strike(editor, &mut all, random)?;
        Ok((all, wrong))
    });
    (folder, all, wrong)
}

fn mend(seed: u64) {
    let (folder, all, wrong) = struck(seed);
    let found = folder.run(["fsck", "--strict", IMAGE]);
    assert_eq!(found.status.code(), Some(i32::from(wrong > 0)), "{found:?}");
    let mended = folder.run(["fsck", "--strict", "--repair", IMAGE]);
    let said = String::from_utf8(mended.stdout).unwrap();
    assert!(mended.status.success() && said.ends_with('\n'), "{said}");
    let plans = said.lines().filter(|line| line.starts_with("repair: PFS DATA, ")).count();
    assert_eq!((plans, said.contains("not mended")), (wrong, false), "{said}");
    check_mended(&folder, IMAGE, &all);
}

/// Checks that nothing is left to mend, and everything is there with its content.
fn check_mended(folder: &Folder, image: &str, all: &[Known]) {
    assert!(!folder.succeed(["fsck", "--repair", image]).contains("repair: "));
    let root = format!("{image}:/");
    folder.succeed(["get", &root, "out"]);
    let places = places(all);
    for known in all {
        for place in places.get(&known.inum).into_iter().flatten() {
            let path = folder.path(format!("out{place}"));
            match known.kind {
                FileKind::Directory => assert!(path.is_dir(), "{place}"),
                _ => check_content(&path, known.content),
            }
        }
    }
    let listed = folder.succeed(["ls", "-R", &root]);
    // The root itself is in both; /lost+found is made only for lost files.
    let lost = usize::from(fs::exists(folder.path("out/lost+found")).unwrap());
    assert_eq!(listed.lines().count(), places.values().map(Vec::len).sum::<usize>() + lost, "{listed}");
    fs::remove_dir_all(folder.path("out")).unwrap();
}

/// A disk that accepts so many more writes, and then none.
struct Cut {
    file: File,
    left: Arc<AtomicUsize>,
}

impl Read for Cut {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes)
    }
}

impl Seek for Cut {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Write for Cut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let has_one = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        has_one.map_err(|_| io::Error::other("no write more"))?;
        // A request counts as one write, or each run would be cut at another place.
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Mends an image on a disk that fails after each of the repair's writes, and then once more without failures.
fn mend_in_two(seed: u64) -> u64 {
    const CUT: &str = "cut.img";
    let (folder, all, wrong) = struck(seed);
    let left = Arc::new(AtomicUsize::new(0));
    fs::copy(folder.path(IMAGE), folder.path(CUT)).unwrap();
    let shared = Arc::clone(&left);
    let port = serve(folder.path(CUT), move |file| Cut { file, left: Arc::clone(&shared) });
    for writes in 0.. {
        fs::copy(folder.path(IMAGE), folder.path(CUT)).unwrap();
        left.store(writes, Ordering::SeqCst);
        let first = folder.run(["fsck", "--repair", "--local", &format!("nbd://127.0.0.1:{port}/{CUT}")]);
        let again = folder.run(["fsck", "--strict", "--repair", CUT]);
        assert!(again.status.success(), "after {writes} writes: {first:?}, {again:?}");
        check_mended(&folder, CUT, &all);
        if first.status.success() {
            assert!(writes > 0 || wrong == 0, "nothing was written, and {wrong} are mended");
            return writes as u64;
        }
    }
    unreachable!("more writes than there are numbers")
}

#[test]
fn what_was_mended_in_part_can_be_mended_again() {
    let mut cuts = 0;
    runs::for_each_seed(3, 60, |seed| cuts += mend_in_two(seed));
    assert!(cuts > 10, "only {cuts} writes");
}

#[test]
fn what_inodes_say_is_held_against_names_and_content() {
    runs::for_each_seed(6, 300, mend);
}
