//! What a state was folded of: which events a query asked for, and what was hidden of them.
//!
//! Invariant: events only ever become hidden, and those up to a sequence never change. So two sets of them of which one
//! contains the other are the same where they have the same size; and sizes are what the indexes say, without reading.

use annals_index::{Hidden, Query};
use annals_wire::{Digest, Sequence, SequenceRange, hidden_digest};

use super::Fold;
use crate::{Error, Events, Store, sync::Arc};

/// A state, and what it is the fold of.
#[derive(Debug, Clone, Default)]
pub struct Folded<S> {
    /// The state.
    pub state: S,
    /// All events that its query asks for are in it up to here, and none behind.
    pub sequence: Sequence,
    /// How many events that is.
    pub event_count: u64,
    pub(super) basis: Basis,
}

/// What a state is of.
#[derive(Debug, Clone, Default)]
pub(super) struct Basis {
    pub(super) fold_version: u32,
    pub(super) query: Arc<Query>,
    pub(super) hidden: Arc<Hidden>,
}

impl<S: Default> Folded<S> {
    /// The state before the first event.
    pub(super) fn nothing(basis: Basis) -> Self {
        Self { state: S::default(), sequence: Sequence(0), event_count: 0, basis }
    }
}

impl<S> Folded<S> {
    /// The version of the fold that made it.
    #[must_use]
    pub fn fold_version(&self) -> u32 {
        self.basis.fold_version
    }

    /// Why it is not what `now` makes of the events up to its sequence; `None` where it is.
    pub(super) fn outdated_by(&self, store: &Store, now: &Basis) -> Result<Option<&'static str>, Error> {
        let Basis { fold_version, query, hidden } = &self.basis;
        if *fold_version != now.fold_version && self.sequence > Sequence(0) {
            return Ok(Some("it is of another version of the fold"));
        }
        let count = |query: Query| store.query(query).until(self.sequence).count_events();
        if *query != now.query {
            let both = Query::clone(query).or_those_of(&now.query);
            let is_same = count(both)? == self.event_count
                && count(Query::clone(&now.query))? == self.event_count
                && count(Query::clone(query))? == self.event_count;
            return Ok((!is_same).then_some("its query asks for other events now"));
        }
        let is_same = is_as_hidden(hidden, &now.hidden, self.sequence)
            || count(Query::clone(query))? == self.event_count;
        Ok((!is_same).then_some("an event that is in it was hidden"))
    }
}

impl Basis {
    /// What `fold` makes states of now. Whoever reads up to a sequence afterwards chose that before: then a kind that
    /// one of the events up to there has is in the query, if it had its name when the event was appended.
    pub(super) fn now<F: Fold>(fold: &F, store: &Store) -> Self {
        let query = Arc::new(fold.query(store));
        Self { fold_version: fold.version(), query, hidden: hidden_of(store) }
    }

    /// The digest of its query, in a spelling in which no two are the same.
    pub(super) fn query_digest(query: &Query) -> Digest {
        annals_wire::blake3_digest(format!("annals/query/v1\0{query:?}").as_bytes())
    }
}

/// What is hidden now.
pub(super) fn hidden_of(store: &Store) -> Arc<Hidden> {
    Arc::clone(&store.shared.view().hidden)
}

/// The digest of what `hidden` has up to `sequence`.
pub(super) fn digest_upto(hidden: &Hidden, sequence: Sequence) -> Digest {
    hidden_digest(upto(hidden, sequence))
}

/// Whether both hide the same events up to `sequence`.
pub(super) fn is_as_hidden(one: &Arc<Hidden>, other: &Arc<Hidden>, sequence: Sequence) -> bool {
    Arc::ptr_eq(one, other) || upto(one, sequence).eq(upto(other, sequence))
}

/// What is hidden up to `sequence`.
fn upto(hidden: &Hidden, sequence: Sequence) -> impl Iterator<Item = SequenceRange> + '_ {
    let ranges = hidden.ranges().iter().take_while(move |range| range.first() <= sequence);
    ranges.map(move |range| {
        SequenceRange::new(range.first(), range.last().min(sequence)).expect("it begins before that")
    })
}

/// The events of `query` behind `after`, up to `until`.
///
/// # Errors
/// [`Error::Invalid`] where some of them may have been removed from the log.
pub(super) fn stretch(
    store: &Store,
    query: &Query,
    after: Sequence,
    until: Sequence,
) -> Result<Events, Error> {
    let first = first_sequence(store);
    if after.0.saturating_add(1) < first.0 {
        let asked = store.shared.ask(|view| Ok(query.sequences(&view.times(query)?)))?;
        if asked.start < first.0 && !asked.is_empty() {
            return Err(gone(first));
        }
    }
    Ok(store.query(query.clone()).after(after).until(until))
}

/// The first event that the log has, or will have.
pub(super) fn first_sequence(store: &Store) -> Sequence {
    store.shared.first_sequence()
}

/// That what would have to be folded is not there.
pub(super) fn gone(first: Sequence) -> Error {
    let why = format!("the events before {first} were removed from the log, and no snapshot has them");
    Error::Invalid { what: "projection", why }
}
