//! What is on disk: plain data, no I/O, no allocation (format 1 to 6).
//!
//! Every structure is a zerocopy view of little-endian bytes with alignment 1, so any byte slice of the right length can be
//! viewed. Nothing is believed of it: accessors return raw values in their newtypes, and `check…` functions say what is wrong as
//! a [`Corruption`].

pub mod block_array;
pub mod blockref;
pub mod check;
pub mod check_functions;
pub mod check_method;
pub mod cluster_record;
pub mod cluster_version;
pub mod compression;
pub mod compressor;
pub mod corruption;
pub mod directory_hash;
pub mod dirent;
pub mod file_kind;
pub mod freemap;
pub mod geometry;
pub mod heartbeat;
pub mod inode;
pub mod numbers;
pub mod placement;
pub mod record_table;
pub mod timestamp;
pub mod uuid;
pub mod volume_header;
pub mod zero;

pub use block_array::BlockArray;
pub use blockref::{BlockKind, BlockName, Blockref, Methods};
pub use check::CheckMethod;
pub use compression::Compression;
pub use corruption::Corruption;
pub use directory_hash::directory_hash;
pub use dirent::Dirent;
pub use heartbeat::{Heartbeat, HostName, MountNonce};
pub use inode::{FileKind, Inode, InodeMeta, PfsKind, PfsSubkind};
pub use numbers::{DataOff, Inum, Key, KeyBits, KeyRange, MediaOffset, MirrorTid, ModifyTid, Radix};
pub use timestamp::Timestamp;
pub use uuid::Uuid;
pub use volume_header::VolumeHeader;
pub use zero::is_zero;
