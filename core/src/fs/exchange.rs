//! Exchanging two names: what `renameat2` calls RENAME_EXCHANGE.

use super::undo::{DirectoryName, Step};
use super::{Error, FileSystem};
use crate::media::{FileKind, Inum};

impl FileSystem {
    /// Gives each of two names the file of the other. Both must exist; the files may be of any kind.
    pub async fn exchange(
        &self,
        first_directory: Inum,
        first_name: &[u8],
        second_directory: Inum,
        second_name: &[u8],
    ) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        self.admit_small(&mut changing).await?;
        let first_directory = self.directory_to_change(first_directory, first_name).await?;
        let second_directory = self.directory_to_change(second_directory, second_name).await?;
        let (first_key, first) = self.find_entry(&first_directory, first_name).await?.ok_or(Error::NotFound)?;
        let (second_key, second) = self.find_entry(&second_directory, second_name).await?.ok_or(Error::NotFound)?;
        if first.inum == second.inum {
            return Ok(());
        }
        if first.kind == FileKind::Directory {
            self.check_not_below(first.inum, second_directory.inum).await?;
        }
        if second.kind == FileKind::Directory {
            self.check_not_below(second.inum, first_directory.inum).await?;
        }
        let (first_file, second_file) = (self.inode(first.inum).await?, self.inode(second.inum).await?);
        self.admit_link(&first_file, second_directory.inum).await?;
        self.admit_link(&second_file, first_directory.inum).await?;
        let now = self.writing()?.now();
        let exchanged = async {
            self.remove_entry(&first_directory, first_key).await?;
            self.remove_entry(&second_directory, second_key).await?;
            self.add_entry(&first_directory, first_name, second.inum, second.kind).await?;
            self.add_entry(&second_directory, second_name, first.inum, first.kind).await
        };
        if let Err(error) = exchanged.await {
            let first_place = DirectoryName::new(first_directory.inum, first_name);
            let second_place = DirectoryName::new(second_directory.inum, second_name);
            self.take_back([
                Step::Unnamed(first_place.clone(), second.inum),
                Step::Unnamed(second_place.clone(), first.inum),
                Step::Named(first_place, first.inum, first.kind),
                Step::Named(second_place, second.inum, second.kind),
            ])
            .await?;
            return Err(error);
        }
        for (file, directory) in [(first_file, second_directory.inum), (second_file, first_directory.inum)] {
            file.change(|record| {
                record.meta.set_iparent(directory);
                record.meta.set_ctime(now);
            });
        }
        Ok(())
    }
}
