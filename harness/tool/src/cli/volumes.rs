//! `hammer2 volume-list` and `volhdr`: the volumes of a filesystem, and every copy of their headers.

use std::path::PathBuf;

use clap::Args;
use hammer2_core::io::{Buffer, DeviceOffset, Disk};
use hammer2_core::media::VolumeHeader;
use hammer2_core::media::geometry::{HEADER_COPIES, HEADER_TWINS, header_offset, twin_offset};
use hammer2_core::media::is_zero;
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_host::device::Access;
use indicatif::HumanBytes;
use serde_json::{Map, Value, json};
use zerocopy::FromBytes;

use super::mounted;
use super::output::Output;
use super::pfs::whole;
use super::session::{Session, Settings, TOOL_HEAP};
use super::target::Target;
use super::{Failure, Outcome};
use crate::admin::{NodeFacts, header_fields};

/// List the volumes of filesystems
#[derive(Args)]
pub(super) struct VolumeList {
    /// Print a JSON array for each filesystem
    #[arg(long)]
    json: bool,
    /// NODE, or the directory on which it is mounted [default: all mounts]
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

/// Print every copy of the volume headers, as far as they are whole
#[derive(Args)]
pub(super) struct VolumeHeaders {
    /// Print a JSON object for each copy
    #[arg(long)]
    json: bool,
    /// NODE; some of its volumes may be missing
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl VolumeList {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        for target in &self.targets {
            let nodes = match target.directory() {
                Some(directory) => mounted::facts(directory)?.nodes,
                None => nodes_of(whole(target)?, settings)?,
            };
            for NodeFacts { volumes, .. } in nodes {
                if self.json {
                    output.line(Value::Array(volumes))?;
                    continue;
                }
                for volume in &volumes {
                    let [id, base] = ["id", "base"].map(|key| volume[key].as_u64().unwrap_or(0));
                    let (bytes, device) =
                        (volume["bytes"].as_u64().unwrap_or(0), volume["device"].as_str().unwrap_or("-"));
                    output.line(format_args!("volume {id:<3} {device}, {} at {base:#x}", HumanBytes(bytes)))?;
                }
            }
        }
        Ok(Outcome::Good)
    }
}

fn nodes_of(target: &Target, settings: &Settings) -> Result<Vec<NodeFacts>, Failure> {
    let session = Session::new(settings);
    let facts = |images: &Vec<PathBuf>| {
        session.run(async {
            let node = session.open_node(&Target::of_node(images)).await?;
            Ok(NodeFacts::of(&node.header(), node.header_copy(), node.volumes()))
        })
    };
    target.nodes.iter().map(facts).collect()
}

impl VolumeHeaders {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let target = whole(&self.target)?;
        let session = Session::new(settings);
        let disks = session.open_disks(target.images(), Access::Read)?;
        session.run(async {
            let mut outcome = Outcome::Good;
            for (image, disk) in target.images().zip(disks.iter()) {
                let copies = (0..HEADER_COPIES).map(|copy| (format!("copy {copy}"), header_offset(copy)));
                let twins = (0..HEADER_TWINS).map(|twin| (format!("twin {twin}"), twin_offset(twin)));
                for (name, offset) in copies.chain(twins) {
                    if offset + VOLUME_HEADER_BYTES as u64 > disk.info().size_bytes {
                        continue;
                    }
                    let read = describe(disk, offset).await?;
                    if read.is_err() {
                        outcome = Outcome::Bad;
                    }
                    self.print(&image.display().to_string(), &name, read, output)?;
                }
            }
            Ok(outcome)
        })
    }

    fn print(
        &self,
        image: &str,
        place: &str,
        read: Result<Header, String>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        if self.json {
            let mut object = Map::from_iter([("image".to_owned(), json!(image)), ("place".to_owned(), json!(place))]);
            match read {
                Ok(Header::Fields(fields)) => object.extend(fields),
                Ok(Header::Blank) => drop(object.insert("blank".into(), true.into())),
                Err(error) => drop(object.insert("error".into(), error.into())),
            }
            return output.line(Value::Object(object));
        }
        match read {
            Ok(Header::Fields(fields)) => {
                output.line(format_args!("{image}, {place}:"))?;
                fields.iter().try_for_each(|(key, value)| {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    output.line(format_args!("    {key:<15} {value}"))
                })
            }
            Ok(Header::Blank) => output.line(format_args!("{image}, {place}: blank")),
            Err(error) => output.line(format_args!("{image}, {place}: {error}")),
        }
    }
}

/// The content of a header's place.
enum Header {
    Fields(Map<String, Value>),
    /// Nothing was ever written there.
    Blank,
}

/// The header at a place, or what is wrong with it.
async fn describe(disk: &Disk, offset: u64) -> Result<Result<Header, String>, Failure> {
    let buffer = Buffer::new(TOOL_HEAP, VOLUME_HEADER_BYTES).map_err(Failure::failed)?;
    let buffer = match disk.read(DeviceOffset(offset), buffer).await {
        Ok(buffer) => buffer,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let header = VolumeHeader::ref_from_bytes(buffer.bytes()).expect("a header's length was read");
    Ok(match header.check_identity() {
        Ok(()) => Ok(Header::Fields(header_fields(header))),
        Err(_) if is_zero(buffer.bytes()) => Ok(Header::Blank),
        Err(error) => Err(error.to_string()),
    })
}
