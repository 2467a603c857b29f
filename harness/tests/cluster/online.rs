//! A node is brought in step while others change what is copied.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use hammer2_core::cluster::NodeIndex;
use hammer2_core::fs::{Error, FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;

use crate::members::{Members, fill};
use crate::of_three;

const FILES: usize = 300;
const FOLDER: &str = "folder";

/// How the changes would end: only when one fails.
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

/// Brings node 1 in step. After each step of that, one change is asked for; how many were done.
async fn resync_among_changes(fs: &FileSystem, seed: u64) -> Result<usize, Error> {
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
    let mut show = |_: &_| {
        turns.set(changes.get() + 1);
        // It asks for its turn, and gets it when the copy pauses.
        poll_client(&mut Context::from_waker(&waker.borrow()));
    };
    let mut resync = Box::pin(fs.resync_showing(NodeIndex(1), &mut show));
    let counts = poll_fn(|cx| {
        waker.borrow_mut().clone_from(cx.waker());
        poll_client(cx);
        resync.as_mut().poll(cx)
    })
    .await?;
    assert!(counts.copied > 0);
    Ok(changes.get())
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
        let changes = members.change_on(&[0, 1, 2], async |fs| resync_among_changes(fs, seed).await).unwrap().unwrap();
        assert!(changes > FILES / 2, "seed {seed}: only {changes} changes");
        assert!(members.expect_alike(&[0, 1, 2]).len() > FILES, "seed {seed}");
    }
}
