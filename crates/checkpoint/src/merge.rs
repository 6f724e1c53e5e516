//! Which index runs there should be. Pure: the segments and runs that are there go in, what to use, what to merge
//! next and what is superfluous come out.
//!
//! Invariant: a run covers 8, 64, 512, … segments, and begins behind a multiple of as many; so it follows from the
//! newest segment's id alone which runs there should be, and a look-up meets at most seven of each size and seven
//! segments, however the store came to be. Each segment's keys are written once for each size.

use annals_wire::{RUN_SEGMENT_COUNT_MAX, SegmentId};

/// How many segments, or runs, a run is merged from.
const FAN_OUT: u64 = 8;

/// The segments that a run covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "two ends are all there is")]
pub struct RunRange {
    /// The oldest.
    pub first: SegmentId,
    /// The newest.
    pub last: SegmentId,
}

/// A run to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a result that is taken apart")]
pub struct Merge {
    /// The segments that it will cover.
    pub range: RunRange,
    /// The runs that it is merged from; none where it is made from its segments.
    pub runs: Vec<RunRange>,
}

/// The runs that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Runs {
    /// Those to be used, oldest first; no two have a segment in common.
    pub used: Vec<RunRange>,
    /// Those whose segments are covered by others, or that cover what is not sealed.
    pub superfluous: Vec<RunRange>,
}

impl RunRange {
    /// How many segments it covers.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.last.0.saturating_sub(self.first.0).saturating_add(1)
    }

    /// Whether `id` is one of them.
    #[must_use]
    pub fn contains(&self, id: SegmentId) -> bool {
        (self.first..=self.last).contains(&id)
    }

    fn covers(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether it is one of those that there should be.
    fn is_regular(&self) -> bool {
        let is_size = sizes().any(|size| size == self.count());
        self.first.0 > 0 && is_size && (self.first.0 - 1).is_multiple_of(self.count())
    }
}

/// How many segments runs cover, from the smallest.
fn sizes() -> impl Iterator<Item = u64> {
    let next = |size: &u64| size.checked_mul(FAN_OUT).filter(|size| *size <= RUN_SEGMENT_COUNT_MAX as u64);
    std::iter::successors(Some(FAN_OUT), next)
}

impl Runs {
    /// Decides which of the runs `found` are used beside the sealed segments from `oldest` to `newest`, of which there
    /// are none where `newest` is `None`. What a run says of segments before the oldest is not asked any more.
    #[must_use]
    pub fn choose(found: &[RunRange], oldest: SegmentId, newest: Option<SegmentId>) -> Self {
        let mut ranges = found.to_vec();
        ranges.sort_by_key(|range| std::cmp::Reverse(range.count()));
        let mut runs = Self::default();
        for range in ranges {
            let is_sealed = range.last >= oldest && newest.is_some_and(|newest| range.last <= newest);
            let is_covered = runs.used.iter().any(|used| used.covers(&range));
            let list = if range.is_regular() && is_sealed && !is_covered {
                &mut runs.used
            } else {
                &mut runs.superfluous
            };
            list.push(range);
        }
        runs.used.sort();
        runs.superfluous.sort();
        runs
    }

    /// The run to be made next beside those that are used, the smallest first; `None` where there is none.
    #[must_use]
    pub fn next_merge(used: &[RunRange], oldest: SegmentId, newest: SegmentId) -> Option<Merge> {
        sizes().find_map(|size| {
            let first_whole = oldest.0.saturating_sub(1).div_ceil(size);
            (first_whole..newest.0 / size).find_map(|number| {
                let range =
                    RunRange { first: SegmentId(number * size + 1), last: SegmentId((number + 1) * size) };
                let place = used.partition_point(|run| run.last < range.last);
                if used.get(place).is_some_and(|run| run.covers(&range)) {
                    return None;
                }
                let runs = if size == FAN_OUT { Vec::new() } else { range.parts() };
                Some(Merge { range, runs })
            })
        })
    }
}

impl RunRange {
    /// The runs of the next smaller size that it is merged from.
    fn parts(&self) -> Vec<Self> {
        let len = self.count() / FAN_OUT;
        let part = |number| {
            let first = SegmentId(self.first.0 + number * len);
            Self { first, last: SegmentId(first.0 + len - 1) }
        };
        (0..FAN_OUT).map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> RunRange {
        RunRange { first: SegmentId(first), last: SegmentId(last) }
    }

    fn numbers(ranges: &[RunRange]) -> Vec<(u64, u64)> {
        ranges.iter().map(|range| (range.first.0, range.last.0)).collect()
    }

    /// Found runs, the oldest and the newest sealed segment, and what is used and superfluous.
    type Case<'a> = (&'a [(u64, u64)], u64, Option<u64>, &'a [(u64, u64)], &'a [(u64, u64)]);

    #[test]
    fn the_largest_regular_runs_over_sealed_segments_are_used() {
        let cases: [Case<'_>; 11] = [
            (&[], 1, Some(100), &[], &[]),
            (&[(1, 8)], 1, Some(8), &[(1, 8)], &[]),
            (&[(1, 8)], 1, Some(7), &[], &[(1, 8)]),
            (&[(1, 8)], 1, None, &[], &[(1, 8)]),
            (&[(9, 16), (1, 8)], 1, Some(20), &[(1, 8), (9, 16)], &[]),
            (&[(1, 8), (1, 64), (65, 72)], 1, Some(72), &[(1, 64), (65, 72)], &[(1, 8)]),
            (&[(1, 8), (9, 16)], 9, Some(16), &[(9, 16)], &[(1, 8)]),
            (&[(1, 8)], 8, Some(16), &[(1, 8)], &[]),
            (&[(2, 9), (1, 7), (1, 16), (0, 7)], 1, Some(99), &[], &[(0, 7), (1, 7), (1, 16), (2, 9)]),
            (&[(1, 32_768), (1, 512)], 1, Some(40_000), &[(1, 32_768)], &[(1, 512)]),
            (&[(1, 262_144)], 1, Some(300_000), &[], &[(1, 262_144)]),
        ];
        for (found, oldest, newest, used, superfluous) in cases {
            let found: Vec<_> = found.iter().map(|(first, last)| range(*first, *last)).collect();
            let runs = Runs::choose(&found, SegmentId(oldest), newest.map(SegmentId));
            assert_eq!(numbers(&runs.used), used, "{found:?}");
            assert_eq!(numbers(&runs.superfluous), superfluous, "{found:?}");
        }
    }

    /// The first and the last segment of a run.
    type Ends = (u64, u64);

    fn next(used: &[Ends], oldest: u64, newest: u64) -> Option<(Ends, Vec<Ends>)> {
        let used: Vec<_> = used.iter().map(|(first, last)| range(*first, *last)).collect();
        let merge = Runs::next_merge(&used, SegmentId(oldest), SegmentId(newest))?;
        Some(((merge.range.first.0, merge.range.last.0), numbers(&merge.runs)))
    }

    #[test]
    fn the_smallest_run_that_is_missing_is_made_next() {
        assert_eq!(next(&[], 1, 7), None);
        assert_eq!(next(&[], 1, 8), Some(((1, 8), vec![])));
        assert_eq!(next(&[], 2, 16), Some(((9, 16), vec![])), "segments before the oldest are not there");
        assert_eq!(next(&[(1, 8)], 1, 16), Some(((9, 16), vec![])));
        assert_eq!(next(&[(1, 8), (17, 24)], 1, 24), Some(((9, 16), vec![])), "one in between was lost");
        assert_eq!(next(&[(1, 64)], 1, 71), None);
        let eight: Vec<_> = (0..8).map(|number| (number * 8 + 1, number * 8 + 8)).collect();
        assert_eq!(next(&eight, 1, 64), Some(((1, 64), eight.clone())));
        assert_eq!(next(&eight, 1, 63), None);
        assert_eq!(next(&[(1, 512)], 1, 520), Some(((513, 520), vec![])));
    }

    #[test]
    fn few_runs_are_left_and_each_segment_is_merged_once_for_each_size() {
        let mut used = Vec::new();
        let mut merged = 0;
        for newest in 1..=1_100 {
            while let Some(merge) = Runs::next_merge(&used, SegmentId(1), SegmentId(newest)) {
                used.retain(|run| !merge.range.covers(run));
                merged += merge.range.count();
                used.push(merge.range);
                used = Runs::choose(&used, SegmentId(1), Some(SegmentId(newest))).used;
            }
            let covered: u64 = used.iter().map(RunRange::count).sum();
            assert!(used.len() as u64 + newest - covered <= 7 * 4, "{used:?} up to {newest}");
        }
        assert_eq!(merged, 1_096 + 1_088 + 1_024);
    }
}
