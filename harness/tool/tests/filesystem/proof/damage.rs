//! What a change of an image's bytes can affect, and whether a damaged filesystem reports nothing wrong as right.

use std::collections::BTreeSet;

use hammer2_core::fs::{Error, MountError};
use hammer2_core::media::{BlockKind, CheckMethod, Corruption, Inum};
use hammer2_core::selftest::image::BlockMap;
use hammer2_core::selftest::survey::Fact;

use super::inventory::{Inventory, parent};

/// The affected parts.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// Something on the way to the root is changed: everything may be gone.
    everything: bool,
    /// Inodes that are changed, or whose content or entries are changed.
    inodes: BTreeSet<Inum>,
    /// Inodes among these whose changed content no check code protects.
    unprotected: BTreeSet<Inum>,
    /// Changes have good check codes, so the affected parts may hold anything.
    pub(crate) disguised: bool,
}

impl Damage {
    /// No damage yet.
    pub(crate) fn new(disguised: bool) -> Self {
        Self { disguised, ..Self::default() }
    }

    /// Adds a change in the block of blockref `index`, or in the volume header.
    pub(crate) fn add(&mut self, map: &BlockMap, index: Option<usize>) {
        let Some((index, top)) = index.map(|index| (index, map.entries()[index])) else {
            self.everything = true;
            return;
        };
        let kind = top.entry.kind().expect("the map is of a sound image");
        match kind {
            // Reading doesn't look at the freemap.
            BlockKind::FreemapNode | BlockKind::FreemapLeaf => return,
            _ if top.owner == Inum::SUPER_ROOT => {
                self.everything = true;
                return;
            }
            BlockKind::Data if matches!(top.entry.methods.check(), Ok(CheckMethod::None | CheckMethod::Disabled)) => {
                self.unprotected.insert(top.owner);
            }
            _ => {}
        }
        for below in (index..map.entries().len()).filter(|below| map.is_below(*below, index)) {
            let mapped = &map.entries()[below];
            match mapped.entry.kind() {
                Ok(BlockKind::Inode) => self.inodes.insert(Inum(mapped.entry.key().0)),
                Ok(BlockKind::Data | BlockKind::Dirent) => self.inodes.insert(mapped.owner),
                _ => false,
            };
        }
    }

    fn reaches(&self, inum: Inum) -> bool {
        self.everything || self.inodes.contains(&inum)
    }

    /// Compares the found content with that before the damage. Every difference must be in an affected part, and unless the
    /// damage is disguised, be reported as damage.
    pub(crate) fn judge(&self, sound: &Inventory, found: &Result<Inventory, MountError>) -> Result<(), String> {
        let found = match found {
            Ok(found) => found,
            Err(error) if self.everything => return check_message(&error.to_string()),
            Err(error) => return Err(format!("can't be mounted: {error}")),
        };
        let mut judgement = Judgement { damage: self, sound, found, loose: BTreeSet::new() };
        // Directories come before their content.
        let mut paths: Vec<_> = sound.facts.keys().collect();
        paths.sort_by_key(|path| path.split(|byte| *byte == b'/').count() + usize::from(parent(path).is_some()));
        for path in paths {
            judgement.judge(path).map_err(|what| format!("{}: {what}", path.escape_ascii()))?;
        }
        for (path, fact) in &found.facts {
            if let Err(error) = fact {
                check_message(&error.to_string())?;
            }
            if !sound.facts.contains_key(path) {
                judgement.judge_new(path).map_err(|what| format!("{}: {what}", path.escape_ascii()))?;
            }
        }
        Ok(())
    }
}

/// An error for a user is one line.
fn check_message(message: &str) -> Result<(), String> {
    if message.is_empty() || message.contains('\n') { Err(format!("not one line: {message:?}")) } else { Ok(()) }
}

struct Judgement<'j> {
    damage: &'j Damage,
    sound: &'j Inventory,
    found: &'j Inventory,
    /// Directories that may have any content, or none.
    loose: BTreeSet<&'j [u8]>,
}

impl<'j> Judgement<'j> {
    fn judge(&mut self, path: &'j [u8]) -> Result<(), String> {
        let wanted = self.sound.facts[path].as_ref().map_err(|error| format!("was damaged before: {error}"))?;
        let below_loose = parent(path).is_some_and(|parent| self.loose.contains(parent));
        let reached = self.damage.reaches(wanted.attributes.inum);
        if reached || below_loose {
            self.loose.insert(path);
        }
        match self.found.facts.get(path) {
            Some(Ok(fact)) if fact == wanted => Ok(()),
            Some(Ok(fact)) if reached || below_loose => self.judge_difference(wanted, fact),
            Some(Err(_)) if reached || below_loose => Ok(()),
            // A changed entry leads to this directory too, and was there first.
            Some(Err(Error::Corrupt { corruption: Corruption::DirectoryCycle(_), .. })) if self.damage.disguised => {
                self.loose.insert(path);
                Ok(())
            }
            Some(Err(error)) => Err(format!("not damaged, but: {error}")),
            Some(Ok(fact)) => Err(format!("not damaged, but {fact:?} instead of {wanted:?}")),
            None if below_loose && (self.damage.disguised || self.is_reported(path)) => Ok(()),
            None => Err("is gone, and nothing was said".into()),
        }
    }

    /// Judges something affected that is there, but differs.
    fn judge_difference(&self, wanted: &Fact, fact: &Fact) -> Result<(), String> {
        let bare = fact.attributes == wanted.attributes && self.damage.unprotected.contains(&fact.attributes.inum);
        if self.damage.disguised || bare { Ok(()) } else { Err(format!("silently {fact:?} instead of {wanted:?}")) }
    }

    fn judge_new(&mut self, path: &'j [u8]) -> Result<(), String> {
        let may = self.damage.disguised && parent(path).is_some_and(|parent| self.loose.contains(parent));
        self.loose.insert(path);
        if may { Ok(()) } else { Err("was never there".into()) }
    }

    /// True when one of the directories above is reported as damaged.
    fn is_reported(&self, path: &[u8]) -> bool {
        let mut above = parent(path);
        while let Some(directory) = above {
            if matches!(self.found.facts.get(directory), Some(Err(_))) {
                return true;
            }
            above = parent(directory);
        }
        false
    }
}

#[test]
fn what_is_not_declared_is_noticed() {
    let subject = super::subject::Subject::populated();
    let sound = subject.inventory().expect("the image is sound");
    let nothing = Damage::new(false);
    assert_eq!(nothing.judge(&sound, &Ok(sound.clone())), Ok(()));
    let content = |found: &mut Inventory| {
        let linked = found.facts.get_mut(&b"special/linked"[..]).and_then(|fact| fact.as_mut().ok());
        linked.expect("it is there").content ^= 1;
    };
    let loss = |found: &mut Inventory| assert!(found.facts.remove(&b"special/linked"[..]).is_some());
    let gain = |found: &mut Inventory| assert!(found.facts.insert(b"new".into(), Err(Error::NoMemory)).is_none());
    let error = |found: &mut Inventory| assert!(found.facts.insert(b"third".into(), Err(Error::NoMemory)).is_some());
    let all = Damage { everything: true, ..Damage::new(false) };
    let changes: [fn(&mut Inventory); 4] = [content, loss, gain, error];
    for (number, change) in changes.into_iter().enumerate() {
        let mut found = sound.clone();
        change(&mut found);
        assert!(nothing.judge(&sound, &Ok(found.clone())).is_err(), "change {number}");
        // Even damage everywhere must be reported, and an error does that.
        assert_eq!(all.judge(&sound, &Ok(found)).is_err(), number < 3, "change {number}");
    }
    assert!(nothing.judge(&sound, &Err(MountError::NoSuchPfs)).is_err());
}
