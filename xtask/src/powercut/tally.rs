//! What images came to, counted.

use serde_json::{Value, json};

use super::subject::{Kept, Verdict};

/// Counts of images that were mounted and checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) count: u64,
    /// Promised events, over all images.
    pub(super) promised_count: u64,
    /// Promised events that were not there, or could not be read.
    pub(super) lost_count: u64,
    /// Images in which something had to be cut.
    pub(super) torn_count: u64,
    /// Images whose store did not open.
    pub(super) refused_count: u64,
    /// Images in which something else was wrong, or that could not be mounted.
    pub(super) broken_count: u64,
}

impl Tally {
    /// What one image came to.
    pub(super) fn of(verdict: &Verdict) -> Self {
        let Verdict { kept, promised_count, lost_count, torn_bytes } = verdict;
        Self {
            count: 1,
            promised_count: *promised_count,
            lost_count: *lost_count,
            torn_count: u64::from(*torn_bytes > 0),
            refused_count: u64::from(matches!(kept, Kept::Refused(_))),
            broken_count: u64::from(matches!(kept, Kept::Broken(_) | Kept::Unmounted(_) | Kept::Lost(_))),
        }
    }

    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            promised_count: self.promised_count + other.promised_count,
            lost_count: self.lost_count + other.lost_count,
            torn_count: self.torn_count + other.torn_count,
            refused_count: self.refused_count + other.refused_count,
            broken_count: self.broken_count + other.broken_count,
        }
    }

    /// How many images were not as they must be.
    pub(super) fn failed_count(&self) -> u64 {
        self.refused_count + self.broken_count
    }

    /// The columns of a table that all tallies have, after their own.
    pub(super) fn columns(&self) -> [u64; 5] {
        [self.promised_count, self.lost_count, self.torn_count, self.refused_count, self.broken_count]
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "count": self.count,
            "promised": self.promised_count,
            "lost": self.lost_count,
            "torn": self.torn_count,
            "refused": self.refused_count,
            "broken": self.broken_count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_fail_counts_once() {
        let words = String::new;
        let all = [
            Kept::Yes,
            Kept::Lost(words()),
            Kept::Refused(words()),
            Kept::Broken(words()),
            Kept::Unmounted(words()),
        ];
        let failed = all.map(|kept| {
            Tally::of(&Verdict { kept, promised_count: 3, lost_count: 0, torn_bytes: 0 }).failed_count()
        });
        assert_eq!(failed, [0, 1, 1, 1, 1]);
    }

    #[test]
    fn tallies_add_up() {
        let verdict =
            Verdict { kept: Kept::Lost(String::new()), promised_count: 3, lost_count: 1, torn_bytes: 8 };
        let one = Tally::of(&verdict);
        let two = Tally {
            count: 2,
            promised_count: 6,
            lost_count: 2,
            torn_count: 2,
            refused_count: 0,
            broken_count: 2,
        };
        assert_eq!(one.and(one), two);
    }
}
