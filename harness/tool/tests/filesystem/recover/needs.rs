//! The blocks that each file of a volume needs, found by an independent walk by the format (format 3 and 4).

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use hammer2_core::media::geometry::{HEADER_TWINS, header_copies, header_offset, twin_offset};
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_core::media::{BlockKind, Blockref, Dirent, FileKind, Inode, Inum, Key, VolumeHeader};
use zerocopy::FromBytes;

use super::volumes::Volumes;

/// A block of the newest state.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) kind: BlockKind,
    pub(crate) extent: Range<u64>,
    /// It is the root of a PFS, or the super-root.
    pub(crate) is_root: bool,
}

/// The blocks that a file needs to come back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    /// From the super-root to the root of its PFS, without that root.
    pub(crate) top: Vec<Range<u64>>,
    /// From the root of its PFS to its inode, by its name and by its number.
    pub(crate) path: Vec<Range<u64>>,
    /// Its inode and its content.
    pub(crate) own: Vec<Range<u64>>,
}

#[derive(Default)]
pub(crate) struct Survey {
    pub(crate) needs: BTreeMap<String, Needs>,
    pub(crate) blocks: Vec<Block>,
}

/// The whole headers of a volume: the place and the number of each.
pub(crate) fn headers(volumes: &Volumes) -> Vec<(u64, u64)> {
    let copies = (0..header_copies(volumes.paths.first().unwrap().metadata().unwrap().len())).map(header_offset);
    let places = copies.chain((0..HEADER_TWINS).map(twin_offset));
    places
        .filter_map(|place| {
            let bytes = volumes.read(place, VOLUME_HEADER_BYTES);
            let header = VolumeHeader::ref_from_bytes(&bytes).unwrap();
            header.check_identity().is_ok().then(|| (place, header.mirror_tid().0))
        })
        .collect()
}

type Path = Vec<Range<u64>>;

struct Walker<'v> {
    volumes: &'v Volumes,
    survey: Survey,
}

fn extent(bref: &Blockref) -> Option<Range<u64>> {
    let radix = bref.data_off().radix().unwrap()?;
    let start = bref.data_off().offset().0;
    Some(start..start + radix.bytes() as u64)
}

impl Walker<'_> {
    fn block(&self, bref: &Blockref) -> Vec<u8> {
        let extent = extent(bref).unwrap();
        self.volumes.read(extent.start, (extent.end - extent.start) as usize)
    }

    fn inode(&self, bref: &Blockref) -> Inode {
        *Inode::in_block(&self.block(bref)).unwrap()
    }

    /// All leaves below a set, each with the blocks that lead to it, ending with its own.
    fn leaves(&mut self, set: &[Blockref], above: &Path, leaves: &mut Vec<(Blockref, Path)>) {
        for entry in set.iter().filter(|entry| !entry.is_empty()) {
            let mut path = above.clone();
            let kind = entry.kind().unwrap();
            if let Some(extent) = extent(entry) {
                path.push(extent.clone());
                self.survey.blocks.push(Block { kind, extent, is_root: false });
            }
            if kind == BlockKind::Indirect {
                let block = self.block(entry);
                self.leaves(<[Blockref]>::ref_from_bytes(&block).unwrap(), &path, leaves);
            } else {
                leaves.push((*entry, path));
            }
        }
    }

    fn mark_root(&mut self, bref: &Blockref) {
        let extent = extent(bref).unwrap();
        self.survey.blocks.iter_mut().filter(|block| block.extent == extent).for_each(|block| block.is_root = true);
    }

    fn pfs(&mut self, root: &Blockref, top: &Path) {
        let inode = self.inode(root);
        let label = String::from_utf8(inode.meta.label().unwrap().to_vec()).unwrap();
        let here = vec![extent(root).unwrap()];
        let mut leaves = Vec::new();
        self.leaves(&inode.body_set(), &here, &mut leaves);
        let (index, names): (Vec<_>, Vec<_>) = leaves.into_iter().partition(|(leaf, _)| !leaf.key().is_visible());
        let index: HashMap<Inum, (Blockref, Path)> =
            index.into_iter().map(|(leaf, path)| (Inum(leaf.key().0), (leaf, path))).collect();
        self.directory(&label, &names, &index, top);
    }

    fn directory(
        &mut self,
        path: &str,
        names: &[(Blockref, Path)],
        index: &HashMap<Inum, (Blockref, Path)>,
        top: &Path,
    ) {
        for (leaf, leading) in names.iter().filter(|(leaf, _)| leaf.key() >= Key(Key::VISIBLE)) {
            let dirent = Dirent::read(leaf).unwrap();
            let block = extent(leaf).map(|_| self.block(leaf));
            let name = String::from_utf8_lossy(dirent.name(leaf, block.as_deref()).unwrap()).into_owned();
            let path = format!("{path}/{name}");
            let Some((bref, to_inode)) = index.get(&dirent.inum) else { continue };
            let mut leading = leading.clone();
            leading.extend_from_slice(&to_inode[..to_inode.len() - 1]);
            let inode = self.inode(bref);
            let own = vec![extent(bref).unwrap()];
            let mut leaves = Vec::new();
            if dirent.kind == FileKind::Directory {
                leading.extend(own);
                self.leaves(&inode.body_set(), &leading, &mut leaves);
                self.directory(&path, &leaves, index, top);
            } else {
                self.leaves(&inode.body_set(), &own, &mut leaves);
                let own = own.into_iter().chain(leaves.into_iter().flat_map(|(_, path)| path)).collect();
                self.survey.needs.insert(path, Needs { top: top.clone(), path: leading, own });
            }
        }
    }
}

/// Walks the newest state of volumes.
pub(crate) fn survey(volumes: &Volumes) -> Survey {
    let newest = headers(volumes).into_iter().max_by_key(|(_, tid)| *tid).unwrap().0;
    let bytes = volumes.read(newest, VOLUME_HEADER_BYTES);
    let header = VolumeHeader::ref_from_bytes(&bytes).unwrap();
    let mut walker = Walker { volumes, survey: Survey::default() };
    let mut top = Vec::new();
    walker.leaves(&header.sroot_blockset, &vec![], &mut top);
    for (super_root, path) in top {
        walker.mark_root(&super_root);
        let mut roots = Vec::new();
        let inode = walker.inode(&super_root);
        walker.leaves(&inode.body_set(), &path, &mut roots);
        for (root, path) in roots {
            walker.mark_root(&root);
            walker.pfs(&root, &path[..path.len() - 1].to_vec());
        }
    }
    walker.survey
}
