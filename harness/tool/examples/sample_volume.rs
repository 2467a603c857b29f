//! Makes an image with some content: `cargo run --release --example sample_volume -- IMG`.
//!
//! It is laid out by the image builder of the self-tests, not by the code that writes files.

use std::error::Error;
use std::fs::File;

use allocator_api2::alloc::Global;
use hammer2_core::media::{Compression, Inum};
use hammer2_core::newfs::NewfsOptions;
use hammer2_core::selftest::image::{Content, FileRecipe, Image, ImageError, Spread};
use hammer2_host::clock::HostClock;
use hammer2_host::device::save_image;
use hammer2_host::executor::Executor;

const IMAGE_BYTES: u64 = 1 << 30;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: sample_volume IMG")?;
    let clock = HostClock::leaked();
    let image = Executor::new(clock).block_on(async {
        let options = NewfsOptions::default();
        let mut image = Image::format(&Global, clock, &[IMAGE_BYTES], &options, Spread::Packed, 1).await?;
        fill(&mut image)?;
        Ok::<_, ImageError>(image)
    })?;
    Ok(save_image(&image.disks()[0], &File::create_new(path)?)?)
}

/// One of most kinds of things, and a snapshot of the same.
fn fill(image: &mut Image) -> Result<(), ImageError> {
    let root = Inum::PFS_ROOT;
    let mut data = image.edit(b"DATA")?;
    let text = FileRecipe::new(1_500_000, Content::Text(1));
    let files = data.directory(root, b"files")?;
    data.file(files, b"lz4", &text)?;
    data.file(files, b"zlib", &FileRecipe { compression: Compression::Zlib, ..text })?;
    data.file(files, b"plain", &FileRecipe { compression: Compression::None, ..text })?;
    data.file(files, b"sparse", &FileRecipe::new(40 << 20, Content::Islands(2)))?;
    let short = data.file(root, b"short", &FileRecipe::new(60, Content::Text(3)))?;
    data.link(files, b"hard-link", short)?;
    data.symlink(root, b"link", b"files/lz4")?;
    let many = data.directory(root, b"many")?;
    for number in 0..1000 {
        data.file(many, format!("{number:03}").as_bytes(), &FileRecipe::new(number, Content::Text(number)))?;
    }
    image.commit()?;
    image.snapshot(b"DATA", b"DATA.1")?;
    image.commit()
}
