//! How much is read: device reads are deterministic, so they are compared with `==`.

use hammer2_core::media::{CheckMethod, Compression, Inum};
use hammer2_core::selftest::image::population::numbered;
use hammer2_core::selftest::image::{Content, FileRecipe, ImageError};

use super::subject::{Subject, VOLUME_BYTES};

/// Entries of the large directory.
const ENTRIES: usize = 20_000;
/// One of so many entries is looked up.
const SAMPLE: usize = 1000;

#[test]
fn mounting_reads_as_much_of_any_volume() {
    for volume_bytes in [8 << 30, 1 << 40] {
        let subject = Subject::new(volume_bytes, |_| Ok(())).expect("the image can be made");
        let mounted = subject.run(subject.mount());
        assert!(mounted.is_ok());
        let counts = subject.counters.take();
        println!("{} GiB: {} reads, {} bytes", volume_bytes >> 30, counts.reads, counts.read_bytes);
        // Four header copies, two twins of headers, the super-root and the PFS root.
        assert_eq!((counts.reads, counts.read_bytes), (8, 6 * 65536 + 2 * 16384));
    }
}

#[test]
fn a_cold_lookup_reads_the_way_to_the_name_and_no_more() {
    let subject = Subject::new(VOLUME_BYTES, fill).expect("the image can be made");
    let (mut lookups, mut opens, mut contents) = (0, 0, 0);
    for number in (0..ENTRIES).step_by(SAMPLE) {
        subject.run(async {
            let fs = subject.mount().await.expect("the image is sound");
            let directory = fs.lookup(Inum::PFS_ROOT, b"many").await.expect("it is there");
            fs.attributes(directory).await.expect("it can be read");
            subject.counters.take();
            let inum = fs.lookup(directory, &numbered(b"file.", number)).await.expect("it is there");
            lookups += subject.counters.take().reads;
            let attributes = fs.attributes(inum).await.expect("it can be read");
            opens += subject.counters.take().reads;
            let mut content = [0; 1024];
            assert_eq!(fs.read(inum, 0, &mut content).await, Ok(1024));
            assert_eq!(attributes.size, 1024);
            contents += subject.counters.take().reads;
        });
    }
    println!("{ENTRIES} entries, {} cold mounts:", ENTRIES / SAMPLE);
    println!("reads of lookup {lookups}, of open {opens}, of the content {contents}");
    // Three levels of indirect blocks lead to a name, and about as many to an inode, less where a chunk was read before.
    assert_eq!((lookups, opens, contents), (60, 53, 20));
}

/// A directory of many files of 1 KiB, each with a block of its own.
fn fill(editor: &mut hammer2_core::selftest::image::Editor<'_>) -> Result<(), ImageError> {
    let directory = editor.directory(Inum::PFS_ROOT, b"many")?;
    for number in 0..ENTRIES {
        let recipe = FileRecipe {
            check: CheckMethod::XxHash64,
            compression: Compression::None,
            ..FileRecipe::new(1024, Content::Noise(number as u64))
        };
        editor.file(directory, &numbered(b"file.", number), &recipe)?;
    }
    Ok(())
}
