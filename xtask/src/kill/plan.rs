//! When to kill: moments spread over a duration, moved a little by a seed.
//!
//! Invariant: the same seed, count and duration give the same plan.

use std::{fmt, time::Duration};

/// Moments lie from here to [`LAST_PERCENT`] of the duration: a kill is to land while the import runs.
const FIRST_PERCENT: u32 = 2;
const LAST_PERCENT: u32 = 95;

/// The second kill comes sooner, because an import passes quickly over what is there already.
const SECOND_LAST_PERCENT: u32 = 60;

/// Into how many steps the room of a moment is parted.
const JITTER_STEPS: u32 = 1024;

/// When to kill one import, and the one that follows in the same store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) first: Duration,
    /// For every second moment only.
    pub(super) second: Option<Duration>,
}

/// `count` moments spread over `duration`.
pub(super) fn moments(seed: u64, count: u32, duration: Duration) -> Vec<Moment> {
    let mut random = Random(seed);
    let start = duration * FIRST_PERCENT / 100;
    let room = (duration * LAST_PERCENT / 100 - start) / count;
    let second_room = duration * SECOND_LAST_PERCENT / 100 - start;
    let moment = |number| Moment {
        first: start + room * number + random.part_of(room),
        second: (number % 2 == 1).then(|| start + random.part_of(second_room)),
    };
    (0..count).map(moment).collect()
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", millis(self.first))?;
        self.second.map_or(Ok(()), |second| write!(f, "+{}", millis(second)))
    }
}

/// Milliseconds with one decimal.
pub(super) fn millis(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1_000.0)
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A duration under `room`.
    fn part_of(&mut self, room: Duration) -> Duration {
        let step = u32::try_from(self.next() % u64::from(JITTER_STEPS)).expect("the steps are a u32");
        room * step / JITTER_STEPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_millis(1_000);

    #[test]
    fn moments_are_spread_evenly_and_every_second_is_two() {
        let moments = moments(7, 50, DURATION);
        for (number, moment) in (0..50).zip(&moments) {
            let room = Duration::from_micros(18_600);
            let start = Duration::from_millis(20) + room * number;
            assert!(moment.first >= start && moment.first < start + room, "{number}: {moment}");
            assert_eq!(moment.second.is_some(), number % 2 == 1);
            assert!(moment.second.is_none_or(|second| second < DURATION * SECOND_LAST_PERCENT / 100));
        }
        assert_eq!(moments.len(), 50);
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(moments(7, 50, DURATION), moments(7, 50, DURATION));
        assert_ne!(moments(7, 50, DURATION), moments(8, 50, DURATION));
    }

    #[test]
    fn a_moment_is_shown_in_milliseconds() {
        let first = Duration::from_micros(12_340);
        let second = Some(Duration::from_millis(5));
        assert_eq!(Moment { first, second }.to_string(), "12.3+5.0");
        assert_eq!(Moment { first, second: None }.to_string(), "12.3");
    }
}
