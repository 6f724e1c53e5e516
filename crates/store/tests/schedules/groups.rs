//! Groups: nobody returns before what was asked holds, what is visible was durable before, and what nobody syncs
//! becomes durable all the same.

use annals::{Background, Durability};

use crate::{
    disk::Disk,
    explore::Model,
    scene::{Promises, append, check_order, check_reads, choice, options, spawn},
};

pub(crate) const MODELS: &[Model] = &[
    Model::new("nobody_returns_too_early", nobody_returns_too_early),
    Model::new("visible_is_durable_and_grows", visible_is_durable_and_grows),
    Model::new("what_is_queued_becomes_durable", what_is_queued_becomes_durable),
];

const LEVELS: [Durability; 4] =
    [Durability::Durable, Durability::Durable, Durability::Written, Durability::Queued];

fn nobody_returns_too_early() {
    let disk = Disk::new();
    let store = options().open_on(disk.clone()).unwrap();
    let promises = Promises::on(&disk);
    let threads = (0..3).map(|thread| {
        let (store, promises, disk) = (store.clone(), promises.clone(), disk.clone());
        let levels = [LEVELS[usize::try_from(choice(4)).unwrap()], Durability::Durable];
        spawn(move || {
            let mut receipts = Vec::new();
            for (number, level) in (thread * 2..).zip(levels) {
                let receipt = append(&store, number, 0, level).unwrap();
                promises.note(receipt, level);
                if level == Durability::Durable {
                    assert!(
                        store.last_sequence() >= receipt.sequence && disk.durable() >= receipt.sequence.0
                    );
                }
                receipts.push(receipt);
            }
            receipts
        })
    });
    let threads: Vec<_> = threads.collect();
    let receipts: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    check_order(&receipts, 1);
    assert!(promises.check() >= 3);
}

fn visible_is_durable_and_grows() {
    let disk = Disk::new();
    let store = options().open_on(disk.clone()).unwrap();
    let appenders = [Durability::Durable, Durability::Written].map(|level| {
        let store = store.clone();
        spawn(move || {
            for number in 0..2 {
                append(&store, number * 2 + u64::from(level == Durability::Durable), 0, level).unwrap();
            }
        })
    });
    let (ours, below) = (store.clone(), disk.clone());
    let reader = spawn(move || {
        let mut before = 0;
        for _ in 0..6 {
            let visible = ours.last_sequence().0;
            let durable = below.durable();
            assert!(before <= visible && visible <= durable, "{before}, {visible}, {durable}");
            before = visible;
        }
        assert!(check_reads(&ours) >= before);
    });
    let beside = disk.clone();
    let other = spawn(move || {
        // As another process does, that goes by FRONTIER.
        let store = options().open_read_only_on(beside.clone()).unwrap();
        assert!(check_reads(&store) <= beside.durable());
    });
    appenders.into_iter().chain([reader, other]).for_each(|thread| thread.join().unwrap());
    assert!(store.last_sequence().0 <= disk.durable());
}

fn what_is_queued_becomes_durable() {
    let disk = Disk::new();
    let store = options().background(Background::Thread).open_on(disk.clone()).unwrap();
    let threads = [Durability::Queued, Durability::Written].map(|level| {
        let store = store.clone();
        spawn(move || {
            for number in 0..2 {
                append(&store, number * 2 + u64::from(level == Durability::Queued), 0, level).unwrap();
            }
        })
    });
    disk.wait_for(4);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    drop(store);
}
