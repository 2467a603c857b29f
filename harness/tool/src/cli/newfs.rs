//! `hammer2 newfs`: making a filesystem.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hammer2_core::media::volume_header::VolumeVersion;
use hammer2_core::newfs::{DEFAULT_LABEL, NewfsOptions, NewfsReport};
use hammer2_host::device::Access;
use indicatif::HumanBytes;

use super::format::{format, refuse_content};
use super::output::Output;
use super::session::{Session, Settings};
use super::size::parse_size;
use super::{Failure, Outcome};

/// The label that stands for none beside LOCAL.
const NO_LABEL: &[u8] = b"NONE";

/// Make a filesystem on one image or device, or a set of them
/// Content that is recognized on them (a filesystem, swap space, a partition table, ...) is named and left alone. A device that
/// is mounted or otherwise in use is never overwritten.
#[derive(Args)]
pub(super) struct Newfs {
    /// The format; only version 2 can have several volumes
    #[arg(short = 'V', value_enum, default_value_t = Version::V2)]
    format: Version,
    /// A PFS to make beside LOCAL, up to three times; NONE makes LOCAL alone [default: DATA]
    #[arg(short = 'L', value_name = "LABEL")]
    labels: Vec<OsString>,
    /// Overwrite any content of the volumes, unless they are in use
    #[arg(short, long)]
    force: bool,
    /// Bytes of the boot area; K, M or G behind the number are units
    #[arg(short, value_name = "SIZE", value_parser = parse_size)]
    boot: Option<u64>,
    /// Bytes of the aux area
    #[arg(short = 'r', value_name = "SIZE", value_parser = parse_size)]
    aux: Option<u64>,
    /// Bytes of the one device to use
    #[arg(short, value_name = "SIZE", value_parser = parse_size)]
    size: Option<u64>,
    /// Print nothing
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
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
            version: match self.format {
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
            if !self.force {
                refuse_content(&self.images, &disks).await?;
            }
            let report = format(&disks, &options).await?;
            self.show(&report, output)
        })
    }

    fn show(&self, report: &NewfsReport, output: &mut Output) -> Result<Outcome, Failure> {
        let NewfsReport { fsid, volumes, total_bytes, boot_bytes, aux_bytes, allocator_bytes, header_copies } = report;
        if self.quiet {
            return Ok(Outcome::Good);
        }
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
            let [total, free, boot, aux] =
                [total_bytes, allocator_bytes, boot_bytes, aux_bytes].map(|bytes| HumanBytes(*bytes));
            output.line(format_args!("size       {total}, {free} to allocate"))?;
            output.line(format_args!("areas      boot {boot}, aux {aux}"))?;
        }
        Ok(Outcome::Good)
    }
}
