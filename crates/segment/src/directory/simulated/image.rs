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

/// Which file or directory, whatever its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Inode(pub(super) u64);

impl Inode {
    /// The outermost directory. A child's number is larger than that of the directory it is in.
    pub(super) const ROOT: Self = Self(0);
}

/// A name in the directory `directory`.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) directory: Inode,
    pub(super) name: Arc<str>,
}

#[derive(Clone)]
pub(super) enum Unit {
    /// Bytes within one page; the length does not follow from them.
    Write { inode: Inode, offset: u64, bytes: Arc<[u8]> },
    /// The length that a write past the end brings: at least `len`.
    Grow { inode: Inode, len: u64 },
    /// A length that was asked for, longer or shorter.
    SetLen { inode: Inode, len: u64 },
    /// A new name.
    Link { name: Name, inode: Inode },
    /// A name's end.
    Unlink { name: Name },
    /// Another name in the same directory for the file; it knows its file, as the unit that made `from` may be lost.
    Rename { from: Name, to: Arc<str>, inode: Inode },
    /// A new directory.
    MakeDirectory { name: Name, inode: Inode },
    /// A directory's end.
    RemoveDirectory { name: Name, inode: Inode },
}

impl Unit {
    /// The file whose bytes or length this changes; `None` where it changes names.
    pub(super) fn content_of(&self) -> Option<Inode> {
        match self {
            Self::Write { inode, .. } | Self::Grow { inode, .. } | Self::SetLen { inode, .. } => Some(*inode),
            _ => None,
        }
    }

    /// The directory whose names this changes; `None` where it changes a file.
    pub(super) fn names_of(&self) -> Option<Inode> {
        match self {
            Self::Write { .. } | Self::Grow { .. } | Self::SetLen { .. } => None,
            Self::Link { name, .. } | Self::Unlink { name } | Self::Rename { from: name, .. } => {
                Some(name.directory)
            }
            Self::MakeDirectory { name, .. } | Self::RemoveDirectory { name, .. } => Some(name.directory),
        }
    }
}

type Names = BTreeMap<Arc<str>, Inode>;

#[derive(Clone)]
pub(super) struct Image {
    /// The names in each directory, those of directories among them.
    directories: BTreeMap<Inode, Names>,
    contents: BTreeMap<Inode, Arc<Content>>,
}

impl Default for Image {
    fn default() -> Self {
        Self { directories: BTreeMap::from([(Inode::ROOT, Names::new())]), contents: BTreeMap::new() }
    }
}

impl Image {
    pub(super) fn apply(&mut self, unit: &Unit) {
        match unit {
            Unit::Write { inode, offset, bytes } => self.content_mut(*inode).store(*offset, bytes),
            Unit::Grow { inode, len } => self.content_mut(*inode).grow(*len),
            Unit::SetLen { inode, len } => self.content_mut(*inode).set_len(*len),
            Unit::Link { name, inode } => self.link(name.directory, &name.name, *inode),
            Unit::Unlink { name } => drop(self.names_mut(name.directory).remove(&name.name)),
            Unit::Rename { from, to, inode } => {
                self.names_mut(from.directory).remove(&from.name);
                self.link(from.directory, to, *inode);
            }
            Unit::MakeDirectory { name, inode } => {
                self.names_mut(name.directory).insert(Arc::clone(&name.name), *inode);
                self.directories.entry(*inode).or_default();
            }
            Unit::RemoveDirectory { name, inode } => {
                self.names_mut(name.directory).remove(&name.name);
                self.directories.remove(inode);
            }
        }
    }

    /// What is on the disk when of all that was under way just `units` arrived. What stands in a directory whose
    /// own name did not arrive is gone with it.
    pub(super) fn after(&self, units: &[Unit]) -> Self {
        let mut image = self.clone();
        for unit in units {
            image.apply(unit);
        }
        let mut named = BTreeSet::from([Inode::ROOT]);
        // Those outside come first: see `Inode::ROOT`.
        for (inode, names) in &image.directories {
            if named.contains(inode) {
                named.extend(names.values());
            }
        }
        image.directories.retain(|inode, _| named.contains(inode));
        image.contents.retain(|inode, _| named.contains(inode));
        for content in image.contents.values_mut().filter(|content| content.has_hidden()) {
            let len = content.len();
            Arc::make_mut(content).set_len(len);
        }
        image
    }

    /// The file that has the name.
    pub(super) fn find(&self, directory: Inode, name: &str) -> io::Result<Inode> {
        match self.named(directory, name) {
            Some(inode) if self.directories.contains_key(&inode) => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file but a directory"))
            }
            found => found.ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }

    /// The directory that has the name.
    pub(super) fn find_directory(&self, directory: Inode, name: &str) -> io::Result<Inode> {
        match self.named(directory, name) {
            Some(inode) if !self.directories.contains_key(&inode) => Err(io::ErrorKind::NotADirectory.into()),
            found => found.ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }

    /// The file with that path: its name, before it the directories that it is in, and `/` between them.
    pub(super) fn find_path(&self, path: &str) -> io::Result<Inode> {
        let (mut directory, mut rest) = (Inode::ROOT, path);
        while let Some((child, below)) = rest.split_once('/') {
            (directory, rest) = (self.find_directory(directory, child)?, below);
        }
        self.find(directory, rest)
    }

    /// Whether something new can have the name.
    pub(super) fn check_new(&self, directory: Inode, name: &str) -> io::Result<()> {
        let names = self.directories.get(&directory).ok_or(io::ErrorKind::NotFound)?;
        if names.contains_key(name) { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }

    pub(super) fn is_empty(&self, directory: Inode) -> bool {
        self.directories.get(&directory).is_none_or(BTreeMap::is_empty)
    }

    fn named(&self, directory: Inode, name: &str) -> Option<Inode> {
        self.directories.get(&directory)?.get(name).copied()
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

    /// What has a name in `directory`, sorted; of a directory no content.
    pub(super) fn entries(&self, directory: Inode) -> impl Iterator<Item = (&str, Option<&Content>)> {
        let names = self.directories.get(&directory).into_iter().flatten();
        names.map(|(name, inode)| (&**name, self.contents.get(inode).map(|content| &**content)))
    }

    /// All files by path, sorted.
    pub(super) fn files(&self) -> BTreeMap<String, &Arc<Content>> {
        let mut files = BTreeMap::new();
        let mut prefixes = BTreeMap::from([(Inode::ROOT, String::new())]);
        for (directory, names) in &self.directories {
            let Some(prefix) = prefixes.get(directory).cloned() else { continue };
            for (name, inode) in names {
                match self.contents.get(inode) {
                    Some(content) => drop(files.insert(format!("{prefix}{name}"), content)),
                    None => drop(prefixes.insert(*inode, format!("{prefix}{name}/"))),
                }
            }
        }
        files
    }

    /// How many bytes all files with a name have together.
    pub(super) fn used_len(&self) -> u64 {
        let inodes = self.directories.values().flat_map(BTreeMap::values);
        inodes.map(|inode| self.len(*inode)).fold(0, u64::saturating_add)
    }

    /// Puts `content` in the place of what the file had.
    pub(super) fn replace(&mut self, inode: Inode, content: Arc<Content>) {
        self.contents.insert(inode, content);
    }

    /// A hash of all files whose paths are not among `but`.
    pub(super) fn digest(&self, but: &[&str]) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, content) in self.files().iter().filter(|(path, _)| !but.contains(&path.as_str())) {
            path.hash(&mut hasher);
            content.digest().hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The paths of the files that only one of the two has, or that have other bytes in each; of the pages that
    /// both share, none is looked at.
    pub(super) fn differing(&self, other: &Self) -> Vec<String> {
        let [ours, theirs] = [self.files(), other.files()];
        let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let differs = |path: &&String| match (ours.get(*path), theirs.get(*path)) {
            (Some(one), Some(other)) => !one.reads_as(other),
            _ => true,
        };
        paths.into_iter().filter(differs).cloned().collect()
    }

    fn link(&mut self, directory: Inode, name: &Arc<str>, inode: Inode) {
        self.contents.entry(inode).or_default();
        self.names_mut(directory).insert(Arc::clone(name), inode);
    }

    /// The names in a directory, which may be one whose own name did not arrive.
    fn names_mut(&mut self, directory: Inode) -> &mut Names {
        self.directories.entry(directory).or_default()
    }

    fn content_mut(&mut self, inode: Inode) -> &mut Content {
        Arc::make_mut(self.contents.entry(inode).or_default())
    }
}
