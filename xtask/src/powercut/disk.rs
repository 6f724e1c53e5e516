//! What a device holds: for every sector the bytes that a history last put there.
//!
//! Invariant: a sector of zeros is the same as one that was never written, so that an image stays sparse.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Seek, SeekFrom, Write},
    ops::Range,
};

use super::log::{Action, Entry, SECTOR_LEN};

const SECTOR: usize = 512;

/// The bytes of a sector, and what tells them from others.
#[derive(Debug, Clone, Copy)]
struct Sector<'a> {
    bytes: &'a [u8],
    digest: u64,
}

/// An entry, sector by sector.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// The first sector of the device that it changes.
    first: u64,
    /// What each becomes; `None` for zeros.
    sectors: Vec<Option<Sector<'a>>>,
}

impl<'a> Piece<'a> {
    /// What `entry` changes; nothing where it is only a flush or a mark.
    pub(super) fn new(entry: &'a Entry) -> Self {
        let (offset, sectors) = match &entry.action {
            Action::Write { offset, bytes, .. } => (*offset, bytes.chunks(SECTOR).map(sector).collect()),
            Action::Discard { offset, len } => {
                (*offset, vec![None; usize::try_from(len / SECTOR_LEN).unwrap_or_default()])
            }
            Action::Mark(_) | Action::Flush => (0, Vec::new()),
        };
        Self { first: offset / SECTOR_LEN, sectors }
    }

    /// The sectors of the device that it changes.
    pub(super) fn range(&self) -> Range<u64> {
        self.first..self.first + self.sectors.len() as u64
    }
}

fn sector(bytes: &[u8]) -> Option<Sector<'_>> {
    if bytes.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Some(Sector { bytes, digest: hasher.finish() })
}

/// What a device holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk<'a> {
    sectors: BTreeMap<u64, Sector<'a>>,
}

impl<'a> Disk<'a> {
    /// Puts those sectors of `piece` there that `is_kept` says arrived.
    pub(super) fn apply(&mut self, piece: &Piece<'a>, is_kept: impl Fn(u64) -> bool) {
        for (number, sector) in piece.range().zip(&piece.sectors) {
            if !is_kept(number) {
                continue;
            }
            match sector {
                Some(sector) => self.sectors.insert(number, *sector),
                None => self.sectors.remove(&number),
            };
        }
    }

    /// A number that differs where the bytes do.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.sectors.iter().for_each(|(number, sector)| (number, sector.digest).hash(&mut hasher));
        hasher.finish()
    }

    /// Writes what is no zero into `file`, which is all zeros.
    pub(super) fn write(&self, file: &mut (impl Write + Seek)) -> io::Result<()> {
        let mut run = Vec::new();
        let mut start = 0;
        for (number, sector) in &self.sectors {
            if start + run.len() as u64 != number * SECTOR_LEN {
                put(file, start, &run)?;
                run.clear();
                start = number * SECTOR_LEN;
            }
            run.extend_from_slice(sector.bytes);
        }
        put(file, start, &run)
    }
}

fn put(file: &mut (impl Write + Seek), offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn write(sector: u64, bytes: &[u8]) -> Entry {
        let bytes = bytes.iter().flat_map(|byte| [*byte; SECTOR]).collect();
        let action = Action::Write { offset: sector * SECTOR_LEN, bytes, is_durable: false };
        Entry { has_flushed: false, action }
    }

    fn bytes(disk: &Disk<'_>, count: usize) -> Vec<u8> {
        let mut file = Cursor::new(vec![0; count * SECTOR]);
        disk.write(&mut file).unwrap();
        assert_eq!(file.get_ref().len(), count * SECTOR, "nothing is written behind the end");
        file.into_inner().chunks(SECTOR).map(|sector| sector[0]).collect()
    }

    #[test]
    fn the_last_write_counts_and_what_was_not_kept_does_not() {
        let entries = [write(1, &[1, 2, 3]), write(2, &[7, 8, 9]), write(6, &[5])];
        let mut disk = Disk::default();
        for entry in &entries {
            disk.apply(&Piece::new(entry), |sector| sector != 3);
        }
        assert_eq!(bytes(&disk, 8), [0, 1, 7, 0, 9, 0, 5, 0]);
    }

    #[test]
    fn zeros_and_discarded_sectors_are_as_if_never_written() {
        let discard = Action::Discard { offset: 0, len: SECTOR_LEN };
        let entries = [
            write(0, &[1, 2]),
            write(1, &[0]),
            Entry { has_flushed: false, action: discard },
            write(4, &[3]),
        ];
        let mut disk = Disk::default();
        entries.iter().for_each(|entry| disk.apply(&Piece::new(entry), |_| true));
        let mut other = Disk::default();
        other.apply(&Piece::new(&entries[3]), |_| true);
        assert_eq!(bytes(&disk, 5), [0, 0, 0, 0, 3]);
        assert_eq!(disk.digest(), other.digest());
        assert_ne!(disk.digest(), Disk::default().digest());
    }
}
