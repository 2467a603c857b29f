//! How a member is named: by its image, its node number, or its fsid.

use std::ffi::OsStr;
use std::path::Path;

use hammer2_core::cluster::NodeIndex;
use hammer2_core::fs::FileSystem;
use hammer2_core::media::Uuid;

use crate::cli::Failure;
use crate::cli::session::Seats;
use crate::cli::target::Target;

/// What a member is called that the user names. One that can't be opened is the one that is missing, if only one is.
pub(super) fn member(name: &OsStr, target: &Target, seats: &Seats, fs: &FileSystem) -> Result<Uuid, Failure> {
    let missing: Vec<Uuid> = fs.missing_members().iter().map(|member| member.fsid).collect();
    let text = name.to_string_lossy();
    let by_fsid = fs.member_statuses().map(|member| member.fsid).chain(missing.iter().copied());
    if let Some(fsid) = { by_fsid }.find(|fsid| fsid.to_string() == text) {
        return Ok(fsid);
    }
    match (node(name, target, seats), &missing[..]) {
        (Some(Some(node)), _) => Ok(fs.member_statuses().find(|member| member.node == node).expect("opened").fsid),
        (_, [only]) => Ok(*only),
        (Some(None), _) => Err(Failure::unusable(format_args!(
            "{text} isn't there, and {} members are missing: name it by its fsid, which `cluster status` shows",
            missing.len()
        ))),
        (None, _) => Err(unknown(name)),
    }
}

/// The node that the user names.
pub(super) fn opened(name: &OsStr, target: &Target, seats: &Seats) -> Result<NodeIndex, Failure> {
    node(name, target, seats).flatten().ok_or_else(|| unknown(name))
}

/// The node with an image or number of this name; none inside if it couldn't be opened.
fn node(name: &OsStr, target: &Target, seats: &Seats) -> Option<Option<NodeIndex>> {
    let has_image = |images: &Vec<std::path::PathBuf>| images.iter().any(|image| image == Path::new(name));
    if let Some(place) = target.nodes.iter().position(has_image) {
        return seats.get(place).copied();
    }
    let number = name.to_str()?.parse().ok().map(NodeIndex)?;
    seats.contains(&Some(number)).then_some(Some(number))
}

fn unknown(name: &OsStr) -> Failure {
    let name = name.to_string_lossy();
    Failure::unusable(format_args!("{name} is no node here: name one by its image, number or fsid"))
}
