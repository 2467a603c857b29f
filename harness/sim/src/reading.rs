//! Reading all of a filesystem into a model.

use std::sync::Arc;

use hammer2_core::cluster::EntryBatch;
use hammer2_core::fs::{Cookie, Error, FileSystem};
use hammer2_core::media::{FileKind, Inum};
use hammer2_model::{Entries, Model, Node, Number, Numbers};

use crate::nodes::HEAP;

const BATCH_BYTES: usize = 16 << 10;

const _: () = assert!(number(Inum::PFS_ROOT).0 == Number::ROOT.0, "models call the root what filesystems call it");

/// What models call an inode.
pub(crate) const fn number(inum: Inum) -> Number {
    Number(inum.0)
}

/// The inode that models call so.
pub(crate) const fn inum(number: Number) -> Inum {
    Inum(number.0)
}

/// What was listed of a directory. Clients give only names that are text: another is found as one that nobody gave.
pub(crate) fn entries_of(batch: &EntryBatch) -> impl Iterator<Item = (String, Number)> {
    batch.iter().map(|entry| (String::from_utf8_lossy(entry.name).into_owned(), number(entry.inum)))
}

/// Everything there is. A wrong number of links is told as an error of its own.
pub(crate) async fn read_all(fs: &FileSystem) -> Result<Result<Model, String>, Error> {
    let mut model = Model::new();
    let mut pending = vec![Inum::PFS_ROOT];
    while let Some(directory) = pending.pop() {
        let mut entries = Entries::new();
        let mut from = Some(Cookie::START);
        let mut batch = EntryBatch::new(HEAP, BATCH_BYTES)?;
        while let Some(cookie) = from {
            let listing = fs.read_directory(directory, cookie, &mut batch).await?;
            if let Some(fault) = listing.damaged {
                return Err(Error::Io(fault));
            }
            from = listing.next;
            entries.extend(entries_of(&batch));
        }
        for found in entries.values().copied().map(inum) {
            if model.get(number(found)).is_some() {
                continue;
            }
            let attributes = fs.attributes(found).await?;
            if attributes.kind == FileKind::Directory {
                pending.push(found);
                continue;
            }
            let mut content = vec![0; attributes.size as usize];
            let count = fs.read(found, 0, &mut content).await?;
            if count != content.len() {
                return Ok(Err(format!("inode {found}: {count} of {} bytes were read", content.len())));
            }
            model.insert(number(found), Node::File { content: Arc::new(content), links: attributes.links });
        }
        model.insert(number(directory), Node::Directory(Arc::new(entries)));
    }
    Ok(model.miscounted().map_or(Ok(model), Err))
}

/// How two states differ, in a few words.
pub(crate) fn difference(found: &Model, wanted: &Model) -> String {
    hammer2_model::difference(found, wanted, Numbers::Expected).unwrap_or_else(|| "no difference".to_owned())
}
