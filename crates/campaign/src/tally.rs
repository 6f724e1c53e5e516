//! Counts of what was tried, shared by all threads.
//!
//! Invariant: an image is tried once for each state of the oracle, and counted as distinct once in a whole run.
//! What is remembered of images is bounded: beyond it they are tried again, and counted no more as distinct.

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use annals_segment::CrashProfile;

use crate::random::mix;

/// How an image came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sort {
    /// Any subset of what was pending.
    StrictPosix,
    /// As ext4 leaves it.
    Ext4,
    /// As btrfs leaves it.
    Btrfs,
    /// Pages that arrived in part.
    Torn,
    /// Names in any order.
    RenameReorder,
    /// One of all the subsets of what was pending.
    Subsets,
    /// A power loss after a kill and what the next process made of it.
    Kill,
    /// A power loss or a kill after a fault.
    Faults,
    /// A power loss within a recovery.
    Recovery1,
    /// A power loss within the recovery after that.
    Recovery2,
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::StrictPosix,
        Self::Ext4,
        Self::Btrfs,
        Self::Torn,
        Self::RenameReorder,
        Self::Subsets,
        Self::Kill,
        Self::Faults,
        Self::Recovery1,
        Self::Recovery2,
    ];

    /// Its name in the summary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StrictPosix => "strict POSIX",
            Self::Ext4 => "ext4",
            Self::Btrfs => "btrfs",
            Self::Torn => "torn",
            Self::RenameReorder => "renames reordered",
            Self::Subsets => "subsets",
            Self::Kill => "kill, then power loss",
            Self::Faults => "injected faults",
            Self::Recovery1 => "in recovery, depth 1",
            Self::Recovery2 => "in recovery, depth 2",
        }
    }

    pub(crate) fn of(profile: CrashProfile) -> Self {
        match profile {
            CrashProfile::Ext4 => Self::Ext4,
            CrashProfile::Btrfs => Self::Btrfs,
            CrashProfile::Torn => Self::Torn,
            CrashProfile::RenameReorder => Self::RenameReorder,
            _ => Self::StrictPosix,
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|sort| *sort == self).unwrap_or_default()
    }
}

/// How many images of a sort there were.
#[derive(Debug, Default)]
struct Counts {
    made: AtomicU64,
    tried: AtomicU64,
    distinct: AtomicU64,
}

/// Images that are remembered: 16 bytes each.
const REMEMBERED_MAX: usize = 24 << 20;
/// Enough that threads hardly ever meet.
const SHARD_COUNT: usize = 16;

#[derive(Debug, Default)]
struct Shard {
    tried: HashSet<u64>,
    images: HashSet<u64>,
}

/// What a run did so far.
#[derive(Debug, Default)]
pub struct Tally {
    counts: [Counts; Sort::ALL.len()],
    shards: [Mutex<Shard>; SHARD_COUNT],
    pub(crate) fault_runs: AtomicU64,
    pub(crate) read_faults: AtomicU64,
    pub(crate) rounds: AtomicU64,
}

impl Tally {
    /// Counts an image with the digest `image`, and says whether it has to be tried with the oracle's state
    /// `oracle`.
    pub(crate) fn is_new(&self, sort: Sort, image: u64, oracle: u64) -> bool {
        let Some(counts) = self.counts.get(sort.index()) else { return true };
        counts.made.fetch_add(1, Ordering::Relaxed);
        let key = mix(image ^ mix(oracle));
        let is_new = insert(&mut self.shard(key).tried, key);
        if is_new {
            counts.tried.fetch_add(1, Ordering::Relaxed);
            let is_distinct = insert(&mut self.shard(image).images, image);
            counts.distinct.fetch_add(u64::from(is_distinct), Ordering::Relaxed);
        }
        is_new
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        let at = usize::try_from(key % SHARD_COUNT as u64).unwrap_or_default();
        let shard = self.shards.get(at).expect("a remainder by their count");
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many images of `sort` were made, tried and distinct.
    #[must_use]
    pub fn of(&self, sort: Sort) -> [u64; 3] {
        let counts = self.counts.get(sort.index());
        counts.map_or([0; 3], |counts| {
            [&counts.made, &counts.tried, &counts.distinct].map(|count| count.load(Ordering::Relaxed))
        })
    }

    /// How many images there were of all sorts: made, tried and distinct.
    #[must_use]
    pub fn total(&self) -> [u64; 3] {
        Sort::ALL.iter().fold([0; 3], |[a, b, c], sort| {
            let [made, tried, distinct] = self.of(*sort);
            [a + made, b + tried, c + distinct]
        })
    }
}

/// Whether the key was not there. Where too many are, none is new that was not seen before there were.
fn insert(keys: &mut HashSet<u64>, key: u64) -> bool {
    if keys.len() < REMEMBERED_MAX / SHARD_COUNT { keys.insert(key) } else { !keys.contains(&key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_tried_once_for_each_state_of_the_oracle_and_distinct_once() {
        let tally = Tally::default();
        assert!(tally.is_new(Sort::Torn, 1, 1));
        assert!(!tally.is_new(Sort::Ext4, 1, 1));
        assert!(tally.is_new(Sort::Ext4, 1, 2));
        assert!(tally.is_new(Sort::Torn, 2, 2));
        assert_eq!(tally.of(Sort::Torn), [2, 2, 2]);
        assert_eq!(tally.of(Sort::Ext4), [2, 1, 0]);
        assert_eq!(tally.total(), [4, 3, 2]);
    }
}
