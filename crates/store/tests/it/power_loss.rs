//! Power loss on the simulated disk: between any two operations of a workload, with any part of what was not
//! synced gone, and again while the store recovers.
//!
//! The oracle is the list of what was sent and how much of it was acknowledged as durable. After every crash:
//! what was acknowledged is there, the rest is a prefix of whole batches in the order they were sent, nothing
//! was invented, the report tells what was cut, hashes and chains verify, the next open has nothing to tell,
//! and appending goes on.
//!
//! `ANNALS_CRASH_SECONDS` lets random workloads run that long behind the fixed one; `ANNALS_CRASH_SEED` is where
//! their seeds start, and what a failure prints makes it happen again.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use annals::{
    Background, Clock, Coordinate, Durability, Error, EventId, Kind, NewEvent, Options, SeededEntropy,
    SimulatedDirectory, Store, verify_on,
};
use annals_segment::CrashProfile;

/// A clock that stands still: recorded times then come from the store's own counter.
#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now_millis(&self) -> u64 {
        1_700_000_000_000
    }
}

/// A step of a workload.
#[derive(Debug, Clone, Copy)]
enum Step {
    Append(Durability),
    Batch(u8, Durability),
    /// A payload that fills most of a segment.
    Large(Durability),
    Name,
    Sync,
    Pump,
    Checkpoint,
    /// Closes and opens again.
    Reopen,
    /// Drops without closing and opens again.
    Drop,
}

use Durability::{Durable, Queued, Written};
use Step::{Append, Batch, Checkpoint, Drop, Large, Name, Pump, Reopen, Sync};

/// Everything at least once, with rotations in between.
const SCRIPT: &[Step] = &[
    Append(Durable),
    Name,
    Batch(3, Durable),
    Append(Queued),
    Append(Written),
    Batch(2, Written),
    Sync,
    Large(Durable),
    Batch(4, Queued),
    Append(Durable),
    Checkpoint,
    Append(Written),
    Large(Written),
    Pump,
    Name,
    Batch(3, Durable),
    Reopen,
    Append(Queued),
    Large(Durable),
    Drop,
    Batch(2, Durable),
    Reopen,
];

/// What was sent, and how much of it is promised.
#[derive(Debug, Clone, Default)]
struct Sent {
    /// The ids of all events, in order.
    ids: Vec<EventId>,
    /// After how many events a batch ended.
    ends: HashSet<usize>,
    /// How many were acknowledged as durable.
    durable: usize,
    name_count: usize,
}

impl Sent {
    fn next_ids(&self, count: usize) -> Vec<EventId> {
        (0..count).map(|index| EventId(((self.ids.len() + index + 1) as u128).to_le_bytes())).collect()
    }

    fn send(&mut self, ids: &[EventId]) {
        self.ids.extend(ids);
        self.ends.insert(self.ids.len());
    }
}

fn options(seed: u64) -> Options {
    Options::new()
        .create(true)
        .segment_bytes(4096)
        .checkpoint_bytes(6000)
        .background(Background::Manual)
        .clock(StoppedClock)
        .entropy(SeededEntropy::new(seed))
}

fn payload(id: EventId, len: usize) -> Vec<u8> {
    id.0.iter().copied().cycle().take(len).collect()
}

fn kind() -> Kind {
    Kind::new(0x2001).unwrap()
}

/// Appends `count` events over a few streams; what is acknowledged as durable is noted.
fn append(
    store: &Store,
    sent: &mut Sent,
    count: usize,
    len: usize,
    durability: Durability,
) -> Result<(), Error> {
    let coordinates: Vec<_> =
        (0..3).map(|number| Coordinate::new(&format!("entity:{number}"), "scope").unwrap()).collect();
    let ids = sent.next_ids(count);
    let payloads: Vec<_> = ids.iter().map(|id| payload(*id, len)).collect();
    let events: Vec<_> = ids
        .iter()
        .zip(&payloads)
        .map(|(id, payload)| {
            let at = &coordinates[usize::from(id.0[0]) % coordinates.len()];
            NewEvent::new(at, kind(), payload).id(*id)
        })
        .collect();
    sent.send(&ids);
    let receipts = store.append_batch_with(&events, durability)?;
    if durability == Durable {
        sent.durable = receipts.last().map_or(sent.durable, |last| usize::try_from(last.sequence.0).unwrap());
    }
    Ok(())
}

/// Runs the script until it ends or the power goes.
fn run(disk: &SimulatedDirectory, script: &[Step], sent: &mut Sent) -> Result<(), Error> {
    let mut lives = 1;
    let mut store = options(lives).open_on(disk.clone())?;
    for step in script {
        match *step {
            Append(durability) => append(&store, sent, 1, 40, durability)?,
            Batch(count, durability) => append(&store, sent, usize::from(count), 60, durability)?,
            Large(durability) => append(&store, sent, 1, 3000, durability)?,
            Name => {
                sent.name_count += 1;
                store.kind(&format!("name {}", sent.name_count))?;
            }
            Sync => sent.durable = usize::try_from(store.sync()?.0).unwrap(),
            Pump => store.pump()?,
            Checkpoint => {
                store.checkpoint()?;
                sent.durable = sent.ids.len();
            }
            Reopen => {
                store.close()?;
                sent.durable = sent.ids.len();
                lives += 1;
                store = options(lives).open_on(disk.clone())?;
            }
            Drop => {
                drop(store);
                lives += 1;
                store = options(lives).open_on(disk.clone())?;
                // What was only queued is gone with the process.
                let last = usize::try_from(store.last_sequence().0).unwrap();
                assert!(last >= sent.durable && (last == 0 || sent.ends.contains(&last)));
                sent.ids.truncate(last);
                sent.ends.retain(|end| *end <= last);
            }
        }
    }
    store.close()?;
    sent.durable = sent.ids.len();
    Ok(())
}

/// Checks a store that was opened after a crash, and returns how many events it has.
fn check(store: &Store, sent: &Sent, context: &str) -> usize {
    let events: Vec<_> =
        store.all().map(|event| event.unwrap_or_else(|error| panic!("{context}: {error}"))).collect();
    assert!(
        events.len() >= sent.durable,
        "{context}: {} events, {} were durable",
        events.len(),
        sent.durable
    );
    assert!(events.len() <= sent.ids.len(), "{context}: invented events");
    assert!(
        events.is_empty() || sent.ends.contains(&events.len()),
        "{context}: {} events end within a batch",
        events.len()
    );
    for (event, id) in events.iter().zip(&sent.ids) {
        assert_eq!(event.id(), *id, "{context}: another event, or another order");
        let bytes = event.payload().unwrap();
        assert_eq!(bytes, payload(*id, bytes.len()), "{context}: another payload");
    }
    events.len()
}

/// Opens what a crash left, checks it, and goes on: appends, closes, opens again.
fn recover(disk: &SimulatedDirectory, sent: &Sent, context: &str) {
    let open =
        |seed| options(seed).open_on(disk.clone()).unwrap_or_else(|error| panic!("{context}: {error}"));
    let read_only = options(0).open_read_only_on(disk.clone());
    let seen = read_only.as_ref().map_or(0, |store| check(store, sent, context));
    let store = open(1000);
    let count = check(&store, sent, context);
    if read_only.is_ok() {
        assert_eq!(seen, count, "{context}: a reader saw something else");
    }
    let report = store.report();
    if let Some((segment, torn)) = &report.log.torn {
        let len = disk.file(segment).map(|bytes| bytes.len() as u64);
        assert_eq!(len, Some(torn.offset), "{context}: the torn bytes are still there");
        assert!(torn.len > 0 && report.log.sidecar.is_some(), "{context}: a cut without its bytes set aside");
        assert!(!report.is_clean());
    }
    let mut after = sent.clone();
    after.ids.truncate(count);
    after.ends.retain(|end| *end <= count);
    append(&store, &mut after, 2, 50, Durable).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(after.durable, count + 2, "{context}: sequences have a gap");
    store.close().unwrap_or_else(|error| panic!("{context}: {error}"));
    let store = open(1001);
    assert!(store.report().is_clean(), "{context}: the second open still has to tell {:?}", store.report());
    check(&store, &after, context);
    drop(store);
    let verified = verify_on(disk.clone(), &mut |_| {}).unwrap();
    assert!(verified.is_sound(), "{context}: {:?}", verified.damage);
}

/// How thoroughly a state is tried.
#[derive(Debug, Clone, Copy)]
struct Effort {
    seeds: u64,
    units_max: usize,
    nested_seeds: u64,
}

/// Everything that a crash may make of `disk`: all subsets of what is pending where that is little, and samples
/// of each profile.
fn images(disk: &SimulatedDirectory, effort: Effort, salt: u64) -> Vec<(String, SimulatedDirectory)> {
    let mut images = Vec::new();
    let pending = disk.pending_count();
    if pending <= effort.units_max {
        for subset in 0..1_u64 << pending {
            let image = disk.crash_subset(|unit| subset & (1 << unit) != 0);
            images.push((format!("subset {subset:#b} of {pending}"), image));
        }
    }
    for profile in CrashProfile::ALL {
        for seed in 0..effort.seeds {
            let seed = if seed < 2 { seed } else { seed.wrapping_mul(0x9e37_79b9).wrapping_add(salt) };
            images.push((format!("{profile:?} seed {seed}"), disk.crash(profile, seed)));
        }
    }
    let mut seen = HashSet::new();
    images.retain(|(_, image)| seen.insert(image.digest()));
    images
}

/// The bytes that a recovery cuts off.
struct Torn {
    segment: String,
    offset: u64,
    bytes: Vec<u8>,
}

impl Torn {
    fn of(image: &SimulatedDirectory) -> Option<Self> {
        let store = options(0).open_read_only_on(image.clone()).ok()?;
        let (segment, torn) = store.report().log.torn.clone()?;
        let (start, len) = (usize::try_from(torn.offset).unwrap(), usize::try_from(torn.len).unwrap());
        let bytes = image.file(&segment)?[start..start + len].to_vec();
        Some(Self { segment, offset: torn.offset, bytes })
    }

    /// Whether they are where they were, or set aside.
    fn is_kept(&self, image: &SimulatedDirectory) -> bool {
        let start = usize::try_from(self.offset).unwrap();
        let in_place = image.file(&self.segment).is_some_and(|bytes| bytes[start..].starts_with(&self.bytes));
        let aside = image.file(&format!("{}.torn-{}", self.segment, self.offset));
        in_place || aside.as_ref() == Some(&self.bytes)
    }
}

/// Lets the power go before operation `stop` of the script, and in each image once more within the recovery.
/// Returns how many images were tried.
fn crash_at(script: &[Step], stop: u64, effort: Effort, name: &str) -> usize {
    let disk = SimulatedDirectory::new();
    disk.stop_before(stop);
    let mut sent = Sent::default();
    let outcome = run(&disk, script, &mut sent);
    assert!(outcome.is_err() || !disk.is_stopped());
    let mut tried = 0;
    for (image_name, image) in images(&disk, effort, stop) {
        let context = format!("{name}, power lost before operation {stop}, {image_name}");
        let torn = Torn::of(&image);
        for within in 0.. {
            let again = image.crash(CrashProfile::StrictPosix, 1);
            again.stop_before(within);
            let opened = options(500).open_on(again.clone());
            if opened.is_ok() && !again.is_stopped() {
                break;
            }
            drop(opened);
            let nested = Effort { seeds: effort.nested_seeds, units_max: 3, nested_seeds: 0 };
            for (nested_name, nested) in images(&again, nested, within) {
                let context = format!("{context}, again before {within} of the recovery, {nested_name}");
                assert!(
                    torn.as_ref().is_none_or(|torn| torn.is_kept(&nested)),
                    "{context}: torn bytes are gone"
                );
                recover(&nested, &sent, &context);
                tried += 1;
            }
        }
        recover(&image, &sent, &context);
        tried += 1;
    }
    tried
}

/// Ends the process before operation `stop`: the system still has everything that was written. Whatever the next
/// process then shows must outlive a power loss right after.
fn kill_at(script: &[Step], stop: u64, effort: Effort, name: &str) -> usize {
    let disk = SimulatedDirectory::new();
    disk.stop_before(stop);
    let mut sent = Sent::default();
    let outcome = run(&disk, script, &mut sent);
    assert!(outcome.is_err() || !disk.is_stopped());
    let disk = disk.kill();
    let context = format!("{name}, killed before operation {stop}");
    let store = options(700).open_on(disk.clone()).unwrap_or_else(|error| panic!("{context}: {error}"));
    sent.durable = check(&store, &sent, &context);
    let images = images(&disk, effort, stop);
    for (image_name, image) in &images {
        recover(image, &sent, &format!("{context}, power lost when it was opened again, {image_name}"));
    }
    images.len()
}

fn operations_of(script: &[Step]) -> u64 {
    let disk = SimulatedDirectory::new();
    run(&disk, script, &mut Sent::default()).unwrap();
    disk.operation_count()
}

#[test]
fn power_loss_anywhere_in_a_scripted_workload() {
    let effort = Effort { seeds: 3, units_max: 5, nested_seeds: 3 };
    let operations = operations_of(SCRIPT);
    let tried: usize = (0..=operations).map(|stop| crash_at(SCRIPT, stop, effort, "the script")).sum();
    println!("{operations} operations, {tried} images");
}

#[test]
fn what_is_shown_after_a_kill_outlives_a_power_loss() {
    let effort = Effort { seeds: 4, units_max: 5, nested_seeds: 0 };
    let tried: usize =
        (0..=operations_of(SCRIPT)).map(|stop| kill_at(SCRIPT, stop, effort, "the script")).sum();
    println!("{tried} images");
}

#[test]
fn power_loss_in_random_workloads() {
    let from_environment = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seconds = from_environment("ANNALS_CRASH_SECONDS");
    let first_seed = from_environment("ANNALS_CRASH_SEED").unwrap_or(1);
    let deadline = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let mut tried = 0;
    for round in 0.. {
        if round >= 4 && (seconds.is_none() || Instant::now() >= deadline) {
            println!("{round} workloads from seed {first_seed}, {tried} images");
            break;
        }
        let seed = first_seed.wrapping_add(round);
        let script = random_script(seed);
        let operations = operations_of(&script);
        let mut numbers = Numbers(seed);
        for _ in 0..6 {
            let stop = numbers.below(operations + 1);
            let effort = Effort { seeds: 3, units_max: 4, nested_seeds: 2 };
            let name = format!("ANNALS_CRASH_SEED={seed} cargo test -p annals power_loss: {script:?}");
            tried += crash_at(&script, stop, effort, &name);
            tried += kill_at(&script, stop, effort, &name);
        }
    }
}

fn random_script(seed: u64) -> Vec<Step> {
    let mut numbers = Numbers(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let level = |number: u64| [Durable, Written, Queued][usize::try_from(number % 3).unwrap()];
    let step = |numbers: &mut Numbers| match numbers.below(16) {
        0..4 => Append(level(numbers.below(3))),
        4..8 => Batch(u8::try_from(1 + numbers.below(6)).unwrap(), level(numbers.below(3))),
        8..10 => Large(level(numbers.below(3))),
        10 => Name,
        11 => Sync,
        12 => Pump,
        13 => Checkpoint,
        14 => Reopen,
        _ => Drop,
    };
    (0..12).map(|_| step(&mut numbers)).collect()
}

/// Pseudo-random numbers of a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
