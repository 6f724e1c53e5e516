//! Where a cursor is: what its own small log says and what the store's log says, and which of the two holds.
//!
//! Invariant: the position with the larger number holds. One that is saved never overtakes the cursor's own moves in
//! the store's log: they are durable before it is written, and it says which of them it stands on. Where the log has
//! fewer, the store is not the one that the cursor knew.
//!
//! Layout: docs/format.md, "Cursor's record".

use std::time::Duration;

use annals_segment::{Directory, Follower, Inventory, Layout, Outside, Replayed, Tail, WriteAheadLog};
use annals_wire::{Consumer, ConsumerMove, ConsumerName, CursorRecord, FrameType, Sequence, StoreId};

use crate::{
    Error,
    consumer::{Place, log_options, title},
    sync::Arc,
};

/// After so many bytes a new segment is begun, and the ones before go: some five hundred positions.
const SEGMENT_BYTES: u64 = 64 << 10;

/// Where a cursor is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// How many times it was moved; 0 for a cursor that nobody saved yet.
    pub(super) number: u64,
    /// The number of its last move in the store's log; 0 for none.
    pub(super) moved: u64,
    pub(super) place: Place,
    /// Whether it has moves in the store's log, or may have.
    pub(super) is_in_log: bool,
}

impl Standing {
    /// What the two places come to.
    ///
    /// # Errors
    /// [`Error::Foreign`] where the cursor's own log is of another store, or knows of moves that this store's log does
    /// not have.
    pub(super) fn decide(
        name: &ConsumerName,
        store: StoreId,
        saved: Option<&CursorRecord>,
        logged: Option<&ConsumerMove>,
    ) -> Result<Self, Error> {
        let standing = Self::newest(saved, logged);
        let Some(saved) = saved else { return Ok(standing) };
        let foreign = |what, expected, found| {
            let (consumer, sequence) = (title(Consumer::Cursor, name), saved.sequence);
            Err(Error::Foreign { consumer, sequence, what, expected, found })
        };
        if saved.store != store {
            return foreign("its store", saved.store.to_string(), store.to_string());
        }
        if saved.moved > standing.moved {
            let (expected, found) = (format!("at least {}", saved.moved), standing.moved.to_string());
            return foreign("the number of its last move in the log", expected, found);
        }
        Ok(standing)
    }

    /// The position with the larger number, whatever it is worth.
    pub(super) fn newest(saved: Option<&CursorRecord>, logged: Option<&ConsumerMove>) -> Self {
        let moved = logged.map_or(0, |logged| logged.number);
        let is_in_log = logged.is_some() || saved.is_some_and(|saved| saved.is_in_log);
        match (saved.filter(|saved| saved.number > moved), logged) {
            (Some(CursorRecord { number, sequence, hash, .. }), _) => {
                Self { number: *number, moved, place: Place { sequence: *sequence, hash: *hash }, is_in_log }
            }
            (None, Some(ConsumerMove { number, sequence, hash, .. })) => {
                Self { number: *number, moved, place: Place { sequence: *sequence, hash: *hash }, is_in_log }
            }
            (None, None) => Self { is_in_log, ..Self::default() },
        }
    }
}

/// The cursor's own log, held.
#[derive(Debug)]
pub(super) struct SavedLog {
    log: WriteAheadLog,
    pub(super) last: Option<CursorRecord>,
}

impl SavedLog {
    /// Opens the log in `directory`, or makes it.
    pub(super) fn open(directory: Arc<dyn Directory>, lock_timeout: Duration) -> Result<Self, Error> {
        let log = log_options(SEGMENT_BYTES, lock_timeout).open_shared(directory)?;
        let mut last = None;
        log.replay(&log.start(), |replayed| note(log.directory(), replayed, &mut last))?;
        Ok(Self { log, last })
    }

    /// Saves `standing` durably: one write and one sync of a small file. What it makes superfluous goes.
    pub(super) fn save(&mut self, store: StoreId, standing: Standing) -> Result<(), Error> {
        let Standing { number, moved, place: Place { sequence, hash }, is_in_log } = standing;
        let record = CursorRecord { store, number, moved, sequence, hash, is_in_log };
        let position = self.log.append(&record.encode())?;
        self.log.sync()?;
        self.last = Some(record);
        if self.log.segment_count() > 1 {
            self.log.truncate_prefix(Sequence(position.0 - 1))?;
        }
        Ok(())
    }

    pub(super) fn close(self) -> Result<(), Error> {
        Ok(self.log.close()?)
    }
}

/// Whoever looks while the log is made smaller looks again.
const LOOKS: usize = 20;

/// The last record of the small log in `directory`, beside whoever holds it; `None` where nothing was saved.
pub(super) fn look(directory: &Arc<dyn Directory>) -> Result<Option<CursorRecord>, annals_segment::Error> {
    let mut looks = 0;
    loop {
        match look_once(directory) {
            Err(error) if looks == LOOKS => return Err(error),
            Err(_) => looks += 1,
            found => return found,
        }
    }
}

fn look_once(directory: &Arc<dyn Directory>) -> Result<Option<CursorRecord>, annals_segment::Error> {
    let inventory = Inventory::take(&**directory)?;
    if inventory.is_empty() {
        return Ok(None);
    }
    let layout = Layout::decide(&inventory, directory.path(), None)?;
    let mut last = None;
    if let Some(newest) = &layout.newest {
        // All of it, and not only what is proven: whoever saved last may have died since, and what it saved holds.
        Tail::walk(&**directory, newest, Outside::default(), &[FrameType::RECORD], &mut |_, frame| {
            decode(directory, frame.body, &mut last)
        })?;
    }
    if last.is_none() {
        let mut sealed = Follower::new(Arc::clone(directory));
        sealed.poll(|replayed| note(directory, replayed, &mut last))?;
    }
    Ok(last)
}

/// Takes in what a replay shows. A record that cannot be read is damage: each stands for all before it.
fn note(
    directory: &Arc<dyn Directory>,
    replayed: Replayed<'_>,
    last: &mut Option<CursorRecord>,
) -> Result<(), annals_segment::Error> {
    if let Replayed::Record { bytes, .. } = replayed { decode(directory, bytes, last) } else { Ok(()) }
}

fn decode(
    directory: &Arc<dyn Directory>,
    bytes: &[u8],
    last: &mut Option<CursorRecord>,
) -> Result<(), annals_segment::Error> {
    let record = CursorRecord::decode(bytes).map_err(annals_segment::Error::bytes(directory.path(), 0))?;
    *last = Some(record);
    Ok(())
}

#[cfg(test)]
mod tests {
    use annals_wire::Digest;

    use super::*;

    fn name() -> ConsumerName {
        ConsumerName::new("mail").unwrap()
    }

    fn place(sequence: u64) -> Place {
        let hash = if sequence == 0 { Digest::NONE } else { Digest([sequence.to_le_bytes()[0]; 32]) };
        Place { sequence: Sequence(sequence), hash }
    }

    fn saved(number: u64, moved: u64, at: u64) -> CursorRecord {
        let Place { sequence, hash } = place(at);
        CursorRecord { store: StoreId([7; 16]), number, moved, sequence, hash, is_in_log: moved > 0 }
    }

    fn logged(number: u64, at: u64) -> ConsumerMove {
        let Place { sequence, hash } = place(at);
        let (consumer, done, is_deleted) = (Consumer::Cursor, Vec::new(), false);
        ConsumerMove { consumer, name: name(), number, sequence, hash, done, is_deleted }
    }

    #[test]
    fn the_larger_number_holds_wherever_it_is_kept() {
        let of = |saved: Option<CursorRecord>, logged: Option<ConsumerMove>| {
            let decided =
                Standing::decide(&name(), StoreId([7; 16]), saved.as_ref(), logged.as_ref()).unwrap();
            (decided.number, decided.moved, decided.place.sequence.0, decided.is_in_log)
        };
        assert_eq!(of(None, None), (0, 0, 0, false));
        assert_eq!(of(Some(saved(3, 0, 30)), None), (3, 0, 30, false));
        assert_eq!(of(None, Some(logged(4, 40))), (4, 4, 40, true));
        assert_eq!(of(Some(saved(3, 2, 30)), Some(logged(4, 40))), (4, 4, 40, true));
        // A reset takes a cursor back: it is the number that counts, and not how far it was.
        assert_eq!(of(Some(saved(5, 4, 10)), Some(logged(4, 40))), (5, 4, 10, true));
    }

    #[test]
    fn another_store_and_a_log_without_the_moves_it_stands_on_are_refused() {
        let refused = |store: [u8; 16], saved: CursorRecord, logged: Option<ConsumerMove>| {
            let outcome = Standing::decide(&name(), StoreId(store), Some(&saved), logged.as_ref());
            outcome.unwrap_err().to_string()
        };
        let other = refused([8; 16], saved(3, 0, 30), None);
        assert!(other.contains("the cursor mail") && other.contains("its store"), "{other}");
        for logged in [None, Some(logged(3, 30))] {
            let fewer = refused([7; 16], saved(9, 4, 30), logged);
            assert!(fewer.contains("its last move in the log is expected to be at least 4"), "{fewer}");
        }
    }
}
