//! Reading as of a moment, and late in a stream: a time is a place in the log, and what lies before the place that is
//! asked for is not looked at.

use annals::{
    Background, Condition, Coordinate, Durability, Error, Kind, NewEvent, Options, Query, QueryItem,
    Recorded, Revision, Sequence, Store,
    disk::{MemoryDirectory, SeededEntropy},
};
use proptest::prelude::*;

use crate::{
    history::{History, Step, steps},
    lazily::Watched,
};

fn at(entity: &str) -> Coordinate {
    Coordinate::new(entity, "s").unwrap()
}

fn kind() -> Kind {
    Kind::new(0x1001).unwrap()
}

/// Every time at which something changes, and those beside it.
fn times(recorded: impl Iterator<Item = Recorded>) -> Vec<Recorded> {
    let near = recorded.flat_map(|time| [time.0 - 1, time.0, time.0 + 1]);
    near.chain([0, 1, u64::MAX]).map(Recorded).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Over every kind of part: what a time means for the store, a condition and a query is the same place.
    #[test]
    fn a_time_is_the_place_where_the_events_have_it(steps in steps()) {
        let mut history = History::of(&steps);
        history.apply(&Step::Sync);
        let (store, events) = (history.store(), &history.events);
        for time in times(events.iter().map(|event| event.recorded)) {
            let place = events.partition_point(|event| event.recorded <= time);
            prop_assert_eq!(store.sequence_at(time).unwrap(), Sequence(place as u64), "{}", time);
            let later = Query::of(QueryItem::new().recorded_after(time));
            let mut shown = events[place..].iter().filter(|event| !event.is_hidden);
            prop_assert_eq!(store.query(later.clone()).count_events().unwrap(), shown.clone().count() as u64);
            if let Some(first) = shown.next() {
                let condition = Condition::new().no_event(later, Sequence(0));
                let refused = store.append_if(&[NewEvent::new(&at("e"), kind(), b"")], &condition).unwrap_err();
                let is_first = matches!(refused, Error::ConditionFailed { found, .. } if found == first.sequence);
                prop_assert!(is_first, "{}: {}", time, refused);
            }
        }
    }
}

#[test]
fn a_condition_on_a_time_knows_of_what_is_not_written_yet() {
    let options = Options::new().create(true).background(Background::Manual);
    let store = options.open_on(MemoryDirectory::new()).unwrap();
    let (a, b) = (at("a"), at("b"));
    let first = store.append_with(&NewEvent::new(&a, kind(), b"1"), Durability::Queued).unwrap();
    let since = |time| Query::of(QueryItem::new().scope("s").recorded_after(time));
    let event = [NewEvent::new(&b, kind(), b"2")];
    let none_since = |time| Condition::new().no_event(since(time), Sequence(0));
    let refused = store.append_if(&event, &none_since(Recorded(first.recorded.0 - 1))).unwrap_err();
    assert!(matches!(refused, Error::ConditionFailed { found: Sequence(1), .. }), "{refused}");
    let second = store.append_if(&event, &none_since(first.recorded)).unwrap();
    assert_eq!(second[0].sequence, Sequence(2));
    assert_eq!(store.sequence_at(first.recorded).unwrap(), Sequence(1));
}

#[test]
fn what_is_not_visible_was_not_there_at_any_time() {
    let options = Options::new().create(true).background(Background::Manual);
    let store = options.open_on(MemoryDirectory::new()).unwrap();
    let a = at("a");
    store.append(&NewEvent::new(&a, kind(), b"1")).unwrap();
    let queued = store.append_with(&NewEvent::new(&a, kind(), b"2"), Durability::Queued).unwrap();
    let count = |store: &Store| {
        let counts = [store.all(), store.stream(&a), store.scope("s")].map(|events| events.count_events());
        counts.map(Result::unwrap)
    };
    assert_eq!(store.sequence_at(queued.recorded).unwrap(), Sequence(1));
    assert_eq!(count(&store), [1, 1, 1]);
    store.sync().unwrap();
    assert_eq!(store.sequence_at(queued.recorded).unwrap(), Sequence(2));
    assert_eq!(count(&store), [2, 2, 2]);
}

/// A store of many segments, of which each has an event of one long stream, and few one of a rare one.
fn long(directory: MemoryDirectory) -> (Options, Vec<Recorded>) {
    let options = || {
        let options = Options::new().create(true).segment_bytes(4096);
        options.background(Background::Manual).entropy(SeededEntropy::new(1))
    };
    let store = options().open_on(directory).unwrap();
    let mut times = Vec::new();
    for number in 0..400 {
        let coordinate = if number % 4 == 0 { at("long") } else { at(&format!("e:{number}")) };
        let event = NewEvent::new(&coordinate, kind(), &[7; 700]);
        times.push(store.append_with(&event, Durability::Written).unwrap().recorded);
        if number % 40 == 0 {
            store.sync().unwrap();
            store.pump().unwrap();
        }
    }
    store.sync().unwrap();
    store.pump().unwrap();
    store.checkpoint().unwrap();
    store.close().unwrap();
    (options(), times)
}

#[test]
fn what_lies_before_is_not_looked_at() {
    let directory = MemoryDirectory::new();
    let (options, times) = long(directory.clone());
    let watched = Watched::new(directory);
    let store = options.open_on(watched.clone()).unwrap();
    let opened = |what: &str, most: usize, read: &dyn Fn()| {
        watched.take();
        read();
        let opened =
            watched.take().iter().filter(|seen| seen.starts_with("open ") && seen.contains(".seg")).count();
        assert!(opened <= most, "{what} opened {opened} segments");
    };
    let from = |revision| store.stream(&at("long")).from(Revision(revision));
    // Of a hundred segments, a search asks seven.
    opened("late in a stream", 9, &|| assert_eq!(from(90).limit(3).count(), 3));
    opened("early in a stream, backwards", 9, &|| {
        let before = store.stream(&at("long")).backwards().from(Revision(12)).limit(3);
        assert_eq!(before.map(|event| event.unwrap().revision().0).collect::<Vec<_>>(), [12, 11, 10]);
    });
    opened("a count of a stream", 12, &|| assert_eq!(from(20).count_events().unwrap(), 81));
    opened("a time", 9, &|| assert_eq!(store.sequence_at(times[333]).unwrap(), Sequence(334)));
    opened("a count of everything", 0, &|| assert_eq!(store.all().count_events().unwrap(), 400));
    opened("as of a time, backwards", 12, &|| {
        let mut before = store.all().recorded_until(times[99]).backwards();
        assert_eq!(before.next().unwrap().unwrap().sequence(), Sequence(100));
    });
    opened("a query within times", 14, &|| {
        let item = QueryItem::new().kind(kind()).recorded_after(times[200]).recorded_until(times[203]);
        assert_eq!(store.query(Query::of(item)).count(), 3);
    });
}
