//! `hammer2 setcomp` and `setcheck`: how new data is stored.

use clap::Args;
use hammer2_core::fs::{FileSystem, NewAttributes, TreeWalk};
use hammer2_core::media::{CheckMethod, Compression, FileKind};
use serde_json::json;

use super::failure::complain;
use super::output::{Output, Shown};
use super::session::{Session, Settings, TOOL_HEAP, path_failure};
use super::several::each;
use super::target::Target;
use super::within::Within;
use super::{Failure, Outcome, mounted, progress};

/// The format's default level of ZLIB.
const DEFAULT_ZLIB_LEVEL: u8 = 6;

/// Set the compression of data written from now on
#[derive(Args)]
pub(super) struct SetComp {
    /// Everything below a directory, too
    #[arg(short)]
    recursive: bool,
    /// Print a JSON object for each target, which says whether everything in it could be reached
    #[arg(long)]
    json: bool,
    /// none, autozero, lz4, zlib[:6-9]; all but none leave out blocks of zeros
    #[arg(value_name = "ALGO[:LEVEL]", value_parser = parse_compression)]
    algorithm: u8,
    /// NODE[@LABEL][:/PATH], or a path in a mount; new files inherit from their directory
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

/// Set the check method of data written from now on
#[derive(Args)]
pub(super) struct SetCheck {
    /// Everything below a directory, too
    #[arg(short)]
    recursive: bool,
    /// Print a JSON object for each target, which says whether everything in it could be reached
    #[arg(long)]
    json: bool,
    /// none, disabled, crc32 (or iscsi32), xxhash64, sha192
    #[arg(value_parser = parse_check)]
    method: u8,
    /// NODE[@LABEL][:/PATH], or a path in a mount; new files inherit from their directory
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

impl SetComp {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let new = NewAttributes { comp_algo: Some(self.algorithm), ..NewAttributes::default() };
        let Self { recursive, json, .. } = *self;
        set_each(settings, &self.targets, recursive, &new, json.then_some(output))
    }
}

impl SetCheck {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let new = NewAttributes { check_algo: Some(self.method), ..NewAttributes::default() };
        let Self { recursive, json, .. } = *self;
        set_each(settings, &self.targets, recursive, &new, json.then_some(output))
    }
}

/// Sets the methods of each target, and prints the results if asked to.
fn set_each(
    settings: &Settings,
    targets: &[Target],
    recursive: bool,
    new: &NewAttributes,
    mut told: Option<&mut Output>,
) -> Result<Outcome, Failure> {
    each(targets, |target| {
        let outcome = set(settings, target, recursive, new)?;
        if let Some(output) = &mut told {
            let name = format!("{target}:{}", Shown(&target.path));
            output.line(json!({ "target": name, "complete": outcome == Outcome::Good }))?;
        }
        Ok(outcome)
    })
}

fn set(settings: &Settings, target: &Target, recursive: bool, new: &NewAttributes) -> Result<Outcome, Failure> {
    if let Some(Within { directory, path }) = Within::of(target) {
        let damage = mounted::set_methods(&directory, &path, new, recursive)?;
        damage.iter().for_each(|entries| complain(entries));
        return Ok(if damage.is_none() { Outcome::Good } else { Outcome::Bad });
    }
    let failed = |error| path_failure(&target.path, error);
    Session::new(settings).change(target, async |fs| {
        let inum = fs.resolve(&target.path).await.map_err(failed)?;
        if recursive && fs.attributes(inum).await.map_err(failed)?.kind == FileKind::Directory {
            let walk = TreeWalk::new(TOOL_HEAP, fs, inum).map_err(Failure::failed)?;
            return set_all(fs, walk, new).await;
        }
        fs.set_attributes(inum, new).await.map(|()| Outcome::Good).map_err(failed)
    })
}

/// Sets the methods of all directories and regular files of a tree.
async fn set_all(fs: &FileSystem, mut walk: TreeWalk<'_>, new: &NewAttributes) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Good;
    let bar = progress::bar("files", fs.statistics().inodes);
    while let Some(found) = walk.next().await.map_err(Failure::failed)? {
        bar.inc(1);
        if let Some(error) = found.incomplete {
            bar.suspend(|| complain(&format_args!("{}: entries are missing: {error}", Shown(found.path))));
            outcome = Outcome::Bad;
        }
        if matches!(found.kind, FileKind::Directory | FileKind::Regular) {
            fs.set_attributes(found.inum, new).await.map_err(|error| path_failure(found.path, error))?;
        }
    }
    Ok(outcome)
}

/// The name that [`SetComp`] takes for a stored code.
pub(super) fn compression_name(code: u8) -> String {
    let level = code >> 4;
    match code & 0xf {
        code if code == Compression::None as u8 => "none".into(),
        code if code == Compression::AutoZero as u8 => "autozero".into(),
        code if code == Compression::Lz4 as u8 => "lz4".into(),
        code if code == Compression::Zlib as u8 && level > 0 => format!("zlib:{level}"),
        code if code == Compression::Zlib as u8 => "zlib".into(),
        code => format!("compression {code}"),
    }
}

/// The name that [`SetCheck`] takes for a stored code.
pub(super) fn check_name(code: u8) -> String {
    CheckMethod::from_code(code).map_or_else(|_| format!("check {code}"), |method| method.to_string())
}

fn parse_compression(text: &str) -> Result<u8, String> {
    let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
    let algorithm = match name {
        "none" => Compression::None,
        "autozero" => Compression::AutoZero,
        "lz4" => Compression::Lz4,
        "zlib" => Compression::Zlib,
        _ => return Err("known are none, autozero, lz4 and zlib[:6-9]".to_owned()),
    };
    let level = match (algorithm, level) {
        (Compression::Zlib, None) => DEFAULT_ZLIB_LEVEL,
        (Compression::Zlib, Some(level)) => match level.parse() {
            Ok(level @ 6..=9) => level,
            _ => return Err("levels of zlib are 6 to 9".to_owned()),
        },
        (_, None) => 0,
        (_, Some(_)) => return Err("only zlib has levels".to_owned()),
    };
    Ok(level << 4 | algorithm as u8)
}

fn parse_check(text: &str) -> Result<u8, String> {
    Ok(match text {
        "none" => CheckMethod::None,
        "disabled" => CheckMethod::Disabled,
        "crc32" | "iscsi32" => CheckMethod::Iscsi32,
        "xxhash64" => CheckMethod::XxHash64,
        "sha192" => CheckMethod::Sha192,
        _ => return Err("known are none, disabled, crc32, xxhash64 and sha192".to_owned()),
    } as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_the_codes_of_the_format() {
        let codes = [("none", 0), ("autozero", 1), ("lz4", 2), ("zlib", 0x63), ("zlib:9", 0x93)];
        assert!(codes.iter().all(|(name, code)| parse_compression(name) == Ok(*code)));
        assert!(
            ["", "gzip", "zlib:5", "zlib:10", "zlib:", "lz4:1"].iter().all(|name| parse_compression(name).is_err())
        );
        let codes = [("none", 0), ("disabled", 1), ("crc32", 2), ("iscsi32", 2), ("xxhash64", 3), ("sha192", 4)];
        assert!(codes.iter().all(|(name, code)| parse_check(name) == Ok(*code)));
        assert!(["", "freemap", "5"].iter().all(|name| parse_check(name).is_err()));
    }
}
