//! Groups of workers: who gets which event when, what becomes of it, and what a group knows when it is opened again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use annals::{
    Background, Coordinate, Durability, Error, Expected, Kind, NewEvent, Options, Query, QueryItem, Sequence,
    Store,
    consume::{Group, GroupOptions, ParkedStream},
    disk::{Clock, SeededEntropy, SimulatedDirectory},
};

/// A clock that shows what it was told.
#[derive(Debug, Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Clock for Told {
    fn now_millis(&self) -> u64 {
        1_767_225_600_000 + self.0.load(Ordering::SeqCst)
    }
}

fn told(directory: impl annals::disk::Directory + 'static) -> (Store, Told) {
    let clock = Told::default();
    let options = Options::new().create(true).segment_bytes(16 << 10).clock(clock.clone());
    let store = options.background(Background::Manual).entropy(SeededEntropy::new(1)).open_on(directory);
    (store.unwrap(), clock)
}

fn open(directory: impl annals::disk::Directory + 'static) -> Store {
    told(directory).0
}

fn input() -> Kind {
    Kind::new(0x2001).unwrap()
}

fn result() -> Kind {
    Kind::new(0x2002).unwrap()
}

fn inputs() -> Query {
    Query::of(QueryItem::new().kind(input()))
}

fn at(stream: usize) -> Coordinate {
    Coordinate::new(&format!("e:{stream}"), "s").unwrap()
}

/// The files of a disk by path.
fn files(disk: &SimulatedDirectory) -> BTreeMap<String, Vec<u8>> {
    disk.names().into_iter().map(|name| (name.clone(), disk.file(&name).unwrap())).collect()
}

fn from_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> SimulatedDirectory {
    let disk = SimulatedDirectory::new();
    files.into_iter().for_each(|(name, bytes)| disk.write_file(&name, bytes));
    disk
}

fn is_groups(name: &str) -> bool {
    name.starts_with("groups/")
}

/// Appends one event to each of these streams, in this order.
fn append(store: &Store, streams: &[usize]) {
    for stream in streams {
        store.append(&NewEvent::new(&at(*stream), input(), b"work")).unwrap();
    }
}

fn group(store: &Store) -> Group {
    store.group("g", inputs()).unwrap()
}

fn with(store: &Store, options: &GroupOptions) -> Group {
    store.group_with("g", inputs(), options).unwrap()
}

/// The sequence of the next event; it is done at once.
fn next(group: &Group) -> Option<u64> {
    let delivery = group.try_next().unwrap()?;
    let sequence = delivery.event().sequence().0;
    delivery.done().unwrap();
    Some(sequence)
}

fn all(group: &Group) -> Vec<u64> {
    std::iter::from_fn(|| next(group)).collect()
}

fn parked(group: &Group) -> Vec<(u64, String)> {
    group.parked().unwrap().into_iter().map(|parked| (parked.sequence.0, parked.reason)).collect()
}

#[test]
fn a_stream_is_handed_out_in_order_and_streams_side_by_side() {
    let store = open(SimulatedDirectory::new());
    append(&store, &[1, 1, 2, 1, 2]);
    let group = group(&store);
    let first = group.try_next().unwrap().unwrap();
    let other = group.try_next().unwrap().unwrap();
    assert_eq!((first.event().sequence().0, other.event().sequence().0), (1, 3));
    assert!(group.try_next().unwrap().is_none(), "both streams are in somebody's hands");
    group.check().unwrap();
    first.done().unwrap();
    assert_eq!(group.position(), Sequence(1));
    let second = group.try_next().unwrap().unwrap();
    assert_eq!(second.event().sequence().0, 2);
    other.done().unwrap();
    assert_eq!(next(&group), Some(5));
    assert_eq!(group.position(), Sequence(1), "the second is not done");
    second.done().unwrap();
    assert_eq!(all(&group), [4]);
    assert_eq!(group.position(), Sequence(5));
}

#[test]
fn the_position_passes_what_is_none_of_the_groups() {
    let store = open(SimulatedDirectory::new());
    append(&store, &[1]);
    for _ in 0..3 {
        store.append(&NewEvent::new(&at(1), result(), b"")).unwrap();
    }
    let group = group(&store);
    assert_eq!(all(&group), [1]);
    assert_eq!((group.position(), group.save().unwrap()), (Sequence(4), Sequence(4)));
    drop(group);
    let info = store.find_group("g").unwrap().unwrap();
    assert_eq!((info.position, info.lag_events, info.is_held), (Sequence(4), 0, false));
}

#[test]
fn what_failed_is_tried_again_later_and_parked_in_the_end() {
    let (store, clock) = told(SimulatedDirectory::new());
    append(&store, &[1, 1, 2]);
    let group = with(&store, &GroupOptions::new().attempts_max(3));
    for attempt in 1..=3 {
        let delivery = group.try_next().unwrap().unwrap();
        assert_eq!((delivery.event().sequence().0, delivery.attempt()), (1, attempt));
        delivery.retry_after(Duration::from_millis(10), &format!("failed {attempt}")).unwrap();
        if attempt == 1 {
            assert_eq!(next(&group), Some(3), "another stream goes on");
        }
        assert_eq!(next(&group), None, "it is too early, and its stream waits");
        clock.0.fetch_add(10, Ordering::SeqCst);
    }
    assert_eq!(next(&group), None, "its stream waits behind what is parked");
    assert_eq!(parked(&group), [(1, "failed 3".to_owned()), (2, String::new())]);
    assert!(group.parked().unwrap()[1].is_aside);
    assert_eq!(group.position(), Sequence(3), "what is parked holds nothing back");
    let refused = group.replay(Sequence(2)).unwrap_err().to_string();
    assert!(refused.contains("waits behind 1"), "{refused}");
    assert!(group.replay(Sequence(3)).is_err(), "it is not parked");
    group.replay(Sequence(1)).unwrap();
    assert_eq!(all(&group), [1, 2], "in order");
    assert_eq!(parked(&group), []);
}

#[test]
fn a_parked_event_is_passed_over_and_its_stream_goes_on() {
    let store = open(SimulatedDirectory::new());
    append(&store, &[1, 1]);
    let group = group(&store);
    group.try_next().unwrap().unwrap().park("no such order").unwrap();
    assert_eq!(next(&group), None);
    group.skip(Sequence(1)).unwrap();
    assert_eq!(all(&group), [2]);
}

#[test]
fn a_stream_goes_on_past_what_is_parked_where_that_is_wanted() {
    let store = open(SimulatedDirectory::new());
    append(&store, &[1, 1, 1]);
    let group = with(&store, &GroupOptions::new().parked_stream(ParkedStream::GoesOn));
    group.try_next().unwrap().unwrap().park("no such order").unwrap();
    assert_eq!(all(&group), [2, 3]);
    group.replay(Sequence(1)).unwrap();
    assert_eq!(all(&group), [1]);
}

#[test]
fn what_is_let_go_of_counts_as_failed_and_so_does_a_panic() {
    let store = open(SimulatedDirectory::new());
    append(&store, &[1]);
    let group = with(&store, &GroupOptions::new().attempts_max(2));
    drop(group.try_next().unwrap().unwrap());
    let delivery = group.try_next().unwrap().unwrap();
    assert_eq!(delivery.attempt(), 2);
    let worker = thread::spawn(move || {
        let _delivery = delivery;
        panic!("as a worker does");
    });
    assert!(worker.join().is_err());
    assert_eq!(parked(&group), [(1, "its worker panicked".to_owned())]);
}

#[test]
fn what_is_known_outlives_the_process() {
    let directory = SimulatedDirectory::new();
    let store = open(directory.clone());
    append(&store, &[1, 2, 3, 4, 3]);
    let group = with(&store, &GroupOptions::new().attempts_max(2));
    let first = group.try_next().unwrap().unwrap();
    assert_eq!(next(&group), Some(2));
    group.try_next().unwrap().unwrap().park("no such order").unwrap();
    let fourth = group.try_next().unwrap().unwrap();
    group.save().unwrap();
    let info = store.find_group("g").unwrap().unwrap();
    assert_eq!(
        info.tried.iter().map(|tried| (tried.sequence.0, tried.attempts)).collect::<Vec<_>>(),
        [(1, 1), (4, 1)]
    );
    // The process ends with two in its hands.
    let left = directory.kill();
    drop((first, fourth, group, store));
    let store = open(left);
    let group = with(&store, &GroupOptions::new().attempts_max(2));
    assert_eq!(parked(&group)[0], (3, "no such order".to_owned()));
    let first = group.try_next().unwrap().unwrap();
    assert_eq!((first.event().sequence().0, first.attempt()), (1, 2));
    assert_eq!(group.try_next().unwrap().unwrap().event().sequence().0, 4);
    group.check().unwrap();
    first.done().unwrap();
    group.replay(Sequence(3)).unwrap();
    assert_eq!(next(&group), Some(3));
    assert_eq!(parked(&group)[0], (4, "its worker let go of it".to_owned()));
}

#[test]
fn an_event_that_no_process_survives_is_parked() {
    let mut directory = SimulatedDirectory::new();
    let mut store = open(directory.clone());
    append(&store, &[1]);
    let options = GroupOptions::new().attempts_max(3);
    for attempt in 1..=3 {
        let group = with(&store, &options);
        let delivery = group.try_next().unwrap().unwrap();
        assert_eq!(delivery.attempt(), attempt);
        let left = directory.kill();
        drop((delivery, group, store));
        directory = left;
        store = open(directory.clone());
    }
    let group = with(&store, &options);
    assert!(group.try_next().unwrap().is_none());
    assert_eq!(parked(&group), [(1, "each time that it was handed out the process ended".to_owned())]);
}

#[test]
fn results_and_that_the_event_is_done_are_one() {
    let store = open(SimulatedDirectory::new());
    append(&store, &[1, 1]);
    let group = group(&store);
    let mut delivery = group.try_next().unwrap().unwrap();
    let to = Coordinate::new("bill:1", "s").unwrap();
    let wrong = NewEvent::new(&to, result(), b"70").expected(Expected::Exists);
    let refused = delivery.done_with(std::slice::from_ref(&wrong)).unwrap_err();
    assert!(refused.is_conflict(), "{refused}");
    assert!(group.try_next().unwrap().is_none(), "it is in these hands still");
    let receipts = delivery.done_with(&[NewEvent::new(&to, result(), b"70")]).unwrap();
    assert_eq!((receipts[0].sequence.0, receipts[0].durability), (3, Durability::Durable));
    assert!(matches!(delivery.done_with(&[wrong]), Err(Error::Invalid { .. })), "it is done");
    drop(delivery);
    assert_eq!(all(&group), [2]);
    drop(group);
    let info = store.find_group("g").unwrap().unwrap();
    assert_eq!((info.position, info.move_count, info.refused), (Sequence(3), 1, None));
}

#[test]
fn results_that_are_there_already_are_a_repeat_and_the_event_is_done() {
    let disk = SimulatedDirectory::new();
    let store = open(disk.clone());
    append(&store, &[1]);
    let id = store.append(&NewEvent::new(&at(9), result(), b"70")).unwrap().id;
    let group = group(&store);
    let mut delivery = group.try_next().unwrap().unwrap();
    let receipts = delivery.done_with(&[NewEvent::new(&at(9), result(), b"70").id(id)]).unwrap();
    assert!(receipts[0].is_repeat);
    group.save().unwrap();
    // Whatever the power takes: the small log never knows of a move that the store's log does not have.
    let store = open(disk.crash_subset(|_| false));
    assert_eq!(all(&store.group("g", inputs()).unwrap()), []);
}

#[test]
fn one_process_has_a_group_and_another_takes_over() {
    let store = open(SimulatedDirectory::new());
    append(&store, &[1]);
    let held = group(&store);
    let delivery = held.try_next().unwrap().unwrap();
    assert!(matches!(store.group("g", inputs()), Err(Error::Locked { .. })));
    assert!(matches!(store.reset_group("g", Sequence(0)), Err(Error::Locked { .. })));
    assert!(store.find_group("g").unwrap().unwrap().is_held, "looking at it needs no lock");
    let other = store.clone();
    let waiting = thread::spawn(move || {
        let options = GroupOptions::new().lock_timeout(Duration::from_secs(60));
        next(&other.group_with("g", inputs(), &options).unwrap())
    });
    drop(held);
    drop(delivery);
    assert_eq!(waiting.join().unwrap(), Some(1));
}

#[test]
fn a_group_is_taken_elsewhere_and_away() {
    let store = open(SimulatedDirectory::new());
    append(&store, &[1, 1, 1]);
    let held = group(&store);
    held.try_next().unwrap().unwrap().done_with(&[NewEvent::new(&at(9), result(), b"")]).unwrap();
    held.try_next().unwrap().unwrap().park("no such order").unwrap();
    drop(held);
    store.reset_group("g", Sequence(0)).unwrap();
    assert_eq!(all(&group(&store)), [1, 2, 3], "nothing is parked any more");
    store.reset_group("g", Sequence(2)).unwrap();
    let info = store.find_group("g").unwrap().unwrap();
    assert_eq!((info.position, info.move_count), (Sequence(2), 1));
    let again = group(&store);
    again.try_next().unwrap().unwrap().done_with(&[NewEvent::new(&at(9), result(), b"")]).unwrap();
    drop(again);
    assert!(store.reset_group("g", Sequence(9)).is_err() && store.reset_group("none", Sequence(0)).is_err());
    assert!(store.delete_group("g").unwrap() && !store.delete_group("g").unwrap());
    assert_eq!(store.groups().unwrap(), []);
    assert_eq!(all(&group(&store)), [1, 2, 3], "it begins anew");
}

#[test]
fn what_is_done_out_of_order_is_bounded() {
    let store = open(SimulatedDirectory::new());
    append(&store, &[1, 2, 3, 4, 5, 6]);
    let group = with(&store, &GroupOptions::new().window(3));
    let first = group.try_next().unwrap().unwrap();
    assert_eq!(all(&group), [2, 3]);
    assert_eq!(next(&group), None, "the window is full");
    first.done().unwrap();
    assert_eq!(all(&group), [4, 5, 6]);
}

#[test]
fn a_group_of_another_store_or_of_a_restored_past_is_refused_by_name() {
    let directory = SimulatedDirectory::new();
    let store = open(directory.clone());
    append(&store, &[1, 2]);
    let past = files(&directory);
    append(&store, &[3]);
    let held = group(&store);
    assert_eq!(all(&held), [1, 2, 3]);
    drop(held);
    let groups: Vec<_> = files(&directory).into_iter().filter(|(name, _)| is_groups(name)).collect();
    assert!(!groups.is_empty());
    let refused = |files: BTreeMap<String, Vec<u8>>| {
        let store = open(from_files(files.into_iter().chain(groups.clone())));
        let info = store.find_group("g").unwrap().unwrap();
        let error = store.group("g", inputs()).unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
        assert_eq!(info.refused, Some(error.to_string()));
        store.reset_group("g", Sequence(0)).unwrap();
        assert_eq!(all(&group(&store)).first(), Some(&1));
        error.to_string()
    };
    let restored = refused(past);
    assert!(restored.contains("the group g") && restored.contains('3'), "{restored}");
    let other = SimulatedDirectory::new();
    let options = Options::new().create(true).background(Background::Manual).entropy(SeededEntropy::new(2));
    let store = options.open_on(other.clone()).unwrap();
    append(&store, &[1, 2, 3]);
    drop(store);
    let foreign = refused(files(&other));
    assert!(foreign.contains("its store"), "{foreign}");
}

#[test]
fn a_group_whose_own_log_is_gone_is_refused_for_what_it_parked() {
    let directory = SimulatedDirectory::new();
    let store = open(directory.clone());
    append(&store, &[1, 2]);
    let held = group(&store);
    held.try_next().unwrap().unwrap().park("no such order").unwrap();
    held.try_next().unwrap().unwrap().done_with(&[NewEvent::new(&at(9), result(), b"")]).unwrap();
    drop(held);
    drop(store);
    let without = files(&directory).into_iter().filter(|(name, _)| !is_groups(name));
    let store = open(from_files(without));
    let error = store.group("g", inputs()).unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }) && error.to_string().contains("parked"), "{error}");
    store.reset_group("g", Sequence(0)).unwrap();
    assert_eq!(all(&group(&store)), [1, 2]);
}

#[test]
fn a_store_that_is_read_only_has_groups_that_append_nothing() {
    let directory = SimulatedDirectory::new();
    let writer = open(directory.clone());
    append(&writer, &[1, 2]);
    let reader = Options::new().open_read_only_on(directory.clone()).unwrap();
    let held = group(&reader);
    let mut first = held.try_next().unwrap().unwrap();
    let refused = first.done_with(&[NewEvent::new(&at(9), result(), b"")]);
    assert!(matches!(refused, Err(Error::ReadOnly)), "{refused:?}");
    first.done().unwrap();
    drop(held);
    assert_eq!(all(&group(&writer)), [2]);
}

#[test]
fn a_worker_that_waits_beside_a_writer_gets_what_it_appends() {
    let directory = SimulatedDirectory::new();
    let writer = open(directory.clone());
    append(&writer, &[1]);
    let held = group(&Options::new().open_read_only_on(directory).unwrap());
    assert_eq!(next(&held), Some(1));
    let waiting = thread::spawn(move || {
        let delivery = held.next().unwrap().unwrap();
        let sequence = delivery.event().sequence();
        delivery.done().unwrap();
        (sequence, held.save().unwrap())
    });
    append(&writer, &[1]);
    assert_eq!(waiting.join().unwrap(), (Sequence(2), Sequence(2)));
    assert_eq!(all(&group(&writer)), []);
}

#[test]
fn an_event_that_was_hidden_is_not_handed_out_again() {
    let store = open(SimulatedDirectory::new());
    append(&store, &[1, 1]);
    let group = group(&store);
    drop(group.try_next().unwrap().unwrap());
    store.hide(Sequence(1), Sequence(1)).unwrap();
    assert_eq!(all(&group), [2]);
    assert_eq!(group.position(), Sequence(2));
}

#[test]
fn a_group_never_knows_what_the_power_takes() {
    let disk = SimulatedDirectory::new();
    let options = || {
        let options = Options::new().create(true).background(Background::Manual);
        options.durability(Durability::Written).visibility(Durability::Written).entropy(SeededEntropy::new(1))
    };
    let store = options().open_on(disk.clone()).unwrap();
    append(&store, &[1]);
    store.sync().unwrap();
    let group = group(&store);
    group.save().unwrap();
    append(&store, &[2, 3]);
    assert_eq!(all(&group), [1, 2, 3], "what is written is visible");
    // Everything that the group has written gets to the disk, and of the store's log what was synced.
    let after = disk.crash_subset(|_| true);
    let kept: Vec<_> = after.names().into_iter().filter(|name| is_groups(name)).collect();
    let lost = disk.crash_subset(|_| false);
    for name in kept {
        lost.write_file(&name, after.file(&name).unwrap());
    }
    let store = options().open_on(lost).unwrap();
    assert_eq!(store.last_sequence(), Sequence(1));
    let group = store.group("g", inputs()).unwrap();
    append(&store, &[4]);
    assert_eq!(all(&group).last(), Some(&2), "the event that took the place");
}

#[test]
fn workers_share_the_work_and_each_stream_stays_in_order() {
    let store = Options::new().create(true).open_on(SimulatedDirectory::new()).unwrap();
    let group = group(&store);
    let seen = Arc::new(Mutex::new(BTreeMap::<String, Vec<u64>>::new()));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (group, seen) = (group.clone(), Arc::clone(&seen));
            thread::spawn(move || {
                let mut count = 0;
                while let Some(delivery) = group.next().unwrap() {
                    let event = delivery.event().clone();
                    seen.lock()
                        .unwrap()
                        .entry(event.entity().to_owned())
                        .or_default()
                        .push(event.sequence().0);
                    count += 1;
                    delivery.done().unwrap();
                }
                count
            })
        })
        .collect();
    let streams: Vec<_> = (0..400).map(|number| number % 7).collect();
    append(&store, &streams);
    while group.position() < Sequence(400) {
        thread::yield_now();
    }
    store.close().unwrap();
    let count: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    assert_eq!(count, 400);
    let seen = seen.lock().unwrap();
    assert!(seen.values().all(|sequences| sequences.is_sorted()), "{seen:?}");
    assert_eq!(seen.values().flatten().collect::<BTreeSet<_>>().len(), 400);
}

#[test]
fn whoever_waits_is_told_when_the_group_is_closed() {
    let store = open(SimulatedDirectory::new());
    append(&store, &[1]);
    let group = group(&store);
    let delivery = group.try_next().unwrap().unwrap();
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let group = group.clone();
            thread::spawn(move || group.next().unwrap().is_none())
        })
        .collect();
    group.clone().close().unwrap();
    assert!(workers.into_iter().all(|worker| worker.join().unwrap()));
    assert!(matches!(group.try_next(), Err(Error::Closed)));
    delivery.done().unwrap();
    assert_eq!(group.save().unwrap(), Sequence(1), "what was in somebody's hands is brought back");
}

#[test]
fn the_small_log_stays_small() {
    let directory = SimulatedDirectory::new();
    let (store, clock) = told(directory.clone());
    append(&store, &[1, 2]);
    let group = with(&store, &GroupOptions::new().attempts_max(u32::MAX).save_every(50, Duration::MAX));
    let reason = "x".repeat(1_000);
    for _ in 0..6_000 {
        clock.0.fetch_add(1, Ordering::SeqCst);
        group.try_next().unwrap().unwrap().retry_after(Duration::ZERO, &reason).unwrap();
    }
    let files = files(&directory).into_iter();
    let len: usize = files.filter(|(name, _)| is_groups(name)).map(|(_, bytes)| bytes.len()).sum();
    assert!(len < 8 << 20, "{len} bytes");
    let attempts = store.find_group("g").unwrap().unwrap().tried[0].attempts;
    assert_eq!(attempts, 6_000);
    drop(group);
    assert_eq!(
        next(&store.group("g", inputs()).unwrap()),
        Some(2),
        "of the first there were attempts enough"
    );
}
