//! Failed writes that may have been done in part.

use hammer2_core::media::Inum;
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;

use crate::model::Edit;

/// The possible parts of a failed write: whole blocks from the beginning, none of them, or all.
pub(crate) fn parts(file: Inum, offset: u64, data: &[u8]) -> impl Iterator<Item = Edit> {
    let is_end = move |end: &usize| (offset + *end as u64).is_multiple_of(FILE_BLOCK_BYTES as u64) || *end == 0;
    let ends = (0..data.len()).filter(is_end).chain([data.len()]);
    ends.map(move |end| Edit::Write { file, offset, data: data[..end].to_vec() })
}
