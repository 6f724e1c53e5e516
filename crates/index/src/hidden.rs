//! What is hidden: ranges of sequences that no read shows.
//!
//! Invariant: ranges ascend, and between two of them lies at least one event that is shown.

use std::ops::Range;

use annals_wire::{Sequence, SequenceRange};

/// The events that are hidden.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hidden {
    ranges: Vec<SequenceRange>,
}

impl From<Vec<SequenceRange>> for Hidden {
    /// The events of all of `ranges`, in whatever order.
    fn from(ranges: Vec<SequenceRange>) -> Self {
        let mut hidden = Self::default();
        for range in ranges {
            hidden.insert(range);
        }
        hidden
    }
}

impl Hidden {
    /// Nothing is hidden.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Hides the events of `range` as well.
    pub fn insert(&mut self, range: SequenceRange) {
        let before = range.first().0 - 1;
        // Those that touch it become one with it.
        let start = self.ranges.partition_point(|known| known.last().0 < before);
        let end = self.ranges.partition_point(|known| known.first().0 <= range.last().0.saturating_add(1));
        let touched = self.ranges.get(start..end).unwrap_or_default();
        let first = touched.first().map_or(range.first(), |known| known.first().min(range.first()));
        let last = touched.last().map_or(range.last(), |known| known.last().max(range.last()));
        let whole = SequenceRange::new(first, last).expect("it holds a range");
        self.ranges.splice(start..end, [whole]);
    }

    /// The ranges, ascending, as few as it takes.
    #[must_use]
    pub fn ranges(&self) -> &[SequenceRange] {
        &self.ranges
    }

    /// Whether nothing is hidden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether the event with `sequence` is hidden.
    #[must_use]
    pub fn contains(&self, sequence: Sequence) -> bool {
        self.find(sequence).is_some()
    }

    /// Whether every event of `range` is hidden.
    #[must_use]
    pub fn contains_all(&self, range: SequenceRange) -> bool {
        self.find(range.first()).is_some_and(|known| range.last() <= known.last())
    }

    /// The first run of shown events within `sequences`, whose start is included and whose end is not; empty where all
    /// are hidden.
    #[must_use]
    pub fn first_shown(&self, sequences: Range<u64>) -> Range<u64> {
        let mut shown = sequences;
        if let Some(range) = self.find(Sequence(shown.start)) {
            shown.start = range.last().0.saturating_add(1);
        }
        let next = self.ranges.partition_point(|range| range.first().0 < shown.start);
        if let Some(range) = self.ranges.get(next) {
            shown.end = shown.end.min(range.first().0);
        }
        shown.start..shown.end.max(shown.start)
    }

    /// The last run of shown events within `sequences`; empty where all are hidden.
    #[must_use]
    pub fn last_shown(&self, sequences: Range<u64>) -> Range<u64> {
        let mut shown = sequences;
        if let Some(range) = shown.end.checked_sub(1).and_then(|last| self.find(Sequence(last))) {
            shown.end = range.first().0;
        }
        let next = self.ranges.partition_point(|range| range.first().0 < shown.end);
        if let Some(range) = next.checked_sub(1).and_then(|before| self.ranges.get(before)) {
            shown.start = shown.start.max(range.last().0.saturating_add(1));
        }
        shown.start.min(shown.end)..shown.end
    }

    /// The range that holds `sequence`.
    fn find(&self, sequence: Sequence) -> Option<&SequenceRange> {
        let place = self.ranges.partition_point(|range| range.last() < sequence);
        self.ranges.get(place).filter(|range| range.first() <= sequence)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn hidden_ranges_are_a_set(
            ranges in collection::vec((1..40_u64, 0..6_u64), 0..12),
            (start, end) in (0..48_u64, 0..48_u64),
        ) {
            let mut model = BTreeSet::new();
            let mut hidden = Hidden::default();
            for (first, more) in ranges {
                hidden.insert(SequenceRange::new(Sequence(first), Sequence(first + more)).unwrap());
                model.extend(first..=first + more);
            }
            for sequence in 0..50 {
                prop_assert_eq!(hidden.contains(Sequence(sequence)), model.contains(&sequence));
            }
            prop_assert_eq!(&Hidden::from(hidden.ranges().iter().rev().copied().collect::<Vec<_>>()), &hidden);
            let gaps = hidden.ranges().windows(2).all(|pair| pair[0].last().0 + 1 < pair[1].first().0);
            prop_assert!(gaps, "{:?}", hidden);
            let shown: Vec<u64> = (start..end).filter(|sequence| !model.contains(sequence)).collect();
            let first = hidden.first_shown(start..end);
            let last = hidden.last_shown(start..end);
            prop_assert_eq!(first.clone().next(), shown.first().copied());
            prop_assert_eq!(last.clone().last(), shown.last().copied());
            prop_assert!(first.clone().chain(last.clone()).all(|sequence| shown.contains(&sequence)));
            prop_assert!(first.is_empty() || !shown.contains(&first.end));
            prop_assert!(last.is_empty() || last.start == start || !shown.contains(&(last.start - 1)));
        }
    }
}
