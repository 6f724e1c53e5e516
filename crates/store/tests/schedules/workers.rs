//! The workers of a group: whoever waits is called when there is something for him, or nothing more will be.

use std::time::Duration;

use annals::{Coordinate, Durability, Group, GroupOptions, Kind, NewEvent, Query, Store};

use crate::{
    disk::Disk,
    explore::Model,
    scene::{options, spawn},
};

pub(crate) const MODELS: &[Model] = &[
    Model::new("whoever_can_work_is_called", whoever_can_work_is_called),
    Model::new("every_worker_is_told_that_it_is_over", every_worker_is_told_that_it_is_over),
];

fn append(store: &Store, stream: u64) {
    let at = Coordinate::new(&format!("order:{stream}"), "shop").unwrap();
    let event = NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"");
    store.append_with(&event, Durability::Durable).unwrap();
}

/// A group of which nothing is saved by the time, so that nobody wakes by himself.
fn group(store: &Store) -> Group {
    store.group_with("g", Query::all(), &GroupOptions::new().save_every(u64::MAX, Duration::MAX)).unwrap()
}

/// One waits for ever and one for a while; two events come, of which one when another is brought back.
fn whoever_can_work_is_called() {
    let store = options().open_on(Disk::new()).unwrap();
    append(&store, 1);
    append(&store, 1);
    let group = group(&store);
    let first = group.try_next().unwrap().unwrap();
    let (patient, hasty) = (group.clone(), group);
    let patient = spawn(move || {
        let delivery = patient.next().unwrap().unwrap();
        let sequence = delivery.event().sequence().0;
        delivery.done().unwrap();
        sequence
    });
    let hasty = spawn(move || {
        let delivery = hasty.next_within(Duration::from_millis(1)).unwrap();
        let sequence = delivery.as_ref().map(|delivery| delivery.event().sequence().0);
        delivery.map_or(Ok(()), annals::Delivery::done).unwrap();
        sequence
    });
    first.done().unwrap();
    append(&store, 2);
    let (patient, hasty) = (patient.join().unwrap(), hasty.join().unwrap());
    assert!(matches!(patient, 2 | 3) && hasty != Some(patient), "{patient}, {hasty:?}");
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
