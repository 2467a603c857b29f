//! The known content of volumes before they are damaged.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use super::needs::{self, Block, Needs};
use super::volumes::Volumes;

pub(crate) struct Known {
    /// Every content that any file ever had, by its length.
    contents: HashMap<usize, Vec<Vec<u8>>>,
    digests: std::collections::HashSet<Vec<u8>>,
    /// The files of the newest state: their content by label and path.
    pub(crate) newest: BTreeMap<String, Vec<u8>>,
    /// The blocks that each of them needs.
    pub(crate) needs: BTreeMap<String, Needs>,
    /// All blocks of the newest state.
    pub(crate) blocks: Vec<Block>,
}

impl Known {
    pub(crate) fn new(volumes: &Volumes, newest: BTreeMap<String, Vec<u8>>) -> Self {
        let needs::Survey { needs, blocks } = needs::survey(volumes);
        let mut known = Self { contents: HashMap::new(), digests: Default::default(), newest, needs, blocks };
        for content in known.newest.values().cloned().collect::<Vec<_>>() {
            known.held(content);
        }
        known
    }

    /// Notes a content that some file once had.
    pub(crate) fn held(&mut self, content: Vec<u8>) {
        if self.digests.insert(Sha256::digest(&content).to_vec()) {
            self.contents.entry(content.len()).or_default().push(content);
        }
    }

    /// True if some file had this content, apart from the missing ranges.
    pub(crate) fn is_content(&self, content: &[u8], missing: &[(u64, u64)]) -> bool {
        let agrees = |known: &Vec<u8>| {
            let mut at = 0;
            for (first, bytes) in missing {
                if known[at..*first as usize] != content[at..*first as usize] {
                    return false;
                }
                at = (first + bytes) as usize;
            }
            known[at..] == content[at..]
        };
        self.contents.get(&content.len()).is_some_and(|alike| alike.iter().any(agrees))
    }
}
