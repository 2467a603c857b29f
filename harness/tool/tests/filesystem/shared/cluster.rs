//! Shared blocks on three disks, each of which shares its own.

use hammer2_core::cluster::MemberState;
use hammer2_core::fs::{Error, FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum};
use hammer2_model::{Dice, Model, Step};

use crate::cluster::members::{Members, noise};
use crate::difference::difference;
use crate::perform::perform;

const BLOCK: u64 = 64 << 10;

/// Random steps on both, of which many are clones.
async fn steps(fs: &FileSystem, dice: &mut Dice, model: &mut Model, count: usize) {
    for _ in 0..count {
        let step = match dice.index(24) {
            0 => Step::Bulkfree,
            _ => dice.step(model),
        };
        let outcome = perform(&step, fs, model).await;
        assert_eq!(outcome.is_ok(), step.apply(model), "{step:?}: {outcome:?}");
    }
}

#[test]
fn a_member_that_was_away_gets_what_was_cloned() {
    let runs = if std::env::var_os("HAMMER2_FULL").is_some() { 40 } else { 4 };
    for seed in 1..=runs {
        println!("seed {seed}");
        let members = Members::masters(3);
        let (mut dice, mut model) = (Dice::new(seed), Model::new());
        for round in 0..3 {
            let away = dice.index(3);
            let others: Vec<usize> = (0..3).filter(|node| *node != away).collect();
            for nodes in [&[0, 1, 2][..], &others] {
                members
                    .change_on(nodes, async |fs| {
                        fs.set_dedup(if seed % 2 == 0 { 4096 } else { 0 }).unwrap();
                        fs.attend(steps(fs, &mut dice, &mut model, 40)).await;
                    })
                    .unwrap();
            }
            let behind = members.change_on(&[0, 1, 2], async |fs| fs.nodes_behind().count()).unwrap();
            if behind > 0 {
                members.resync(&[0, 1, 2]);
            }
            members.expect_alike(&[0, 1, 2]);
            for node in 0..3 {
                let found = members.run(async { difference(&members.mount(&[node]).await.unwrap(), &model).await });
                assert_eq!(found, None, "round {round}, node {node}");
            }
        }
    }
}

async fn file(fs: &FileSystem, name: &str) -> Result<Inum, Error> {
    fs.create(Inum::PFS_ROOT, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await
}

#[test]
fn rot_in_a_shared_block_is_mended_in_every_file() {
    let members = Members::masters(3);
    members
        .change_on(&[0, 1, 2], async |fs| {
            let first = file(fs, "first").await?;
            fs.write(first, 0, &noise(4 * BLOCK as usize)).await?;
            for name in ["second", "third"] {
                fs.clone_range(first, 0, file(fs, name).await?, 0, 4 * BLOCK).await?;
            }
            Ok::<_, Error>(())
        })
        .unwrap()
        .unwrap();
    let before = members.expect_alike(&[0, 1, 2]);
    members.flip_noise(1);
    assert_ne!(members.problems(1), Vec::<String>::new());
    let counts = members.change_on(&[0, 1, 2], async |fs| fs.scrub().await).unwrap().unwrap();
    assert_eq!((counts.bad_blocks, counts.repaired, counts.ejected), (12, 12, 0), "{counts:?}");
    assert_eq!(members.expect_alike(&[0, 1, 2]), before);
}

/// The blockrefs of what is cloned, or of what it is cloned to, can't be read on one member: they are copied to it, and it shares
/// what it has.
#[test]
fn rot_on_the_way_to_what_is_cloned_is_mended() {
    for is_source in [true, false] {
        let members = Members::masters(3);
        members
            .change_on(&[0, 1, 2], async |fs| {
                for name in ["first", "second"] {
                    fs.write(file(fs, name).await?, 0, &noise(8 * BLOCK as usize)).await?;
                }
                Ok::<_, Error>(())
            })
            .unwrap()
            .unwrap();
        let wanted: &[u8] = if is_source { b"first" } else { b"second" };
        let place = members.run(async {
            let fs = members.mount(&[1]).await.unwrap();
            let inum = fs.lookup(Inum::PFS_ROOT, wanted).await.unwrap();
            indirect_of(&members, inum)
        });
        members.disks[1].write_at(place + 9, &[0xa5]).unwrap();
        let states = members.change_on(&[0, 1, 2], async |fs| {
            let first = fs.lookup(Inum::PFS_ROOT, b"first").await?;
            let second = fs.lookup(Inum::PFS_ROOT, b"second").await?;
            fs.attend(fs.clone_range(first, 0, second, 6 * BLOCK, 8 * BLOCK)).await?;
            fs.sync().await?;
            fs.attend(fs.level()).await?;
            Ok::<_, Error>(fs.member_statuses().map(|member| member.state).collect::<Vec<_>>())
        });
        assert_eq!(states.unwrap().unwrap(), [MemberState::InSync; 3]);
        members.expect_alike(&[0, 1, 2]);
    }
}

/// Where the first indirect block of a file is on the second disk.
fn indirect_of(members: &Members, inum: Inum) -> u64 {
    use crate::cluster::rot::{Name, metadata};
    use hammer2_core::media::BlockKind;
    let is_it = |name: &Name| name.kind == BlockKind::Indirect as u8 && name.inode == inum.key();
    let found = metadata(&members.disks[1]);
    let mut of_file: Vec<(Name, u64)> = found.into_iter().filter(|(name, _)| is_it(name)).collect();
    of_file.sort();
    of_file.first().expect("a file of more than four blocks has one").1
}
