//! The output of a recovery: a line for every loss, and a summary.

use hammer2_core::media::Inum;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::super::failure::complain;
use super::super::output::{Output, Shown, insert_bytes};
use super::super::progress::byte_counter;
use super::super::{Failure, Outcome};

/// Ranges of a file that are listed one by one.
const MOST_RANGES: usize = 256;

/// How a file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The newest intact state leads to it.
    Newest,
    /// Only an older state leads to it, because the file was removed since.
    Deleted,
    /// Only an older state leads to it, because of damage.
    Older,
    /// No tree leads to it: the scan found its inode.
    Scan,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Deleted => "deleted",
            Self::Older => "older",
            Self::Scan => "scan",
        }
    }

    /// The folder of the target directory.
    pub(super) fn folder(self) -> &'static [u8] {
        match self {
            Self::Newest => b"",
            Self::Deleted => b"deleted/",
            Self::Older => b"older/",
            Self::Scan => b"lost+found/",
        }
    }
}

/// Missing bytes of a file.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) why: String,
}

/// All missing bytes of a file, with neighbours joined.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps {
    ranges: Vec<Missing>,
    /// Ranges that aren't listed.
    more: u64,
    pub(super) bytes: u64,
}

impl Gaps {
    pub(super) fn add(&mut self, missing: Missing) {
        self.bytes += missing.last - missing.first + 1;
        let is_full = self.ranges.len() == MOST_RANGES;
        match self.ranges.last_mut() {
            Some(before) if before.last + 1 == missing.first && before.why == missing.why => before.last = missing.last,
            _ if is_full => self.more += 1,
            _ => self.ranges.push(missing),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

/// A file that was written.
pub(super) struct Written<'w> {
    pub(super) path: &'w [u8],
    pub(super) inum: Inum,
    pub(super) origin: Origin,
    pub(super) is_verified: bool,
    pub(super) bytes: u64,
    pub(super) gaps: &'w Gaps,
}

#[derive(Clone, Copy, Debug, Default)]
struct Summary {
    files: u64,
    bytes: u64,
    partial: u64,
    missing_bytes: u64,
    deleted: u64,
    older: u64,
    scan: u64,
    unverified: u64,
    lost: u64,
    names_lost: u64,
    failed: u64,
    unreadable_bytes: u64,
    remnants: u64,
    roots_lost: u64,
    /// Files that the newest state has a name for, but doesn't lead to.
    out_of_place: u64,
}

pub(super) struct Report<'o> {
    output: &'o mut Output,
    json: bool,
    bar: ProgressBar,
    summary: Summary,
}

impl<'o> Report<'o> {
    pub(super) fn new(output: &'o mut Output, json: bool) -> Self {
        Self { output, json, bar: byte_counter(), summary: Summary::default() }
    }

    /// The progress of writing.
    pub(super) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    fn say(&mut self, text: impl FnOnce() -> Option<String>, value: impl FnOnce() -> Value) -> Result<(), Failure> {
        let Self { output, json, bar, .. } = self;
        if *json {
            return bar.suspend(|| output.line(value()));
        }
        match text() {
            Some(text) => bar.suspend(|| output.line(text)),
            None => Ok(()),
        }
    }

    /// A note about the volumes as a whole.
    pub(super) fn note(&mut self, note: &str) -> Result<(), Failure> {
        self.say(|| Some(note.to_owned()), || json!({ "note": note }))
    }

    /// A super-root or the root of a PFS can't be read, or is missing: files below it have no names any more.
    pub(super) fn root_lost(&mut self, note: &str) -> Result<(), Failure> {
        self.summary.roots_lost += 1;
        self.note(note)
    }

    /// True if files were written that no tree leads to.
    pub(super) fn has_strays(&self) -> bool {
        self.summary.scan > 0
    }

    pub(super) fn written(&mut self, written: &Written<'_>) -> Result<(), Failure> {
        let Written { path, inum, origin, is_verified, bytes, gaps } = *written;
        let summary = &mut self.summary;
        summary.files += 1;
        summary.bytes += bytes - gaps.bytes.min(bytes);
        summary.partial += u64::from(!gaps.is_empty());
        summary.missing_bytes += gaps.bytes;
        summary.unverified += u64::from(!is_verified);
        match origin {
            Origin::Newest => {}
            Origin::Deleted => summary.deleted += 1,
            Origin::Older => summary.older += 1,
            Origin::Scan => summary.scan += 1,
        }
        let range = |Missing { first, last, why }: &Missing| format!("{} bytes from {first}: {why}", last - first + 1);
        let text = || {
            let path = Shown(path);
            if !gaps.is_empty() {
                let ranges: Vec<_> = gaps.ranges.iter().map(range).collect();
                let more = if gaps.more > 0 { format!("; and {} more", gaps.more) } else { String::new() };
                Some(format!("{path}: {} of {bytes} bytes are missing ({}{more})", gaps.bytes, ranges.join("; ")))
            } else if !is_verified {
                Some(format!("{path}: whole, but without check codes to compare all of it with"))
            } else {
                (origin != Origin::Newest).then(|| format!("{path}: whole"))
            }
        };
        let value = || {
            let mut object = Map::new();
            insert_bytes(&mut object, "file", path);
            object.insert("origin".into(), origin.name().into());
            object.insert("inum".into(), inum.0.into());
            object.insert("verified".into(), is_verified.into());
            object.insert("bytes".into(), bytes.into());
            object.insert("missing_bytes".into(), gaps.bytes.into());
            let json_of =
                |gap: &Missing| json!({ "from": gap.first, "bytes": gap.last - gap.first + 1, "why": gap.why });
            object.insert("missing".into(), gaps.ranges.iter().map(json_of).collect());
            object.insert("more_ranges".into(), gaps.more.into());
            Value::Object(object)
        };
        self.say(text, value)
    }

    /// Another name of a file that was written.
    pub(super) fn linked(&mut self, path: &[u8], existing: &[u8], origin: Origin) -> Result<(), Failure> {
        self.say(
            || (origin != Origin::Newest).then(|| format!("{}: the same as {}", Shown(path), Shown(existing))),
            || {
                let mut object = Map::new();
                insert_bytes(&mut object, "link", path);
                insert_bytes(&mut object, "to", existing);
                Value::Object(object)
            },
        )
    }

    /// An inode without a tree, of which nothing can be read: most are remains of files that were removed long ago.
    pub(super) fn remnant(&mut self, path: &[u8]) -> Result<(), Failure> {
        self.summary.remnants += 1;
        self.say(
            || None,
            || {
                let mut object = Map::new();
                insert_bytes(&mut object, "remnant", path);
                Value::Object(object)
            },
        )
    }

    /// A file of which nothing can be read.
    pub(super) fn lost(&mut self, path: &[u8], inum: Inum, why: &str) -> Result<(), Failure> {
        self.summary.lost += 1;
        self.say(
            || Some(format!("{}: lost (inode {inum}): {why}", Shown(path))),
            || {
                let mut object = Map::new();
                insert_bytes(&mut object, "lost", path);
                object.insert("inum".into(), inum.0.into());
                object.insert("why".into(), why.into());
                Value::Object(object)
            },
        )
    }

    /// A directory that has, or may have, names that can't be read.
    pub(super) fn names_lost(&mut self, path: &[u8], why: &str) -> Result<(), Failure> {
        self.summary.names_lost += 1;
        self.say(
            || Some(format!("{}: names are missing: {why}", Shown(path))),
            || {
                let mut object = Map::new();
                insert_bytes(&mut object, "names_lost", path);
                object.insert("why".into(), why.into());
                Value::Object(object)
            },
        )
    }

    /// A file that the newest state has a name for was recovered from an inode that may not be its newest.
    pub(super) fn out_of_place(&mut self) {
        self.summary.out_of_place += 1;
    }

    /// Something that the host refuses to store.
    pub(super) fn failed(&mut self, path: &[u8], error: &std::io::Error) {
        self.summary.failed += 1;
        self.bar.suspend(|| complain(&format_args!("{}: {error}", Shown(path))));
    }

    /// Parts of the volumes that can't be read.
    pub(super) fn unreadable(&mut self, bytes: u64) {
        self.summary.unreadable_bytes += bytes;
    }

    pub(super) fn conclude(&mut self) -> Result<Outcome, Failure> {
        self.bar.finish_and_clear();
        let Summary { files, bytes, partial, missing_bytes, .. } = self.summary;
        let Summary {
            deleted,
            older,
            scan,
            unverified,
            lost,
            names_lost,
            failed,
            unreadable_bytes,
            remnants,
            roots_lost,
            out_of_place,
            ..
        } = self.summary;
        let text = || {
            Some(format!(
                "recovered {files} files with {bytes} bytes: {partial} of them partly ({missing_bytes} bytes are missing), \
                 {deleted} deleted, {older} of an older state, {scan} without a tree, {unverified} unverified; lost: {lost} \
                 files, names in {names_lost} places; {failed} not written; {unreadable_bytes} bytes of the volumes unreadable"
            ))
        };
        self.say(text, || {
            json!({ "summary": {
                "files": files, "bytes": bytes, "partial": partial, "missing_bytes": missing_bytes, "deleted": deleted,
                "older": older, "scan": scan, "unverified": unverified, "lost": lost, "names_lost": names_lost,
                "failed": failed, "unreadable_bytes": unreadable_bytes, "remnants": remnants,
                "roots_lost": roots_lost, "out_of_place": out_of_place,
            }})
        })?;
        let is_good = partial + lost + names_lost + failed + unreadable_bytes + roots_lost + out_of_place == 0;
        Ok(if is_good { Outcome::Good } else { Outcome::Bad })
    }
}
