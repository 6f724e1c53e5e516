//! Rotations under concurrent appends: sequences and revisions without a gap, one winner of an expectation, and
//! the first receipt for a repeat.

use annals::{Coordinate, Durability, Error, Expected, Kind, NewEvent, Store};

use crate::{
    disk::Disk,
    explore::Model,
    scene::{
        LONG, Promises, append, append_batch, check_order, check_reads, check_sound, choice, id, options,
        spawn,
    },
};

pub(crate) const MODELS: &[Model] = &[
    Model::new("a_rotation_leaves_no_gap", a_rotation_leaves_no_gap),
    Model::new("one_of_many_meets_an_expectation", one_of_many_meets_an_expectation),
    Model::new("a_repeat_is_no_earlier_than_the_first", a_repeat_is_no_earlier_than_the_first),
];

fn a_rotation_leaves_no_gap() {
    let disk = Disk::new();
    let store = options().open_on(disk.clone()).unwrap();
    let promises = Promises::on(&disk);
    let threads: Vec<_> = [vec![vec![0], vec![1]], vec![vec![2, 3]], vec![vec![4], vec![5]]]
        .into_iter()
        .map(|batches| {
            let (store, promises) = (store.clone(), promises.clone());
            let level = if choice(2) == 0 { Durability::Durable } else { Durability::Queued };
            spawn(move || {
                let mut receipts = Vec::new();
                for numbers in batches {
                    let got = append_batch(&store, &numbers, LONG, level).unwrap();
                    let last = *got.last().unwrap();
                    promises.note(last, level);
                    assert!(level != Durability::Durable || store.last_sequence() >= last.sequence);
                    receipts.extend(got);
                }
                receipts
            })
        })
        .collect();
    let receipts: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(receipts.len(), 6);
    check_order(&receipts, 1);
    promises.check();
    store.sync().unwrap();
    assert_eq!(check_reads(&store), 6);
    store.close().unwrap();
    check_sound(&disk.simulated);
}

fn one_of_many_meets_an_expectation() {
    let disk = Disk::new();
    let store = options().open_on(disk).unwrap();
    append(&store, 0, LONG, Durability::Durable).unwrap();
    let threads: Vec<_> = (1..4)
        .map(|number| {
            let store = store.clone();
            spawn(move || {
                let (at, kind) = (Coordinate::new("order:2", "shop").unwrap(), Kind::new(0x2001).unwrap());
                let event = NewEvent::new(&at, kind, &[7; LONG]).id(id(number)).expected(Expected::None);
                match store.append_with(&event, Durability::Written) {
                    Ok(_) => 1,
                    Err(Error::Conflict { .. }) => {
                        // Who lost goes on, and may have to rotate.
                        append(&store, number + 10, LONG, Durability::Queued).unwrap();
                        0
                    }
                    Err(error) => panic!("{error:?}"),
                }
            })
        })
        .collect();
    let winners: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(winners, 1);
    store.sync().unwrap();
    assert_eq!(check_reads(&store), 4);
    check_revisions(&store);
}

/// The stream that all but the winner write has its revisions in order.
fn check_revisions(store: &Store) {
    let revisions = store.stream(&crate::scene::stream()).map(|event| event.unwrap().revision().0);
    assert!(revisions.eq(1..=3));
}

fn a_repeat_is_no_earlier_than_the_first() {
    let disk = Disk::new();
    let store = options().open_on(disk.clone()).unwrap();
    let promises = Promises::on(&disk);
    let threads: Vec<_> = [Durability::Queued, Durability::Durable, Durability::Durable]
        .into_iter()
        .map(|level| {
            let (store, promises) = (store.clone(), promises.clone());
            spawn(move || {
                let receipt = append(&store, 0, 0, level).unwrap();
                promises.note(receipt, level);
                receipt
            })
        })
        .collect();
    let receipts: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(receipts.iter().filter(|receipt| !receipt.is_repeat).count(), 1);
    assert!(receipts.iter().all(|receipt| receipt.hash == receipts[0].hash && receipt.sequence.0 == 1));
    assert_eq!(promises.check(), 2);
}
