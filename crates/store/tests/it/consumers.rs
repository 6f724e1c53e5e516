//! Consumers at their edges: what a group and a cursor know after a process died beside which they read, what becomes of
//! errors that one of several workers meets, and what is never handed out.

use std::{thread, time::Duration};

use annals::{
    Background, Coordinate, Durability, Error, Kind, NewEvent, Options, Query, QueryItem, Sequence, Store,
    consume::{Group, GroupOptions},
    disk::{MemoryDirectory, SeededEntropy, SimulatedDirectory},
};
use annals_segment::{Errno, Fault, Span};

fn options() -> Options {
    Options::new().create(true).background(Background::Manual).entropy(SeededEntropy::new(1))
}

/// What is written is visible, and a receipt says no more.
fn written() -> Options {
    options().durability(Durability::Written).visibility(Durability::Written)
}

fn open(disk: &SimulatedDirectory) -> Store {
    options().open_on(disk.clone()).unwrap()
}

fn input() -> Kind {
    Kind::new(0x2001).unwrap()
}

fn result() -> Kind {
    Kind::new(0x2002).unwrap()
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

/// Ends a writer as a kill does: what it wrote is there, and synced by nobody.
fn kill(disk: &SimulatedDirectory, writer: Store) {
    disk.inject(disk.operation_count(), Fault::Fail(Errno::Io), Span::Once);
    drop(writer);
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

#[test]
fn a_group_that_is_opened_again_knows_no_move_that_the_power_takes() {
    let disk = SimulatedDirectory::new();
    let store = written().open_on(disk.clone()).unwrap();
    append(&store, &[1]);
    store.sync().unwrap();
    let held = with(&store, &GroupOptions::new().save_every(100, Duration::MAX));
    held.try_next().unwrap().unwrap().done_with(&[NewEvent::new(&at(9), result(), b"70")]).unwrap();
    let reader = written().open_read_only_on(disk.clone()).unwrap();
    // Nobody made the move durable, and nobody can.
    disk.inject(disk.operation_count(), Fault::Fail(Errno::Io), Span::Once);
    drop(held);
    assert!(matches!(store.group("g", Query::all()), Err(Error::Stopped { .. })));
    drop(store);
    let taken_over = group(&reader);
    assert_eq!((all(&taken_over), taken_over.position()), (vec![], Sequence(2)));
    drop(taken_over);
    let store = open(&disk.crash_subset(|_| false));
    assert_eq!(store.last_sequence(), Sequence(1));
    assert_eq!(all(&group(&store)), [1]);
}

#[test]
fn a_reader_knows_what_is_durable_also_when_its_writer_is_gone() {
    let disk = SimulatedDirectory::new();
    let store = written().open_on(disk.clone()).unwrap();
    append(&store, &[1]);
    store.sync().unwrap();
    append(&store, &[1]);
    let reader = written().open_read_only_on(disk.clone()).unwrap();
    let mut cursor = reader.cursor("c", Query::all()).unwrap();
    while cursor.try_next().unwrap().is_some() {}
    assert_eq!(cursor.delivered(), Sequence(2), "what is written is visible");
    assert_eq!(cursor.save().unwrap(), Sequence(1));
    kill(&disk, store);
    assert_eq!(cursor.save().unwrap(), Sequence(1), "nobody has synced the second");
    drop(cursor);
    let lost = disk.crash_subset(|_| false);
    assert_eq!(open(&lost).cursor("c", Query::all()).unwrap().saved(), Sequence(1));
}

#[test]
fn a_reader_learns_that_what_was_not_proven_is_durable() {
    let disk = SimulatedDirectory::new();
    let store = written().open_on(disk.clone()).unwrap();
    append(&store, &[1, 1]);
    kill(&disk, store);
    let reader = options().open_read_only_on(disk.clone()).unwrap();
    let mut cursor = reader.cursor("c", Query::all()).unwrap();
    assert!(cursor.try_next().unwrap().is_some());
    assert_eq!((cursor.save().unwrap(), reader.report().proven), (Sequence(0), Some(Sequence(0))));
    let store = open(&disk);
    append(&store, &[1]);
    assert_eq!(reader.refresh().unwrap(), Sequence(3));
    store.close().unwrap();
    while cursor.try_next().unwrap().is_some() {}
    assert_eq!(cursor.save().unwrap(), Sequence(3));
}

#[test]
fn a_cursor_that_went_on_elsewhere_is_none_of_another_history() {
    let disk = SimulatedDirectory::new();
    let store = open(&disk);
    append(&store, &[1]);
    let readers = [2, 3, 4]
        .map(|seed| options().entropy(SeededEntropy::new(seed)).open_read_only_on(disk.clone()).unwrap());
    append(&store, &[1, 1]);
    let mut cursor = store.cursor("c", Query::all()).unwrap();
    while cursor.try_next().unwrap().is_some() {}
    cursor.save().unwrap();
    drop(cursor);
    let [looking, opening, deleting] = readers;
    let found = looking.find_cursor("c").unwrap().unwrap();
    assert_eq!((found.refused, found.position), (None, Sequence(3)));
    assert_eq!(opening.cursor("c", Query::all()).unwrap().saved(), Sequence(3));
    let mut cursor = store.cursor("c", Query::all()).unwrap();
    cursor.append(&[NewEvent::new(&at(9), result(), b"70")]).unwrap();
    drop(cursor);
    assert!(matches!(deleting.delete_cursor("c"), Err(Error::ReadOnly)), "it is in the log");
    assert_eq!(store.cursor("c", Query::all()).unwrap().saved(), Sequence(3));
}

#[test]
fn an_event_that_was_hidden_while_it_waited_is_not_handed_out() {
    let store = open(&SimulatedDirectory::new());
    append(&store, &[1, 1]);
    let group = group(&store);
    let first = group.try_next().unwrap().unwrap();
    assert!(group.try_next().unwrap().is_none(), "the second was seen, and waits for the first");
    store.hide(Sequence(2), Sequence(2)).unwrap();
    first.done().unwrap();
    assert_eq!((all(&group), group.position()), (vec![], Sequence(2)));
}

#[test]
fn a_result_that_was_hidden_is_there_all_the_same() {
    let disk = SimulatedDirectory::new();
    let store = open(&disk);
    append(&store, &[1]);
    let held = with(&store, &GroupOptions::new().save_every(100, Duration::MAX));
    held.try_next().unwrap().unwrap().park("no such order").unwrap();
    held.replay(Sequence(1)).unwrap();
    held.try_next().unwrap().unwrap().done_with(&[NewEvent::new(&at(9), result(), b"70")]).unwrap();
    // The group's own log did not hear of it any more.
    let left = disk.kill();
    let store = open(&left);
    store.hide(Sequence(2), Sequence(2)).unwrap();
    assert_eq!(all(&group(&store)), []);
}

#[test]
fn an_event_that_is_asked_for_again_and_that_no_process_survives_is_parked_again() {
    let mut disk = SimulatedDirectory::new();
    let mut store = open(&disk);
    append(&store, &[1]);
    let options = GroupOptions::new().attempts_max(2);
    let held = with(&store, &options);
    held.try_next().unwrap().unwrap().park("no such order").unwrap();
    held.replay(Sequence(1)).unwrap();
    drop(held);
    for attempt in 1..=2 {
        let held = with(&store, &options);
        let delivery = held.try_next().unwrap().unwrap();
        assert_eq!(delivery.attempt(), attempt);
        let left = disk.kill();
        drop((delivery, held, store));
        disk = left;
        store = open(&disk);
    }
    let held = with(&store, &options);
    assert!(held.try_next().unwrap().is_none());
    let parked = held.parked().unwrap();
    assert_eq!(parked[0].reason, "each time that it was handed out the process ended");
    assert!(!parked[0].is_replayed);
    drop(held);
    assert!(with(&store, &options).try_next().unwrap().is_none());
}

#[test]
fn an_event_that_cannot_be_read_is_told_to_every_worker_and_ends_none() {
    let disk = SimulatedDirectory::new();
    let store = open(&disk);
    append(&store, &[1, 2]);
    let group = group(&store);
    let name = disk.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let whole = disk.file(&name).unwrap();
    let mut damaged = whole.clone();
    let place = whole.windows(4).position(|bytes| bytes == b"work").unwrap();
    damaged[place] ^= 1;
    disk.write_file(&name, damaged);
    for _ in 0..3 {
        let error = group.next().unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }
    disk.write_file(&name, whole);
    assert_eq!(all(&group), [1, 2], "each once");
    disk.inject(disk.operation_count(), Fault::Fail(Errno::Io), Span::Once);
    store.append(&NewEvent::new(&at(1), input(), b"lost")).unwrap_err();
    for _ in 0..3 {
        let error = group.next().unwrap_err();
        assert!(matches!(error, Error::Stopped { .. }), "{error}");
    }
}

#[test]
fn whoever_waits_is_told_of_an_error_that_another_met() {
    let directory = MemoryDirectory::new();
    let writer = options().open_on(directory.clone()).unwrap();
    append(&writer, &[1]);
    writer.close().unwrap();
    let group = group(&options().open_read_only_on(directory.clone()).unwrap());
    assert_eq!(all(&group), [1]);
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let group = group.clone();
            thread::spawn(move || group.next_within(Duration::from_secs(60)))
        })
        .collect();
    for name in directory.names().into_iter().filter(|name| name != "LOCK" && !name.starts_with("groups")) {
        annals::disk::Directory::remove(&directory, &name).unwrap();
    }
    let other = options().entropy(SeededEntropy::new(2)).open_on(directory).unwrap();
    append(&other, &[1]);
    for worker in workers {
        let outcome = worker.join().unwrap();
        assert!(matches!(outcome, Err(Error::OtherHistory { .. })), "{outcome:?}");
    }
}

#[test]
fn what_was_not_durable_is_saved_when_it_has_become_so() {
    let disk = SimulatedDirectory::new();
    let writer = written().open_on(disk.clone()).unwrap();
    append(&writer, &[1]);
    writer.sync().unwrap();
    append(&writer, &[1]);
    let reader = written().open_read_only_on(disk).unwrap();
    let group = with(&reader, &GroupOptions::new().save_every(100, Duration::ZERO));
    assert_eq!(all(&group), [1, 2]);
    let saved = || reader.find_group("g").unwrap().unwrap().position;
    assert_eq!(saved(), Sequence(1));
    writer.sync().unwrap();
    assert!(group.try_next().unwrap().is_none());
    assert_eq!(saved(), Sequence(2));
}

#[test]
fn a_group_that_stands_still_ends_with_its_store() {
    let store = open(&SimulatedDirectory::new());
    append(&store, &[1, 1, 1, 1]);
    let options = GroupOptions::new().parked_max(1).window(3).save_every(100, Duration::MAX);
    let group = with(&store, &options);
    group.try_next().unwrap().unwrap().park("no such order").unwrap();
    assert!(group.try_next().unwrap().is_none(), "no room for those behind it");
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let group = group.clone();
            thread::spawn(move || group.next().unwrap().is_none())
        })
        .collect();
    store.close().unwrap();
    assert!(workers.into_iter().all(|worker| worker.join().unwrap()));
}

#[test]
fn whoever_waits_for_room_is_called_when_there_is_some() {
    let store = open(&SimulatedDirectory::new());
    let group = with(&store, &GroupOptions::new().window(1).save_every(100, Duration::MAX));
    for _ in 0..100 {
        append(&store, &[1, 2]);
        let first = group.try_next().unwrap().unwrap();
        let worker = {
            let group = group.clone();
            thread::spawn(move || group.next_within(Duration::from_secs(60)))
        };
        thread::yield_now();
        first.done().unwrap();
        worker.join().unwrap().unwrap().expect("the second of them").done().unwrap();
    }
}
