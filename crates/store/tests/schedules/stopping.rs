//! The end of a writer: whatever fails, everybody who waits is told, and nothing that was acknowledged is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};

use annals::{Durability, Error, Receipt, Store, disk::Clock};
use annals_segment::CrashProfile;
use shuttle::thread;

use crate::{
    disk::{Disk, Mishap, Operation, Wanted},
    explore::Model,
    scene::{Promises, Still, append, check_holds, check_reads, choice, options, spawn},
};

pub(crate) const MODELS: &[Model] = &[
    Model::new("a_failed_sync_is_told_to_everybody", a_failed_sync_is_told_to_everybody),
    Model::new("a_panic_under_a_flight_is_told_to_everybody", a_panic_under_a_flight_is_told_to_everybody),
    Model::new("a_panic_in_a_turn_is_told_to_everybody", a_panic_in_a_turn_is_told_to_everybody),
    Model::new("a_panic_at_the_frontier_is_told_to_everybody", a_panic_at_the_frontier_is_told_to_everybody),
];

const THREADS: u64 = 4;

fn a_failed_sync_is_told_to_everybody() {
    end_by(Mishap::Fails);
}

fn a_panic_under_a_flight_is_told_to_everybody() {
    end_by(Mishap::Panics);
}

/// Lets threads append until a sync of theirs has `mishap`.
fn end_by(mishap: Mishap) {
    let disk = Disk::new();
    let store = options().open_on(disk.clone()).unwrap();
    let promises = Promises::on(&disk);
    disk.plan(Operation::SegmentSync, choice(3), mishap);
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (store, promises) = (store.clone(), promises.clone());
            spawn(move || {
                let one = |number| append(&store, number, 0, Durability::Durable);
                let note = |receipt: &Receipt| promises.note(*receipt, Durability::Durable);
                [thread * 2, thread * 2 + 1].map(|number| one(number).inspect(note))
            })
        })
        .collect();
    let outcomes: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    if disk.has_failed() {
        let errors: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert!(!errors.is_empty());
        errors.iter().for_each(|error| check_stopped(&store, error));
        check_stopped(&store, &append(&store, 99, 0, Durability::Queued).unwrap_err());
        check_stopped(&store, &store.sync().unwrap_err());
        assert_eq!(check_reads(&store), disk.durable());
    } else {
        outcomes.iter().for_each(|outcome| assert!(outcome.is_ok()));
    }
    drop(store);
    promises.check();
    let receipts: Vec<_> = outcomes.into_iter().flatten().collect();
    for profile in CrashProfile::ALL {
        check_holds(&disk.simulated.crash(profile, choice(8)), &receipts);
    }
}

fn check_stopped(store: &Store, error: &Error) {
    let Error::Stopped { durable, .. } = error else { panic!("{error:?}") };
    assert_eq!(*durable, store.last_sequence());
}

/// A clock that breaks at the second look of the thread with the name: the first is before its turn.
#[derive(Debug, Default)]
struct Breaking(std::sync::atomic::AtomicU64);

const UNLUCKY: &str = "unlucky";

impl Clock for Breaking {
    fn now_millis(&self) -> u64 {
        let is_second = || self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
        if thread::current().name() == Some(UNLUCKY) && is_second() {
            std::panic::panic_any(Wanted);
        }
        Still.now_millis()
    }
}

fn a_panic_in_a_turn_is_told_to_everybody() {
    let disk = Disk::new();
    let store = options().clock(Breaking::default()).open_on(disk.clone()).unwrap();
    let promises = Promises::on(&disk);
    let ours = store.clone();
    let unlucky = thread::Builder::new().name(UNLUCKY.to_owned()).spawn(move || {
        let panicked = catch_unwind(AssertUnwindSafe(|| append(&ours, 10, 0, Durability::Durable)));
        assert!(panicked.is_err());
        let late = append(&ours, 11, 0, Durability::Durable);
        assert!(matches!(late, Err(Error::Stopped { .. })), "{late:?}");
    });
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (store, promises) = (store.clone(), promises.clone());
            spawn(move || match append(&store, number, 0, Durability::Durable) {
                Ok(receipt) => promises.note(receipt, Durability::Durable),
                Err(error) => assert!(matches!(error, Error::Stopped { .. }), "{error:?}"),
            })
        })
        .collect();
    threads.into_iter().chain(unlucky).for_each(|thread| thread.join().unwrap());
    assert_eq!(check_reads(&store), disk.durable());
    drop(store);
    promises.check();
}

fn a_panic_at_the_frontier_is_told_to_everybody() {
    let disk = Disk::new();
    let store = options().open_on(disk.clone()).unwrap();
    let promises = Promises::on(&disk);
    disk.plan(Operation::FrontierWrite, choice(3), Mishap::Panics);
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (store, promises) = (store.clone(), promises.clone());
            spawn(move || {
                let one = || append(&store, number, 0, Durability::Durable);
                match catch_unwind(AssertUnwindSafe(one)) {
                    Ok(Ok(receipt)) => promises.note(receipt, Durability::Durable),
                    Ok(Err(error)) => assert!(matches!(error, Error::Stopped { .. }), "{error:?}"),
                    Err(panic) => assert!(panic.is::<Wanted>()),
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    disk.plan(Operation::FrontierWrite, u64::MAX, Mishap::Panics);
    let late = append(&store, 99, 0, Durability::Durable);
    assert_eq!(matches!(late, Err(Error::Stopped { .. })), disk.has_failed(), "{late:?}");
    assert!(check_reads(&store) <= disk.durable());
    drop(store);
    promises.check();
}
