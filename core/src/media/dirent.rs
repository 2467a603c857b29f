//! Directory entries (format 2.2 and 3.5).

use super::geometry::MAX_NAME_BYTES;
use super::{BlockKind, Blockref, Corruption, FileKind, Inum, Key, KeyBits, Methods, Radix};

/// Names up to this length are stored in the blockref itself.
pub const EMBEDDED_NAME_BYTES: usize = 64;

/// The part of a directory entry that its blockref holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirent {
    /// The inode it names.
    pub inum: Inum,
    /// Bytes of the name, 1 to 255.
    pub name_len: usize,
    /// The type of the inode.
    pub kind: FileKind,
}

impl Dirent {
    /// Reads the entry in a blockref of type DIRENT, checking what can be checked without the name's block.
    pub fn read(bref: &Blockref) -> Result<Self, Corruption> {
        let entry = Self::with_block(bref)?;
        match bref.data_off().radix()? {
            None if entry.name_len > EMBEDDED_NAME_BYTES => Err(Corruption::NoBlock),
            Some(radix) if radix != Radix::MIN => Err(Corruption::BlockSize(radix.value())),
            _ => Ok(entry),
        }
    }

    /// Like [`read`](Self::read), for an entry whose block is at hand wherever it lies.
    pub fn with_block(bref: &Blockref) -> Result<Self, Corruption> {
        let inum = Inum(u64::from_le_bytes(core::array::from_fn(|i| bref.embed[i])));
        let stored_len = u16::from_le_bytes([bref.embed[8], bref.embed[9]]);
        let name_len = usize::from(stored_len);
        if name_len == 0 || name_len > MAX_NAME_BYTES {
            return Err(Corruption::NameLength(stored_len));
        }
        Ok(Self { inum, name_len, kind: FileKind::from_code(bref.embed[10])? })
    }

    /// The name, from the blockref or from its block.
    pub fn name<'a>(&self, bref: &'a Blockref, block: Option<&'a [u8]>) -> Result<&'a [u8], Corruption> {
        let bytes = block.unwrap_or(&bref.check);
        let name = bytes.get(..self.name_len).ok_or(Corruption::NameLength(self.name_len as u16))?;
        if name.iter().any(|byte| matches!(byte, 0 | b'/')) || matches!(name, b"." | b"..") {
            return Err(Corruption::ForbiddenName);
        }
        Ok(name)
    }

    /// A blockref for the entry. It includes a name that fits; a longer one goes into a block that the caller adds.
    pub fn blockref(&self, key: Key, name: &[u8], methods: Methods) -> Blockref {
        let mut bref = Blockref::new(BlockKind::Dirent, key, KeyBits(0), methods);
        bref.embed[..8].copy_from_slice(&self.inum.0.to_le_bytes());
        bref.embed[8..10].copy_from_slice(&(self.name_len as u16).to_le_bytes());
        bref.embed[10] = self.kind as u8;
        if name.len() <= EMBEDDED_NAME_BYTES {
            bref.check[..name.len()].copy_from_slice(name);
        }
        bref
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{DataOff, MediaOffset};

    #[test]
    fn written_entries_read_back() {
        let entry = Dirent { inum: Inum(0x402), name_len: 5, kind: FileKind::Fifo };
        let bref = entry.blockref(Key(Key::VISIBLE), b"hello", Methods(0x30));
        assert_eq!(Dirent::read(&bref), Ok(entry));
        assert_eq!(entry.name(&bref, None), Ok(&b"hello"[..]));
    }

    #[test]
    fn hostile_entries() {
        let of_len = |len: usize| {
            Dirent { inum: Inum(1), name_len: len, kind: FileKind::Regular }.blockref(
                Key(Key::VISIBLE),
                b"x",
                Methods(0x30),
            )
        };
        assert_eq!(Dirent::read(&of_len(0)), Err(Corruption::NameLength(0)));
        assert_eq!(Dirent::read(&of_len(256)), Err(Corruption::NameLength(256)));
        assert_eq!(Dirent::read(&of_len(65)), Err(Corruption::NoBlock));
        let mut large = of_len(65);
        large.set_data_off(DataOff::new(MediaOffset(1 << 26), Radix::MAX));
        assert_eq!(Dirent::read(&large), Err(Corruption::BlockSize(16)));
        for name in [&b".."[..], b".", b"a/b", b"a\0b"] {
            let entry = Dirent { inum: Inum(1), name_len: name.len(), kind: FileKind::Regular };
            let bref = entry.blockref(Key(Key::VISIBLE), name, Methods(0x30));
            assert_eq!(entry.name(&bref, None), Err(Corruption::ForbiddenName), "{}", name.escape_ascii());
        }
    }
}
