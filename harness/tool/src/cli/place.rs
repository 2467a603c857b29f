//! Where new names go, and the new files under them.

use hammer2_core::fs::{FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum};

use super::Failure;
use super::output::Shown;
use super::session::path_failure;
use super::target::Target;

/// A name in a directory.
pub(super) struct Place<'p> {
    pub(super) directory: Inum,
    pub(super) name: &'p [u8],
}

impl<'p> Place<'p> {
    /// The place a path leads to; the directory must be there, the name needn't.
    pub(super) async fn find(fs: &FileSystem, path: &'p [u8]) -> Result<Self, Failure> {
        let (above, name) = split(path).ok_or_else(|| {
            Failure::unusable(format_args!("{}: this is the root; name something below it", Shown(path)))
        })?;
        let directory = fs.resolve(above).await.map_err(|error| path_failure(above, error))?;
        Ok(Self { directory, name })
    }

    /// A second path of the same filesystem, which only the target before it names.
    pub(super) fn within<'a>(path: &'a [u8], target: &Target) -> Result<&'a [u8], Failure> {
        match path.windows(2).position(|pair| pair == b":/") {
            Some(end) if path.first() != Some(&b'/') => Err(Failure::unusable(format_args!(
                "{}: it is in {target}, too: name it without that, as {}",
                Shown(path),
                Shown(&path[end + 1..])
            ))),
            _ => Ok(path),
        }
    }
}

/// A path above its last name, and that name; none for the root.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().rposition(|byte| *byte != b'/')? + 1;
    let start = path[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    Some((&path[..start], &path[start..end]))
}

/// A new file that belongs to the user who runs the tool.
pub(super) fn new_file(kind: FileKind, mode: u32) -> NewFile<'static> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    NewFile { uid, gid, ..NewFile::new(kind, mode) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_at_the_last_name() {
        assert_eq!(split(b"/a"), Some((&b"/"[..], &b"a"[..])));
        assert_eq!(split(b"/a/b//"), Some((&b"/a/"[..], &b"b"[..])));
        assert_eq!(split(b"b"), Some((&b""[..], &b"b"[..])));
        assert!(split(b"/").is_none() && split(b"").is_none() && split(b"//").is_none());
    }
}
