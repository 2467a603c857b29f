//! Random writes in files larger than memory.

use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::io::MemoryDisk;
use hammer2_core::media::Inum;
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_core::random::Random;
use hammer2_model::{Change, Model, New, Number};

use crate::device_bytes::{create, on_new_filesystem};
use crate::runs::for_each_seed;

const BLOCK: u64 = FILE_BLOCK_BYTES as u64;
const PIECE: u64 = 4096;
/// Memory for 256 blocks of files.
const USUAL_BYTES: usize = 64 << 20;
/// Memory for 16 blocks.
const LITTLE_BYTES: usize = 4 << 20;

fn noise(seed: u64, bytes: u64) -> Vec<u8> {
    let mut noise = vec![0; bytes as usize];
    Random::new(seed).fill(&mut noise);
    noise
}

async fn made(fs: &FileSystem, content: &[u8]) -> Inum {
    let file = create(fs, "file").await;
    for (offset, part) in (0..).step_by(1 << 20).zip(content.chunks(1 << 20)) {
        fs.write(file, offset, part).await.expect("there is room");
    }
    fs.sync().await.expect("the disk takes it");
    file
}

async fn whole(fs: &FileSystem, file: Inum, bytes: usize) -> Vec<u8> {
    // A byte behind the end would be read, if there were one.
    let mut content = vec![0; bytes + 1];
    let count = fs.read(file, 0, &mut content).await.expect("it can be read");
    content.truncate(count);
    content
}

#[test]
fn a_block_is_read_once_for_many_pieces_of_it() {
    const WRITES: u64 = 8000;
    on_new_filesystem(USUAL_BYTES, async |fs, counters, _| {
        let mut content = noise(1, 64 << 20);
        let file = made(fs, &content).await;
        let (mut random, piece) = (Random::new(2), noise(3, PIECE));
        counters.take();
        for _ in 0..WRITES {
            let at = random.below(content.len() as u64 / PIECE) * PIECE;
            fs.write(file, at, &piece).await.expect("there is room");
            content[at as usize..][..piece.len()].copy_from_slice(&piece);
        }
        fs.sync().await.expect("the disk takes it");
        let reads = counters.take().reads;
        println!("{reads} reads for {WRITES} writes");
        assert!(reads < WRITES * 2 / 5, "{reads} reads");
        assert!(whole(fs, file, content.len()).await == content);
    });
}

/// The file, as the model knows it.
const MODELLED: Number = Number(2);

fn modelled(data: Vec<u8>) -> Model {
    let mut model = Model::new();
    let create = Change::Create { directory: Number::ROOT, name: "file".to_owned(), new: New::Regular };
    assert!(model.make(create, Some(MODELLED)));
    assert!(model.make(Change::Write { file: MODELLED, offset: 0, data }, None));
    model
}

/// A file with much done to it here and there, and what must be in it.
struct Scene<'f> {
    fs: &'f FileSystem,
    file: Inum,
    model: Model,
    random: Random,
}

impl Scene<'_> {
    fn content(&self) -> &Vec<u8> {
        self.model.content_of(MODELLED).expect("the file")
    }

    /// A part of the file, often of whole pieces.
    fn part(&mut self, most: u64) -> (u64, u64) {
        let size = self.content().len() as u64;
        let (at, bytes) = (self.random.below(size.max(1)), 1 + self.random.below(most));
        match self.random.below(4) {
            0 => (at, bytes),
            1 => (at - at % BLOCK, bytes.next_multiple_of(BLOCK)),
            _ => (at - at % PIECE, bytes.next_multiple_of(PIECE)),
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        let Self { fs, file, .. } = *self;
        match self.random.below(100) {
            0..70 => {
                let (at, bytes) = self.part(3 * PIECE);
                let data = noise(self.random.below(u64::MAX), bytes);
                fs.write(file, at, &data).await?;
                self.model.make(Change::Write { file: MODELLED, offset: at, data }, None);
            }
            70..90 => {
                let (at, bytes) = self.part(2 * BLOCK);
                let mut read = vec![0; bytes as usize];
                let count = fs.read(file, at, &mut read).await?;
                let end = self.content().len().min((at + bytes) as usize);
                assert!(read[..count] == self.content()[at as usize..end], "{bytes} bytes at {at}");
            }
            90..93 => {
                let (at, bytes) = self.part(2 * BLOCK);
                fs.punch(file, at, bytes).await?;
                self.model.make(Change::Punch { file: MODELLED, offset: at, bytes }, None);
            }
            93..96 => {
                let (size, _) = self.part(1);
                let size = size + self.random.below(2 * BLOCK);
                fs.truncate(file, size).await?;
                self.model.make(Change::Truncate { file: MODELLED, size }, None);
            }
            _ => fs.sync().await?,
        }
        Ok(())
    }
}

#[test]
fn what_is_written_here_and_there_is_read_whatever_else_is_done() {
    for_each_seed(10, 200, |seed| {
        on_new_filesystem(LITTLE_BYTES, async |fs, _, _| {
            let content = noise(seed, 3 << 20);
            let file = made(fs, &content).await;
            let mut scene = Scene { fs, file, model: modelled(content), random: Random::new(seed) };
            for step in 0..600 {
                scene.step().await.unwrap_or_else(|error| panic!("H2_SEED={seed}, step {step}: {error}"));
            }
            assert!(whole(fs, file, scene.content().len()).await == *scene.content(), "H2_SEED={seed}");
        });
    });
}

/// Spoils these bytes on a device, wherever they are.
fn spoil(medium: &MemoryDisk, what: &[u8]) {
    let mut found = vec![0; what.len()];
    for at in (0..medium.size_bytes()).step_by(what.len()) {
        medium.read_at(at, &mut found).expect("it is there");
        if found == what {
            found[100] ^= 1;
            return medium.write_at(at, &found).expect("it is there");
        }
    }
    panic!("it is nowhere on the device");
}

#[test]
fn a_piece_of_a_block_that_is_bad_fails_the_next_sync_and_the_next_fsync_of_its_file() {
    on_new_filesystem(LITTLE_BYTES, async |fs, _, medium| {
        let mut content = noise(1, 8 << 20);
        let file = made(fs, &content).await;
        spoil(medium, &content[..BLOCK as usize]);
        let piece = noise(2, PIECE);
        for block in [0, 5] {
            let at = block * BLOCK + PIECE;
            fs.write(file, at, &piece).await.expect("nothing is read");
            content[at as usize..][..piece.len()].copy_from_slice(&piece);
        }
        assert!(matches!(fs.sync().await, Err(Error::Io(_))), "what was written to the bad block is lost");
        assert_eq!(fs.sync().await, Ok(()), "and that was told");
        let other = create(fs, "other").await;
        assert_eq!(fs.fsync(other).await, Ok(()), "nothing of it is lost");
        // The caller that gets the error need not be the one that wrote.
        assert!(matches!(fs.fsync(file).await, Err(Error::Io(_))));
        assert_eq!(fs.fsync(file).await, Ok(()));
        assert!(matches!(fs.read(file, PIECE, &mut [0; 1]).await, Err(Error::Io(_))));
        // Whole blocks need no old content.
        fs.write(file, 0, &content[..BLOCK as usize]).await.expect("there is room");
        assert_eq!(fs.sync().await, Ok(()));
        assert!(whole(fs, file, content.len()).await == content);
    });
}
