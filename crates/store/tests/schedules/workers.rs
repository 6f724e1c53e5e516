//! The workers of a group: whoever waits is called when there is something for him, or nothing more will be.

use std::time::Duration;

use annals::{
    Coordinate, Durability, Kind, NewEvent, Query, Store,
    consume::{Delivery, Group, GroupOptions},
};
use shuttle::thread::JoinHandle;

use crate::{
    disk::Disk,
    explore::Model,
    scene::{options, spawn},
};

pub(crate) const MODELS: &[Model] = &[
    Model::new("whoever_can_work_is_called", whoever_can_work_is_called),
    Model::new("whoever_leaves_lets_another_watch", whoever_leaves_lets_another_watch),
    Model::new("every_worker_is_told_that_it_is_over", every_worker_is_told_that_it_is_over),
    Model::new(
        "who_waits_for_room_goes_on_when_there_is_some",
        who_waits_for_room_goes_on_when_there_is_some,
    ),
    Model::new("who_waits_for_room_is_told_of_the_end", who_waits_for_room_is_told_of_the_end),
];

fn append(store: &Store, stream: u64) {
    let at = Coordinate::new(&format!("order:{stream}"), "shop").unwrap();
    let event = NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"");
    store.append_with(&event, Durability::Durable).unwrap();
}

/// A group of which nothing is saved by the time, so that nobody wakes by himself.
fn group(store: &Store) -> Group {
    store.group_with("g", Query::all(), &by_hand()).unwrap()
}

fn by_hand() -> GroupOptions {
    GroupOptions::new().save_every(u64::MAX, Duration::MAX)
}

/// A worker that waits for one event, and leaves with it.
fn wait_for_one(group: &Group) -> JoinHandle<Delivery> {
    let group = group.clone();
    spawn(move || group.next().unwrap().unwrap())
}

fn sequence(thread: JoinHandle<Delivery>) -> (u64, Delivery) {
    let delivery = thread.join().unwrap();
    (delivery.event().sequence().0, delivery)
}

/// The second event of a stream comes when the first is brought back. Another may get it first, and let go of it.
fn whoever_can_work_is_called() {
    let store = options().open_on(Disk::new()).unwrap();
    append(&store, 1);
    append(&store, 1);
    let group = group(&store);
    let first = group.try_next().unwrap().unwrap();
    let waiting = wait_for_one(&group);
    let hasty = spawn(move || drop(group.try_next().unwrap()));
    first.done().unwrap();
    hasty.join().unwrap();
    assert_eq!(sequence(waiting).0, 2);
}

/// Of two who wait one gets the first event and leaves; the other gets the second.
fn whoever_leaves_lets_another_watch() {
    let store = options().open_on(Disk::new()).unwrap();
    let group = group(&store);
    let waiting = [wait_for_one(&group), wait_for_one(&group)];
    append(&store, 1);
    append(&store, 2);
    let [(one, _kept), (other, _also)] = waiting.map(sequence);
    assert_eq!([one.min(other), one.max(other)], [1, 2]);
}

fn every_worker_is_told_that_it_is_over() {
    let store = options().open_on(Disk::new()).unwrap();
    let group = group(&store);
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let group = group.clone();
            spawn(move || {
                let mut count = 0;
                while let Some(delivery) = group.next().unwrap() {
                    delivery.done().unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    append(&store, 1);
    append(&store, 2);
    drop(group);
    store.close().unwrap();
    let count: u32 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    assert_eq!(count, 2);
}

/// Of two events of two streams one is in hand, and there is no room for the other.
fn who_waits_for_room_goes_on_when_there_is_some() {
    let store = options().open_on(Disk::new()).unwrap();
    append(&store, 1);
    append(&store, 2);
    let group = store.group_with("g", Query::all(), &by_hand().window(1)).unwrap();
    let first = group.try_next().unwrap().unwrap();
    let waiting = wait_for_one(&group);
    first.done().unwrap();
    assert_eq!(sequence(waiting).0, 2);
}

/// The first event of a stream is parked, and those behind it fill the window: nothing is handed out any more.
fn who_waits_for_room_is_told_of_the_end() {
    let store = options().open_on(Disk::new()).unwrap();
    (0..3).for_each(|_| append(&store, 1));
    let group = store.group_with("g", Query::all(), &by_hand().parked_max(1).window(2)).unwrap();
    group.try_next().unwrap().unwrap().park("of no use").unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let group = group.clone();
            spawn(move || group.next().unwrap().is_none())
        })
        .collect();
    store.close().unwrap();
    assert!(waiting.into_iter().all(|worker| worker.join().unwrap()));
}
