//! What a rebuild after a restart competes with: the log comes from the disk, for it and for whoever only reads and
//! checksums it.
//!
//! Each of the two takes whole segments on each core, so that both read a file from its beginning to its end.

use std::io;

use super::{
    cell::Cell,
    row::{FRAMES_COLD, Row},
    sequential::{Share, read_all, segments},
};
use crate::{
    content::mix,
    disk::{CAN_DROP, drop_cache},
    failure::Failure,
    figures::Samples,
    probe::{Probe, Subject},
    progress,
};

/// A disk takes its time, and little else varies.
const RUNS_MAX: u32 = 5;

/// Reads the segments and rebuilds the index in turns, with caches dropped before each: the bytes that two cores read
/// and checksum in a second, and the rebuild. Nothing where the caches may not be dropped.
pub(super) fn measure(cell: &Cell, runs: u32) -> Result<Option<(f64, Row)>, Failure> {
    let runs = runs.min(RUNS_MAX);
    let bar = progress::bar(FRAMES_COLD, runs.into());
    let segments = segments(&cell.annals)?;
    let (mut rates, mut probes) = (Vec::new(), Vec::new());
    for round in 0..u64::from(runs) {
        if !dropped(cell)? {
            return Ok(None);
        }
        rates.push(read_all(&segments, 2, Share::Files).map_err(Failure::io("read", &cell.annals))?);
        drop_cache(&cell.annals)?;
        let choice = mix(cell.content.seed ^ round);
        probes.push(Probe::measure(Subject::AnnalsFrames, &cell.annals, &cell.content, choice)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let rate = rates.into_iter().collect::<Samples>().median();
    Ok(Some((rate, Row::new("annals", FRAMES_COLD, &probes).with_rate(cell.content.events.get()))))
}

/// Drops the caches, where that is permitted.
fn dropped(cell: &Cell) -> Result<bool, Failure> {
    match drop_cache(&cell.annals) {
        Ok(()) => Ok(CAN_DROP),
        Err(Failure::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        Err(failure) => Err(failure),
    }
}
