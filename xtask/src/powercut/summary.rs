//! What a campaign of power cuts came to: tables for people, JSON for programs.
//!
//! Invariant: both have the same numbers. What was skipped is said, and counts as neither passed nor failed.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use super::{file_system::FileSystem, kills::Killed, needs::Lack, replay::Replayed};

/// What one file system came to.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) file_system: FileSystem,
    pub(super) replayed: Replayed,
    pub(super) killed: Killed,
    pub(super) duration: Duration,
}

/// A campaign, as far as it came.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) seed: u64,
    pub(super) rows: Vec<Row>,
    /// What this machine lacks for which file system.
    pub(super) skipped: Vec<(FileSystem, Vec<Lack>)>,
    pub(super) duration: Duration,
}

impl Row {
    fn failed_count(&self) -> u64 {
        self.replayed.tally.failed_count() + self.killed.tally.failed_count()
    }

    fn image_cells(&self) -> Vec<u64> {
        let Replayed { log_count, write_count, promise_count, .. } = self.replayed;
        let Replayed { prefix_count, subset_count, distinct_count, tally, .. } = self.replayed;
        let counts = [log_count, write_count].map(|count| count as u64);
        let chosen = [prefix_count, subset_count, distinct_count].map(|count| count as u64);
        let counts = counts.into_iter().chain([promise_count, tally.count]).chain(chosen);
        counts.chain(tally.columns()).collect()
    }

    fn kill_cells(&self) -> Vec<u64> {
        let Killed { landed_count, tally } = self.killed;
        [tally.count, landed_count as u64].into_iter().chain(tally.columns()).collect()
    }

    fn json(&self) -> Value {
        let Replayed { log_count, write_count, promise_count, prefix_total, .. } = self.replayed;
        let Replayed { prefix_count, subset_count, distinct_count, tally, .. } = self.replayed;
        json!({
            "file_system": self.file_system.name(),
            "logs": log_count,
            "writes": write_count,
            "acknowledgements": promise_count,
            "prefixes_in_all": prefix_total,
            "prefixes": prefix_count,
            "subsets": subset_count,
            "distinct": distinct_count,
            "images": tally.json(),
            "kills": self.killed.tally.json(),
            "kills_landed": self.killed.landed_count,
            "seconds": self.duration.as_secs_f64(),
        })
    }
}

impl Summary {
    /// A summary of nothing yet.
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, rows: Vec::new(), skipped: Vec::new(), duration: Duration::ZERO }
    }

    /// How many images were not as they must be.
    pub(super) fn failed_count(&self) -> u64 {
        self.rows.iter().map(Row::failed_count).sum()
    }

    pub(super) fn json(&self) -> Value {
        let skipped = self.skipped.iter().map(|(file_system, lacks)| {
            let lacks: Vec<_> = lacks.iter().map(Lack::words).collect();
            json!({ "file_system": file_system.name(), "lacks": lacks })
        });
        json!({
            "seed": self.seed,
            "file_systems": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "skipped": skipped.collect::<Vec<_>>(),
            "failed": self.failed_count(),
            "seconds": self.duration.as_secs_f64(),
        })
    }

    fn table(&self, header: &[&str], cells: impl Fn(&Row) -> Vec<u64>) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(header);
        for row in &self.rows {
            let cells = cells(row).into_iter().map(|number| number.to_string());
            table.add_row([row.file_system.name().to_owned()].into_iter().chain(cells));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

const IMAGES: [&str; 13] = [
    "replayed", "logs", "writes", "acks", "images", "prefixes", "subsets", "distinct", "promised", "lost",
    "torn", "refused", "broken",
];

const KILLS: [&str; 8] = ["killed", "kills", "landed", "promised", "lost", "torn", "refused", "broken"];

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rows.is_empty() {
            writeln!(f, "{}", self.table(&IMAGES, Row::image_cells))?;
            writeln!(f, "{}", self.table(&KILLS, Row::kill_cells))?;
        }
        for (file_system, lacks) in &self.skipped {
            writeln!(f, "{} was skipped:", file_system.name())?;
            lacks.iter().try_for_each(|lack| writeln!(f, "    {}", lack.words()))?;
        }
        let images: u64 = self.rows.iter().map(|row| row.replayed.tally.count).sum();
        let kills: u64 = self.rows.iter().map(|row| row.killed.tally.count).sum();
        let (failed, skipped, seconds) =
            (self.failed_count(), self.skipped.len(), self.duration.as_secs_f64());
        let (passed, seed) = (images + kills - failed.min(images + kills), self.seed);
        writeln!(f, "{images} images, {kills} kills in {seconds:.1} s, seed {seed}")?;
        writeln!(f, "{passed} passed, {failed} failed; {skipped} file systems skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::powercut::tally::Tally;

    fn summary(tally: Tally) -> Summary {
        let replayed = Replayed {
            log_count: 2,
            write_count: 70,
            prefix_count: 4,
            subset_count: 5,
            tally,
            ..Replayed::default()
        };
        let row = Row {
            file_system: FileSystem::Xfs,
            replayed,
            killed: Killed::default(),
            duration: Duration::ZERO,
        };
        Summary { seed: 7, rows: vec![row], skipped: Vec::new(), duration: Duration::from_millis(1500) }
    }

    #[test]
    fn what_failed_is_counted_in_words_and_in_json() {
        let tally = Tally {
            count: 9,
            promised_count: 50,
            lost_count: 3,
            torn_count: 1,
            refused_count: 1,
            broken_count: 1,
        };
        let summary = summary(tally);
        let text = summary.to_string();
        assert!(
            text.ends_with(
                "9 images, 0 kills in 1.5 s, seed 7\n7 passed, 2 failed; 0 file systems skipped\n"
            )
        );
        let row = text.lines().find(|line| line.contains("xfs")).unwrap();
        let numbers: Vec<_> =
            row.split(|sign: char| !sign.is_ascii_digit()).filter(|word| !word.is_empty()).collect();
        assert_eq!(numbers, ["2", "70", "0", "9", "4", "5", "0", "50", "3", "1", "1", "1"]);
        let json = summary.json();
        assert_eq!((&json["failed"], &json["file_systems"][0]["images"]["lost"]), (&json!(2), &json!(3)));
    }

    #[test]
    fn what_was_skipped_has_not_passed() {
        let mut summary = summary(Tally::default());
        summary.rows.clear();
        summary.skipped = vec![(FileSystem::Btrfs, vec![Lack::program("mkfs.btrfs", "btrfs-progs")])];
        let expected = "\
btrfs was skipped:
    no mkfs.btrfs: apt-get install btrfs-progs
0 images, 0 kills in 1.5 s, seed 7
0 passed, 0 failed; 1 file systems skipped
";
        assert_eq!(summary.to_string(), expected);
    }
}
