//! Changing the attributes of a file.

use super::{Error, FileSystem};
use crate::media::inode::MAX_FILE_BYTES;
use crate::media::{FileKind, Inum, Timestamp, Uuid};

/// The attributes to change; those that are none stay as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewAttributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length of a regular file.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<Timestamp>,
    /// Last change of the content.
    pub mtime: Option<Timestamp>,
    /// Last change of the inode; the current time if none.
    pub ctime: Option<Timestamp>,
    /// Compression of new data: algorithm in the low nibble, ZLIB's level in the high one.
    pub comp_algo: Option<u8>,
    /// Check method of new data.
    pub check_algo: Option<u8>,
    /// BSD's file flags.
    pub flags: Option<u32>,
}

impl FileSystem {
    /// Changes the attributes of a file, all of them or none.
    pub async fn set_attributes(&self, file: Inum, new: &NewAttributes) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        let now = self.writing()?.now();
        self.relieve().await?;
        let file = self.inode(file).await?;
        if let Some(size) = new.size {
            match file.attributes()?.kind {
                FileKind::Regular if size <= MAX_FILE_BYTES => {
                    self.admit_resize(&mut changing, &file, size).await?;
                    self.resize(&file, size).await?;
                }
                FileKind::Regular => return Err(Error::FileTooLarge),
                FileKind::Directory => return Err(Error::IsADirectory),
                _ => return Err(Error::NotRegular),
            }
        } else {
            self.admit_small(&mut changing).await?;
        }
        file.change(|record| {
            let meta = &mut record.meta;
            new.mode.into_iter().for_each(|mode| meta.set_mode(mode));
            new.uid.into_iter().for_each(|uid| meta.uid = Uuid::from_unix_id(uid));
            new.gid.into_iter().for_each(|gid| meta.gid = Uuid::from_unix_id(gid));
            new.atime.into_iter().for_each(|time| meta.set_atime(time));
            new.mtime.or(new.size.map(|_| now)).into_iter().for_each(|time| meta.set_mtime(time));
            new.comp_algo.into_iter().for_each(|algorithm| meta.comp_algo = algorithm);
            new.check_algo.into_iter().for_each(|algorithm| meta.check_algo = algorithm);
            new.flags.into_iter().for_each(|flags| meta.uflags = flags.into());
            meta.set_ctime(new.ctime.unwrap_or(now));
        });
        Ok(())
    }
}
