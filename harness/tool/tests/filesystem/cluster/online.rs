//! Nodes are brought in step, several at once, while the copied content is changed.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::future::join;
use hammer2_core::cluster::{MemberState, NodeIndex};
use hammer2_core::fs::{Error, FileSystem, NewFile};
use hammer2_core::io::DeviceError;
use hammer2_core::io::wrap::{Effect, Fault, Operations};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;

use super::members::{Members, fill, noise};
use super::of_three;

const FILES: usize = 300;
const FOLDER: &str = "folder";

/// The end of the changes, which only comes when one fails.
type Ended = Result<(), Error>;

/// One change of many kinds, to files that may be there or not.
async fn change(fs: &FileSystem, random: &mut Random) -> Result<(), Error> {
    let folder = fs.lookup(Inum::PFS_ROOT, FOLDER.as_bytes()).await?;
    let name = format!("file-{}", random.index(2 * FILES));
    let name = name.as_bytes();
    let found = fs.lookup(folder, name).await;
    match (random.below(5), found) {
        (_, Err(Error::NotFound)) => {
            fs.create(folder, name, &NewFile::new(FileKind::Regular, 0o600)).await?;
        }
        (0, Ok(_)) => fs.unlink(folder, name).await?,
        (1, Ok(_)) => fs.rename(folder, name, Inum::PFS_ROOT, name).await?,
        (2, Ok(file)) => fs.truncate(file, random.below(200_000)).await?,
        (3, Ok(_)) => fs.sync().await?,
        (_, Ok(file)) => {
            let mut content = vec![0; 1 + random.index(150_000)];
            random.fill(&mut content);
            fs.write(file, random.below(100_000), &content).await?;
        }
        (_, Err(error)) => return Err(error),
    }
    Ok(())
}

/// Counts of events while nodes were brought in step.
struct Meanwhile {
    changes: usize,
    /// How often another node had its turn.
    switches: usize,
}

/// Brings nodes in step. After every so many steps, a change is requested.
async fn resync_among_changes(
    fs: &FileSystem,
    nodes: &[NodeIndex],
    steps: usize,
    seed: u64,
) -> Result<Meanwhile, Error> {
    let (turns, changes) = (Cell::new(0), Cell::new(0));
    let client = async {
        let mut random = Random::new(seed);
        loop {
            poll_fn(|_| if turns.get() > changes.get() { Poll::Ready(()) } else { Poll::Pending }).await;
            change(fs, &mut random).await?;
            changes.set(changes.get() + 1);
        }
    };
    let client: RefCell<Pin<Box<dyn Future<Output = Ended>>>> = RefCell::new(Box::pin(client));
    let poll_client = |cx: &mut Context<'_>| match client.borrow_mut().as_mut().poll(cx) {
        Poll::Ready(ended) => panic!("the changes ended: {ended:?}"),
        Poll::Pending => {}
    };
    let waker = RefCell::new(Waker::noop().clone());
    let (last, switches, step) = (Cell::new(None), Cell::new(0), Cell::new(0usize));
    let resync = async |node: NodeIndex| {
        let mut show = |_: &_| {
            switches.set(switches.get() + usize::from(last.replace(Some(node)) != Some(node)));
            step.set(step.get() + 1);
            if !step.get().is_multiple_of(steps) {
                return;
            }
            turns.set(changes.get() + 1);
            // The change asks for its turn, and gets it when the copy pauses.
            poll_client(&mut Context::from_waker(&waker.borrow()));
        };
        let counts = fs.resync_showing(node, &mut show).await?;
        assert!(counts.copied > 0, "{node:?}");
        Ok::<_, Error>(())
    };
    let mut resyncs: Vec<_> = nodes.iter().map(|node| Box::pin(resync(*node))).collect();
    poll_fn(|cx| {
        waker.borrow_mut().clone_from(cx.waker());
        poll_client(cx);
        let mut failed = None;
        resyncs.retain_mut(|resync| match resync.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(done) => {
                failed = failed.take().or(done.err());
                false
            }
        });
        if let Some(error) = failed {
            return Poll::Ready(Err(error));
        }
        // Another node is first each time, as the changes never let all have their turn.
        if let [_, _, ..] = resyncs[..] {
            resyncs.rotate_left(1);
        }
        if resyncs.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await?;
    Ok(Meanwhile { changes: changes.get(), switches: switches.get() })
}

fn with_a_node_behind() -> Members {
    let members = of_three();
    members.change_on(&[0, 1, 2], async |fs| fill(fs, "before", FILES).await).unwrap().unwrap();
    members.change_on(&[0, 2], async |fs| fill(fs, FOLDER, FILES).await).unwrap().unwrap();
    members
}

#[test]
fn changes_go_on_while_a_node_is_brought_in_step() {
    for seed in 0..8 {
        let members = with_a_node_behind();
        let resync = async |fs: &_| resync_among_changes(fs, &[NodeIndex(1)], 1, seed).await;
        let meanwhile = members.change_on(&[0, 1, 2], resync).unwrap().unwrap();
        assert!(meanwhile.changes > FILES / 2, "seed {seed}: only {} changes", meanwhile.changes);
        assert!(members.expect_alike(&[0, 1, 2]).len() > FILES, "seed {seed}");
    }
}

#[test]
fn two_nodes_are_brought_in_step_at_once() {
    let members = Members::formatted(5);
    members.create();
    let all = [0, 1, 2, 3, 4];
    members.change_on(&all, async |fs| fill(fs, "before", FILES / 4).await).unwrap().unwrap();
    let without_two = async |fs: &FileSystem| {
        fill(fs, FOLDER, FILES / 4).await?;
        for number in 0..20 {
            let name = format!("noise-{number}");
            let file = fs.create(Inum::PFS_ROOT, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o600)).await?;
            fs.write(file, 0, &noise(200_000)).await?;
        }
        Ok::<_, Error>(())
    };
    members.change_on(&[1, 2, 4], without_two).unwrap().unwrap();
    // Blocks that the source can't read are fetched from others, for either node.
    members.flip_noise(1);
    let meanwhile = members
        .change_on(&all, async |fs| resync_among_changes(fs, &[NodeIndex(0), NodeIndex(3)], 6, 1).await)
        .unwrap()
        .unwrap();
    assert!(meanwhile.changes > FILES / 4, "only {} changes", meanwhile.changes);
    assert!(meanwhile.switches > FILES / 4, "only {} turns", meanwhile.switches);
    let scrubbed = members.change_on(&all, async |fs| fs.scrub().await).unwrap().unwrap();
    assert!(scrubbed.repaired > 0, "{scrubbed:?}");
    assert!(members.expect_alike(&all).len() > FILES / 2);
}

#[test]
fn a_source_that_is_copied_to_meanwhile_is_no_source() {
    let members = Members::formatted(5);
    members.create();
    let all = [0, 1, 2, 3, 4];
    members.change_on(&all, async |fs| fill(fs, "before", FILES / 4).await).unwrap().unwrap();
    members.change_on(&[0, 1, 2, 3], async |fs| fill(fs, FOLDER, FILES / 4).await).unwrap().unwrap();
    let write_fails = || Fault::always(Operations::WRITE, Effect::Fail(DeviceError::Io(5)));
    let meanwhile = async |fs: &FileSystem| {
        // The source leaves, and comes back with so much rot that it begins anew; it fails before it has everything.
        members.plans[0].add(write_fails()).unwrap();
        fill(fs, "without-0", 3).await?;
        fs.sync().await?;
        members.plans[0].clear();
        members.flip_bits(0, 2);
        assert!(matches!(fs.look_again(NodeIndex(0)).await, Ok(MemberState::Behind(_))));
        members.plans[0].add(Fault { skip: 1, ..write_fails() }).unwrap();
        let resynced = fs.resync(NodeIndex(0)).await;
        assert!(matches!(resynced, Err(Error::Resync(_))), "{resynced:?}");
        Ok::<_, Error>(())
    };
    members
        .change_on(&all, async |fs| {
            let meanwhile = RefCell::new(Box::pin(meanwhile(fs)));
            let waker = RefCell::new(Waker::noop().clone());
            let mut steps = 0;
            let mut show = |_: &_| {
                steps += 1;
                if steps == FILES / 8 {
                    // The change asks for its turn, and gets it when the copy pauses.
                    let begun = meanwhile.borrow_mut().as_mut().poll(&mut Context::from_waker(&waker.borrow()));
                    assert!(begun.is_pending());
                }
            };
            let mut resync = Box::pin(fs.resync_showing(NodeIndex(4), &mut show));
            let resynced = poll_fn(|cx| {
                waker.borrow_mut().clone_from(cx.waker());
                resync.as_mut().poll(cx)
            });
            // A change that began during the copy ends before the copy does.
            let (resynced, meanwhile) = join(resynced, poll_fn(|cx| meanwhile.borrow_mut().as_mut().poll(cx))).await;
            meanwhile.unwrap();
            resynced.unwrap();
        })
        .unwrap();
    members.plans[0].clear();
    assert!(members.expect_alike(&[1, 2, 3, 4]).len() > FILES / 2);
    members.resync(&all);
    members.expect_alike(&all);
}

#[test]
fn a_source_that_hangs_is_asked_no_further() {
    let members = of_three();
    let with_one_file = async |fs: &FileSystem| {
        let file = fs.create(Inum::PFS_ROOT, b"large", &NewFile::new(FileKind::Regular, 0o600)).await?;
        fs.write(file, 0, &noise(6 << 20)).await
    };
    members.change_on(&[0, 1], with_one_file).unwrap().unwrap();
    members
        .change_on(&[0, 1, 2], async |fs| {
            // The source hangs in the middle of the file.
            let hangs = Fault::always(Operations::READ, Effect::Hang);
            members.plans[0].add(Fault { skip: 30, ..hangs }).unwrap();
            fs.resync(NodeIndex(2)).await.unwrap();
            assert!((1..10).contains(&members.plans[0].struck()), "{} reads hung", members.plans[0].struck());
        })
        .unwrap();
    members.plans[0].clear();
    members.expect_alike(&[1, 2]);
}
