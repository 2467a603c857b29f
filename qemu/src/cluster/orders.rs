//! Orders from the console between two epochs: one letter each.

use hammer2_core::fs::{Error, FileSystem, NewFile};
use hammer2_core::io::Duration;
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::memory;

use super::Stop;
use crate::platform::{MEMORY, Platform};
use crate::println;
use crate::serial;

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Compare everything, unmount, and end.
    End,
    /// Do nothing until the next order.
    Hold,
    /// Read everything on every node.
    Scrub,
    /// Write until there is no room, and remove that again.
    Fill,
    /// Make a new node of a disk that holds none, and put it in the place of the missing member.
    Replace,
}

/// The next order, if there is one.
pub(super) fn next() -> Option<Order> {
    match serial::typed()? {
        b'e' => Some(Order::End),
        b'h' => Some(Order::Hold),
        b's' => Some(Order::Scrub),
        b'f' => Some(Order::Fill),
        b'r' => Some(Order::Replace),
        _ => None,
    }
}

/// Carries out an order, if that can be done inside the mount.
pub(super) async fn obey(platform: &Platform, fs: &FileSystem, order: Order) -> Result<(), Stop> {
    match order {
        Order::End | Order::Replace => {}
        Order::Hold => {
            println!("cluster: held");
            while serial::typed().is_none() {
                platform.sleep(Duration::from_millis(20)).await;
            }
            println!("cluster: goes on");
        }
        Order::Scrub => {
            let counts = fs.scrub().await?;
            println!(
                "cluster: scrub: {} nodes read, {} bad blocks, {} repaired, {} nodes rebuilt",
                counts.nodes, counts.bad_blocks, counts.repaired, counts.rebuilt
            );
        }
        Order::Fill => fill(fs).await?,
    }
    Ok(())
}

const NAME: &[u8] = b"filler";

/// Fills the cluster to the last block of its smallest node, and makes room again.
async fn fill(fs: &FileSystem) -> Result<(), Error> {
    let file = fs.create(Inum::PFS_ROOT, NAME, &NewFile::new(FileKind::Regular, 0o600)).await?;
    let mut piece = memory::filled(MEMORY, 64 << 10, || 0u8)?;
    let mut bytes = 0u64;
    let refusal = loop {
        // No two pieces are alike, and none compresses.
        let mut number = bytes | 1;
        for byte in &mut piece {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            *byte = number as u8;
        }
        match fs.write(file, bytes, &piece).await {
            Ok(()) => bytes += piece.len() as u64,
            Err(error) => break error,
        }
    };
    println!("cluster: {bytes} bytes written, then: {refusal}");
    if refusal != Error::NoSpace {
        return Err(refusal);
    }
    fs.sync().await?;
    fs.unlink(Inum::PFS_ROOT, NAME).await?;
    for _ in 0..2 {
        fs.bulkfree().await?;
    }
    println!("cluster: there is room again");
    Ok(())
}
