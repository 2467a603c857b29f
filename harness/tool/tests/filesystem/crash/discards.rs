//! Discards after bulkfree: they never touch blocks that a header leads to which a mount may fall back on.

use std::rc::Rc;

use hammer2_core::io::wrap::{Content, Detail, Log, Logged};
use hammer2_core::io::{MemoryDisk, Operation};
use hammer2_core::media::VolumeHeader;
use hammer2_core::media::geometry::{HEADER_TWINS, header_copies, header_offset, twin_offset};
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use zerocopy::FromBytes as _;

use super::volume::{HEAP, Host, copy, device};
use super::workloads;
use crate::difference::difference;
use crate::perform::perform;
use hammer2_model::{Model, Step};

/// How many headers must stay whole: the newest and those before it.
const HEADERS: usize = 3;
/// The bytes of a discarded range.
const GARBAGE: u8 = 0xdd;

/// Removes much, frees it, and replays the requests: after each discard, the newest headers must lead to the same content as
/// before. Returns the number and the bytes of discards.
pub(crate) fn check(host: &Host, volume_bytes: u64) -> (usize, u64) {
    let base = host.formatted(volume_bytes);
    let log = Rc::new(Log::new(HEAP, 100_000, Detail::Data));
    let logged = Logged::new(HEAP, device(&copy(&base)), 0, Rc::clone(&log)).unwrap();
    let mut states = vec![Model::new()];
    host.run(async {
        let mut model = Model::new();
        let fs = host.mount_writable(HEAP, logged).await.unwrap();
        for step in workloads::removing() {
            perform(&step, &fs, &model).await.unwrap();
            assert!(step.apply(&mut model));
            if matches!(step, Step::Sync) {
                states.push(model.clone());
            }
        }
        let cluster = fs.unmount().await.unwrap();
        for _ in 0..3 {
            cluster.bulkfree().await.unwrap();
        }
    });
    assert_eq!(log.missed(), 0);
    replay(host, &copy(&base), &log, &states)
}

fn replay(host: &Host, image: &Rc<MemoryDisk>, log: &Log, states: &[Model]) -> (usize, u64) {
    let mut found = (0, 0);
    let first_tid = newest_header(image).map(|header| header.0).unwrap();
    for entry in log.entries().iter() {
        match (entry.operation, &entry.content) {
            (Operation::Write(offset), Content::Data(data)) => image.write_at(offset.0, data).unwrap(),
            (Operation::Discard { offset, bytes }, _) => {
                image.write_at(offset.0, &vec![GARBAGE; bytes as usize]).unwrap();
                found = (found.0 + 1, found.1 + bytes);
                check_headers(host, image, first_tid, states);
            }
            _ => {}
        }
    }
    check_headers(host, image, first_tid, states);
    found
}

/// Mounts by the newest header, then by those before it. Every flush except bulkfree's commits the next state.
fn check_headers(host: &Host, image: &Rc<MemoryDisk>, first_tid: u64, states: &[Model]) {
    let image = copy(image);
    for back in 0..HEADERS {
        let Some((tid, places)) = newest_header(&image) else { return };
        let model = &states[((tid - first_tid) as usize).min(states.len() - 1)];
        host.run(async {
            let fs = host.mount(HEAP, device(&image)).await.unwrap_or_else(|error| panic!("{back} back: {error}"));
            let difference = difference(&fs, model).await;
            assert_eq!(difference, None, "{back} headers before the newest, flush {tid:#x}");
        });
        for place in places {
            image.write_at(place, &[0; 512]).unwrap();
        }
    }
}

/// The flush of the newest valid header, and all its places.
fn newest_header(image: &MemoryDisk) -> Option<(u64, Vec<u64>)> {
    let copies = (0..header_copies(image.size_bytes())).map(header_offset);
    let headers = copies.chain((0..HEADER_TWINS).map(twin_offset)).filter_map(|place| {
        let mut bytes = vec![0; VOLUME_HEADER_BYTES];
        image.read_at(place, &mut bytes).unwrap();
        let header = VolumeHeader::ref_from_bytes(&bytes).unwrap();
        header.check_identity().is_ok().then(|| (header.mirror_tid().0, place))
    });
    let headers: Vec<(u64, u64)> = headers.collect();
    let newest = headers.iter().map(|(tid, _)| *tid).max()?;
    Some((newest, headers.iter().filter(|(tid, _)| *tid == newest).map(|(_, place)| *place).collect()))
}
