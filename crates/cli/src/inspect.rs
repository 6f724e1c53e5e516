//! `inspect`: what an open would do, without doing it.

use std::path::PathBuf;

use annals::report::{InspectedSegment, Inspection};
use comfy_table::Table;
use indicatif::{HumanBytes, HumanCount};

use crate::{
    failure::Failure,
    output::{Console, table},
};

/// Say what opening the store would find and do, without doing it
///
/// Lists its segments and where the index of each would come from, what a crash left to be cut off or written
/// again, and what would be built again. Needs no lock and changes nothing. A store that an open would refuse is
/// refused here for the same reason.
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The directory, where not the one of `--store`
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Inspect {
    pub(crate) fn run(self, store: Option<PathBuf>, console: &mut Console<'_>) -> Result<(), Failure> {
        let directory = self.directory.or(store).ok_or(Failure::NoStore)?;
        let inspection = annals::inspect(directory)?;
        if console.is_json() {
            return console.json(&inspection);
        }
        console.table(segments(&inspection.segments))?;
        for line in lines(&inspection) {
            console.line(format_args!("{line}"))?;
        }
        Ok(())
    }
}

fn segments(segments: &[InspectedSegment]) -> Table {
    let mut rows = table(["segment", "length", "first", "events", "index from", "looked at"]);
    for segment in segments {
        rows.add_row([
            segment.file.clone(),
            HumanBytes(segment.len).to_string(),
            segment.first_sequence.to_string(),
            HumanCount(segment.event_count).to_string(),
            segment.source.to_owned(),
            if segment.is_vouched { "when asked" } else { "at the open" }.to_owned(),
        ]);
    }
    rows
}

/// What there is to say beside the segments, a line each.
fn lines(inspection: &Inspection) -> Vec<String> {
    let mut lines = vec![match (inspection.has_live_writer, inspection.is_clean) {
        (true, _) => "another process is writing the store: it can be opened for reading".to_owned(),
        (false, true) => "the store was closed cleanly".to_owned(),
        (false, false) => "the store was not closed cleanly".to_owned(),
    }];
    if let Some((from, end)) = inspection.tail.filter(|(from, end)| from < end) {
        lines.push(format!("{} of frames would be walked", HumanBytes(end - from)));
    }
    if let Some(cut) = &inspection.cut {
        let (len, offset, why) = (cut.len, cut.offset, &cut.why);
        lines.push(format!("{len} torn bytes at offset {offset} would be cut off: {why}"));
    }
    if let Some((from, end)) = inspection.rewritten {
        lines.push(format!("{} would be written again to be durable", HumanBytes(end - from)));
    }
    lines.extend(
        inspection.removed.iter().map(|file| format!("{file}, of unfinished work, would be removed")),
    );
    lines.extend(inspection.rebuilt.iter().map(|file| format!("the footer of {file} would be built again")));
    lines.extend(
        inspection.rejected.iter().map(|found| format!("{} would not be used: {}", found.file, found.why)),
    );
    lines.extend(inspection.oddities.iter().cloned());
    lines.extend(
        inspection.torn_files.iter().map(|file| format!("{file} holds what an earlier recovery cut off")),
    );
    if inspection.foreign_count > 0 {
        lines.push(format!("{} files are nothing of the store's", inspection.foreign_count));
    }
    lines
}
