//! Replacement under readers: of the view when a segment is begun or sealed, of an index that turns out damaged,
//! of the checkpoint.

use std::sync::Mutex;

use annals::{Durability, Store, disk::SimulatedDirectory};
use annals_segment::CrashProfile;

use crate::{
    disk::Disk,
    explore::Model,
    scene::{LONG, append, check_holds, check_reads, id, options, spawn, stream},
};

pub(crate) const MODELS: &[Model] = &[
    Model::new("readers_see_each_event_once", readers_see_each_event_once),
    Model {
        prepare: Some(damage),
        ..Model::new("a_mended_index_hides_nothing", a_mended_index_hides_nothing)
    },
    Model::new("a_checkpoint_covers_what_is_durable", a_checkpoint_covers_what_is_durable),
];

/// What a reader sees of the first `count` events and those behind them, whichever way it asks.
fn read(store: &Store, count: u64) {
    let visible = check_reads(store);
    assert!(visible >= count);
    let (stream, now) = (store.stream(&stream()), store.last_sequence().0);
    let revisions: Vec<_> = stream.map(|event| event.unwrap().revision().0).collect();
    let count = revisions.len() as u64;
    assert_eq!(revisions, (1..=count).collect::<Vec<_>>());
    assert!((visible..=now).contains(&count), "{count} seen, {visible} to {now} visible");
    let backwards = store.all().backwards().map(|event| event.unwrap().sequence().0);
    let backwards: Vec<_> = backwards.collect();
    assert_eq!(backwards, (1..=backwards.len() as u64).rev().collect::<Vec<_>>());
    assert_eq!(store.get(id(0)).unwrap().unwrap().sequence().0, 1);
}

fn readers_see_each_event_once() {
    let disk = Disk::new();
    let store = options().checkpoint_bytes(1).open_on(disk.clone()).unwrap();
    for number in 0..3 {
        append(&store, number, LONG, Durability::Durable).unwrap();
    }
    let (ours, sealing) = (store.clone(), store.clone());
    let writer = spawn(move || {
        for number in 3..7 {
            append(&ours, number, LONG, Durability::Durable).unwrap();
        }
    });
    let sealer = spawn(move || (0..2).for_each(|_| sealing.pump().unwrap()));
    let reading = store.clone();
    let reader = spawn(move || (0..2).for_each(|_| read(&reading, 3)));
    [writer, sealer, reader].into_iter().for_each(|thread| thread.join().unwrap());
    read(&store, 7);
    assert_eq!(store.incidents(), [""; 0]);
    drop(store);
    let store = options().open_on(disk).unwrap();
    read(&store, 7);
}

/// A store of which a footer is damaged that nobody looks at before he asks, for the checkpoint vouches for it.
static DAMAGED: Mutex<Option<SimulatedDirectory>> = Mutex::new(None);

const FILE: &str = "000001.seg";

fn damage() {
    let disk = SimulatedDirectory::new();
    let store = options().open_on(disk.clone()).unwrap();
    // The last one begins a segment.
    for number in 0..3 {
        append(&store, number, LONG, Durability::Durable).unwrap();
    }
    store.pump().unwrap();
    store.checkpoint().unwrap();
    store.close().unwrap();
    let sound = disk.file(FILE).unwrap();
    let damaged = (0..sound.len()).rev().find_map(|place| {
        let mut bytes = sound.clone();
        bytes[place] ^= 1;
        let image = disk.kill();
        image.write_file(FILE, &bytes);
        let store = options().open_on(image.kill()).unwrap();
        let is_rejected = !store.report().rejected.is_empty();
        assert_eq!(check_reads(&store), 3);
        (!is_rejected && !store.incidents().is_empty()).then_some(image)
    });
    *DAMAGED.lock().unwrap() = Some(damaged.expect("some byte is looked at late"));
}

fn a_mended_index_hides_nothing() {
    let image = DAMAGED.lock().unwrap().as_ref().unwrap().kill();
    let store = options().open_on(Disk::with(image)).unwrap();
    let (ours, sealing) = (store.clone(), store.clone());
    let writer = spawn(move || {
        for number in 3..5 {
            append(&ours, number, LONG, Durability::Durable).unwrap();
        }
    });
    let sealer = spawn(move || (0..2).for_each(|_| sealing.pump().unwrap()));
    let readers = [0, 1].map(|_| {
        let store = store.clone();
        spawn(move || read(&store, 3))
    });
    readers.into_iter().chain([writer, sealer]).for_each(|thread| thread.join().unwrap());
    read(&store, 5);
}

fn a_checkpoint_covers_what_is_durable() {
    let disk = Disk::new();
    let store = options().open_on(disk.clone()).unwrap();
    let first = append(&store, 0, LONG, Durability::Durable).unwrap();
    let (ours, sealing, pointing) = (store.clone(), store.clone(), store.clone());
    let writer = spawn(move || {
        (1..5).map(|number| append(&ours, number, LONG, Durability::Durable).unwrap()).collect::<Vec<_>>()
    });
    let sealer = spawn(move || sealing.pump().unwrap());
    let below = disk.simulated.clone();
    let checkpointer = spawn(move || {
        [0, 1].map(|_| {
            pointing.checkpoint().unwrap();
            below.crash(CrashProfile::StrictPosix, 1)
        })
    });
    let images = checkpointer.join().unwrap();
    sealer.join().unwrap();
    let receipts = writer.join().unwrap();
    for image in images {
        let store = options().open_read_only_on(image.clone()).unwrap();
        assert!(store.report().rejected.is_empty(), "{:?}", store.report().rejected);
        drop(store);
        check_holds(&image, &[first]);
    }
    check_holds(&disk.simulated.crash(CrashProfile::StrictPosix, 1), &receipts);
}
