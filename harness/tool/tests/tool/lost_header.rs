//! A volume to which another implementation has written, which knows nothing of twins, and whose last header was torn.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use hammer2_core::media::geometry::{HEADER_TWINS, header_copies, header_offset, twin_offset};
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;

use super::folder::Folder;

const IMAGE: &str = "a.img";

fn slot(image: &File, offset: u64) -> Vec<u8> {
    let mut bytes = vec![0; VOLUME_HEADER_BYTES];
    image.read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

/// The header copy that a change has written.
fn written_since(image: &File, before: &[Vec<u8>]) -> u64 {
    let changed = |copy: &usize| slot(image, header_offset(*copy)) != before[*copy];
    header_offset((0..before.len()).rev().find(changed).unwrap())
}

#[test]
fn what_a_foreign_writer_wrote_last_is_not_rolled_back_in_silence() {
    // The volumes have one copy of the header, or several.
    for bytes in [64 << 20, 9 << 30] {
        // The first sector, which has the number, survives; or only blockrefs say what is lost.
        for torn_sector in [8, 0] {
            let folder = Folder::new();
            folder.image(IMAGE, bytes);
            folder.succeed(["newfs", IMAGE]);
            folder.succeed(["mkdir", "a.img:/old"]);

            let image = File::options().read(true).write(true).open(folder.path(IMAGE)).unwrap();
            let twins: Vec<_> = (0..HEADER_TWINS).map(|twin| slot(&image, twin_offset(twin))).collect();
            let copies: Vec<_> = (0..header_copies(bytes)).map(|copy| slot(&image, header_offset(copy))).collect();
            folder.succeed(["mkdir", "a.img:/new"]);
            for (twin, old) in twins.iter().enumerate() {
                image.write_all_at(old, twin_offset(twin)).unwrap();
            }
            let newest = written_since(&image, &copies);
            image.write_all_at(&[0x5a; 512], newest + torn_sector * 512).unwrap();
            if copies.len() > 1 {
                // It may be a header of our own that was cut: then the one before it is in force, and the message says so.
                let found = folder.run(["fsck", IMAGE]);
                assert!(String::from_utf8(found.stdout).unwrap().contains("is lost"), "sector {torn_sector}");
                let changed = folder.run(["mkdir", "a.img:/again"]);
                let warning = String::from_utf8(changed.stderr).unwrap();
                assert!(changed.status.success() && warning.contains("is lost"), "sector {torn_sector}: {warning}");
                assert_eq!(folder.succeed(["ls", "a.img:/"]), "again\nold\n");
                folder.check(IMAGE);
                continue;
            }

            let found = folder.run(["fsck", IMAGE]);
            assert_eq!(found.status.code(), Some(1), "sector {torn_sector}: {found:?}");
            let report = String::from_utf8(found.stdout).unwrap();
            assert!(report.contains("fsck --repair") && report.contains("is lost"), "sector {torn_sector}: {report}");
            assert_eq!(folder.succeed(["ls", "a.img:/"]), "old\n");
            let refused = folder.run(["mkdir", "a.img:/again"]);
            let complaint = String::from_utf8(refused.stderr).unwrap();
            assert_eq!(refused.status.code(), Some(1), "sector {torn_sector}: {complaint}");
            let is_told =
                complaint.contains("what is left of it is of ") && complaint.contains("hammer2 fsck --repair");
            assert!(is_told, "sector {torn_sector}: {complaint}");

            folder.succeed(["fsck", "--repair", IMAGE]);
            folder.succeed(["mkdir", "a.img:/again"]);
            assert_eq!(folder.succeed(["ls", "a.img:/"]), "again\nold\n");
            folder.check(IMAGE);
        }
    }
}
