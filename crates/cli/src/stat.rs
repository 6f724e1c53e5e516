//! `stat`: what the store holds, and what opening it found.

use std::path::Path;

use annals::{OpenReport, Stats, Store};
use comfy_table::Table;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Console, facts},
    time,
};

#[derive(Serialize)]
struct StatJson<'a> {
    stats: &'a Stats,
    report: &'a OpenReport,
}

pub(crate) fn run(store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
    let store = Store::open_read_only(store)?;
    let stats = store.stats()?;
    let report = store.report();
    if console.is_json() {
        return console.json(&StatJson { stats: &stats, report });
    }
    console.table(table(&stats, report))?;
    for line in findings(report) {
        console.line(format_args!("{line}"))?;
    }
    Ok(())
}

fn table(stats: &Stats, report: &OpenReport) -> Table {
    let mut table = facts();
    let mut fact = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    fact("store", report.store.to_string());
    fact("events", HumanCount(stats.event_count).to_string());
    fact("streams", HumanCount(stats.stream_count).to_string());
    fact("named kinds", HumanCount(stats.kind_count).to_string());
    fact("last sequence", stats.last_sequence.to_string());
    if let Some(millis) = stats.last_recorded_millis {
        fact("last recorded", time::for_people(millis));
    }
    fact("segments", format!("{}, {}", HumanCount(stats.segment_count), HumanBytes(stats.segment_bytes)));
    fact("all files", HumanBytes(stats.file_bytes).to_string());
    fact("writer", if report.has_live_writer { "another process is writing" } else { "none" }.to_owned());
    let micros = report.phases.iter().map(|phase| phase.micros).sum::<u64>();
    fact("opened in", format!("{}.{:03} ms", micros / 1000, micros % 1000));
    table
}

/// What there is to tell of the open, a line each.
fn findings(report: &OpenReport) -> Vec<String> {
    let mut lines = Vec::new();
    let log = &report.log;
    if log.was_unclean && !report.has_live_writer {
        lines.push(
            "the store was not closed cleanly; the next command that writes puts it in order".to_owned(),
        );
    }
    if let Some((segment, torn)) = &log.torn {
        let (len, offset) = (torn.len, torn.offset);
        lines.push(format!("{segment} ends in {len} torn bytes at offset {offset}: {}", torn.why));
    }
    if let Some(proven) = report.proven {
        lines.push(format!("events after {proven} are whole, and not proven to be durable"));
    }
    let rejected =
        report.rejected.iter().map(|rejected| format!("{} was not used: {}", rejected.file, rejected.why));
    lines.extend(rejected);
    lines.extend(report.oddities.iter().cloned());
    if report.passed_over > 0 {
        lines.push(format!("{} records of unknown types were passed over", report.passed_over));
    }
    lines.extend(
        report.torn_files.iter().map(|file| format!("{file} holds what an earlier recovery cut off")),
    );
    lines
}
