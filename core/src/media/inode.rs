//! Inodes (format 3.1).

use bitflags::bitflags;
use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::block_array::{Blockset, SET_ENTRIES};
pub use super::file_kind::FileKind;
use super::{BlockArray, Blockref, Corruption, Inum, Key, KeyRange, ModifyTid, Timestamp, Uuid, is_zero};

/// Bytes of an inode.
pub const INODE_BYTES: usize = 1024;
/// Bytes of an inode before its body.
pub const INODE_META_BYTES: usize = 512;
/// Bytes of the body: a file with as much content fits into its inode.
pub const EMBEDDED_BYTES: usize = 512;
/// Bytes of the name field.
pub const INODE_NAME_BYTES: usize = 256;
/// The greatest file size: offsets are keys, and keys of data end where visible keys begin.
pub const MAX_FILE_BYTES: u64 = i64::MAX as u64;

impl FileKind {
    /// The kind with this code.
    pub fn from_code(code: u8) -> Result<Self, Corruption> {
        Ok(match code {
            1 => Self::Directory,
            2 => Self::Regular,
            4 => Self::Fifo,
            5 => Self::CharDevice,
            6 => Self::BlockDevice,
            7 => Self::Symlink,
            9 => Self::Socket,
            10 => Self::Whiteout,
            _ => return Err(Corruption::FileType(code)),
        })
    }
}

/// The role of a PFS in its cluster (format 3.7): the low nibble of `pfs_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PfsKind {
    /// Not a PFS.
    None = 0,
    /// A cache of a cluster.
    Cache = 1,
    /// A copy that follows the masters; read-only.
    Slave = 3,
    /// A slave that is read by itself.
    SoftSlave = 4,
    /// A master that is written by itself.
    SoftMaster = 5,
    /// A voting, writable copy; also every local filesystem.
    Master = 6,
    /// The super-root.
    SuperRoot = 8,
    /// A placeholder.
    Dummy = 9,
}

impl PfsKind {
    /// The kind in a `pfs_type` byte; unknown codes are `Dummy`, which nothing mounts.
    pub fn from_code(code: u8) -> Self {
        match code & 0xf {
            0 => Self::None,
            1 => Self::Cache,
            3 => Self::Slave,
            4 => Self::SoftSlave,
            5 => Self::SoftMaster,
            6 => Self::Master,
            8 => Self::SuperRoot,
            _ => Self::Dummy,
        }
    }
}

impl core::fmt::Display for PfsKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::None => "NONE",
            Self::Cache => "CACHE",
            Self::Slave => "SLAVE",
            Self::SoftSlave => "SOFT_SLAVE",
            Self::SoftMaster => "SOFT_MASTER",
            Self::Master => "MASTER",
            Self::SuperRoot => "SUPROOT",
            Self::Dummy => "DUMMY",
        })
    }
}

/// The origin of a PFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PfsSubkind {
    /// It was made as a PFS.
    None,
    /// A snapshot.
    Snapshot,
    /// A snapshot that was taken automatically.
    AutoSnapshot,
}

bitflags! {
    /// Flags of an inode.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct InodeFlags: u8 {
        /// The body is file content, not blockrefs.
        const DIRECTDATA = 0x01;
        /// The root of a PFS.
        const PFSROOT = 0x02;
        const _ = !0;
    }
}

/// The most directories above a file in whose limits it counts. Only damage leads deeper, in a circle.
pub const MAX_QUOTA_DEPTH: usize = 4096;

/// The first half of an inode as it is on media. Fields without a meaning here keep their values.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InodeMeta {
    version: U16,
    reserved_02: u8,
    pfs_subtype: u8,
    /// BSD's file flags.
    pub uflags: U32,
    /// Device number, major part.
    pub rmajor: U32,
    /// Device number, minor part.
    pub rminor: U32,
    ctime: U64,
    mtime: U64,
    atime: U64,
    btime: U64,
    /// Owner.
    pub uid: Uuid,
    /// Group.
    pub gid: Uuid,
    file_type: u8,
    op_flags: u8,
    cap_flags: U16,
    mode: U32,
    inum: U64,
    size: U64,
    nlinks: U64,
    iparent: U64,
    name_key: U64,
    name_len: U16,
    ncopies: u8,
    /// Compression for new data: algorithm in the low nibble, level in the high one.
    pub comp_algo: u8,
    reserved_84: u8,
    /// Check method for new data.
    pub check_algo: u8,
    /// Masters of the cluster; 0 if not recorded.
    pub pfs_nmasters: u8,
    pfs_type: u8,
    pfs_inum: U64,
    /// The cluster the PFS belongs to.
    pub pfs_clid: Uuid,
    /// The id of this PFS alone.
    pub pfs_fsid: Uuid,
    data_quota: U64,
    subtree_bytes: U64,
    inode_quota: U64,
    subtree_inodes: U64,
    pfs_lsnap_tid: U64,
    next_orphan: U64,
    received: U64,
    reserved_e8: [u8; 24],
    filename: [u8; INODE_NAME_BYTES],
}

const_assert_eq!(size_of::<InodeMeta>(), INODE_META_BYTES);
const_assert_eq!(core::mem::offset_of!(InodeMeta, ctime), 0x10);
const_assert_eq!(core::mem::offset_of!(InodeMeta, uid), 0x30);
const_assert_eq!(core::mem::offset_of!(InodeMeta, file_type), 0x50);
const_assert_eq!(core::mem::offset_of!(InodeMeta, inum), 0x58);
const_assert_eq!(core::mem::offset_of!(InodeMeta, name_key), 0x78);
const_assert_eq!(core::mem::offset_of!(InodeMeta, comp_algo), 0x83);
const_assert_eq!(core::mem::offset_of!(InodeMeta, pfs_type), 0x87);
const_assert_eq!(core::mem::offset_of!(InodeMeta, pfs_clid), 0x90);
const_assert_eq!(core::mem::offset_of!(InodeMeta, data_quota), 0xb0);
const_assert_eq!(core::mem::offset_of!(InodeMeta, subtree_bytes), 0xb8);
const_assert_eq!(core::mem::offset_of!(InodeMeta, subtree_inodes), 0xc8);
const_assert_eq!(core::mem::offset_of!(InodeMeta, pfs_lsnap_tid), 0xd0);
const_assert_eq!(core::mem::offset_of!(InodeMeta, next_orphan), 0xd8);
const_assert_eq!(core::mem::offset_of!(InodeMeta, received), 0xe0);
const_assert_eq!(core::mem::offset_of!(InodeMeta, filename), 0x100);

macro_rules! accessors {
    ($($(#[$doc:meta])* $field:ident, $set:ident: $type:ty = $wrap:expr, $unwrap:expr;)*) => {
        $(
            $(#[$doc])*
            pub fn $field(&self) -> $type {
                ($wrap)(self.$field.get())
            }

            #[doc = concat!("Sets `", stringify!($field), "`.")]
            pub fn $set(&mut self, value: $type) {
                self.$field = ($unwrap)(value);
            }
        )*
    };
}

impl InodeMeta {
    accessors! {
        /// Last change of the inode.
        ctime, set_ctime: Timestamp = |microseconds| Timestamp { microseconds }, |t: Timestamp| U64::new(t.microseconds);
        /// Last change of the content.
        mtime, set_mtime: Timestamp = |microseconds| Timestamp { microseconds }, |t: Timestamp| U64::new(t.microseconds);
        /// Last access, as of creation or of a call that sets it.
        atime, set_atime: Timestamp = |microseconds| Timestamp { microseconds }, |t: Timestamp| U64::new(t.microseconds);
        /// Creation.
        btime, set_btime: Timestamp = |microseconds| Timestamp { microseconds }, |t: Timestamp| U64::new(t.microseconds);
        /// Permission bits, 07777.
        mode, set_mode: u32 = |mode: u32| mode & 0o7777, |mode: u32| U32::new(mode & 0o7777);
        /// The inode's own number.
        inum, set_inum: Inum = Inum, |inum: Inum| U64::new(inum.0);
        /// Length in bytes.
        size, set_size: u64 = |bytes| bytes, U64::new;
        /// The number of names of the file.
        nlinks, set_nlinks: u64 = |links| links, U64::new;
        /// A directory that contains the file; for a directory, the one above.
        iparent, set_iparent: Inum = Inum, |inum: Inum| U64::new(inum.0);
        /// The key of its blockref.
        name_key, set_name_key: Key = Key, |key: Key| U64::new(key.0);
        /// The highest inode number given; only on PFS roots.
        pfs_inum, set_pfs_inum: Inum = Inum, |inum: Inum| U64::new(inum.0);
        /// The operation that took the last snapshot; only on PFS roots.
        pfs_lsnap_tid, set_pfs_lsnap_tid: ModifyTid = ModifyTid, |tid: ModifyTid| U64::new(tid.0);
        /// The next inode without a name that was still open, or on a PFS root the first; 0 at the end. Other systems have this
        /// field reserved and zero, and leave it alone.
        next_orphan, set_next_orphan: Inum = Inum, |inum: Inum| U64::new(inum.0);
        /// The state and PFS that were received last, and the own state that resulted; only on PFS roots. Other systems have this
        /// field reserved and zero, and leave it alone.
        received, set_received: u64 = |mark| mark, U64::new;
        /// The most bytes that may be used below a directory; 0 is no limit.
        data_quota, set_data_quota: u64 = |bytes| bytes, U64::new;
        /// The most inodes below a directory; 0 is no limit.
        inode_quota, set_inode_quota: u64 = |inodes| inodes, U64::new;
        /// The bytes used below a directory with a limit. Other systems have this field reserved and zero, and leave it alone.
        subtree_bytes, set_subtree_bytes: u64 = |bytes| bytes, U64::new;
        /// The number of inodes below a directory with a limit, including itself; on a PFS root at least 1 when any directory has
        /// a limit. Other systems have this field reserved and zero, and leave it alone.
        subtree_inodes, set_subtree_inodes: u64 = |inodes| inodes, U64::new;
    }

    /// The structure's version; only 1 exists.
    pub fn version(&self) -> u16 {
        self.version.get()
    }

    /// The type of the file.
    pub fn kind(&self) -> Result<FileKind, Corruption> {
        FileKind::from_code(self.file_type)
    }

    /// The flags.
    pub fn flags(&self) -> InodeFlags {
        InodeFlags::from_bits_retain(self.op_flags)
    }

    /// Sets the flags.
    pub fn set_flags(&mut self, flags: InodeFlags) {
        self.op_flags = flags.bits();
    }

    /// The role of the PFS in its cluster; only on PFS roots.
    pub fn pfs_kind(&self) -> PfsKind {
        PfsKind::from_code(self.pfs_type)
    }

    /// Sets the role of the PFS.
    pub fn set_pfs_kind(&mut self, kind: PfsKind) {
        self.pfs_type = kind as u8;
    }

    /// The origin of the PFS; only on PFS roots.
    pub fn pfs_subkind(&self) -> PfsSubkind {
        match self.pfs_subtype {
            0 => PfsSubkind::None,
            1 => PfsSubkind::Snapshot,
            _ => PfsSubkind::AutoSnapshot,
        }
    }

    /// Sets the origin of the PFS.
    pub fn set_pfs_subkind(&mut self, kind: PfsSubkind) {
        self.pfs_subtype = kind as u8;
    }

    /// The name: the label of a PFS root; `0x` and the number for any other inode.
    pub fn name(&self) -> Result<&[u8], Corruption> {
        let len = usize::from(self.name_len.get());
        if len >= INODE_NAME_BYTES {
            Err(Corruption::NameLength(self.name_len.get()))
        } else {
            Ok(&self.filename[..len])
        }
    }

    /// Sets the name, cut at 255 bytes.
    pub fn set_name(&mut self, name: &[u8]) {
        let name = &name[..name.len().min(INODE_NAME_BYTES - 1)];
        self.filename = [0; INODE_NAME_BYTES];
        self.filename[..name.len()].copy_from_slice(name);
        self.name_len = U16::new(name.len() as u16);
    }

    /// The label of a PFS root: the name up to its first NUL.
    pub fn label(&self) -> Result<&[u8], Corruption> {
        let name = self.name()?;
        Ok(name.split(|byte| *byte == 0).next().unwrap_or(name))
    }

    /// True for a directory with a limit.
    pub fn has_quota(&self) -> bool {
        (self.data_quota() > 0 || self.inode_quota() > 0) && self.kind() == Ok(FileKind::Directory)
    }

    /// An inode of zeros.
    pub fn blank() -> Self {
        Self::new_zeroed()
    }

    /// The same metadata with those fields of `own` that make it the PFS root it is: they belong to a node, and differ between
    /// nodes (protocol 1, operation 21).
    pub fn with_identity_of(&self, own: &Self) -> Self {
        Self {
            pfs_subtype: own.pfs_subtype,
            iparent: own.iparent,
            name_key: own.name_key,
            name_len: own.name_len,
            pfs_nmasters: own.pfs_nmasters,
            pfs_type: own.pfs_type,
            pfs_clid: own.pfs_clid,
            pfs_fsid: own.pfs_fsid,
            reserved_e8: own.reserved_e8,
            filename: own.filename,
            ..*self
        }
    }

    /// True when the name field has nonzero bytes after the name.
    pub fn has_stray_name_bytes(&self) -> bool {
        let len = usize::from(self.name_len.get()).min(INODE_NAME_BYTES);
        !is_zero(&self.filename[len..])
    }
}

/// An inode as it is on media.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Inode {
    /// The metadata.
    pub meta: InodeMeta,
    /// The file's first bytes, or blockrefs.
    pub body: [u8; EMBEDDED_BYTES],
}

const_assert_eq!(size_of::<Inode>(), INODE_BYTES);

impl Inode {
    /// An inode of `kind` with nothing else set.
    pub fn new(kind: FileKind) -> Self {
        let mut inode = <Self as zerocopy::FromZeros>::new_zeroed();
        inode.meta.version = U16::new(1);
        inode.meta.file_type = kind as u8;
        inode
    }

    /// The inode in a block of any size of at least 1 KiB.
    pub fn in_block(block: &[u8]) -> Result<&Self, Corruption> {
        match Self::ref_from_prefix(block) {
            Ok((inode, _)) => Ok(inode),
            Err(_) => Err(Corruption::BlockSize(block.len().checked_ilog2().unwrap_or(0) as u8)),
        }
    }

    /// Checks an inode by itself.
    pub fn check(&self) -> Result<(), Corruption> {
        let meta = &self.meta;
        if meta.version() != 1 {
            return Err(Corruption::InodeVersion(meta.version()));
        }
        let kind = meta.kind()?;
        meta.name()?;
        if meta.size() > MAX_FILE_BYTES {
            return Err(Corruption::FileSize(meta.size()));
        }
        if meta.flags().contains(InodeFlags::DIRECTDATA) {
            let may = matches!(kind, FileKind::Regular | FileKind::Symlink);
            if !may || meta.size() > EMBEDDED_BYTES as u64 {
                return Err(Corruption::DirectData(meta.size()));
            }
        }
        Ok(())
    }

    /// True when the body holds file content instead of blockrefs.
    pub fn is_direct(&self) -> bool {
        self.meta.flags().contains(InodeFlags::DIRECTDATA)
    }

    /// The blockrefs in the body; none when it holds file content.
    pub fn block_array(&self) -> Option<BlockArray<'_>> {
        (!self.is_direct()).then(|| BlockArray::new(&self.body, KeyRange::ALL))
    }

    /// A copy of the blockrefs in the body; all empty when it holds file content.
    pub fn body_set(&self) -> Blockset {
        let mut set = [Blockref::EMPTY; SET_ENTRIES];
        if let Some(array) = self.block_array() {
            for (place, entry) in set.iter_mut().zip(array.entries()) {
                *place = *entry;
            }
        }
        set
    }
}

/// The name of an inode in the inode index: `0x` and 16 digits (format 3.2).
pub fn hidden_name(inum: Inum) -> [u8; 18] {
    let mut name = *b"0x0000000000000000";
    for (place, digit) in name[2..].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(inum.0 >> (60 - 4 * place) & 0xf) as usize];
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(&hidden_name(Inum(0x4_00ab)), b"0x00000000000400ab");
        let mut inode = Inode::new(FileKind::Regular);
        inode.meta.set_name(&[b'x'; 300]);
        assert_eq!(inode.meta.name().unwrap().len(), 255);
        inode.meta.set_name(b"DATA");
        assert_eq!(inode.meta.label(), Ok(&b"DATA"[..]));
        inode.meta.name_len = U16::new(256);
        assert_eq!(inode.meta.name(), Err(Corruption::NameLength(256)));
    }

    #[test]
    fn what_an_inode_may_not_be() {
        let good = Inode::new(FileKind::Regular);
        assert_eq!(good.check(), Ok(()));
        let mut directory = Inode::new(FileKind::Directory);
        directory.meta.set_flags(InodeFlags::DIRECTDATA);
        assert_eq!(directory.check(), Err(Corruption::DirectData(0)));
        let mut large = good;
        large.meta.set_flags(InodeFlags::DIRECTDATA);
        large.meta.set_size(513);
        assert_eq!(large.check(), Err(Corruption::DirectData(513)));
        let mut endless = good;
        endless.meta.set_size(1 << 63);
        assert_eq!(endless.check(), Err(Corruption::FileSize(1 << 63)));
        assert_eq!(Inode::in_block(&[0; 512]).err(), Some(Corruption::BlockSize(9)));
    }
}
