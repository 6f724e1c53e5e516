//! A log of writes as a history: what is on the device before the workload begins, where power can be lost, and
//! what had been promised there.
//!
//! Invariant: what is durable at a cut is in every image of that cut: everything before the last flush, and every
//! write that was durable by itself. Of the others any part may be lost.

use std::fmt;

use super::{
    disk::{Disk, Piece},
    log::{Action, Entry},
};

/// The mark behind the making of the file system.
pub(super) const BEGUN: &str = "begun";

/// A log, prepared.
#[derive(Debug)]
pub(super) struct History<'a> {
    entries: &'a [Entry],
    pieces: Vec<Piece<'a>>,
    /// The entry behind the making of the file system.
    start: usize,
    /// What was there then.
    base: Disk<'a>,
}

/// Why a log is no history of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoHistory {
    /// There is no mark behind the making of the file system.
    NotBegun,
    /// There is no promise in it.
    NoPromise,
    /// The entry with this number writes again what an earlier one of the same flush wrote durably. The log has
    /// them in an order that need not be theirs.
    Ambiguous(usize),
}

/// A cut that has writes which may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) cut: usize,
    /// The entry from which on writes may be lost.
    pub(super) flushed: usize,
}

impl<'a> History<'a> {
    pub(super) fn new(entries: &'a [Entry]) -> Result<Self, NoHistory> {
        let is_begun = |entry: &Entry| entry.action == Action::Mark(BEGUN.to_owned());
        let start = entries.iter().position(is_begun).ok_or(NoHistory::NotBegun)? + 1;
        let pieces: Vec<_> = entries.iter().map(Piece::new).collect();
        let mut base = Disk::default();
        pieces.iter().take(start).for_each(|piece| base.apply(piece, |_| true));
        let history = Self { entries, pieces, start, base };
        history.check_order()?;
        if history.promised(entries.len()) == 0 { Err(NoHistory::NoPromise) } else { Ok(history) }
    }

    /// How many writes the workload and its file system made.
    pub(super) fn write_count(&self) -> usize {
        self.entries.iter().skip(self.start).filter(|entry| changes(entry)).count()
    }

    /// Every cut that leaves something different: before each write, and at the end. What was marked before the
    /// write counts.
    pub(super) fn cuts(&self) -> Vec<usize> {
        let entries = self.entries.iter().enumerate().skip(self.start);
        let mut cuts: Vec<_> = entries.filter(|(_, entry)| changes(entry)).map(|(place, _)| place).collect();
        cuts.push(self.entries.len());
        cuts
    }

    /// The cuts of each stretch between two flushes at which writes may be lost; a stretch may have one more, at
    /// its end.
    pub(super) fn open(&self) -> Vec<Vec<Open>> {
        let mut stretches: Vec<Vec<Open>> = Vec::new();
        let (mut flushed, mut opens) = (self.start, Vec::new());
        let mut has_open = false;
        for (place, entry) in self.entries.iter().enumerate().skip(self.start) {
            if has_open && (entry.has_flushed || changes(entry)) {
                opens.push(Open { cut: place, flushed });
            }
            if entry.has_flushed {
                stretches.push(std::mem::take(&mut opens));
                (flushed, has_open) = (place, false);
            }
            has_open |= may_be_lost(entry);
        }
        if has_open {
            opens.push(Open { cut: self.entries.len(), flushed });
        }
        stretches.push(opens);
        stretches.retain(|opens| !opens.is_empty());
        stretches
    }

    /// The number of the last promise before `cut`.
    pub(super) fn promised(&self, cut: usize) -> u64 {
        let before = self.entries.iter().take(cut).skip(self.start).rev();
        before.filter_map(promise).next().unwrap_or_default()
    }

    /// What is on the device at `cut` where all writes arrived.
    pub(super) fn whole(&self, cut: usize) -> Disk<'a> {
        self.disk(Open { cut, flushed: cut }, |_, _| true)
    }

    /// What is on the device at a cut where of the writes that may be lost only those sectors arrived of which
    /// `is_kept` says so, by the entry's number and theirs.
    pub(super) fn disk(&self, open: Open, is_kept: impl Fn(usize, u64) -> bool) -> Disk<'a> {
        let mut disk = self.base.clone();
        let taken = self.entries.iter().zip(&self.pieces).enumerate().take(open.cut).skip(self.start);
        for (place, (entry, piece)) in taken {
            let is_certain = place < open.flushed || !may_be_lost(entry);
            disk.apply(piece, |sector| is_certain || is_kept(place, sector));
        }
        disk
    }

    /// That the order of the log is one that the device may have had.
    fn check_order(&self) -> Result<(), NoHistory> {
        let mut durable = Vec::new();
        for (place, (entry, piece)) in self.entries.iter().zip(&self.pieces).enumerate().skip(self.start) {
            let range = piece.range();
            if entry.has_flushed {
                durable.clear();
            }
            if !may_be_lost(entry) {
                durable.push(range);
            } else if durable.iter().any(|other| other.start < range.end && range.start < other.end) {
                return Err(NoHistory::Ambiguous(place));
            }
        }
        Ok(())
    }
}

fn changes(entry: &Entry) -> bool {
    matches!(entry.action, Action::Write { .. } | Action::Discard { .. })
}

fn may_be_lost(entry: &Entry) -> bool {
    matches!(entry.action, Action::Write { is_durable: false, .. } | Action::Discard { .. })
}

/// The number of the promise behind which `entry` is the mark: its name.
fn promise(entry: &Entry) -> Option<u64> {
    match &entry.action {
        Action::Mark(name) => name.parse().ok(),
        _ => None,
    }
}

impl fmt::Display for NoHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBegun => write!(f, "the log of writes has no mark `{BEGUN}`"),
            Self::NoPromise => f.write_str("the log of writes has no mark of a promise"),
            Self::Ambiguous(place) => {
                write!(f, "entry {place} of the log of writes overlaps one that was durable before it")
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A log in letters: `w` is a write that may be lost, `d` a durable one, `f` a flush, a digit a promise. Each
    /// write has a sector of its own.
    pub(in crate::powercut) fn log(letters: &str) -> Vec<Entry> {
        let entry = |(place, letter): (u64, char)| {
            let write = |is_durable| Action::Write { offset: place * 512, bytes: vec![1; 512], is_durable };
            let action = match letter {
                'w' => write(false),
                'd' => write(true),
                'f' => Action::Flush,
                number => Action::Mark(number.to_string()),
            };
            Entry { has_flushed: letter == 'f', action }
        };
        let begun = Entry { has_flushed: false, action: Action::Mark(BEGUN.to_owned()) };
        [begun].into_iter().chain((1..).zip(letters.chars()).map(entry)).collect()
    }

    #[test]
    fn power_can_be_lost_before_every_write_and_at_the_end() {
        let entries = log("wwf1wd2f");
        let history = History::new(&entries).unwrap();
        assert_eq!(history.cuts(), [1, 2, 5, 6, 9]);
        let promised: Vec<_> = history.cuts().into_iter().map(|cut| history.promised(cut)).collect();
        assert_eq!(promised, [0, 0, 1, 1, 2]);
        assert_eq!(history.write_count(), 4);
    }

    #[test]
    fn what_may_be_lost_is_what_no_flush_covers() {
        let entries = log("wwf1dwdfw");
        let history = History::new(&entries).unwrap();
        let open = |cut, flushed| Open { cut, flushed };
        let first = vec![open(2, 1), open(3, 1)];
        let second = vec![open(7, 3), open(8, 3)];
        assert_eq!(history.open(), [first, second, vec![open(10, 8)]]);
    }

    #[test]
    fn what_was_flushed_or_durable_by_itself_is_never_lost() {
        let entries = log("wf1wdw");
        let history = History::new(&entries).unwrap();
        let nothing = history.disk(Open { cut: 7, flushed: 2 }, |_, _| false);
        let mut there = Disk::default();
        [1, 5].iter().for_each(|place: &usize| there.apply(&Piece::new(&entries[*place]), |_| true));
        assert_eq!(nothing.digest(), there.digest());
        assert_ne!(nothing.digest(), history.whole(7).digest());
    }

    #[test]
    fn a_log_that_is_none_of_a_workload_is_told() {
        assert_eq!(History::new(&log("wf1")[1..]).unwrap_err(), NoHistory::NotBegun);
        assert_eq!(History::new(&log("wf")).unwrap_err(), NoHistory::NoPromise);
    }

    #[test]
    fn a_write_over_what_was_durable_is_told_unless_a_flush_lies_between() {
        let twice = |letters: &str| {
            let mut entries = log(letters);
            for entry in &mut entries {
                if let Action::Write { offset, .. } = &mut entry.action {
                    *offset = 0;
                }
            }
            History::new(&entries).err()
        };
        assert_eq!(twice("d1w"), Some(NoHistory::Ambiguous(3)));
        assert_eq!(twice("w1d"), None);
        assert_eq!(twice("d1fw"), None);
    }
}
