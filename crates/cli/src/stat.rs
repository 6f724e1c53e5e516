//! `stat`: what the store holds, and what opening it found.

use std::path::Path;

use annals::{
    Store,
    report::{OpenReport, Stats},
};
use comfy_table::Table;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use crate::{
    consumer::lag,
    failure::Failure,
    opening::findings,
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
    let torn = report.torn_files.iter().map(|file| format!("{file} holds what an earlier recovery cut off"));
    let findings = findings(report).into_iter().chain(torn).chain(stats.incidents.iter().cloned());
    findings.into_iter().try_for_each(|finding| console.line(format_args!("{finding}")))
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
    for cursor in &stats.cursors {
        fact(
            &format!("cursor {}", cursor.name),
            format!("at {}, behind: {}", cursor.position, lag(cursor.lag_events, cursor.lag_millis)),
        );
    }
    for group in &stats.groups {
        let behind = lag(group.lag_events, group.lag_millis);
        fact(
            &format!("group {}", group.name),
            format!("at {}, behind: {behind}, parked: {}", group.position, group.parked.len()),
        );
    }
    let micros = report.phases.iter().map(|phase| phase.micros).sum::<u64>();
    fact("opened in", format!("{}.{:03} ms", micros / 1000, micros % 1000));
    table
}
