//! What the campaign came to: a table for people, JSON for programs.
//!
//! Invariant: a kind that was skipped counts nothing, and stands in the summary with what it takes to run it.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use super::{flaw::Flaw, kind::Found};

/// What a kind of fault came to.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// What it takes, where it was skipped.
    pub(super) skipped: Option<String>,
    points: u64,
    landed: u64,
    failed: u64,
    promised: u64,
    broken: u64,
    lost: u64,
    shut: u64,
    pub(super) duration: Duration,
}

impl Row {
    pub(super) fn new(name: &'static str, what: &'static str) -> Self {
        Self { name, what, ..Self::default() }
    }

    /// Adds what a point came to.
    pub(super) fn add(&mut self, outcome: &Result<Found, Flaw>) {
        self.points += 1;
        match outcome {
            Ok(found) => {
                self.landed += u64::from(found.has_landed);
                self.failed += u64::from(found.has_failed);
                self.promised += found.promised;
            }
            Err(flaw) => {
                self.broken += 1;
                self.lost += flaw.lost;
                self.shut += u64::from(flaw.is_shut);
            }
        }
    }

    fn numbers(&self) -> [u64; 7] {
        [self.points, self.landed, self.failed, self.promised, self.lost, self.shut, self.broken]
    }

    fn json(&self) -> Value {
        json!({
            "kind": self.name,
            "what": self.what,
            "skipped": self.skipped,
            "points": self.points,
            "landed": self.landed,
            "typed_errors": self.failed,
            "promised": self.promised,
            "lost": self.lost,
            "did_not_open": self.shut,
            "broken": self.broken,
            "seconds": self.duration.as_secs_f64(),
        })
    }
}

const HEADER: [&str; 9] =
    ["kind", "points", "landed", "typed errors", "promised", "lost", "did not open", "broken", "seconds"];

/// The table, and below it what was skipped.
pub(super) fn text(rows: &[Row], seed: u64) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(HEADER);
    for row in rows {
        let numbers = row.numbers().map(|number| number.to_string());
        let numbers = if row.skipped.is_some() { [const { String::new() }; 7] } else { numbers };
        let seconds = match row.skipped {
            Some(_) => "skipped".to_owned(),
            None => format!("{:.1}", row.duration.as_secs_f64()),
        };
        table.add_row([row.name.to_owned()].into_iter().chain(numbers).chain([seconds]));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let words = |row: &Row| Some(format!("\nskipped: {}, {}: {}", row.name, row.what, row.skipped.as_ref()?));
    let skipped: String = rows.iter().filter_map(words).collect();
    let broken: u64 = rows.iter().map(|row| row.broken).sum();
    format!("{table}{skipped}\nseed {seed}; promises that were not kept: {broken}")
}

/// The same for programs.
pub(super) fn json(rows: &[Row], seed: u64) -> String {
    json!({ "seed": seed, "kinds": rows.iter().map(Row::json).collect::<Vec<_>>() }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped_is_told_and_not_counted() {
        let mut row = Row::new("kill-call", "x");
        row.add(&Ok(Found { has_landed: true, has_failed: false, promised: 3 }));
        row.add(&Err(Flaw { lost: 2, is_shut: true, ..Flaw::new("lost") }));
        let skipped = Row { skipped: Some("apt-get install strace".to_owned()), ..Row::new("error", "y") };
        let text = text(&[row, skipped], 7);
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
        let numbers: Vec<_> =
            line("kill-call").split(['│', '┆']).map(|cell| cell.trim().to_owned()).collect();
        assert_eq!(numbers[2..9], ["2", "1", "0", "3", "2", "1", "1"]);
        assert!(line("│ error").contains("skipped"));
        assert!(text.contains("skipped: error, y: apt-get install strace"));
        assert!(text.ends_with("seed 7; promises that were not kept: 1"));
    }
}
