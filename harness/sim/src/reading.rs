//! Reading all of a filesystem into a model.

use std::rc::Rc;

use hammer2_core::cluster::EntryBatch;
use hammer2_core::fs::{Cookie, Error, FileSystem};
use hammer2_core::media::{FileKind, Inum};

use crate::model::{Entries, Model, Node};
use crate::nodes::HEAP;

const BATCH_BYTES: usize = 16 << 10;

/// The whole content. A wrong number of links is reported as an error of its own.
pub(crate) async fn read_all(fs: &FileSystem) -> Result<Result<Model, String>, Error> {
    let mut model = Model::new();
    let mut pending = vec![Inum::PFS_ROOT];
    let mut links = Vec::new();
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
            entries.extend(batch.iter().map(|entry| (entry.name.to_vec(), entry.inum)));
        }
        for inum in entries.values().copied() {
            if model.get(inum).is_some() {
                continue;
            }
            let attributes = fs.attributes(inum).await?;
            if attributes.kind == FileKind::Directory {
                pending.push(inum);
                continue;
            }
            let mut content = vec![0; attributes.size as usize];
            let count = fs.read(inum, 0, &mut content).await?;
            if count != content.len() {
                return Ok(Err(format!("inode {inum}: {count} of {} bytes were read", content.len())));
            }
            links.push((inum, attributes.links));
            model.insert(inum, Node::File(Rc::new(content)));
        }
        model.insert(directory, Node::Directory(Rc::new(entries)));
    }
    for (inum, count) in links {
        let names = model.links(inum) as u64;
        if names != count {
            return Ok(Err(format!("inode {inum} has {names} names and says {count}")));
        }
    }
    Ok(Ok(model))
}

/// How two states differ, in a few words.
pub(crate) fn difference(found: &Model, wanted: &Model) -> String {
    let directories = found.directories().into_iter().chain(wanted.directories());
    for directory in directories {
        let (found, wanted) = (found.entries(directory), wanted.entries(directory));
        if found == wanted {
            continue;
        }
        let (Some(found), Some(wanted)) = (found, wanted) else {
            return format!("directory {directory} is there: {}, should be: {}", found.is_some(), wanted.is_some());
        };
        let missing: Vec<_> = wanted.iter().filter(|(n, i)| found.get(*n) != Some(i)).map(shown).collect();
        let extra: Vec<_> = found.iter().filter(|(n, i)| wanted.get(*n) != Some(i)).map(shown).collect();
        return format!("directory {directory} lacks {missing:?} and has {extra:?}");
    }
    for file in wanted.files() {
        let (Some(found), Some(wanted)) = (found.content(file), wanted.content(file)) else { continue };
        if found != wanted {
            let at = found.iter().zip(wanted.iter()).position(|(a, b)| a != b);
            return format!(
                "file {file} of {} bytes, should be {}; the first that differs: {at:?}",
                found.len(),
                wanted.len()
            );
        }
    }
    "no difference".to_owned()
}

fn shown((name, inum): (&Vec<u8>, &Inum)) -> String {
    format!("{}={inum}", String::from_utf8_lossy(name))
}
