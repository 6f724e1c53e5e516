//! Opening a store that lacks some or all of what is derived from its log.
//!
//! For reading only, so that nothing is written back and every run does the same.

use super::{
    cell::Cell,
    row::{FOOTERS, FRAMES, NO_CHECKPOINT, NO_RUNS, Row},
};
use crate::{
    content::mix,
    disk::{Copy, RUN_SUFFIX},
    failure::Failure,
    probe::{Probe, Subject},
    progress,
};

/// These take long, and vary little.
const RUNS_MAX: u32 = 5;

/// What is left out, and how the rest is opened.
const STATES: [(&str, bool, bool, Subject); 4] = [
    (NO_CHECKPOINT, true, false, Subject::AnnalsReadOnly),
    (NO_RUNS, false, true, Subject::AnnalsReadOnly),
    (FOOTERS, true, true, Subject::AnnalsReadOnly),
    (FRAMES, true, true, Subject::AnnalsFrames),
];

/// Opens the store in each of the states, in turns.
pub(super) fn measure(cell: &Cell, runs: u32) -> Result<Vec<Row>, Failure> {
    let runs = runs.min(RUNS_MAX);
    let bar = progress::bar("without what is derived", runs.into());
    let mut copies = Vec::new();
    for (_, no_checkpoint, no_runs, _) in STATES {
        let is_left_out = |name: &str| {
            (no_checkpoint && name == annals_segment::CHECKPOINT) || (no_runs && name.ends_with(RUN_SUFFIX))
        };
        copies.push(Copy::new(&cell.annals, is_left_out)?);
    }
    let mut probes = STATES.map(|_| Vec::new());
    for round in 0..u64::from(runs) {
        for (((.., subject), copy), probes) in STATES.iter().zip(&copies).zip(&mut probes) {
            let choice = mix(cell.content.seed ^ round);
            probes.push(Probe::measure(*subject, copy.path(), &cell.content, choice)?);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let events = cell.content.events.get();
    let row = |((state, ..), probes): (&(&'static str, bool, bool, Subject), &Vec<Probe>)| {
        Row::new("annals", state, probes).with_rate(events)
    };
    Ok(STATES.iter().zip(&probes).map(row).collect())
}
