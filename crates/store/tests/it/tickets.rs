//! Appends that return with their places: their order, what they say of durability, and what they wait for.

use std::thread;

use annals::{
    Background, Condition, Coordinate, Durability, Error, EventId, Kind, NewEvent, Options, Query, QueryItem,
    Sequence, Store, Ticket,
    disk::{SeededEntropy, SimulatedDirectory},
};
use annals_segment::{Errno, Fault, Span};

fn options() -> Options {
    let options = Options::new().create(true).segment_bytes(64 << 10);
    options.background(Background::Manual).entropy(SeededEntropy::new(1))
}

fn at() -> Coordinate {
    Coordinate::new("e:1", "s").unwrap()
}

fn kind() -> Kind {
    Kind::new(0x2001).unwrap()
}

fn submit(store: &Store, payload: &[u8]) -> Result<Ticket, Error> {
    store.submit(&[NewEvent::new(&at(), kind(), payload)], &Condition::new())
}

fn try_submit(store: &Store, payload: &[u8]) -> Result<Ticket, Error> {
    store.try_submit(&[NewEvent::new(&at(), kind(), payload)], &Condition::new())
}

/// The events that are there after a loss of power.
fn after_power_loss(disk: &SimulatedDirectory) -> usize {
    let store = options().open_on(disk.crash_subset(|_| false)).unwrap();
    store.all().map(Result::unwrap).count()
}

#[test]
fn places_are_given_in_order_and_one_sync_is_for_all() {
    let disk = SimulatedDirectory::new();
    let store = options().open_on(disk.clone()).unwrap();
    let tickets: Vec<_> = (0..100_u8).map(|number| submit(&store, &[number; 30]).unwrap()).collect();
    let places: Vec<_> = tickets.iter().map(|ticket| ticket.receipts()[0].sequence.0).collect();
    assert_eq!(places, (1..=100).collect::<Vec<_>>());
    assert!(!tickets[0].is_durable().unwrap());
    let frontiers = store.frontiers();
    assert_eq!(
        (frontiers.appended, frontiers.durable, frontiers.visible),
        (Sequence(100), Sequence(0), Sequence(0))
    );
    assert_eq!(after_power_loss(&disk), 0, "nothing is durable yet");
    let mut tickets = tickets.into_iter();
    let before = disk.operation_count();
    let first = tickets.next().unwrap().wait().unwrap();
    assert_eq!(first[0].durability, Durability::Durable);
    assert!(tickets.all(|ticket| ticket.is_durable().unwrap() && ticket.wait().is_ok()));
    assert!(disk.operation_count() - before < 10, "one write and one sync for all");
    assert_eq!(store.frontiers().durable, Sequence(100));
    assert_eq!(after_power_loss(&disk), 100);
}

#[test]
fn a_ticket_becomes_durable_though_nobody_waits() {
    let disk = SimulatedDirectory::new();
    let store = options().background(Background::Thread).open_on(disk.clone()).unwrap();
    let tickets: Vec<_> = (0..50_u8).map(|number| submit(&store, &[number; 30]).unwrap()).collect();
    while !tickets[49].is_durable().unwrap() {
        thread::yield_now();
    }
    assert!(tickets.iter().all(|ticket| ticket.is_durable().unwrap()));
    assert_eq!(after_power_loss(&disk), 50);
}

#[test]
fn a_full_queue_waits_or_refuses() {
    let disk = SimulatedDirectory::new();
    let store = options().queue_bytes_max(4 << 10).open_on(disk).unwrap();
    let first = try_submit(&store, &[1; 3_000]).unwrap();
    let refused = try_submit(&store, &[2; 3_000]).unwrap_err();
    assert!(matches!(refused, Error::Busy { what: "the queue", max: 4096, .. }), "{refused}");
    assert!(!first.is_durable().unwrap());
    let second = submit(&store, &[2; 3_000]).unwrap();
    assert!(first.is_durable().unwrap() && !second.is_durable().unwrap(), "room was waited for");
    second.wait().unwrap();
    // What is larger than the queue is taken where nothing else is on its way.
    let large = try_submit(&store, &[3; 10_000]).unwrap();
    assert_eq!(large.wait().unwrap()[0].sequence, Sequence(3));
    assert_eq!(store.all().count(), 3);
}

#[test]
fn a_full_segment_refuses_who_will_not_wait_until_nothing_is_on_its_way() {
    let store = options().segment_bytes(4 << 10).open_on(SimulatedDirectory::new()).unwrap();
    let first = try_submit(&store, &[1; 3_000]).unwrap();
    assert!(matches!(try_submit(&store, &[2; 3_000]), Err(Error::Busy { .. })));
    first.wait().unwrap();
    assert_eq!(try_submit(&store, &[2; 3_000]).unwrap().wait().unwrap()[0].sequence, Sequence(2));
}

#[test]
fn conditions_and_repeats_are_those_of_an_append() {
    let store = options().open_on(SimulatedDirectory::new()).unwrap();
    let (coordinate, id) = (at(), EventId([9; 16]));
    let event = [NewEvent::new(&coordinate, kind(), b"x").id(id)];
    let first = Condition::new().no_event(Query::of(QueryItem::new().kind(kind())), Sequence(0));
    let ticket = store.submit(&event, &first).unwrap();
    assert!(!ticket.receipts()[0].is_repeat);
    let other = [NewEvent::new(&coordinate, kind(), b"y")];
    assert!(store.submit(&other, &first).unwrap_err().is_conflict(), "what is on its way counts");
    let again = store.submit(&event, &first).unwrap();
    assert!(again.receipts()[0].is_repeat && again.receipts()[0].sequence == Sequence(1));
    assert_eq!(again.wait().unwrap()[0].durability, Durability::Durable);
    assert!(store.submit(&[], &first).unwrap().wait().unwrap().is_empty());
}

#[test]
fn what_is_not_appended_cannot_be_waited_for() {
    let store = options().open_on(SimulatedDirectory::new()).unwrap();
    drop(submit(&store, b"x").unwrap());
    let error = store.wait_durable(Sequence(2)).unwrap_err();
    assert_eq!(error.to_string(), "sequence: 2 is not appended yet: the newest is 1");
    store.wait_durable(Sequence(1)).unwrap();
    assert_eq!(store.frontiers().durable, Sequence(1));
}

#[test]
fn after_a_failed_sync_no_ticket_says_durable() {
    let disk = SimulatedDirectory::new();
    let store = options().open_on(disk.clone()).unwrap();
    let kept = submit(&store, b"kept").unwrap().wait().unwrap();
    let lost = [submit(&store, b"one").unwrap(), submit(&store, b"two").unwrap()];
    disk.inject(disk.operation_count(), Fault::Fail(Errno::Io), Span::Once);
    let [first, second] = lost;
    assert!(matches!(first.wait(), Err(Error::Stopped { durable, .. }) if durable == kept[0].sequence));
    assert!(matches!(second.is_durable(), Err(Error::Stopped { .. })));
    assert!(matches!(second.wait(), Err(Error::Stopped { .. })));
    store.wait_durable(kept[0].sequence).unwrap();
}
