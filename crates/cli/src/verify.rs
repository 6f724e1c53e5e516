//! `verify`: whether every byte of the store is what it was.

use std::path::Path;

use annals::report::{Damage, VerifyProgress, VerifyReport};
use comfy_table::Table;
use indicatif::{HumanBytes, HumanCount};

use crate::{
    failure::Failure,
    output::{Console, Unit, table},
};

pub(crate) fn run(store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
    let bar = console.progress(Some(0), Unit::Bytes);
    let mut show = |progress: VerifyProgress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
    };
    let report = annals::verify(store, &mut show);
    bar.finish_and_clear();
    let report = report?;
    let shown = if console.is_json() { console.json(&report) } else { show_report(&report, console) };
    // Damage is damage, though nobody reads to the end of the list.
    if report.is_sound() { shown } else { Err(Failure::Damaged { count: report.damage.len() }) }
}

fn show_report(report: &VerifyReport, console: &mut Console<'_>) -> Result<(), Failure> {
    for line in checked(report) {
        console.line(format_args!("{line}"))?;
    }
    if let Some(torn) = &report.torn {
        console.line(format_args!(
            "no damage, a crash left it: {torn}; the next command that writes cuts it off"
        ))?;
    }
    for note in &report.notes {
        console.line(format_args!("note: {note}"))?;
    }
    if report.is_sound() {
        return console.line(format_args!("the store is sound"));
    }
    console.table(damage(&report.damage))
}

/// What was checked, a line each.
fn checked(report: &VerifyReport) -> Vec<String> {
    let count = |count: u64, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{} {more}", HumanCount(count)),
    };
    let mut lines = vec![
        format!(
            "walked {} of {}: every frame's checksum and place",
            HumanBytes(report.byte_count),
            count(report.segment_count, "segment", "segments")
        ),
        format!(
            "hashed {} in the chains of {}: sequence, revision, clock, payload, hash",
            count(report.event_count, "event", "events"),
            count(report.stream_count, "stream", "streams")
        ),
        format!("followed the chain of {}", count(report.control_count, "control record", "control records")),
    ];
    if report.footer_count > 0 {
        let footers = count(report.footer_count, "footer", "footers");
        lines.push(format!("compared {footers} with what the frames give, byte for byte"));
    }
    match &report.checkpoint {
        Some(what) => lines.push(format!("checkpoint: {what}")),
        None => lines.push("checkpoint: none that could be compared".to_owned()),
    }
    lines
}

fn damage(places: &[Damage]) -> Table {
    let mut rows = table(["file", "offset", "what", "events lost"]);
    for place in places {
        let lost = if place.is_derived { "no: it is built again from the frames" } else { "yes" };
        let offset = place.offset.map_or_else(String::new, |offset| offset.to_string());
        rows.add_row([place.file.clone(), offset, place.what.clone(), lost.to_owned()]);
    }
    rows
}
