//! Recovering a state: the newest that was published and connects to its log, and what the log says since.
//!
//! Invariant: no record is left out between the two. A state beyond what the log holds proves that the log has
//! lost something, and is refused; it is never a reason to begin anew.

use std::sync::Arc;

use annals_segment::{
    Directory, Error as LogError, Follower, Inventory, LogReport, Replayed, WriteAheadLog, WriteAheadOptions,
};
use annals_wire::{LogPosition, Publication, Sequence};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, Rejected,
    state::{FoundState, StateFiles, find_state, state_name},
};

/// A state, and its log, open for writing.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovered<S> {
    /// The state, with everything that the log holds.
    pub state: S,
    /// The position behind it.
    pub position: LogPosition,
    /// The log.
    pub log: WriteAheadLog,
    /// How it was come by.
    pub report: RecoveryReport,
}

/// How a state was come by: nothing that was not used is left unsaid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[must_use = "it may tell of states that are damaged"]
pub struct RecoveryReport {
    /// The last record of the published state that was used; `None` where the log was replayed from its first.
    pub used: Option<Sequence>,
    /// States that were not used, and why.
    pub rejected: Vec<Rejected>,
    /// How many records were replayed.
    pub replayed: u64,
    /// What opening the log did.
    pub log: LogReport,
}

/// What became of a record that a state was to take in.
pub type Applied = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Opens the log in `directory` with `options` and recovers the state that was published last: from its file, or
/// from `initial` where none was, and by `apply` for every record behind it.
///
/// # Errors
/// [`Error::NoState`] where no state connects to what the log still holds; [`Error::Apply`] where `apply` fails;
/// [`Error::Log`] as [`WriteAheadOptions::open`] has it, [`annals_segment::Error::Lost`] among them where a state
/// is newer than the log. What is refused is left as it is, but for what opening the log put in order.
pub fn recover<S: DeserializeOwned>(
    directory: Arc<dyn Directory>,
    options: WriteAheadOptions,
    initial: impl FnOnce() -> S,
    mut apply: impl FnMut(&mut S, Sequence, &[u8]) -> Applied,
) -> Result<Recovered<S>, Error> {
    let mut report = RecoveryReport::default();
    let found = find_states(&directory, &mut report)?;
    let newest = found.iter().map(|found| found.position).max_by_key(|position| position.sequence);
    let options = match newest {
        Some(position) => options.witness(position),
        None => options,
    };
    let log = options.open_shared(directory)?;
    report.log = log.report().clone();
    let (mut state, from) = match newest_that_connects(&log, found, &mut report)? {
        Some(connected) => connected,
        None if log.first() == Sequence(1) => (initial(), log.start()),
        None => return Err(Error::NoState { first: log.first(), rejected: report.rejected }),
    };
    let position = log.replay(&from, |replayed| match replayed {
        Replayed::Record { sequence, bytes } => {
            report.replayed += 1;
            apply(&mut state, sequence, bytes).map_err(|source| Error::Apply { sequence, source })
        }
        Replayed::Mark(mark) => {
            note_missing(mark, &mut report);
            Ok(())
        }
        _ => Ok(()),
    })?;
    Ok(Recovered { state, position, log, report })
}

/// Whoever looks at a log that is being made smaller looks again.
const LOOKS: usize = 5;

/// The state that [`recover`] would recover, as far as it is durable: without the log's lock, beside whoever writes it,
/// and without changing anything. `None` where there is no log.
///
/// # Errors
/// As [`recover`].
pub fn peek<S: DeserializeOwned>(
    directory: &Arc<dyn Directory>,
    initial: impl Fn() -> S,
    apply: impl Fn(&mut S, Sequence, &[u8]) -> Applied,
) -> Result<Option<S>, Error> {
    if Inventory::list(&**directory)?.is_empty() {
        return Ok(None);
    }
    let mut looks = 0;
    loop {
        match look(directory, &initial, &apply) {
            Err(_) if looks < LOOKS => looks += 1,
            outcome => return outcome.map(Some),
        }
    }
}

/// Looks once: from the newest state that can be decoded, or else from the first record.
fn look<S: DeserializeOwned>(
    directory: &Arc<dyn Directory>,
    initial: &impl Fn() -> S,
    apply: &impl Fn(&mut S, Sequence, &[u8]) -> Applied,
) -> Result<S, Error> {
    let found = find_states(directory, &mut RecoveryReport::default())?;
    let states = found.iter().map(|found| Some((rmp_serde::from_slice(&found.bytes).ok()?, found.position)));
    let (mut state, mut follower) = match states.flatten().next() {
        Some((state, position)) => (state, Follower::from(Arc::clone(directory), position)),
        None => (initial(), Follower::new(Arc::clone(directory))),
    };
    follower.poll(|replayed| match replayed {
        Replayed::Record { sequence, bytes } => {
            apply(&mut state, sequence, bytes).map_err(|source| Error::Apply { sequence, source })
        }
        _ => Ok(()),
    })?;
    Ok(state)
}

/// The states that are whole and of this log, newest first.
fn find_states(
    directory: &Arc<dyn Directory>,
    report: &mut RecoveryReport,
) -> Result<Vec<FoundState>, LogError> {
    let manifest = Inventory::take(&**directory)?.manifest;
    let log = manifest.map(|found| found.manifest.store);
    let mut found = Vec::new();
    for sequence in StateFiles::list(&**directory)?.states {
        match find_state(&**directory, sequence, log)? {
            Ok(state) => found.push(state),
            Err(rejected) => report.rejected.push(rejected),
        }
    }
    Ok(found)
}

/// The newest state that can be decoded and that the log goes on from.
fn newest_that_connects<S: DeserializeOwned>(
    log: &WriteAheadLog,
    found: Vec<FoundState>,
    report: &mut RecoveryReport,
) -> Result<Option<(S, LogPosition)>, Error> {
    for FoundState { name, position, bytes } in found {
        match log.check_position(&position) {
            Ok(()) => {}
            Err(error @ LogError::NotHeld { .. }) => {
                report.rejected.push(Rejected::new(name, &error));
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        match rmp_serde::from_slice(&bytes) {
            Ok(state) => {
                report.used = Some(position.sequence);
                return Ok(Some((state, position)));
            }
            Err(error) => report.rejected.push(Rejected::new(name, &error)),
        }
    }
    Ok(None)
}

/// Notes a state that the log records, that was not used, and that no file told of.
fn note_missing(mark: &[u8], report: &mut RecoveryReport) {
    let Ok(publication) = Publication::decode(mark) else { return };
    let name = state_name(publication.sequence);
    let is_told = report.rejected.iter().any(|rejected| rejected.file == name);
    if !is_told && report.used < Some(publication.sequence) {
        report.rejected.push(Rejected::new(name, "the log records it, and it is not there"));
    }
}
