//! Several volumes: given in any order, incomplete, or not belonging together.

use super::{DATA, OPTIONS, populated};
use crate::fs::MountError;
use crate::io::Disk;
use crate::memory::{self, Vec};
use crate::newfs::NewfsOptions;
use crate::node::OpenError;
use crate::selftest::image::population::Scale;
use crate::selftest::image::{Image, Spread};
use crate::selftest::mounted::{compare_all, mount};
use crate::selftest::{Case, Environment, Failure, block_on, ensure};

pub(super) const CASES: &[Case] = &[
    Case { name: "volume sets: any order gives the same files", run: any_order },
    Case { name: "volume sets: a missing volume is named", run: missing },
    Case { name: "volume sets: a foreign or doubled volume is refused", run: foreign },
];

const VOLUMES: [u64; 3] = [1 << 30, 2 << 30, 256 << 20];

/// The image's disks in this order.
fn open_in_order(environment: &dyn Environment, image: &Image, order: &[usize]) -> Result<Vec<Disk>, Failure> {
    let heap = environment.heap();
    let mut all = Vec::new_in(heap);
    for disk in image.open(heap, environment.clock())? {
        memory::push(&mut all, Some(disk))?;
    }
    let mut disks = Vec::new_in(heap);
    for index in order {
        if let Some(disk) = all.get_mut(*index).and_then(Option::take) {
            memory::push(&mut disks, disk)?;
        }
    }
    Ok(disks)
}

fn any_order(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        let (image, objects) = populated(environment, &VOLUMES, Spread::Scattered, Scale::SMALL).await?;
        for (volume, disk) in image.disks().iter().enumerate() {
            // This is more than a header: the population lies on all of them.
            ensure(disk.resident_bytes() > 256 << 10, format_args!("volume {volume} is next to empty"))?;
        }
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let disks = open_in_order(environment, &image, &order)?;
            let fs = mount(environment.heap(), disks, DATA).await?;
            compare_all(environment, &fs, &objects).await.map_err(|failure| failure.of(format_args!("{order:?}")))?;
        }
        Ok(())
    })
}

async fn open_error(environment: &dyn Environment, disks: Vec<Disk>) -> Result<OpenError, Failure> {
    match mount(environment.heap(), disks, DATA).await {
        Ok(_) => Err(Failure::new(format_args!("mounted"))),
        Err(MountError::Open(error)) => Ok(error),
        Err(other) => Err(other.into()),
    }
}

fn missing(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        let (image, _) = populated(environment, &VOLUMES, Spread::Packed, Scale::SMALL).await?;
        for (order, wanted) in [(&[0, 1][..], 2), (&[2, 0], 1), (&[1, 2], 0), (&[0], 1), (&[2], 0)] {
            let error = open_error(environment, open_in_order(environment, &image, order)?).await?;
            let named = matches!(error, OpenError::Missing { id, count: 3 } if id == wanted);
            ensure(named, format_args!("given {order:?}: {error}"))?;
        }
        let error = open_error(environment, Vec::new_in(environment.heap())).await?;
        ensure(error == OpenError::NoVolumes, format_args!("given none: {error}"))
    })
}

fn foreign(environment: &dyn Environment) -> Result<(), Failure> {
    let (heap, clock) = (environment.heap(), environment.clock());
    block_on(environment, async {
        let (image, _) = populated(environment, &VOLUMES, Spread::Packed, Scale::SMALL).await?;
        let options = NewfsOptions { labels: &[DATA], ..OPTIONS };
        let other = Image::format(heap, clock, &VOLUMES, &options, Spread::Packed, environment.seed() + 1).await?;
        let mut disks = open_in_order(environment, &image, &[0, 1])?;
        memory::push(&mut disks, open_in_order(environment, &other, &[2])?.remove(0))?;
        let error = open_error(environment, disks).await?;
        ensure(matches!(error, OpenError::Foreign { .. }), format_args!("a foreign volume: {error}"))?;

        let mut disks = open_in_order(environment, &image, &[0, 1, 2])?;
        memory::push(&mut disks, open_in_order(environment, &image, &[1])?.remove(0))?;
        let error = open_error(environment, disks).await?;
        ensure(matches!(error, OpenError::Duplicate { id: 1, .. }), format_args!("a doubled volume: {error}"))
    })
}
