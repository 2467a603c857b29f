//! A volume without room.

use std::rc::Rc;

use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::io::MemoryDisk;

use crate::model::{Model, difference};
use crate::script::{Bytes, Step};
use crate::volume::{HEAP, Headers, Host, device};

/// Directories, each filled in turn.
const WRITERS: usize = 3;

pub(crate) async fn is_accepted(fs: &FileSystem, model: &mut Model, step: &Step) -> bool {
    match step.run(fs, model).await {
        Ok(()) => {
            assert!(step.apply(model), "{step:?}");
            true
        }
        Err(error) => {
            assert_eq!(error, Error::NoSpace, "{step:?}");
            false
        }
    }
}

async fn do_step(fs: &FileSystem, model: &mut Model, step: &Step) {
    assert!(is_accepted(fs, model, step).await, "{step:?}: no space, {:?}", fs.statistics());
}

/// Fills a volume with files of `sizes` until none more is taken, and syncs; how many files there are.
pub(crate) async fn fill(fs: &FileSystem, model: &mut Model, sizes: &[usize]) -> usize {
    for writer in 0..WRITERS {
        do_step(fs, model, &Step::Mkdir(format!("w{writer}"))).await;
    }
    let mut count = 0;
    // The large ones first: when no more of them fit, smaller ones do.
    for (round, size) in sizes.iter().enumerate() {
        let mut refused = 0;
        for number in 0.. {
            let path = format!("w{}/{round} {number}", number % WRITERS);
            if number % 50 == 49 {
                do_step(fs, model, &Step::Sync).await;
            }
            if !is_accepted(fs, model, &Step::Create(path.clone())).await {
                refused += 1;
            } else {
                count += 1;
                refused += usize::from(!is_accepted(fs, model, &Step::Write(path, 0, *size, Bytes::Noise)).await);
            }
            if refused > 2 * WRITERS {
                break;
            }
        }
    }
    do_step(fs, model, &Step::Sync).await;
    count
}

/// Removes everything.
pub(crate) async fn empty(fs: &FileSystem, model: &mut Model) {
    for path in model.paths() {
        let is_directory = model.content(&path).is_none();
        let remove = if is_directory { Step::Rmdir(path) } else { Step::Unlink(path) };
        do_step(fs, model, &remove).await;
    }
    do_step(fs, model, &Step::Sync).await;
}

/// Mounts anew and compares.
pub(crate) async fn check(host: &Host, disk: &Rc<MemoryDisk>, model: &Model) {
    let fs = host.mount(HEAP, device(disk)).await.unwrap();
    assert_eq!(difference(&fs, model).await, None);
    let problems = host.problems(disk, Headers::AllWhole).await;
    assert!(problems.is_empty(), "{problems:#?}");
}
