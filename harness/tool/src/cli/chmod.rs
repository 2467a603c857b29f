//! `hammer2 chmod`, `chown`, `truncate`: changing a file's attributes.

use clap::Args;
use hammer2_core::fs::NewAttributes;

use super::output::Output;
use super::session::{Session, Settings, path_failure};
use super::several::each;
use super::size::parse_size;
use super::target::Target;
use super::{Failure, Outcome};

/// Change the permissions of a file
#[derive(Args)]
pub(super) struct Chmod {
    /// Permission bits in octal, up to 7777
    #[arg(value_parser = parse_mode)]
    mode: u32,
    /// NODE[@LABEL][:/PATH]
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

/// Change the owner of a file, or its group, or both
#[derive(Args)]
pub(super) struct Chown {
    /// UID, UID:GID or :GID, numbers
    #[arg(value_name = "UID[:GID]", value_parser = parse_owner)]
    owner: Owner,
    /// NODE[@LABEL][:/PATH]
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

/// Cut a file, or make it longer with a hole
#[derive(Args)]
pub(super) struct Truncate {
    /// Bytes; K, M, G or T behind the number are units
    #[arg(value_parser = parse_size)]
    size: u64,
    /// NODE[@LABEL]:/PATH
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Chmod {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        change(settings, &self.targets, NewAttributes { mode: Some(self.mode), ..NewAttributes::default() })
    }
}

impl Chown {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        let Owner { uid, gid } = self.owner;
        change(settings, &self.targets, NewAttributes { uid, gid, ..NewAttributes::default() })
    }
}

impl Truncate {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        change(settings, &self.targets, NewAttributes { size: Some(self.size), ..NewAttributes::default() })
    }
}

fn change(settings: &Settings, targets: &[Target], new: NewAttributes) -> Result<Outcome, Failure> {
    each(targets, |target| {
        let failed = |error| path_failure(&target.path, error);
        Session::new(settings).change(target, async |fs| {
            let inum = fs.resolve(&target.path).await.map_err(failed)?;
            fs.set_attributes(inum, &new).await.map(|()| Outcome::Good).map_err(failed)
        })
    })
}

fn parse_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777 && !text.starts_with('+'));
    mode.ok_or_else(|| "permission bits are an octal number up to 7777".to_owned())
}

fn parse_owner(text: &str) -> Result<Owner, String> {
    let number = |text: &str| match text {
        "" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| "user and group are numbers: UID, UID:GID or :GID".to_owned()),
    };
    let (uid, gid) = text.split_once(':').unwrap_or((text, ""));
    match (number(uid)?, number(gid)?) {
        (None, None) => Err("no user and no group given".to_owned()),
        (uid, gid) => Ok(Owner { uid, gid }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        assert_eq!(parse_mode("4755"), Ok(0o4755));
        assert!(["", "8", "10000", "u+x", "+7", "-1"].iter().all(|text| parse_mode(text).is_err()));
    }

    #[test]
    fn either_owner_may_be_left_out() {
        assert_eq!(parse_owner("1:2"), Ok(Owner { uid: Some(1), gid: Some(2) }));
        assert_eq!(parse_owner("1"), Ok(Owner { uid: Some(1), gid: None }));
        assert_eq!(parse_owner(":2"), Ok(Owner { uid: None, gid: Some(2) }));
        assert!(["", ":", "root", "1:x", "-1", "1:2:3"].iter().all(|text| parse_owner(text).is_err()));
    }
}
