//! Opening a store whose process was killed while it appended at full speed.

use std::time::Duration;

use super::{
    cell::Cell,
    row::{KILLED_DURABLE, KILLED_WRITTEN, Row},
};
use crate::{
    appender::append_and_kill,
    content::mix,
    disk::Copy,
    failure::Failure,
    generate::Level,
    probe::{Probe, Subject},
    progress,
};

/// How long a process appends before it is killed: so many milliseconds, and up to so many more.
const TIME_MIN: u64 = 300;
const TIME_VARIES: u64 = 1_700;

/// Kills `kills` processes at each durability, each over a copy of its own, and opens what they left for writing.
pub(super) fn measure(cell: &Cell, kills: u32) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for (level, state) in [(Level::Durable, KILLED_DURABLE), (Level::Written, KILLED_WRITTEN)] {
        let bar = progress::bar(state, kills.into());
        let mut probes = Vec::new();
        for kill in 0..u64::from(kills) {
            let copy = Copy::new(&cell.annals, |_| false)?;
            let choice = mix(cell.content.seed ^ kill ^ ((level as u64) << 32));
            let time = Duration::from_millis(TIME_MIN + choice % TIME_VARIES);
            append_and_kill(copy.path(), &cell.content, level, time)?;
            probes.push(Probe::measure(Subject::Annals, copy.path(), &cell.content, choice)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        rows.push(Row::new("annals", state, &probes));
    }
    Ok(rows)
}
