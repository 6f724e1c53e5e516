//! Opening what was closed, with the page cache warm and with it dropped.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    cell::Cell,
    row::{COLD, Row, WARM},
};
use crate::{
    content::mix,
    disk::{Copy, drop_cache, fill_cache},
    failure::Failure,
    probe::{Probe, Subject},
    progress,
};

/// What is opened in turns.
const SUBJECTS: [Subject; 4] = [Subject::Annals, Subject::AnnalsReadOnly, Subject::Sqlite, Subject::Raw];

/// What SQLite leaves when its process ends without closing.
const SQLITE_LEFT: [&str; 2] = ["events.db-wal", "events.db-shm"];

/// Opens each of the subjects `runs` times in both states.
pub(super) fn measure(cell: &Cell, runs: u32) -> Result<Vec<Row>, Failure> {
    let mut copy = Copy::new(&cell.annals, |_| false)?;
    let mut rows = Vec::new();
    for state in [WARM, COLD] {
        let bar = progress::bar(state, runs.into());
        let mut probes = SUBJECTS.map(|_| Vec::new());
        if state == WARM {
            for subject in SUBJECTS {
                fill_cache(directory_of(&path_of(subject, cell, &copy)))?;
            }
        }
        // The first round is not counted.
        for round in 0..=u64::from(runs) {
            for (subject, probes) in SUBJECTS.into_iter().zip(&mut probes) {
                let path = prepared(subject, cell, &copy, state)?;
                let choice = mix(cell.content.seed ^ round);
                let probe = Probe::measure(subject, &path, &cell.content, choice)?;
                probes.extend((round > 0).then_some(probe));
                copy = copy.renewed()?;
            }
            bar.set_position(round);
        }
        rows.extend(
            SUBJECTS.iter().zip(&probes).map(|(subject, probes)| Row::new(subject.name(), state, probes)),
        );
        bar.finish_and_clear();
    }
    Ok(rows)
}

/// Where a subject is.
fn path_of(subject: Subject, cell: &Cell, copy: &Copy) -> PathBuf {
    match subject {
        Subject::Annals => copy.path().to_owned(),
        Subject::AnnalsReadOnly | Subject::AnnalsFrames => cell.annals.clone(),
        Subject::Sqlite => cell.sqlite.clone(),
        Subject::Raw => cell.raw.clone(),
    }
}

fn directory_of(path: &Path) -> &Path {
    if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) }
}

/// Where a subject is, as it was closed and as `state` wants its cache.
fn prepared(subject: Subject, cell: &Cell, copy: &Copy, state: &str) -> Result<PathBuf, Failure> {
    let path = path_of(subject, cell, copy);
    let directory = directory_of(&path);
    for left in SQLITE_LEFT.map(|left| directory.join(left)).iter().filter(|left| left.exists()) {
        fs::remove_file(left).map_err(Failure::io("remove", left))?;
    }
    if state == COLD {
        drop_cache(directory)?;
    }
    Ok(path)
}
