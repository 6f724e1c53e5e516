//! What the models have in common: a store on a disk, its threads, and what a disk must hold afterwards.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use annals::{
    Background, Coordinate, Durability, Error, EventId, Kind, NewEvent, Options, Receipt, Sequence, Store,
    disk::{Clock, SeededEntropy, SimulatedDirectory, verify_on},
};
use annals_segment::CrashProfile;
use shuttle::{
    rand::{Rng as _, thread_rng},
    thread::{self, JoinHandle},
};

use crate::disk::Disk;

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct Still;

impl Clock for Still {
    fn now_millis(&self) -> u64 {
        1_700_000_000_000
    }
}

/// The smallest segments, nothing in the background, and nothing by chance.
pub(crate) fn options() -> Options {
    Options::new()
        .create(true)
        .segment_bytes(4096)
        .background(Background::Manual)
        .clock(Still)
        .entropy(SeededEntropy::new(1))
}

/// Events of this length leave room for one more in a segment.
pub(crate) const LONG: usize = 1500;

/// The number of an event is in its id and its payload.
pub(crate) fn id(number: u64) -> EventId {
    EventId((u128::from(number) + 1).to_le_bytes())
}

pub(crate) fn stream() -> Coordinate {
    Coordinate::new("order:1", "shop").unwrap()
}

fn payload(number: u64, len: usize) -> Vec<u8> {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(len.max(payload.len()), 7);
    payload
}

/// Appends `numbers` to the one stream, as one batch.
pub(crate) fn append_batch(
    store: &Store,
    numbers: &[u64],
    len: usize,
    durability: Durability,
) -> Result<Vec<Receipt>, Error> {
    let (at, kind) = (stream(), Kind::new(0x2001).unwrap());
    let payloads: Vec<_> = numbers.iter().map(|number| payload(*number, len)).collect();
    let events: Vec<_> = numbers
        .iter()
        .zip(&payloads)
        .map(|(number, payload)| NewEvent::new(&at, kind, payload).id(id(*number)))
        .collect();
    store.append_batch_with(&events, durability)
}

/// Appends one event of `len` bytes to the one stream.
pub(crate) fn append(
    store: &Store,
    number: u64,
    len: usize,
    durability: Durability,
) -> Result<Receipt, Error> {
    append_batch(store, &[number], len, durability).map(|mut receipts| receipts.pop().unwrap())
}

/// One of `count`, as the schedule has it.
pub(crate) fn choice(count: u64) -> u64 {
    thread_rng().gen_range(0..count)
}

/// Runs `work` in a thread.
pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(work)
}

/// What was acknowledged, and what the disk would hold had the power gone right then.
#[derive(Clone)]
pub(crate) struct Promises {
    disk: Disk,
    kept: Arc<Mutex<Vec<(SimulatedDirectory, Receipt)>>>,
}

impl Promises {
    pub(crate) fn on(disk: &Disk) -> Self {
        Self { disk: disk.clone(), kept: Arc::default() }
    }

    /// Takes down that `receipt` came back, as durable as `durability` says.
    pub(crate) fn note(&self, receipt: Receipt, durability: Durability) {
        let image = match durability {
            Durability::Durable => {
                let durable = self.disk.durable();
                assert!(
                    receipt.sequence.0 <= durable,
                    "{} acknowledged, {durable} durable",
                    receipt.sequence
                );
                self.disk.simulated.crash(CrashProfile::StrictPosix, 1)
            }
            Durability::Written => self.disk.simulated.kill(),
            _ => return,
        };
        self.kept.lock().unwrap().push((image, receipt));
    }

    /// Makes sure that each image recovers what was acknowledged by then; returns how many there were.
    pub(crate) fn check(&self) -> usize {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap());
        for (image, receipt) in &kept {
            check_holds(image, std::slice::from_ref(receipt));
        }
        kept.len()
    }
}

/// Opens `image` and makes sure that it has all of `receipts`, and goes on.
pub(crate) fn check_holds(image: &SimulatedDirectory, receipts: &[Receipt]) {
    let store = options().open_on(image.clone()).unwrap();
    let hashes: BTreeMap<_, _> =
        store.all().map(|event| event.map(|event| (event.sequence(), event.hash())).unwrap()).collect();
    for receipt in receipts {
        assert_eq!(hashes.get(&receipt.sequence), Some(&receipt.hash), "{} is lost", receipt.sequence);
    }
    append(&store, 1 << 40, 0, Durability::Durable).unwrap();
}

/// The receipts are of sequences from `first` on without a gap, and of revisions in the same order.
pub(crate) fn check_order(receipts: &[Receipt], first: u64) {
    let mut receipts: Vec<_> = receipts.iter().collect();
    receipts.sort_by_key(|receipt| receipt.sequence);
    for (receipt, expected) in receipts.iter().zip(first..) {
        assert_eq!((receipt.sequence, receipt.revision.0), (Sequence(expected), expected));
    }
}

/// A reader sees every visible event once and in order; returns how many.
pub(crate) fn check_reads(store: &Store) -> u64 {
    let visible = store.last_sequence().0;
    let until = Sequence(visible);
    let all: Vec<_> = store.all().until(until).map(|event| event.unwrap().sequence().0).collect();
    assert_eq!(all, (1..=visible).collect::<Vec<_>>(), "all events up to {visible}");
    visible
}

/// Nothing on `disk` is damaged.
pub(crate) fn check_sound(disk: &SimulatedDirectory) {
    let report = verify_on(disk.clone(), &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{:?}", report.damage);
}
