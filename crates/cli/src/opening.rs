//! Opening a store, and telling what was found on the way.
//!
//! Invariant: nothing that was cut off, mended or not used is left unsaid by a command that writes; a command
//! that reads says which events a power loss could still take.

use std::{
    path::Path,
    sync::OnceLock,
    time::{Duration, Instant},
};

use annals::{Options, Store, report::OpenReport};

use crate::{
    failure::Failure,
    output::{Console, Unit},
};

/// Opens a store for writing, and says what was done to it.
pub(crate) fn for_writing(
    options: Options,
    path: &Path,
    console: &mut Console<'_>,
) -> Result<Store, Failure> {
    let store = watched(options, console).open(path)?;
    for finding in findings(store.report()) {
        console.say(format_args!("note: {finding}"));
    }
    Ok(store)
}

/// Opens a store for reading.
pub(crate) fn for_reading(path: &Path, console: &mut Console<'_>) -> Result<Store, Failure> {
    let store = watched(Options::new(), console).open_read_only(path)?;
    if let Some(unproven) = unproven(store.report()) {
        console.say(format_args!("note: {unproven}"));
    }
    Ok(store)
}

/// How long an open takes before somebody is shown how far it is.
const PATIENCE: Duration = Duration::from_millis(500);

/// Options under which a long open shows how far it is, where somebody would see it.
fn watched(options: Options, console: &Console<'_>) -> Options {
    let Some(bars) = console.bars(Unit::Bytes) else { return options };
    let (begun, bar) = (Instant::now(), OnceLock::new());
    options.observer(move |progress| {
        if progress.total_bytes == 0 || begun.elapsed() < PATIENCE {
            return;
        }
        let bar = bar.get_or_init(|| bars(progress.total_bytes));
        bar.set_position(progress.done_bytes);
        if progress.done_bytes == progress.total_bytes {
            bar.finish_and_clear();
        }
    })
}

/// What there is to tell of an open, a line each.
pub(crate) fn findings(report: &OpenReport) -> Vec<String> {
    let log = &report.log;
    let mut lines = Vec::new();
    if log.was_unclean && !report.has_live_writer {
        let then = if report.is_read_only {
            "the next command that writes puts it in order"
        } else {
            "it is in order again"
        };
        lines.push(format!("the store was not closed cleanly; {then}"));
    }
    if let Some(why) = &report.no_space {
        lines.push(format!("there is no space to put the store in order, so it is only read: {why}"));
    }
    if let Some((segment, torn)) = &log.torn {
        let (len, offset, why) = (torn.len, torn.offset, &torn.why);
        lines.push(format!("{segment} ended in {len} torn bytes at offset {offset}: {why}"));
    }
    lines.extend(log.sidecar.iter().map(|file| format!("the torn bytes were cut off, and are in {file}")));
    lines.extend(log.removed.iter().map(|file| format!("{file}, of unfinished work, was removed")));
    lines.extend(unproven(report));
    lines.extend(report.rejected.iter().map(|found| format!("{} was not used: {}", found.file, found.why)));
    lines.extend(rebuilt(&report.rebuilt));
    lines.extend(report.oddities.iter().cloned());
    if report.passed_over > 0 {
        lines.push(format!("{} records of unknown types were passed over", report.passed_over));
    }
    lines
}

fn unproven(report: &OpenReport) -> Option<String> {
    report.proven.map(|proven| format!("events after {proven} are whole, and not proven to be durable"))
}

fn rebuilt(segments: &[String]) -> Option<String> {
    match segments {
        [] => None,
        [segment] => Some(format!("the footer of {segment} is built again from its frames")),
        [first, .., last] => Some(format!(
            "the footers of {} segments, {first} to {last}, are built again from frames",
            segments.len()
        )),
    }
}
