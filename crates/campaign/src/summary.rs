//! What a campaign came to: a table for people, JSON for programs.
//!
//! Invariant: both have the same numbers.

use std::{sync::atomic::Ordering, time::Duration};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;

use crate::tally::{Sort, Tally};

/// What a campaign came to.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// What random choices followed from.
    pub seed: u64,
    /// How long it took.
    pub seconds: f64,
    /// Rounds that were begun and ended.
    pub rounds: u64,
    /// The images of each sort.
    pub images: Vec<Row>,
    /// All images.
    pub total: Row,
    /// How many different images were tried each second.
    pub distinct_per_second: f64,
    /// Workloads and recoveries that met a fault.
    pub fault_runs: u64,
    /// Openings that met a fault of reading.
    pub read_faults: u64,
    /// Promises that were not kept.
    pub violations: u64,
}

/// How many images of a sort there were.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// How they came about.
    pub sort: &'static str,
    /// Images that were made.
    pub made: u64,
    /// Of these those that were tried: with the same promises each only once.
    pub tried: u64,
    /// Of these those that no trial of the whole run had before.
    pub distinct: u64,
}

impl Row {
    fn new(sort: &'static str, [made, tried, distinct]: [u64; 3]) -> Self {
        Self { sort, made, tried, distinct }
    }
}

impl Summary {
    /// The summary of `tally` after `time`.
    #[must_use]
    pub fn new(tally: &Tally, seed: u64, time: Duration, violations: u64) -> Self {
        let total = Row::new("total", tally.total());
        let seconds = time.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let distinct_per_second = total.distinct as f64 / seconds.max(0.001);
        Self {
            seed,
            seconds,
            rounds: tally.rounds.load(Ordering::Relaxed),
            images: Sort::ALL.map(|sort| Row::new(sort.name(), tally.of(sort))).into(),
            total,
            distinct_per_second,
            fault_runs: tally.fault_runs.load(Ordering::Relaxed),
            read_faults: tally.read_faults.load(Ordering::Relaxed),
            violations,
        }
    }

    /// The table and the lines below it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(["images", "made", "tried", "distinct"]);
        for row in self.images.iter().chain([&self.total]) {
            let numbers = [row.made, row.tried, row.distinct].map(grouped);
            table.add_row([row.sort.to_owned()].into_iter().chain(numbers));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!(
            "{table}\n{} distinct images in {:.1} s, {:.0} each second; {} runs with faults, {} openings with \
             faults of reading; {} rounds, seed {}; violations: {}",
            grouped(self.total.distinct),
            self.seconds,
            self.distinct_per_second,
            grouped(self.fault_runs),
            grouped(self.read_faults),
            grouped(self.rounds),
            self.seed,
            self.violations,
        )
    }
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_summary_has_every_sort_and_the_total() {
        let tally = Tally::default();
        tally.is_new(Sort::Torn, 1, 1);
        let summary = Summary::new(&tally, 7, Duration::from_secs(2), 0);
        assert_eq!(summary.images.len(), Sort::ALL.len());
        let text = summary.text();
        assert!(Sort::ALL.iter().all(|sort| text.contains(sort.name())));
        assert!(text.ends_with(
            "1 distinct images in 2.0 s, 0 each second; 0 runs with faults, 0 openings with \
             faults of reading; 0 rounds, seed 7; violations: 0"
        ));
    }
}
