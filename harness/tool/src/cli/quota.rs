//! `hammer2 setquota` and `hammer2 quota`: limits for the files below a directory.

use clap::Args;
use serde_json::{Map, Value};

use super::output::{Output, Shown, insert_bytes};
use super::session::{Session, Settings};
use super::size::parse_size;
use super::target::Target;
use super::{Failure, Outcome, mounted, progress};
use crate::admin::{QuotaFacts, quotas_of, set_quota};

/// Limit the space and number of the files below a directory
///
/// A write that would go over a limit fails with EDQUOT. Content counts as it is stored, so after compression, and each file,
/// directory and link counts 1 KiB. Existing files are counted, which takes a look at all of the PFS, and stay even if they
/// exceed the limit. A file with several names counts once; it can't have names in directories with different limits, and
/// directories that aren't empty can't be moved into or out of a directory with limits.
#[derive(Args)]
pub(super) struct SetQuota {
    /// Bytes; K, M, G or T behind the number are units; 0 or `none` is no limit. If not given, the limit stays as it is
    #[arg(long, value_name = "N", value_parser = parse_bytes, required_unless_present = "inodes")]
    bytes: Option<u64>,
    /// Files, directories and links below the directory; 0 or `none` is no limit. If not given, the limit stays as it is
    #[arg(long, value_name = "N", value_parser = parse_inodes)]
    inodes: Option<u64>,
    /// Print a JSON object: the limits, and how much of them is used
    #[arg(long)]
    json: bool,
    /// NODE[@LABEL]:/DIR, or a directory in a mount
    #[arg(value_parser = Target::parser())]
    target: Target,
}

/// Show the limits that apply to the content of a directory, and how much of them is used
/// The nearest limits come first, up to the root.
#[derive(Args)]
pub(super) struct ShowQuota {
    /// Show the limits of the directory and of all directories below it instead
    #[arg(short, long)]
    all: bool,
    /// First, count anew how much of all limits of the PFS is used
    #[arg(long)]
    recount: bool,
    /// Print a JSON object for each
    #[arg(long)]
    json: bool,
    /// NODE[@LABEL][:/DIR], or a directory in a mount
    #[arg(value_parser = Target::parser())]
    target: Target,
}

/// The words for the long part of the work.
const COUNTING: &str = "counting what is there";

fn parse_bytes(text: &str) -> Result<u64, String> {
    if text == "none" { Ok(0) } else { parse_size(text) }
}

fn parse_inodes(text: &str) -> Result<u64, String> {
    if text == "none" { Ok(0) } else { text.parse().map_err(|_| "not a number of inodes".to_owned()) }
}

impl SetQuota {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if let Some(directory) = self.target.directory() {
            mounted::set_quota(directory, self.bytes, self.inodes)?;
            return self.tell(&mounted::quotas(directory, false)?, output);
        }
        let mut quotas = Vec::new();
        Session::new(settings).change(&self.target, async |fs| {
            let _waiting = progress::waiting(COUNTING);
            set_quota(fs, &self.target.path, self.bytes, self.inodes).await?;
            quotas = quotas_of(fs, &self.target.path, false).await?;
            Ok(Outcome::Good)
        })?;
        self.tell(&quotas, output)
    }

    /// Prints the limits of the directory itself, which are the nearest ones.
    fn tell(&self, quotas: &[QuotaFacts], output: &mut Output) -> Result<Outcome, Failure> {
        if self.json {
            output.line(quotas.first().map_or(Value::Null, json_of))?;
        }
        Ok(Outcome::Good)
    }
}

impl ShowQuota {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let quotas = match self.target.directory() {
            Some(directory) => {
                if self.recount {
                    mounted::set_quota(directory, None, None)?;
                }
                mounted::quotas(directory, self.all)?
            }
            None => {
                let session = Session::new(settings);
                if self.recount {
                    recount(&session, &self.target)?;
                }
                session.run(async {
                    let fs = session.mount(&self.target).await?;
                    Ok(quotas_of(&fs, &self.target.path, self.all).await?)
                })?
            }
        };
        if self.json {
            quotas.iter().try_for_each(|quota| output.line(json_of(quota)))?;
            return Ok(Outcome::Good);
        }
        if quotas.is_empty() {
            output.line("no quota")?;
            return Ok(Outcome::Good);
        }
        output.line(format_args!("{:>16} {:>16} {:>12} {:>12}  directory", "bytes used", "of", "inodes used", "of"))?;
        for quota in &quotas {
            output.line(format_args!(
                "{:>16} {:>16} {:>12} {:>12}  {}",
                quota.bytes_used,
                limit(quota.bytes_limit),
                quota.inodes_used,
                limit(quota.inodes_limit),
                Shown(&quota.path)
            ))?;
        }
        Ok(Outcome::Good)
    }
}

/// Counts anew how much of all limits of a PFS is used.
fn recount(session: &Session, target: &Target) -> Result<Outcome, Failure> {
    session.change(target, async |fs| {
        let _waiting = progress::waiting(COUNTING);
        fs.recount_quotas().await.map(|_| Outcome::Good).map_err(Failure::failed)
    })
}

fn limit(limit: u64) -> String {
    if limit == 0 { "no limit".into() } else { limit.to_string() }
}

fn json_of(quota: &QuotaFacts) -> Value {
    let mut object = Map::new();
    insert_bytes(&mut object, "path", &quota.path);
    let limit = |limit: u64| if limit == 0 { Value::Null } else { limit.into() };
    object.insert("inum".into(), quota.inum.into());
    object.insert("bytes_used".into(), quota.bytes_used.into());
    object.insert("bytes_limit".into(), limit(quota.bytes_limit));
    object.insert("inodes_used".into(), quota.inodes_used.into());
    object.insert("inodes_limit".into(), limit(quota.inodes_limit));
    Value::Object(object)
}
