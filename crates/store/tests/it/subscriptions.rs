//! Subscriptions: history and then what comes, without a gap or a repeat; where they stand; how they end.

use std::{
    thread,
    time::{Duration, Instant},
};

use annals::{
    Background, Coordinate, Durability, Error, Kind, NewEvent, Options, Query, QueryItem, Recorded, Sequence,
    Store, Tag,
    consume::Subscription,
    disk::{Clock, MemoryDirectory, SeededEntropy, SimulatedDirectory},
};
use annals_segment::{Errno, Fault, Span};

const COUNT: u64 = if cfg!(miri) { 6 } else { 300 };

fn options() -> Options {
    let options = Options::new().create(true).segment_bytes(4096);
    options.background(Background::Manual).entropy(SeededEntropy::new(1))
}

fn open() -> Store {
    options().open_on(SimulatedDirectory::new()).unwrap()
}

fn kind(number: u64) -> Kind {
    Kind::new(0x2000 + u16::try_from(number % 3).unwrap()).unwrap()
}

/// Appends the event with `number`: every third is of a kind, every fifth of an entity.
fn append(store: &Store, number: u64, durability: Durability) {
    let at = Coordinate::new(&format!("e:{}", number % 5), "s").unwrap();
    let payload = [7; 200];
    let event = NewEvent::new(&at, kind(number), &payload).tag(Tag::new("all").unwrap());
    store.append_with(&event, durability).unwrap();
}

fn append_all(store: &Store, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| append(store, number, Durability::Durable));
}

/// What can be taken without waiting.
fn taken(subscription: &mut Subscription) -> Vec<u64> {
    std::iter::from_fn(|| subscription.try_next().unwrap().map(|event| event.sequence().0)).collect()
}

fn queries() -> Vec<Query> {
    let item = QueryItem::new;
    vec![
        Query::all(),
        Query::of(item().kind(kind(0))),
        Query::of(item().scope("s").entity("e:1")),
        Query::of(item().tag("all").kind(kind(1))).or(item().entity("e:2").scope("s")),
        Query::of(item().tag("nobody")),
        Query::of(item().after(Sequence(7)).until(Sequence(20))),
    ]
}

#[test]
fn history_and_what_comes_are_delivered_once_and_in_order() {
    for visibility in [Durability::Durable, Durability::Written] {
        let store = options().visibility(visibility).open_on(SimulatedDirectory::new()).unwrap();
        append_all(&store, 0..COUNT / 3);
        let subscribers: Vec<_> = queries()
            .into_iter()
            .flat_map(|query| [0, 1, COUNT / 4, COUNT / 2].map(|after| (query.clone(), Sequence(after))))
            .map(|(query, after)| {
                let subscription = store.subscribe(query.clone()).after(after);
                let read = move || subscription.map(|event| event.unwrap().sequence().0).collect::<Vec<_>>();
                (query, after, thread::spawn(read))
            })
            .collect();
        thread::scope(|scope| {
            for writer in 0..2 {
                let store = &store;
                scope.spawn(move || {
                    let levels = [Durability::Durable, Durability::Written, Durability::Queued];
                    for (number, level) in (0..COUNT / 3).zip(levels.into_iter().cycle()) {
                        append(store, number * 2 + writer, level);
                    }
                });
            }
            scope.spawn(|| (0..COUNT / 10).for_each(|_| store.pump().unwrap()));
        });
        store.clone().close().unwrap();
        for (query, after, subscriber) in subscribers {
            let expected: Vec<_> =
                store.query(query.clone()).after(after).map(|event| event.unwrap().sequence().0).collect();
            assert_eq!(subscriber.join().unwrap(), expected, "{query} after {after}, {visibility:?}");
        }
    }
}

#[test]
fn only_what_is_visible_is_delivered() {
    let store = open();
    let mut subscription = store.subscribe(Query::all());
    append(&store, 0, Durability::Queued);
    append(&store, 1, Durability::Written);
    assert_eq!((taken(&mut subscription), subscription.delivered()), (vec![], Sequence(0)));
    append(&store, 2, Durability::Durable);
    append(&store, 3, Durability::Written);
    assert_eq!((taken(&mut subscription), subscription.delivered()), (vec![1, 2, 3], Sequence(3)));
}

#[test]
fn what_was_delivered_passes_what_does_not_match_and_no_event_that_was_not_delivered() {
    let store = open();
    append_all(&store, 0..40);
    let mut subscription = store.subscribe(Query::of(QueryItem::new().kind(kind(0))));
    assert_eq!((subscription.delivered(), subscription.lag()), (Sequence(0), 40));
    for expected in (1..=40).step_by(3) {
        let event = subscription.try_next().unwrap().unwrap();
        assert_eq!(event.sequence(), Sequence(expected));
        assert!(subscription.delivered() >= event.sequence());
        assert!(subscription.delivered().0 < expected + 3, "{} behind {expected}", subscription.delivered());
        let again =
            store.subscribe(Query::of(QueryItem::new().kind(kind(0)))).after(subscription.delivered());
        assert_eq!(next_of(again, &store), expected + 3);
    }
    assert_eq!((taken(&mut subscription), subscription.delivered()), (vec![], Sequence(40)));
    append_all(&store, 40..42);
    assert_eq!((subscription.lag(), taken(&mut subscription)), (2, vec![]));
    assert_eq!((subscription.delivered(), subscription.lag()), (Sequence(42), 0));
}

/// The next event that it delivers; where there is none, what would be the next of its kind.
fn next_of(mut subscription: Subscription, store: &Store) -> u64 {
    let next = subscription.try_next().unwrap();
    next.map_or(store.last_sequence().0 + 3, |event| event.sequence().0)
}

#[test]
fn it_begins_behind_what_is_there_where_it_is_to_begin_now() {
    let store = open();
    append_all(&store, 0..10);
    let mut now = store.subscribe(Query::all()).from_now();
    let mut later = store.subscribe(Query::all()).after(Sequence(12));
    assert_eq!((taken(&mut now), taken(&mut later)), (vec![], vec![]));
    append_all(&store, 10..14);
    assert_eq!((taken(&mut now), taken(&mut later)), (vec![11, 12, 13, 14], vec![13, 14]));
}

#[test]
fn a_wait_with_a_time_is_over_in_time_and_loses_nothing() {
    let store = open();
    let mut subscription = store.subscribe(Query::of(QueryItem::new().kind(kind(1))));
    append(&store, 0, Durability::Durable);
    let started = Instant::now();
    assert!(subscription.next_within(Duration::from_millis(5)).unwrap().is_none());
    assert!(started.elapsed() >= Duration::from_millis(5));
    assert_eq!(subscription.delivered(), Sequence(1), "also while nothing matched");
    append(&store, 1, Durability::Durable);
    let event = subscription.next_within(Duration::ZERO).unwrap().unwrap();
    assert_eq!(event.sequence(), Sequence(2));
    assert!(subscription.next_within(Duration::ZERO).unwrap().is_none());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| subscription.next_within(Duration::MAX).unwrap().unwrap().sequence());
        append_all(&store, 2..5);
        assert_eq!(waiter.join().unwrap(), Sequence(5));
    });
}

#[test]
fn what_can_be_read_is_delivered_after_a_close_and_then_it_ends() {
    let store = open();
    append_all(&store, 0..3);
    let mut subscription = store.subscribe(Query::all());
    store.clone().close().unwrap();
    assert_eq!(subscription.next().unwrap().unwrap().sequence(), Sequence(1));
    assert_eq!(subscription.by_ref().map(|event| event.unwrap().sequence().0).collect::<Vec<_>>(), [2, 3]);
    assert!(subscription.next().is_none());
    assert!(matches!(subscription.try_next(), Err(Error::Closed)));
    assert!(matches!(subscription.next_within(Duration::MAX), Err(Error::Closed)));
    assert_eq!(subscription.delivered(), Sequence(3));
    assert!(matches!(store.wait_visible(Sequence(3), Duration::MAX), Err(Error::Closed)));
    assert_eq!(store.wait_visible(Sequence(2), Duration::MAX).unwrap(), Sequence(3));
}

#[test]
fn it_keeps_neither_the_store_nor_its_lock() {
    let disk = SimulatedDirectory::new();
    for round in 0..20 {
        let store = options().open_on(disk.clone()).unwrap();
        let mut idle = store.subscribe(Query::all()).from_now();
        let mut waiting = store.subscribe(Query::all()).from_now();
        let waiter = thread::spawn(move || waiting.next_within(Duration::MAX).map(|_| ()));
        append(&store, round, Durability::Durable);
        drop(store);
        let again = options().open_on(disk.clone()).unwrap();
        let taken = idle.next_within(Duration::MAX).unwrap().unwrap();
        assert_eq!(taken.sequence(), again.last_sequence(), "what could be read is delivered");
        assert!(matches!(idle.next_within(Duration::MAX), Err(Error::Closed)));
        assert!(idle.next().is_none());
        waiter.join().unwrap().unwrap();
    }
}

#[test]
fn one_that_waits_is_ended_from_another_thread_and_others_are_not() {
    let store = open();
    let (mut one, mut other) = (store.subscribe(Query::all()), store.subscribe(Query::all()));
    let ender = one.ender();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| one.next().is_none());
        ender.end();
        assert!(waiter.join().unwrap());
    });
    append(&store, 0, Durability::Durable);
    assert!(matches!(one.try_next(), Err(Error::Closed)), "also where there is something to read");
    assert_eq!(taken(&mut other), [1]);
}

#[test]
fn of_a_writer_that_stopped_it_delivers_what_can_be_read_and_then_the_cause() {
    let disk = SimulatedDirectory::new();
    let store = options().open_on(disk.clone()).unwrap();
    append(&store, 0, Durability::Durable);
    let mut waiting = store.subscribe(Query::all()).from_now();
    let waiter = thread::spawn(move || {
        let first = waiting.next().unwrap();
        (first.map(|_| ()), waiting.next().is_none(), waiting.delivered())
    });
    disk.inject(disk.operation_count(), Fault::Fail(Errno::Io), Span::Once);
    let at = Coordinate::new("e:1", "s").unwrap();
    store.append(&NewEvent::new(&at, kind(0), b"x")).unwrap_err();
    let (first, is_over, delivered) = waiter.join().unwrap();
    assert!(matches!(first, Err(Error::Stopped { durable: Sequence(1), .. })), "{first:?}");
    assert!(is_over && delivered == Sequence(1));

    let mut late = store.subscribe(Query::all());
    drop(store.clone().close());
    assert_eq!(late.try_next().unwrap().unwrap().sequence(), Sequence(1));
    drop(store);
    assert!(matches!(late.try_next(), Err(Error::Stopped { .. })), "also when the store is gone");
    assert!(matches!(late.try_next(), Err(Error::Closed)));
}

#[test]
fn of_an_event_that_cannot_be_read_it_stands_before_it() {
    let directory = MemoryDirectory::new();
    let store = options().open_on(directory.clone()).unwrap();
    append_all(&store, 0..30);
    store.close().unwrap();
    let name = "000001.seg";
    let name = directory.names().into_iter().find(|found| found.contains(name)).unwrap_or(name.to_owned());
    let mut files: Vec<_> =
        directory.names().into_iter().map(|name| (name.clone(), directory.file(&name).unwrap())).collect();
    let frames = &mut files.iter_mut().find(|(found, _)| *found == name).unwrap().1;
    // The payload of the second event, which begins behind the header and one frame of some 300 bytes.
    let payloads: Vec<_> = frames.windows(200).enumerate().filter(|(_, bytes)| *bytes == [7; 200]).collect();
    let place = payloads[1].0;
    frames[place + 100] ^= 1;
    let store = options().open_on(MemoryDirectory::from_files(files)).unwrap();
    let mut subscription = store.subscribe(Query::all());
    assert_eq!(subscription.next().unwrap().unwrap().sequence(), Sequence(1));
    assert!(matches!(subscription.next(), Some(Err(Error::Corrupt { .. }))));
    assert_eq!(subscription.delivered(), Sequence(1));
    assert!(subscription.next().is_none());
}

/// A clock that shows the time that it is told.
#[derive(Debug, Clone, Default)]
struct ToldClock(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl Clock for ToldClock {
    fn now_millis(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[test]
fn a_query_of_times_that_are_still_to_come_matches_when_they_are_there() {
    let clock = ToldClock::default();
    let store = options().clock(clock.clone()).open_on(SimulatedDirectory::new()).unwrap();
    let (from, to) = (Recorded::end_of_millis(1_000), Recorded::end_of_millis(2_000));
    let item = QueryItem::new().recorded_after(from).recorded_until(to);
    let mut subscription = store.subscribe(Query::of(item));
    let mut seen = Vec::new();
    for (number, millis) in (0..).zip([900, 1_000, 1_001, 1_500, 2_000, 2_001, 3_000]) {
        clock.0.store(millis, std::sync::atomic::Ordering::SeqCst);
        append(&store, number, Durability::Durable);
        seen.extend(taken(&mut subscription));
    }
    assert_eq!((seen, subscription.delivered()), (vec![3, 4, 5], Sequence(7)));
}

#[test]
fn what_is_hidden_is_not_delivered_also_where_it_was_found_already() {
    let store = open();
    append_all(&store, 0..10);
    let mut before = store.subscribe(Query::all());
    assert_eq!(before.try_next().unwrap().unwrap().sequence(), Sequence(1));
    store.hide(Sequence(3), Sequence(4)).unwrap();
    assert_eq!(taken(&mut before), [2, 5, 6, 7, 8, 9, 10]);
    assert_eq!(taken(&mut store.subscribe(Query::all()).after(Sequence(2))), [5, 6, 7, 8, 9, 10]);
    assert_eq!(before.delivered(), Sequence(10));
}

#[test]
fn one_thread_serves_many() {
    let store = open();
    let mut subscriptions: Vec<_> =
        queries().into_iter().map(|query| (Vec::new(), store.subscribe(query))).collect();
    thread::scope(|scope| {
        let writer = scope.spawn(|| append_all(&store, 0..COUNT));
        let mut seen = Sequence(0);
        while seen < Sequence(COUNT) {
            seen = store.wait_visible(seen, Duration::MAX).unwrap();
            for (events, subscription) in &mut subscriptions {
                events.extend(taken(subscription));
            }
        }
        writer.join().unwrap();
    });
    for ((events, subscription), query) in subscriptions.iter().zip(queries()) {
        let expected: Vec<_> = store.query(query).map(|event| event.unwrap().sequence().0).collect();
        assert_eq!((events, subscription.delivered()), (&expected, Sequence(COUNT)));
    }
    assert_eq!(store.wait_visible(Sequence(COUNT), Duration::ZERO).unwrap(), Sequence(COUNT));
}

#[test]
fn an_idle_one_takes_less_than_a_kibibyte() {
    let store = open();
    append_all(&store, 0..COUNT);
    let item = QueryItem::new().kind(kind(1)).tag("all").scope("s").entity("e:1");
    let make = || {
        // In the segment that is written: others are opened when they are read, and belong to the store.
        let query = Query::of(item.clone()).or(QueryItem::new().after(Sequence(COUNT - 1)));
        let mut made = store.subscribe(query).after(Sequence(COUNT - 1));
        assert_eq!(taken(&mut made), [COUNT]);
        made
    };
    let mut made = vec![make()];
    made.reserve(100);
    let taken = allocation_counter::measure(|| made.extend((0..100).map(|_| make())));
    let own = i64::try_from(size_of::<Subscription>()).unwrap();
    let bytes = taken.bytes_current / 100 + own;
    assert!((own + 300..1024).contains(&bytes), "{bytes} bytes, {own} of its own");
}
