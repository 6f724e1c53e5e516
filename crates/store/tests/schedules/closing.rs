//! The end of a store: an append that meets a close is in or refused, and the last clone leaves nothing behind.

use annals::{Background, Durability, Error};
use annals_segment::CrashProfile;

use crate::{
    disk::Disk,
    explore::Model,
    scene::{append, check_reads, options, spawn},
};

pub(crate) const MODELS: &[Model] = &[
    Model::new("a_close_takes_an_append_or_refuses_it", a_close_takes_an_append_or_refuses_it),
    Model::new("the_last_clone_leaves_nothing_behind", the_last_clone_leaves_nothing_behind),
];

fn a_close_takes_an_append_or_refuses_it() {
    let disk = Disk::new();
    let store = options().background(Background::Thread).open_on(disk.clone()).unwrap();
    let appenders = [Durability::Queued, Durability::Durable].map(|level| {
        let store = store.clone();
        spawn(move || {
            let number = u64::from(level == Durability::Durable) * 2;
            let outcomes = [number, number + 1].map(|number| append(&store, number, 0, level));
            let is_right = |outcome: &Result<_, Error>| matches!(outcome, Ok(_) | Err(Error::Closed));
            assert!(outcomes.iter().all(is_right), "{outcomes:?}");
            outcomes
        })
    });
    let closing = store.clone();
    let closer = spawn(move || closing.close().unwrap());
    closer.join().unwrap();
    let image = disk.simulated.crash(CrashProfile::StrictPosix, 1);
    let receipts = appenders.into_iter().flat_map(|thread| thread.join().unwrap()).flatten();
    let mut receipts: Vec<_> = receipts.map(|receipt| (receipt.sequence, receipt.hash)).collect();
    receipts.sort();
    assert_eq!(check_reads(&store), receipts.len() as u64);
    let store = options().open_on(image).unwrap();
    assert!(!store.report().log.was_unclean);
    let found = store.all().map(|event| event.map(|event| (event.sequence(), event.hash())).unwrap());
    assert_eq!(found.collect::<Vec<_>>(), receipts);
}

fn the_last_clone_leaves_nothing_behind() {
    let disk = Disk::new();
    let store = options().background(Background::Thread).open_on(disk.clone()).unwrap();
    let clones = [Durability::Queued, Durability::Written].map(|level| (store.clone(), level));
    drop(store);
    let threads = clones.map(|(store, level)| {
        spawn(move || append(&store, u64::from(level == Durability::Written), 0, level).unwrap())
    });
    let receipts = threads.map(|thread| thread.join().unwrap());
    // Whichever clone was the last, the store is let go of, and what was written is durable.
    let image = disk.simulated.crash(CrashProfile::StrictPosix, 1);
    let again = options().open_on(disk).unwrap();
    let written = options().open_on(image).unwrap().last_sequence();
    assert!(receipts[1].sequence <= written && written <= again.last_sequence());
}
