//! `hammer2 newfs`: making a filesystem.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hammer2_core::fs::TimeSource as _;
use hammer2_core::media::volume_header::VolumeVersion;
use hammer2_core::newfs::{self, DEFAULT_LABEL, NewfsError, NewfsOptions, NewfsReport};

use super::output::Output;
use super::session::{Session, Settings, TOOL_HEAP};
use super::size::parse_size;
use super::{Failure, Outcome};
use crate::device::Access;
use crate::random::fill_random;
use crate::time_source::HostTime;

/// The label that stands for none beside LOCAL.
const NO_LABEL: &[u8] = b"NONE";

/// Make a filesystem on one image or device, or a set of them; what was on them is lost
#[derive(Args)]
pub(super) struct Newfs {
    /// The format; only version 2 can have several volumes
    #[arg(short = 'V', value_enum, default_value_t = Version::V2)]
    version: Version,
    /// A PFS to make beside LOCAL, up to three times; NONE makes LOCAL alone [default: DATA]
    #[arg(short = 'L', value_name = "LABEL")]
    labels: Vec<OsString>,
    /// Overwrite a filesystem
    #[arg(short)]
    force: bool,
    /// Bytes of the boot area, K, M or G behind the number are units
    #[arg(short, value_name = "SIZE", value_parser = parse_size)]
    boot: Option<u64>,
    /// Bytes of the aux area
    #[arg(short = 'r', value_name = "SIZE", value_parser = parse_size)]
    aux: Option<u64>,
    /// Bytes of the one device to use
    #[arg(short, value_name = "SIZE", value_parser = parse_size)]
    size: Option<u64>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// The volumes, in order: existing files, block devices or exports (nbd://HOST/EXPORT)
    #[arg(required = true, value_name = "IMG")]
    images: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Version {
    #[value(name = "1")]
    V1,
    #[value(name = "2")]
    V2,
}

impl Newfs {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        let labels: Vec<&[u8]> = match &self.labels[..] {
            [] => vec![DEFAULT_LABEL],
            [only] if only.as_bytes().eq_ignore_ascii_case(NO_LABEL) => vec![],
            labels => labels.iter().map(|label| label.as_bytes()).collect(),
        };
        let options = NewfsOptions {
            version: match self.version {
                Version::V1 => VolumeVersion::V1,
                Version::V2 => VolumeVersion::V2,
            },
            labels: &labels,
            boot_bytes: self.boot,
            aux_bytes: self.aux,
            size_bytes: self.size,
        };
        session.run(async {
            let disks = session.open_disks(&self.images, Access::Write)?;
            for disk in disks.iter().filter(|_| !self.force) {
                if newfs::has_filesystem(disk, TOOL_HEAP).await.map_err(failure)? {
                    let name = &disk.info().name;
                    return Err(Failure::unusable(format_args!("{name}: holds a filesystem; -f overwrites it")));
                }
            }
            let disks: Vec<_> = disks.iter().collect();
            let mut random_failed = None;
            let mut random = |bytes: &mut [u8]| {
                if let Err(error) = fill_random(bytes) {
                    random_failed = Some(error);
                }
            };
            // Where random numbers come from is tried before anything is written.
            random(&mut [0; 1]);
            let report =
                newfs::newfs(&disks, &options, TOOL_HEAP, &mut random, HostTime.now()).await.map_err(failure)?;
            match random_failed {
                Some(error) => Err(Failure::failed(format_args!("no random numbers: {error}"))),
                None => self.show(&report, output),
            }
        })
    }

    fn show(&self, report: &NewfsReport, output: &mut Output) -> Result<Outcome, Failure> {
        let NewfsReport { fsid, volumes, total_bytes, boot_bytes, aux_bytes, allocator_bytes, header_copies } = report;
        if self.json {
            let object = serde_json::json!({
                "fsid": fsid.to_string(),
                "volumes": volumes,
                "total_bytes": total_bytes,
                "boot_bytes": boot_bytes,
                "aux_bytes": aux_bytes,
                "allocator_bytes": allocator_bytes,
                "header_copies": header_copies,
            });
            output.line(object)?;
        } else {
            output.line(format_args!("fsid       {fsid}"))?;
            output.line(format_args!("volumes    {volumes}, {header_copies} header copies"))?;
            output.line(format_args!("size       {total_bytes} bytes, {allocator_bytes} to allocate"))?;
            output.line(format_args!("areas      boot {boot_bytes}, aux {aux_bytes} bytes"))?;
        }
        Ok(Outcome::Good)
    }
}

/// A device's failure is the operation's; all else is about what was asked for.
fn failure(error: NewfsError) -> Failure {
    match error {
        NewfsError::Device { .. } | NewfsError::NoMemory(_) => Failure::failed(error),
        _ => Failure::unusable(error),
    }
}
