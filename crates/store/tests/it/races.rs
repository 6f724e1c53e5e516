//! Threads that append, read, seal and look up at once: small enough for an interpreter that sees every race
//! (`cargo xtask sanitize miri`), and with more events for the machine.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use annals::{
    Background, Coordinate, Durability, EventId, Kind, NewEvent, Store,
    disk::{SimulatedDirectory, verify_on},
};

use crate::history::options;

/// How many events each of the two writers appends.
const COUNT: u64 = if cfg!(miri) { 2 } else { 200 };
const WRITERS: u64 = 2;
/// How often the others look at most; an interpreter gives each thread its share, and the writers need theirs.
const LOOKS: usize = if cfg!(miri) { 3 } else { usize::MAX };

fn id(writer: u64, number: u64) -> EventId {
    EventId(u128::from(writer * COUNT + number + 1).to_le_bytes())
}

fn append_all(store: &Store, writer: u64) {
    let at = Coordinate::new(&format!("entity:{writer}"), "scope").unwrap();
    let levels = [Durability::Durable, Durability::Written, Durability::Queued].into_iter().cycle();
    for (number, durability) in (0..COUNT).zip(levels) {
        let payload = [u8::try_from(writer).unwrap(); 1500];
        let event = NewEvent::new(&at, Kind::new(0x2001).unwrap(), &payload).id(id(writer, number));
        let receipt = store.append_with(&event, durability).unwrap();
        assert_eq!(receipt.revision.0, number + 1);
    }
    store.sync().unwrap();
}

/// Reads until `is_over`: what is seen has no gap, never becomes less, and is found by its id.
fn read_all(store: &Store, is_over: &AtomicBool) {
    let mut before = 0;
    for _ in (0..LOOKS).take_while(|_| !is_over.load(Ordering::Relaxed)) {
        let visible = store.last_sequence().0;
        assert!(before <= visible, "{before} events were visible, now {visible}");
        let events: Vec<_> = store.all().map(Result::unwrap).collect();
        assert!(events.len() as u64 >= visible);
        assert!((1..).zip(&events).all(|(expected, event)| event.sequence().0 == expected));
        if let Some(last) = events.last() {
            assert_eq!(store.get(last.id()).unwrap().unwrap().hash(), last.hash());
        }
        before = events.len() as u64;
        thread::yield_now();
    }
}

fn seal_all(store: &Store, is_over: &AtomicBool) {
    for _ in (0..LOOKS).take_while(|_| !is_over.load(Ordering::Relaxed)) {
        store.pump().unwrap();
        thread::yield_now();
    }
}

fn race(background: Background) {
    let disk = SimulatedDirectory::new();
    let options = options(1).create(true).segment_bytes(4096).background(background);
    let store = options.open_on(disk.clone()).unwrap();
    let is_over = AtomicBool::new(false);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let append = |writer| {
            let store = store.clone();
            scope.spawn(move || append_all(&store, writer))
        };
        let writers: Vec<_> = (0..WRITERS).map(append).collect();
        scope.spawn(|| read_all(&store, &is_over));
        if background == Background::Manual {
            scope.spawn(|| seal_all(&store, &is_over));
        }
        let outcomes = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::Relaxed);
        outcomes
    });
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(store.all().map(Result::unwrap).count() as u64, WRITERS * COUNT);
    store.close().unwrap();
    let report = verify_on(disk, &mut |_| {}).unwrap();
    assert!(report.is_sound() && report.event_count == WRITERS * COUNT, "{report:?}");
}

#[test]
fn writers_a_reader_and_a_sealer_at_once() {
    race(Background::Manual);
}

#[test]
fn writers_and_a_reader_beside_the_stores_own_thread() {
    race(Background::Thread);
}
