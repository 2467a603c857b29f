//! The files that the kernel knows: it may ask for a file that has lost its last name as long as a process has it open, has it as
//! its working directory, or holds it in any other way.
//! Every answer that names a file is counted, and forgetting counts back. Files that were kept when a server crashed are removed
//! by the next mount (`hammer2_core::fs`).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use hammer2_core::media::Inum;

/// The files that the kernel knows.
#[derive(Default)]
pub(super) struct Known {
    /// How many answers have named each file.
    answers: RefCell<HashMap<Inum, u64>>,
    /// Files among them that have no name any more, and are open for the kernel's sake.
    nameless: RefCell<HashSet<Inum>>,
    /// Files that couldn't be closed properly: an entry for each failure.
    unreleased: RefCell<Vec<Inum>>,
}

impl Known {
    /// Counts an answer that names a file; to be done before it is sent.
    pub(super) fn count(&self, file: Inum) {
        *self.answers.borrow_mut().entry(file).or_default() += 1;
    }

    pub(super) fn has(&self, file: Inum) -> bool {
        self.answers.borrow().contains_key(&file)
    }

    /// Counts answers back; true when that was the last of a file without a name.
    pub(super) fn forget(&self, file: Inum, answers: u64) -> bool {
        let known = &mut *self.answers.borrow_mut();
        let Some(left) = known.get_mut(&file) else { return false };
        *left = left.saturating_sub(answers);
        if *left > 0 {
            return false;
        }
        known.remove(&file);
        self.nameless.borrow_mut().remove(&file)
    }

    /// Takes note that a file has lost its last name, and is open; false when that was known.
    pub(super) fn note_nameless(&self, file: Inum) -> bool {
        self.nameless.borrow_mut().insert(file)
    }

    /// Takes note that a file couldn't be closed.
    pub(super) fn note_unreleased(&self, file: Inum) {
        self.unreleased.borrow_mut().push(file);
    }

    /// Takes the files that couldn't be closed so far.
    pub(super) fn take_unreleased(&self) -> Vec<Inum> {
        self.unreleased.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_until_all_answers_are_forgotten() {
        let (known, file) = (Known::default(), Inum(1000));
        known.count(file);
        known.count(file);
        known.note_nameless(file);
        assert!(!known.forget(file, 1) && known.has(file));
        assert!(known.forget(file, 1) && !known.has(file));
        // A file that was never counted, or is forgotten too often, does no harm.
        assert!(!known.forget(file, u64::MAX) && !known.forget(Inum(7), 1));
    }

    #[test]
    fn what_has_a_name_is_only_forgotten() {
        let (known, file) = (Known::default(), Inum(1000));
        known.count(file);
        assert!(!known.forget(file, 5) && !known.has(file));
    }
}
