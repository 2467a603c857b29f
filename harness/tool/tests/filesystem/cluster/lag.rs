//! A member that doesn't answer: no operation waits for it, whatever its deadline is.

use std::time::Duration;

use hammer2_core::cluster::MemberState;
use hammer2_core::fs::{Error, NewFile};
use hammer2_core::io::wrap::{Effect, Fault, Operations};
use hammer2_core::media::{FileKind, Inum};

use super::members::{fill, noise};
use super::of_three;

/// Longer than a test may take: an operation that waits for a deadline never ends.
const NEVER: Duration = Duration::from_secs(100_000);

#[test]
fn nobody_waits_for_a_silent_member() {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "before", 300).await).unwrap().unwrap();
    members.deadline.set(NEVER);
    for silent in 0..3 {
        let states = members.run(async {
            let fs = members.mount(&[0, 1, 2]).await?.make_writable(&super::members::Ticks).await?;
            fs.attend(fs.level()).await.unwrap();
            members.plans[silent].add(Fault::always(Operations::all(), Effect::Hang)).unwrap();
            let work = async {
                for round in 0..12 {
                    let new = NewFile::new(FileKind::Regular, 0o644);
                    let file = fs.create(Inum::PFS_ROOT, format!("{silent}-{round}").as_bytes(), &new).await?;
                    // All of it fits into a backlog, as a member with a full backlog leaves.
                    fs.write(file, 0, &noise(20_000)).await?;
                    fs.fsync(file).await?;
                    let directory = fs.lookup(Inum::PFS_ROOT, b"before").await?;
                    let old = fs.lookup(directory, format!("file-{}", round * 20 + silent).as_bytes()).await?;
                    let mut read = vec![0; 100];
                    fs.read(old, 0, &mut read).await?;
                    fs.unlink(directory, format!("file-{}", round * 20 + 10 + silent).as_bytes()).await?;
                }
                fs.sync().await
            };
            fs.attend(work).await.unwrap();
            let states = fs.member_statuses().map(|member| (member.state, member.backlog > 0)).collect::<Vec<_>>();
            Ok::<_, hammer2_core::fs::MountError>(states)
        });
        let states = states.unwrap();
        assert!(states.iter().all(|(state, _)| *state == MemberState::InSync), "it isn't late yet: {states:?}");
        assert!(states[silent].1, "it has executed what it can't: {states:?}");
        members.plans[silent].clear();
        members.resync(&[0, 1, 2]);
        members.expect_alike(&[0, 1, 2]);
    }
}

#[test]
fn a_laggard_that_is_late_leaves() {
    let members = of_three();
    let left = members.run(async {
        let fs = members.mount(&[0, 1, 2]).await.unwrap().make_writable(&super::members::Ticks).await.unwrap();
        fs.attend(fs.level()).await.unwrap();
        members.plans[1].add(Fault::always(Operations::WRITE, Effect::Hang)).unwrap();
        let work = async {
            fill(&fs, "while", 20).await?;
            fs.sync().await?;
            fs.level().await?;
            Ok::<_, Error>(())
        };
        fs.attend(work).await.unwrap();
        fs.member_statuses().map(|member| member.state == MemberState::InSync).collect::<Vec<_>>()
    });
    assert_eq!(left, [true, false, true]);
}
