//! Writes inputs to start from: `cargo run --example seeds [DIRECTORY]`, into `corpus` by default.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use hammer2_core::media::blockref::BLOCKREF_BYTES;
use hammer2_core::media::cluster_record::{Bind, ClusterRecord, ConfigId, Epoch, Member, MemberState};
use hammer2_core::media::cluster_version::{CommitId, CommitSeq, EpochCounter, EpochId, Nonce, Version};
use hammer2_core::media::geometry::SEGMENT_BYTES;
use hammer2_core::media::{
    BlockKind, Blockref, CheckMethod, Compression, DataOff, Key, KeyBits, MediaOffset, Methods, ModifyTid, PfsKind,
    Radix, Uuid,
};
use hammer2_core::selftest::image::Changes;
use hammer2_fuzz::patches::{Base, Patch};
use zerocopy::IntoBytes;

fn main() -> io::Result<()> {
    let corpus = env::args_os().nth(1).map_or_else(|| PathBuf::from("corpus"), PathBuf::from);
    let base = Base::new().map_err(io::Error::other)?;
    structures(&corpus, &base)?;
    write(&corpus, "blockref_walk", "two-levels", &topology())?;
    write(&corpus, "cluster_record", "three-masters", &cluster())?;
    patches(&corpus, &base)
}

fn write(corpus: &Path, target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let directory = corpus.join(target);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join(name), bytes)
}

/// One input for each kind of structure of the image.
fn structures(corpus: &Path, base: &Base) -> io::Result<()> {
    let image = Changes::new(&base.written, &base.map);
    let read = |at: u64, len: usize| {
        let mut bytes = vec![0; len];
        image.read(MediaOffset(at), &mut bytes).map(|()| bytes).map_err(io::Error::other)
    };
    let sizes = [8u16, 0].as_bytes().to_vec();
    write(corpus, "volume_header", "one-volume", &[sizes, read(0, 0x1000)?].concat())?;
    for (number, mapped) in base.map.entries().iter().enumerate() {
        let block = read(mapped.entry.data_off().offset().0, mapped.block_bytes())?;
        let head = mapped.entry.key().0.to_le_bytes().to_vec();
        let Ok(kind) = mapped.entry.kind() else { continue };
        let (target, bytes) = match (kind, mapped.entry.methods.compression()) {
            (BlockKind::Inode, _) => ("inode", [head, block].concat()),
            (BlockKind::Dirent, _) => ("dirent", [mapped.entry.as_bytes().to_vec(), block].concat()),
            (BlockKind::FreemapLeaf, _) => {
                ("freemap", [head, vec![0; 16], vec![mapped.entry.keybits().0], block].concat())
            }
            (BlockKind::Data, Ok(Compression::Lz4)) => ("lz4", block),
            (BlockKind::Data, Ok(Compression::Zlib)) => ("zlib", block),
            _ => continue,
        };
        write(corpus, target, &format!("block-{number}"), &bytes)?;
    }
    Ok(())
}

/// A root array with an indirect block of four leaves.
fn topology() -> Vec<u8> {
    let methods = Methods::new(CheckMethod::None, Compression::None);
    let mut root = [Blockref::EMPTY; 4];
    root[0] = Blockref::new(BlockKind::Indirect, Key(0), KeyBits(20), methods);
    root[0].set_data_off(DataOff::new(MediaOffset(SEGMENT_BYTES), Radix::MIN));
    root[2] = Blockref::new(BlockKind::Data, Key(1 << 20), KeyBits(16), methods);
    let leaves: [Blockref; 8] =
        core::array::from_fn(|index| Blockref::new(BlockKind::Data, Key((index as u64) << 16), KeyBits(16), methods));
    let range = [0u64, u64::MAX];
    [range.as_bytes(), root.as_bytes(), &leaves.as_bytes()[..4 * BLOCKREF_BYTES]].concat()
}

/// The records of three masters, the last of them one commit behind.
fn cluster() -> Vec<u8> {
    let epoch = EpochId { ctr: EpochCounter(1), nonce: Nonce(7) };
    let commit = |seq| CommitId { epoch, seq: CommitSeq(seq) };
    let fsid = |number: u8| Uuid([number; 16]);
    let member = |number: u8| Member {
        fsid: fsid(number),
        role: PfsKind::Master,
        state: MemberState::InSync,
        voter: true,
        previous_voter: false,
        last_known: commit(1),
        distrusted_from: None,
    };
    let record = |number: u8, seq: u32| {
        let (base, tid) = (CommitId::NONE, ModifyTid(seq.into()));
        let newest = Epoch { id: epoch, base, end_seq: CommitSeq(seq), end_tid: tid, forced: false, soft: false };
        ClusterRecord {
            clid: fsid(0xc1),
            fsid: fsid(number),
            state: MemberState::InSync,
            config: ConfigId::default(),
            members: (1..=3).map(member).collect(),
            version: Version { commit: commit(seq), base },
            tid,
            acked: commit(seq - 1),
            tid_floor: ModifyTid(0),
            history: std::iter::once(newest).collect(),
            trusted: CommitId::NONE,
            trusted_tid: ModifyTid(0),
            distrusted: Default::default(),
            accepted: Default::default(),
            bind: Bind::default(),
        }
    };
    [(1, 3), (2, 3), (3, 2)].map(|(number, seq)| record(number, seq).store().as_bytes().to_vec()).concat()
}

/// Changes of one field of one block of each kind, with and without good check codes.
fn patches(corpus: &Path, base: &Base) -> io::Result<()> {
    for (number, mapped) in base.map.entries().iter().enumerate().step_by(7) {
        if mapped.block_bytes() == 0 {
            continue;
        }
        for how in [0b0000, 0b0001, 0b1101, 0b1111] {
            let patch = Patch { block: (number as u16).into(), offset: 5.into(), how, value: 0x81.into() };
            write(corpus, "image", &format!("patch-{number}-{how}"), patch.as_bytes())?;
        }
    }
    Ok(())
}
