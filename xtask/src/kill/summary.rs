//! What a campaign of kills showed, in words.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use super::plan::millis;

/// What one kill found, when all was as it must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Whether the import still ran when it was killed.
    pub(super) has_landed: bool,
    pub(super) acknowledged_count: usize,
    /// How many events the killed store had.
    pub(super) event_count: usize,
    /// Whether there was a store at all.
    pub(super) has_store: bool,
    /// Whether the log had a torn end.
    pub(super) is_torn: bool,
}

/// All that was found so far.
#[derive(Debug)]
pub(super) struct Summary {
    /// What was done, a name and a value each.
    pub(super) facts: Vec<(&'static str, String)>,
    /// One for each moment.
    pub(super) first: Vec<Found>,
    /// One for each moment that kills a second import.
    pub(super) second: Vec<Found>,
    /// How often a moment was tried again, because its kill came too late.
    pub(super) retry_count: usize,
    pub(super) duration: Duration,
    pub(super) has_failed: bool,
}

impl Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged_count, event_count, .. } = self;
        write!(f, "{acknowledged_count} acknowledged, {event_count} there")?;
        if self.has_landed { Ok(()) } else { f.write_str(", too late") }
    }
}

impl Summary {
    /// A summary of nothing yet.
    pub(super) fn new(facts: Vec<(&'static str, String)>) -> Self {
        let (first, second) = (Vec::new(), Vec::new());
        Self { facts, first, second, retry_count: 0, duration: Duration::ZERO, has_failed: false }
    }

    /// How many of the first kills landed while the import ran.
    pub(super) fn landed_count(&self) -> usize {
        landed_count(&self.first)
    }

    /// Whether at least 80 % of the first kills landed.
    pub(super) fn has_landed(&self) -> bool {
        self.landed_count() * 100 >= self.first.len() * 80
    }
}

fn landed_count(found: &[Found]) -> usize {
    found.iter().filter(|found| found.has_landed).count()
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, .. } = self;
        let all = || first.iter().chain(second);
        let mut row = |name: &str, value: &dyn Display| writeln!(f, "{name:<14} {value}");
        for (name, value) in &self.facts {
            row(name, value)?;
        }
        let landed = (self.landed_count(), first.len(), landed_count(second), second.len());
        row(
            "landed",
            &format_args!("{} of {}; of second kills {} of {}", landed.0, landed.1, landed.2, landed.3),
        )?;
        row("retried", &self.retry_count)?;
        row("acknowledged", &spread(first.iter().map(|found| found.acknowledged_count)))?;
        row("in the store", &spread(first.iter().map(|found| found.event_count)))?;
        if !self.has_failed {
            let acknowledged: usize = all().map(|found| found.acknowledged_count).sum();
            row("lost", &format_args!("0 of {acknowledged} acknowledged events"))?;
        }
        row("no store yet", &all().filter(|found| !found.has_store).count())?;
        row("torn ends", &all().filter(|found| found.is_torn).count())?;
        row("took", &format_args!("{:.1} s", self.duration.as_secs_f64()))?;
        let failed = usize::from(self.has_failed || !self.has_landed());
        writeln!(f, "{} passed, {failed} failed", first.len())
    }
}

/// The least, the middle and the greatest of some counts.
fn spread(counts: impl Iterator<Item = usize>) -> String {
    let mut counts: Vec<_> = counts.collect();
    counts.sort_unstable();
    let at = |place: usize| counts.get(place).copied().unwrap_or_default();
    let last = counts.len().saturating_sub(1);
    format!("at a kill: min {}, median {}, max {}", at(0), at(last / 2), at(last))
}

/// Durations in milliseconds, for a line of the summary.
pub(super) fn listed(durations: &[Duration]) -> String {
    durations.iter().map(|duration| millis(*duration)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(landed: usize, count: usize) -> Summary {
        let found = |at: usize| Found {
            has_landed: at < landed,
            acknowledged_count: at * 10,
            event_count: at * 11,
            has_store: at > 0,
            is_torn: at == 1,
        };
        Summary {
            first: (0..count).map(found).collect(),
            second: vec![found(2)],
            retry_count: 1,
            duration: Duration::from_millis(1_500),
            ..Summary::new(vec![("seed", "7".to_owned())])
        }
    }

    #[test]
    fn the_summary_says_what_was_found() {
        let expected = "\
seed           7
landed         4 of 5; of second kills 1 of 1
retried        1
acknowledged   at a kill: min 0, median 20, max 40
in the store   at a kill: min 0, median 22, max 44
lost           0 of 120 acknowledged events
no store yet   1
torn ends      1
took           1.5 s
5 passed, 0 failed
";
        assert_eq!(summary(4, 5).to_string(), expected);
    }

    #[test]
    fn fewer_than_four_in_five_that_land_are_a_failure() {
        assert!(summary(40, 50).has_landed());
        assert!(!summary(39, 50).has_landed());
        assert!(summary(39, 50).to_string().ends_with("50 passed, 1 failed\n"));
    }
}
