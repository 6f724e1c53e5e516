//! Consumers at their edges: what a group and a cursor know after a process died beside which they read, what becomes of
//! errors that one of several workers meets, and what is never handed out.

use annals::{
    Background, Coordinate, Kind, NewEvent, Options, Query, QueryItem, Sequence, Store,
    consume::{Group, GroupOptions},
    disk::{SeededEntropy, SimulatedDirectory},
};

fn options() -> Options {
    Options::new().create(true).background(Background::Manual).entropy(SeededEntropy::new(1))
}

fn open(disk: &SimulatedDirectory) -> Store {
    options().open_on(disk.clone()).unwrap()
}

fn input() -> Kind {
    Kind::new(0x2001).unwrap()
}

fn at(stream: usize) -> Coordinate {
    Coordinate::new(&format!("e:{stream}"), "s").unwrap()
}

/// Appends one event to each of these streams, in this order.
fn append(store: &Store, streams: &[usize]) {
    for stream in streams {
        store.append(&NewEvent::new(&at(*stream), input(), b"work")).unwrap();
    }
}

fn group(store: &Store) -> Group {
    with(store, &GroupOptions::new())
}

fn with(store: &Store, options: &GroupOptions) -> Group {
    store.group_with("g", Query::of(QueryItem::new().kind(input())), options).unwrap()
}

/// The sequences of all events that can be handed out; each is done at once.
fn all(group: &Group) -> Vec<u64> {
    let next = || {
        let delivery = group.try_next().unwrap()?;
        let sequence = delivery.event().sequence().0;
        delivery.done().unwrap();
        Some(sequence)
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn without_results_an_event_is_done_as_by_saying_so() {
    let disk = SimulatedDirectory::new();
    let store = open(&disk);
    append(&store, &[1, 2]);
    let held = group(&store);
    held.try_next().unwrap().unwrap().done_with(&[]).unwrap();
    held.try_next().unwrap().unwrap().park("no such order").unwrap();
    held.replay(Sequence(2)).unwrap();
    assert_eq!(held.try_next().unwrap().unwrap().done_with(&[]).unwrap(), []);
    held.save().unwrap();
    // Whatever the power takes: the small log never knows of a move that the store's log does not have.
    let lost = disk.crash_subset(|_| false);
    let store = open(&lost);
    assert_eq!(all(&group(&store)), []);
    append(&store, &[1]);
    let reader = options().open_read_only_on(lost).unwrap();
    group(&reader).try_next().unwrap().unwrap().done_with(&[]).unwrap();
    assert_eq!(all(&group(&store)), []);
}
