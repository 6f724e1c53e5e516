//! What a simulated disk holds at one moment, and the units by which it changes.
//!
//! Invariant: an image is what the units applied to it make of it, in their order, whichever of them are
//! missing. A unit is what a real disk takes or loses as a whole: one page of a write, one length, one name.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    sync::Arc,
};

use super::content::Content;

/// Which file, whatever its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Inode(pub(super) u64);

#[derive(Clone)]
pub(super) enum Unit {
    /// Bytes within one page; the length does not follow from them.
    Write { inode: Inode, offset: u64, bytes: Arc<[u8]> },
    /// The length that a write past the end brings: at least `len`.
    Grow { inode: Inode, len: u64 },
    /// A length that was asked for, longer or shorter.
    SetLen { inode: Inode, len: u64 },
    /// A new name.
    Link { name: Arc<str>, inode: Inode },
    /// A name's end.
    Unlink { name: Arc<str> },
    /// Another name for the file; it knows its file, as the unit that made `from` may be lost.
    Rename { from: Arc<str>, to: Arc<str>, inode: Inode },
}

impl Unit {
    /// The file whose bytes or length this changes; `None` where it changes names.
    pub(super) fn content_of(&self) -> Option<Inode> {
        match self {
            Self::Write { inode, .. } | Self::Grow { inode, .. } | Self::SetLen { inode, .. } => Some(*inode),
            Self::Link { .. } | Self::Unlink { .. } | Self::Rename { .. } => None,
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct Image {
    names: BTreeMap<Arc<str>, Inode>,
    contents: BTreeMap<Inode, Arc<Content>>,
}

impl Image {
    pub(super) fn apply(&mut self, unit: &Unit) {
        match unit {
            Unit::Write { inode, offset, bytes } => self.content_mut(*inode).store(*offset, bytes),
            Unit::Grow { inode, len } => self.content_mut(*inode).grow(*len),
            Unit::SetLen { inode, len } => self.content_mut(*inode).set_len(*len),
            Unit::Link { name, inode } => self.link(name, *inode),
            Unit::Unlink { name } => drop(self.names.remove(name)),
            Unit::Rename { from, to, inode } => {
                self.names.remove(from);
                self.link(to, *inode);
            }
        }
    }

    /// What is on the disk when of all that was under way just `units` arrived.
    pub(super) fn after(&self, units: &[Unit]) -> Self {
        let mut image = self.clone();
        for unit in units {
            image.apply(unit);
        }
        let named: BTreeSet<Inode> = image.names.values().copied().collect();
        image.contents.retain(|inode, _| named.contains(inode));
        for content in image.contents.values_mut().filter(|content| content.has_hidden()) {
            let len = content.len();
            Arc::make_mut(content).set_len(len);
        }
        image
    }

    pub(super) fn find(&self, name: &str) -> io::Result<Inode> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn content(&self, inode: Inode) -> &Content {
        self.contents.get(&inode).expect("an inode has a content from its first name on")
    }

    /// The file's length; 0 where nothing of it is there.
    pub(super) fn len(&self, inode: Inode) -> u64 {
        self.contents.get(&inode).map_or(0, |content| content.len())
    }

    /// Whether the file has nothing but zeros stored there, where it is at all.
    pub(super) fn is_zero_at(&self, inode: Inode, offset: u64, len: usize) -> bool {
        self.contents.get(&inode).is_none_or(|content| content.is_zero_at(offset, len))
    }

    /// Whether the file has these bytes at `offset`.
    pub(super) fn holds(&self, inode: Inode, offset: u64, bytes: &[u8]) -> bool {
        let end = offset + bytes.len() as u64;
        let Some(content) = self.contents.get(&inode).filter(|content| content.len() >= end) else {
            return false;
        };
        let mut there = vec![0; bytes.len()];
        content.read(&mut there, offset);
        there == bytes
    }

    /// All files by name, sorted.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &Content)> {
        self.names.iter().map(|(name, inode)| (&**name, self.content(*inode)))
    }

    /// Puts `content` in the place of what the file had.
    pub(super) fn replace(&mut self, inode: Inode, content: Arc<Content>) {
        self.contents.insert(inode, content);
    }

    /// A hash of all files whose names are not among `but`.
    pub(super) fn digest(&self, but: &[&str]) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, content) in self.files().filter(|(name, _)| !but.contains(name)) {
            name.hash(&mut hasher);
            content.digest().hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The names of the files that only one of the two has, or that have other bytes in each; of the pages that
    /// both share, none is looked at.
    pub(super) fn differing(&self, other: &Self) -> Vec<String> {
        let names: BTreeSet<&Arc<str>> = self.names.keys().chain(other.names.keys()).collect();
        let content = |image: &'_ Self, name: &Arc<str>| {
            image.names.get(name).and_then(|inode| image.contents.get(inode)).cloned()
        };
        let differs = |name: &&Arc<str>| match (content(self, name), content(other, name)) {
            (Some(one), Some(other)) => !one.reads_as(&other),
            _ => true,
        };
        names.into_iter().filter(differs).map(|name| name.to_string()).collect()
    }

    fn link(&mut self, name: &Arc<str>, inode: Inode) {
        self.contents.entry(inode).or_default();
        self.names.insert(Arc::clone(name), inode);
    }

    fn content_mut(&mut self, inode: Inode) -> &mut Content {
        Arc::make_mut(self.contents.entry(inode).or_default())
    }
}
