//! Opening a group: its small log, what the store's log knows beyond that, and whether both are of this history.
//!
//! Invariant: nothing is written before everything was found to be of this store and of its history.

use annals_checkpoint::{Applied, Recovered, recover};
use annals_index::Query;
use annals_wire::{Consumer, ConsumerMove, ConsumerName, GroupRecord, Sequence};

use super::{
    desk::{Core, Desk, Stream},
    dispatch::Dispatch,
    keeper::{Keeper, SEGMENT_BYTES},
    ledger::Ledger,
    options::GroupOptions,
};
use crate::{
    Error, Event, Store,
    consumer::{Place, log_options, title},
};

/// A group's small log, held, and what its records make.
pub(super) struct Held {
    keeper: Keeper,
    ledger: Ledger,
}

impl Held {
    /// Takes the group to `place`. Everything else that it knew is forgotten, and so are its moves in the log.
    pub(super) fn reset(mut self, store: &Store, name: &ConsumerName, place: Place) -> Result<(), Error> {
        let number = store.shared.last_move(Consumer::Group, name).map_or(0, |moved| moved.number);
        if number > 0 && store.shared.writer.is_some() {
            // The moves that it stands on from now on.
            store.sync()?;
        }
        let Place { sequence, hash } = place;
        let records =
            [GroupRecord::Reset { number, sequence, hash }, GroupRecord::Bound { store: store.id() }];
        self.keeper.write(&records)?;
        self.keeper.sync()?;
        self.keeper.close()
    }
}

/// Takes one record into a ledger; for a recovery.
pub(super) fn apply(ledger: &mut Ledger, _: Sequence, record: &[u8]) -> Applied {
    Ok(ledger.apply(&GroupRecord::decode(record)?)?)
}

/// Opens the small log of the group `name`, making it where there is none.
pub(super) fn hold(store: &Store, name: &ConsumerName, options: &GroupOptions) -> Result<Held, Error> {
    let directory = store.shared.hold_directory(Consumer::Group, name)?;
    let log = log_options(SEGMENT_BYTES, options.lock_timeout);
    let recovered =
        recover(directory, log, Ledger::default, apply).map_err(|error| unreadable(name, error))?;
    let Recovered { state, log, report, .. } = recovered;
    // Whoever had the group before may have seen more.
    store.refresh()?;
    Ok(Held { keeper: Keeper::new(log, state.clone(), report.replayed), ledger: state })
}

/// What is wrong with a small log.
pub(super) fn unreadable(name: &ConsumerName, error: annals_checkpoint::Error) -> Error {
    match error {
        annals_checkpoint::Error::Log(error) => error.into(),
        error => Error::Invalid { what: "group", why: format!("the log of the group {name}: {error}") },
    }
}

/// Opens the group `name`.
pub(super) fn open(store: &Store, name: &str, query: Query, options: &GroupOptions) -> Result<Desk, Error> {
    let name = ConsumerName::new(name)?;
    let Held { mut keeper, mut ledger } = hold(store, &name, options)?;
    let moved = store.shared.last_move(Consumer::Group, &name);
    let mut records = Vec::new();
    if ledger.store.is_none() {
        refuse_lost(&name, moved.as_ref())?;
        records = begin(store, options)?;
        records.iter().try_for_each(|record| ledger.apply(record)).expect("the first records of a group");
    }
    let mut found = Vec::new();
    if let Some(moved) = judge(store, &name, &ledger, moved.as_ref())? {
        make_durable(store)?;
        found.extend(catch_up(&mut ledger, moved));
    }
    found.extend(finish_meant(store, &mut ledger)?);
    let mut dispatch = Dispatch::new(options.limits(), &ledger);
    for (sequence, parked) in &ledger.parked {
        let event = event_at(store, &name, *sequence)?;
        dispatch.restore(*sequence, (stream_of(&event), event.hash()), parked.is_aside, parked.is_replayed);
    }
    dispatch.park_spent(store.shared.options.clock.now_millis());
    keeper.write(&records)?;
    if !records.is_empty() {
        keeper.sync()?;
    }
    let subscription = store.subscribe(query.clone()).after(ledger.position);
    let mut core = Core::new(dispatch, subscription, query, ledger.number);
    // The small log may know of it when all that could be read here is durable.
    let newest = store.last_sequence();
    found.into_iter().for_each(|record| core.queue_one(newest, record));
    core.queue_records(newest);
    let is_news = !core.queue.is_empty();
    let desk = Desk::new(store.clone(), name, options.clone(), core, keeper);
    if is_news {
        desk.save()?;
    }
    Ok(desk)
}

/// The stream of an event.
pub(super) fn stream_of(event: &Event) -> Stream {
    (event.coordinate(), event.lane())
}

/// A group that has moves in the log has a small log as well, and in it what it parked: without that the parked events
/// would be lost in silence.
pub(super) fn refuse_lost(name: &ConsumerName, moved: Option<&ConsumerMove>) -> Result<(), Error> {
    let Some(moved) = moved else { return Ok(()) };
    Err(Error::Foreign {
        consumer: title(Consumer::Group, name),
        sequence: moved.sequence,
        what: "its own log, which says what it has parked,",
        expected: "there, for the store's log has its moves".to_owned(),
        found: "not there".to_owned(),
    })
}

/// The first records of a group.
fn begin(store: &Store, options: &GroupOptions) -> Result<Vec<GroupRecord>, Error> {
    let Place { sequence, hash } = store.place_to_begin(options.begin)?;
    Ok(vec![GroupRecord::Reset { number: 0, sequence, hash }, GroupRecord::Bound { store: store.id() }])
}

/// Makes sure that the ledger is of this store and of its history; returns the move in the log that is newer.
pub(super) fn judge<'m>(
    store: &Store,
    name: &ConsumerName,
    ledger: &Ledger,
    moved: Option<&'m ConsumerMove>,
) -> Result<Option<&'m ConsumerMove>, Error> {
    let consumer = title(Consumer::Group, name);
    let foreign = |what, expected: String, found: String| {
        let (consumer, sequence) = (consumer.clone(), ledger.position);
        Err(Error::Foreign { consumer, sequence, what, expected, found })
    };
    if let Some(bound) = ledger.store.filter(|bound| *bound != store.id()) {
        return foreign("its store", bound.to_string(), store.id().to_string());
    }
    let number = moved.map_or(0, |moved| moved.number);
    if number < ledger.number {
        let (expected, found) = (format!("at least {}", ledger.number), number.to_string());
        return foreign("the number of its last move in the log", expected, found);
    }
    store.shared.check_place(&consumer, Place { sequence: ledger.position, hash: ledger.hash })?;
    store.shared.check_place(&consumer, Place { sequence: ledger.reach, hash: ledger.reach_hash })?;
    let (newest, last) = (ledger.newest(), store.last_sequence());
    if newest > last {
        return foreign("the newest event that it knows", format!("there, as {newest}"), format!("{last}"));
    }
    Ok(moved.filter(|moved| moved.number > ledger.number))
}

/// Takes a move into the ledger that its records do not tell of yet; returns the records that do.
pub(super) fn catch_up(ledger: &mut Ledger, moved: &ConsumerMove) -> Vec<GroupRecord> {
    let done = moved.done.iter().map(|sequence| GroupRecord::Done { sequence: *sequence });
    let mut records: Vec<_> = done.collect();
    let ahead = (moved.sequence, moved.hash);
    let (sequence, hash) = ahead.max((ledger.position, ledger.hash));
    records.push(GroupRecord::Position { number: moved.number, sequence, hash });
    records.iter().try_for_each(|record| ledger.apply(record)).expect("a move that is newer");
    records
}

/// Makes durable what the log knows of the group, where this store can: its last holder may have died before.
fn make_durable(store: &Store) -> Result<(), Error> {
    if store.shared.writer.is_some() {
        store.sync()?;
    }
    Ok(())
}

/// What was replayed and whose results are in the store is done.
fn finish_meant(store: &Store, ledger: &mut Ledger) -> Result<Vec<GroupRecord>, Error> {
    let meant = ledger.parked.iter().filter_map(|(sequence, parked)| Some((*sequence, parked.meant?)));
    let meant: Vec<_> = meant.collect();
    if !meant.is_empty() {
        make_durable(store)?;
    }
    let (mut records, visible) = (Vec::new(), store.last_sequence());
    for (sequence, id) in meant {
        // Also where it was hidden since: it is there.
        if store.shared.ask(|view| Ok(view.find_id(id)?.is_some_and(|found| found.sequence <= visible)))? {
            records.push(GroupRecord::Done { sequence });
        }
    }
    records.iter().try_for_each(|record| ledger.apply(record)).expect("what is done was parked");
    Ok(records)
}

fn event_at(store: &Store, name: &ConsumerName, sequence: Sequence) -> Result<Event, Error> {
    store.shared.event_at(sequence)?.ok_or_else(|| Error::Foreign {
        consumer: title(Consumer::Group, name),
        sequence,
        what: "an event that it has parked",
        expected: "there".to_owned(),
        found: "not there".to_owned(),
    })
}
