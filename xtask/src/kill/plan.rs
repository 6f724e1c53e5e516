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

/// `count` moments, spread over `duration`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) count: u32,
    pub(super) duration: Duration,
}

impl Plan {
    /// The moment with this number, from 0.
    pub(super) fn moment(&self, number: u32) -> Moment {
        let start = self.duration * FIRST_PERCENT / 100;
        let room = (self.duration * LAST_PERCENT / 100 - start) / self.count;
        let second_room = self.duration * SECOND_LAST_PERCENT / 100 - start;
        let (first, second) = (2 * u64::from(number), 2 * u64::from(number) + 1);
        Moment {
            first: start + room * number + self.part_of(room, first),
            second: (number % 2 == 1).then(|| start + self.part_of(second_room, second)),
        }
    }

    /// A duration under `room`, for which the seed's random number at `place` decides.
    fn part_of(&self, room: Duration, place: u64) -> Duration {
        let step = random(self.seed, place) % u64::from(JITTER_STEPS);
        room * u32::try_from(step).expect("the steps are a u32") / JITTER_STEPS
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the number at `place` of the sequence that `seed` begins.
pub(crate) fn random(seed: u64, place: u64) -> u64 {
    let state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(place.wrapping_add(1)));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", millis(self.first))?;
        self.second.map_or(Ok(()), |second| write!(f, "+{}", millis(second)))
    }
}

/// All moments, on one line.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, moments in ms:", self.seed)?;
        (0..self.count).try_for_each(|number| write!(f, " {}", self.moment(number)))
    }
}

/// Milliseconds with one decimal.
pub(super) fn millis(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(seed: u64, millis: u64) -> Vec<Moment> {
        let plan = Plan { seed, count: 50, duration: Duration::from_millis(millis) };
        (0..50).map(|number| plan.moment(number)).collect()
    }

    #[test]
    fn moments_are_spread_evenly_and_every_second_is_two() {
        for (number, moment) in (0..).zip(moments(7, 1_000)) {
            let room = Duration::from_micros(18_600);
            let start = Duration::from_millis(20) + room * number;
            assert!(moment.first >= start && moment.first < start + room, "{number}: {moment}");
            assert_eq!(moment.second.is_some(), number % 2 == 1);
            assert!(moment.second.is_none_or(|second| second < Duration::from_millis(600)));
        }
    }

    #[test]
    fn the_seed_decides_and_the_duration_scales() {
        assert_eq!(moments(7, 1_000), moments(7, 1_000));
        assert_ne!(moments(7, 1_000), moments(8, 1_000));
        for (short, long) in moments(7, 1_000).iter().zip(moments(7, 2_000)) {
            assert!(long.first.abs_diff(short.first * 2) < Duration::from_micros(1));
        }
    }

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        assert_eq!(random(0, 0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random(0, 1), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn a_moment_is_shown_in_milliseconds() {
        let first = Duration::from_micros(12_340);
        let second = Some(Duration::from_millis(5));
        assert_eq!(Moment { first, second }.to_string(), "12.3+5.0");
        assert_eq!(Moment { first, second: None }.to_string(), "12.3");
    }
}
