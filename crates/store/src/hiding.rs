//! Hiding: events that no read shows again, with a control record in the log.
//!
//! Invariant: what is hidden keeps its sequence, its revision and its hash, and stays hidden for ever: no record
//! shows it again. It is hidden when that is durable, and not before.

use annals_wire::{Batch, Control, Sequence, SequenceRange};

use crate::{
    Durability, Error, Store,
    append::{Stay, log},
    control::NewControl,
    store::{Shared, lock},
    sync::Arc,
};

impl Store {
    /// Hides the events from `first` to `last`, both included, durably and for ever: no read, query, count, condition
    /// or walk along causes shows them again, in this process or any other.
    ///
    /// Nothing is erased: their bytes stay in the log and in backups, they keep sequence, revision and hash, their
    /// streams still end where they ended, and verification covers them. Their ids stay taken. Hiding what is hidden
    /// already changes nothing.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let (at, kind) = (Coordinate::new("user:7", "app")?, store.kind("noted")?);
    /// for note in ["one", "two", "three"] {
    ///     store.append(&NewEvent::new(&at, kind, note.as_bytes()))?;
    /// }
    /// store.hide(Sequence(2), Sequence(2))?;
    /// let shown: Vec<_> = store.all().map(|event| Ok(event?.sequence().0)).collect::<Result<_, Error>>()?;
    /// assert_eq!(shown, [1, 3]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] where the range begins with 0 or behind its end, or ends behind the newest event that can be
    /// read; else as [`Store::sync`].
    pub fn hide(&self, first: Sequence, last: Sequence) -> Result<(), Error> {
        let invalid = |why| Error::Invalid { what: "range to hide", why };
        let range = SequenceRange::new(first, last).map_err(|error| invalid(error.to_string()))?;
        let newest = self.last_sequence();
        if last > newest {
            return Err(invalid(format!("it ends with {last}, and the newest event is {newest}")));
        }
        self.shared.hide(range).map_err(|error| self.shared.name_frontier(error))
    }

    /// What is hidden: first and last sequence of each range, ascending, with at least one event between two of them
    /// that is not.
    #[must_use]
    pub fn hidden(&self) -> Vec<(Sequence, Sequence)> {
        self.shared.view().hidden.ranges().iter().map(|range| (range.first(), range.last())).collect()
    }
}

impl Shared {
    fn hide(&self, range: SequenceRange) -> Result<(), Error> {
        let writer = self.writer()?;
        let record = NewControl::new(Control::Hidden(range));
        let mut turn = lock(&writer.turn);
        loop {
            self.check_writing(&turn)?;
            if turn.hidden.contains_all(range) {
                break;
            }
            log(&mut turn)?.check_space(record.frame_len_max())?;
            if log(&mut turn)?.needs_rotation(record.frame_len_max())? {
                turn = self.rotate(turn)?;
                continue;
            }
            self.stage_control(&mut turn, &record, Batch::SINGLE)?;
            Arc::make_mut(&mut turn.hidden).insert(range);
        }
        self.settle_append(turn, Stay::Until(Durability::Durable))?;
        self.change_view(|view| Arc::make_mut(&mut view.hidden).insert(range));
        Ok(())
    }
}
