//! The cases, by subject.

mod clusters;
mod codecs;
mod commits;
mod damage;
mod devices;
mod exhaustion;
mod files;
mod formatting;
mod mutations;
mod populations;
mod scratch;
mod stacks;
mod volume_sets;
mod writing;

use super::image::population::{Object, Scale, populate};
use super::image::{Image, Spread};
use super::{Case, Environment, Failure};
use crate::memory::Vec;
use crate::newfs::NewfsOptions;

pub(super) const TABLES: &[&[Case]] = &[
    codecs::CASES,
    formatting::CASES,
    volume_sets::CASES,
    populations::CASES,
    damage::CASES,
    mutations::CASES,
    exhaustion::CASES,
    devices::CASES,
    writing::CASES,
    clusters::CASES,
    commits::CASES,
    stacks::CASES,
];

/// The label of the PFS with the population.
const DATA: &[u8] = b"DATA";
/// The size of boot and aux areas: small volumes have small ones.
const AREA_BYTES: u64 = 8 << 20;
/// The size of volumes in cases that aren't about size.
const VOLUME_BYTES: u64 = 64 << 20;

const OPTIONS: NewfsOptions<'static> = NewfsOptions {
    version: crate::media::volume_header::VolumeVersion::V2,
    labels: &[DATA],
    boot_bytes: Some(AREA_BYTES),
    aux_bytes: Some(AREA_BYTES),
    size_bytes: None,
};

/// A committed image with a population in DATA, and the objects in it.
async fn populated(
    environment: &dyn Environment,
    volume_bytes: &[u64],
    spread: Spread,
    scale: Scale,
) -> Result<(Image, Vec<Object>), Failure> {
    let (heap, seed) = (environment.heap(), environment.seed());
    let mut image = Image::format(heap, environment.clock(), volume_bytes, &OPTIONS, spread, seed).await?;
    let objects = populate(&mut image.edit(DATA)?, heap, scale)?;
    image.commit()?;
    Ok((image, objects))
}
