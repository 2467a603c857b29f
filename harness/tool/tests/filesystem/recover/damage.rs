//! Damage: the ranges that are overwritten, and with what.

use std::fmt;
use std::ops::Range;

use hammer2_core::media::BlockKind;
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_core::random::Random;

use super::known::Known;
use super::needs::{self, Needs};
use super::volumes::Volumes;

/// The most bytes that are overwritten at once.
const MOST_BYTES: u64 = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    Zeros,
    Noise(u64),
    /// One bit of the first byte.
    Flip,
}

pub(crate) struct Damage {
    strikes: Vec<(Range<u64>, With)>,
    kinds: Vec<&'static str>,
    /// A header with the newest number is still whole.
    pub(crate) newest_header_stands: bool,
    /// No header is whole.
    pub(crate) no_header_stands: bool,
}

impl fmt::Debug for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: u64 = self.strikes.iter().map(|(extent, _)| extent.end - extent.start).sum();
        write!(f, "{}: {} strikes, {bytes} bytes", self.kinds.join(", "), self.strikes.len())
    }
}

impl Damage {
    pub(crate) fn none() -> Self {
        Self { strikes: vec![], kinds: vec!["none"], newest_header_stands: true, no_header_stands: false }
    }

    pub(crate) fn roll(known: &Known, volumes: &Volumes, random: &mut Random) -> Self {
        let headers = needs::headers(volumes);
        let newest = headers.iter().map(|(_, tid)| *tid).max().unwrap();
        let mut damage = Self::none();
        damage.kinds.clear();
        for _ in 0..1 + random.index(3) {
            damage.add(known, &headers, newest, random);
        }
        let stands = |(place, _): &&(u64, u64)| !damage.touches(&(*place..place + VOLUME_HEADER_BYTES as u64));
        let standing: Vec<u64> = headers.iter().filter(stands).map(|(_, tid)| *tid).collect();
        damage.newest_header_stands = standing.contains(&newest);
        damage.no_header_stands = standing.is_empty();
        damage
    }

    fn add(&mut self, known: &Known, headers: &[(u64, u64)], newest: u64, random: &mut Random) {
        let with = match random.index(3) {
            0 => With::Zeros,
            _ => With::Noise(random.next_u64()),
        };
        let of = |wanted: &dyn Fn(&needs::Block) -> bool| {
            known.blocks.iter().filter(|block| wanted(block)).map(|block| block.extent.clone()).collect::<Vec<_>>()
        };
        let (kind, from, share) = match random.index(8) {
            0 => ("headers", headers.iter().map(|(at, _)| *at..*at + 65536).collect(), 100),
            1 => {
                let newest = headers.iter().filter(|(_, tid)| *tid == newest);
                ("newest header", newest.map(|(at, _)| *at..*at + 65536).collect(), 100)
            }
            2 => ("roots", of(&|block| block.is_root), 60),
            3 => ("indirect blocks", of(&|block| block.kind == BlockKind::Indirect), 40),
            4 => ("inodes", of(&|block| block.kind == BlockKind::Inode && !block.is_root), 20),
            5 => ("data", of(&|block| block.kind == BlockKind::Data), 20),
            6 => {
                let all = of(&|_| true);
                for _ in 0..1 + random.index(8) {
                    let extent = &all[random.index(all.len())];
                    let at = extent.start + random.below(extent.end - extent.start);
                    self.strikes.push((at..at + 1, With::Flip));
                }
                self.kinds.push("bits");
                return;
            }
            _ => {
                let all = of(&|_| true);
                for _ in 0..1 + random.index(3) {
                    let near = all[random.index(all.len())].start;
                    let at = near.saturating_sub(random.below(MOST_BYTES));
                    self.strikes.push((at..at + 1 + random.below(MOST_BYTES), with));
                }
                self.kinds.push("megabytes");
                return;
            }
        };
        self.kinds.push(kind);
        let from: Vec<Range<u64>> = from;
        for extent in from {
            if random.percent(share) {
                self.strikes.push((extent, with));
            }
        }
    }

    pub(crate) fn strike(&self, volumes: &Volumes) {
        for (extent, with) in &self.strikes {
            let mut bytes = vec![0; (extent.end - extent.start) as usize];
            match with {
                With::Zeros => {}
                With::Noise(seed) => Random::new(*seed).fill(&mut bytes),
                With::Flip => bytes[0] = volumes.read(extent.start, 1)[0] ^ 1 << (extent.start % 8),
            }
            volumes.write(extent.start, &bytes);
        }
    }

    pub(crate) fn touches(&self, extent: &Range<u64>) -> bool {
        self.strikes.iter().any(|(strike, _)| strike.start < extent.end && extent.start < strike.end)
    }

    fn spares(&self, extents: &[Range<u64>]) -> bool {
        !extents.iter().any(|extent| self.touches(extent))
    }

    /// The file's inode and content are whole.
    pub(crate) fn spares_file(&self, needs: &Needs) -> bool {
        self.spares(&needs.own)
    }

    /// The whole way to it from the newest header is whole; or, if no header is, the way from the root of the PFS.
    pub(crate) fn spares_way(&self, needs: &Needs) -> bool {
        let from_header = self.newest_header_stands && self.spares(&needs.top);
        (from_header || self.no_header_stands) && self.spares(&needs.path) && self.spares(&needs.own)
    }
}
