//! What `fsck --repair` mends: trees whose inodes say other things than their names and content do, from seeds. Every file is
//! there afterwards with what it held, a strict check finds nothing, and nothing is left to mend.
//!
//! `H2_SEED` chooses the first of the seeds and `H2_RUNS` how many there are; `HAMMER2_FULL` makes them many more.

use std::collections::HashMap;
use std::fs;

use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;
use hammer2_core::selftest::image::population::FileContent;
use hammer2_core::selftest::image::{Content, Editor, FileRecipe, ImageError};

use super::content::{check_content, folder_with};
use super::runs;

const IMAGE: &str = "fs.img";
const MOST_FILE_BYTES: u64 = 300_000;

/// What a name was given to.
struct Known {
    inum: Inum,
    kind: FileKind,
    /// The directory and the name in it, each.
    names: Vec<(Inum, String)>,
    content: FileContent,
    /// What the inode says.
    links: u64,
}

impl Known {
    fn new(inum: Inum, kind: FileKind, name: (Inum, String), size: u64) -> Self {
        let content = FileContent { size, content: Content::Noise(inum.0) };
        Self { inum, kind, names: vec![name], content, links: 1 }
    }

    /// No name leads to it, and none is missed.
    fn is_removed(&self) -> bool {
        self.names.is_empty() && self.links == 0 && self.kind == FileKind::Regular
    }
}

/// Makes a tree; directories come before what is in them.
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

/// Has inodes say what isn't so, and takes names away; how many things are wrong.
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
            // What is removed needs no end.
            wrong += usize::from(blocks(size) < blocks(known.content.size) && !known.is_removed());
            known.content.size = size;
        }
    }
    Ok(wrong)
}

/// Where each is found, by its number.
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

fn mend(seed: u64) {
    println!("H2_SEED={seed}");
    let random = &mut Random::new(seed);
    let (folder, (all, wrong)) = folder_with(|editor| {
        let mut all = populate(editor, random)?;
        let wrong = strike(editor, &mut all, random)?;
        Ok((all, wrong))
    });
    let found = folder.run(["fsck", "--strict", IMAGE]);
    assert_eq!(found.status.code(), Some(i32::from(wrong > 0)), "{found:?}");
    let mended = folder.run(["fsck", "--strict", "--repair", IMAGE]);
    let said = String::from_utf8(mended.stdout).unwrap();
    assert!(mended.status.success() && said.ends_with('\n'), "{said}");
    let plans = said.lines().filter(|line| line.starts_with("repair: PFS DATA, ")).count();
    assert_eq!((plans, said.contains("not mended")), (wrong, false), "{said}");
    assert!(!folder.succeed(["fsck", "--repair", IMAGE]).contains("repair: "));

    folder.succeed(["get", "fs.img:/", "out"]);
    let places = places(&all);
    for known in &all {
        for place in places.get(&known.inum).into_iter().flatten() {
            let path = folder.path(format!("out{place}"));
            match known.kind {
                FileKind::Directory => assert!(path.is_dir(), "{place}"),
                _ => check_content(&path, known.content),
            }
        }
    }
    let listed = folder.succeed(["ls", "-R", "fs.img:/"]);
    // The root itself is in both; where files are found is made only for them.
    let lost = usize::from(fs::exists(folder.path("out/lost+found")).unwrap());
    assert_eq!(listed.lines().count(), places.values().map(Vec::len).sum::<usize>() + lost, "{listed}");
}

#[test]
fn what_inodes_say_is_held_against_names_and_content() {
    runs::for_each_seed(6, 300, mend);
}
