//! Which crash images of a history are tried: prefixes, and subsets of what may be lost.
//!
//! Invariant: the same history, count and seed give the same choices, and no two choices promise the same of the
//! same bytes.

use std::{collections::BTreeSet, fmt};

use super::history::{History, Open};
use crate::kill::random;

/// How many times as many subsets are drawn as are wanted: many have the same bytes.
const DRAWS: u64 = 4;

/// What arrives or is lost as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    Write,
    Page,
    Sector,
}

/// The page of a device, in sectors.
const PAGE_SECTORS: u64 = 8;

/// One crash image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// All writes up to a cut arrived.
    Prefix { cut: usize },
    /// Of what no flush covers `quarters` quarters arrived, chosen by `seed`.
    Subset { open: Open, grain: Grain, quarters: u64, seed: u64 },
}

impl Choice {
    /// What the history leaves on the device.
    pub(super) fn disk<'a>(&self, history: &History<'a>) -> super::disk::Disk<'a> {
        match *self {
            Self::Prefix { cut } => history.whole(cut),
            Self::Subset { open, grain, quarters, seed } => history.disk(open, |entry, sector| {
                random(random(seed, entry as u64), grain.of(sector)) % 4 < quarters
            }),
        }
    }

    /// How many entries of the log had taken effect.
    pub(super) fn cut(&self) -> usize {
        match self {
            Self::Prefix { cut } | Self::Subset { open: Open { cut, .. }, .. } => *cut,
        }
    }

    pub(super) fn is_prefix(&self) -> bool {
        matches!(self, Self::Prefix { .. })
    }
}

impl Grain {
    /// The number of what `sector` is a part of, within its write. The first page of a device is never torn: it has
    /// the superblock of ext4, which takes two sectors, is checked before the journal is read, and has to arrive
    /// as a whole.
    fn of(self, sector: u64) -> u64 {
        match self {
            Self::Write => 0,
            Self::Page => sector / PAGE_SECTORS,
            Self::Sector if sector < PAGE_SECTORS => 0,
            Self::Sector => sector,
        }
    }
}

/// What was chosen.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) choices: Vec<Choice>,
    /// How many different devices they leave.
    pub(super) distinct_count: usize,
    /// How many prefixes there are in all.
    pub(super) prefix_total: usize,
}

/// Chooses `count` images, half of them prefixes; fewer where the history has no more.
pub(super) fn choose(history: &History<'_>, count: usize, seed: u64) -> Chosen {
    let cuts = history.cuts();
    let mut chosen = Chosen { prefix_total: cuts.len(), ..Chosen::default() };
    let mut seen = Seen::default();
    let order = shuffled(cuts, seed);
    let (first, more) = order.split_at(order.len().min(count.div_ceil(2)));
    let prefix = |cut: &usize| Choice::Prefix { cut: *cut };
    let mut take = |choice: Choice| {
        if chosen.choices.len() < count && seen.is_new(history, &choice) {
            chosen.choices.push(choice);
        }
    };
    first.iter().map(prefix).for_each(&mut take);
    subsets(history, count - first.len(), seed).into_iter().for_each(&mut take);
    more.iter().map(prefix).for_each(take);
    chosen.distinct_count = seen.disks.len();
    chosen
}

/// Subsets from all stretches alike, half of them at the stretch's end.
fn subsets(history: &History<'_>, count: usize, seed: u64) -> Vec<Choice> {
    let open = history.open();
    let draw = |number: u64| {
        let random = |place: u64| random(random(seed, number), place);
        let stretch = pick(&open, random(0))?;
        let at = if random(1).is_multiple_of(2) { stretch.last() } else { pick(stretch, random(2)) };
        let grain = *pick(&[Grain::Write, Grain::Page, Grain::Sector], random(3))?;
        // A quarter of them has nothing of what may be lost.
        Some(Choice::Subset { open: *at?, grain, quarters: random(4) % 4, seed: random(5) })
    };
    (0..count as u64 * DRAWS).filter_map(draw).collect()
}

fn pick<T>(of: &[T], random: u64) -> Option<&T> {
    let count = of.len() as u64;
    of.get(usize::try_from(random.checked_rem(count)?).ok()?)
}

fn shuffled(mut cuts: Vec<usize>, seed: u64) -> Vec<usize> {
    cuts.sort_by_key(|cut| random(seed, *cut as u64));
    cuts
}

/// What was chosen so far.
#[derive(Default)]
struct Seen {
    disks: BTreeSet<u64>,
    promised: BTreeSet<(u64, u64)>,
}

impl Seen {
    fn is_new(&mut self, history: &History<'_>, choice: &Choice) -> bool {
        let digest = choice.disk(history).digest();
        self.disks.insert(digest);
        self.promised.insert((digest, history.promised(choice.cut())))
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix { cut } => write!(f, "the first {cut} entries"),
            Self::Subset { open: Open { cut, flushed }, grain, quarters, seed } => write!(
                f,
                "the first {cut} entries, and of those from {flushed} on {quarters} quarters by {grain:?} of \
                 seed {seed}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::powercut::history::tests::log;

    #[test]
    fn the_seed_decides() {
        let entries = log(&"wwwdwf1wwf2".repeat(4));
        let history = History::new(&entries).unwrap();
        let chosen = |seed| choose(&history, 20, seed).choices;
        assert_eq!(chosen(7), chosen(7));
        assert_ne!(chosen(7), chosen(8));
        assert_eq!(chosen(7).len(), 20);
        assert_eq!(chosen(7).iter().filter(|choice| choice.is_prefix()).count(), 10);
    }

    #[test]
    fn nothing_is_tried_twice_and_all_prefixes_are_where_there_is_room() {
        let entries = log("ww1wf2w");
        let history = History::new(&entries).unwrap();
        let chosen = choose(&history, 1000, 7);
        let mut told: Vec<_> = chosen
            .choices
            .iter()
            .map(|choice| (choice.disk(&history).digest(), history.promised(choice.cut())))
            .collect();
        told.sort_unstable();
        let count = told.len();
        told.dedup();
        assert_eq!(told.len(), count);
        let prefixes = chosen.choices.iter().filter(|choice| choice.is_prefix()).count();
        assert_eq!((prefixes, chosen.prefix_total), (5, 5));
        // Two before the first promise, every subset of three writes with it, two with the second.
        assert_eq!(count, 2 + 8 + 2);
    }

    #[test]
    fn a_write_is_lost_as_a_whole_by_its_pages_or_by_its_sectors_but_for_the_first_page() {
        let parts = |grain: Grain| [0, 7, 8, 9, 16].map(|sector| grain.of(sector));
        assert_eq!(parts(Grain::Write), [0; 5]);
        assert_eq!(parts(Grain::Page), [0, 0, 1, 1, 2]);
        assert_eq!(parts(Grain::Sector), [0, 0, 8, 9, 16]);
    }

    #[test]
    fn a_history_without_writes_that_may_be_lost_has_prefixes_alone() {
        let entries = log("dd1d");
        let history = History::new(&entries).unwrap();
        assert!(choose(&history, 10, 7).choices.iter().all(Choice::is_prefix));
    }
}
