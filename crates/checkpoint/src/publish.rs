//! Publishing a state: what a program made of its log, so that the log need not keep what is in it.
//!
//! Invariant: the state is durable before the log records it, that record is durable before anything is dropped,
//! and what is dropped is in two states that are kept: one that is damaged later costs a longer replay.

use annals_segment::{Directory, Error as LogError, WriteAheadLog};
use annals_wire::{LogPosition, Publication, STATE_HEADER_LEN, Sequence, StateHeader};
use serde::Serialize;

use crate::{
    Error,
    state::{StateFiles, remove, state_name, write_state},
};

/// How many states are kept.
const KEPT: usize = 2;

/// What publishing a state did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Published {
    /// The last record that the state contains.
    pub sequence: Sequence,
    /// The bytes of its file.
    pub len: u64,
    /// How many segments of the log went.
    pub dropped_segments: usize,
}

/// Publishes `state`, which contains the log up to `position`, a position that the log returned as durable; then
/// drops what the two newest states both contain. A state that [`crate::recover`] is to find has fields that
/// serde can name.
///
/// # Errors
/// [`Error::Encode`] where the state cannot be encoded; [`Error::Log`] with [`annals_segment::Error::NotHeld`]
/// where `position` is beyond what is durable or was dropped, [`annals_segment::Error::Mismatch`] where it is none
/// of this log, [`annals_segment::Error::NoSpace`], or what the system said. What
/// was published before is still there. Where the log stopped, it is opened again with [`crate::recover`].
pub fn publish<S: Serialize>(
    log: &mut WriteAheadLog,
    state: &S,
    position: &LogPosition,
) -> Result<Published, Error> {
    log.check_position(position)?;
    let bytes = rmp_serde::to_vec_named(state).map_err(|source| Error::Encode { source })?;
    let header = StateHeader::new(log.id(), *position, &bytes);
    let len = STATE_HEADER_LEN as u64 + header.len;
    log.space().check_derived(len)?;
    write_state(&**log.directory(), &header, &bytes)?;
    let publication = Publication { sequence: position.sequence, digest: header.digest };
    log.append_mark(&publication.encode())?;
    log.sync()?;
    let dropped_segments = drop_covered(log)?;
    Ok(Published { sequence: position.sequence, len, dropped_segments })
}

/// Drops the log up to the oldest state that is kept, then the states before that.
fn drop_covered(log: &mut WriteAheadLog) -> Result<usize, LogError> {
    let files = StateFiles::list(&**log.directory())?;
    let dropped = match files.states.get(KEPT - 1) {
        Some(oldest) => log.truncate_prefix(*oldest)?,
        None => 0,
    };
    let directory: &dyn Directory = &**log.directory();
    let superseded = files.states.iter().skip(KEPT).map(|sequence| state_name(*sequence));
    let superseded: Vec<_> = superseded.chain(files.temporary).collect();
    for name in &superseded {
        remove(directory, name)?;
    }
    if !superseded.is_empty() {
        directory.sync().map_err(LogError::io("sync", directory.path()))?;
    }
    Ok(dropped)
}
