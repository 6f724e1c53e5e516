//! Followers: what a writer publishes, seen by stores that were opened for reading beside it, through everything that
//! becomes of segments, indexes and writers.

use std::{ops::Range, thread, time::Duration};

use annals::{
    Background, Coordinate, Durability, Error, Kind, NewEvent, Options, Query, QueryItem, Sequence, Store,
    consume::Subscription,
    disk::{MemoryDirectory, SeededEntropy, SimulatedDirectory},
};
use annals_segment::{Errno, Fault, Span};

use crate::history::image;

fn options(seed: u64) -> Options {
    let options = Options::new().create(true).segment_bytes(4096).checkpoint_bytes(3000);
    options.background(Background::Manual).entropy(SeededEntropy::new(seed))
}

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % count
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

fn append(store: &Store, random: &mut Random) -> Result<(), Error> {
    let payload = vec![7; usize::try_from(random.below(900)).unwrap()];
    let at = Coordinate::new(&format!("e:{}", random.below(4)), "s").unwrap();
    let kind = Kind::new(0x2000 + u16::try_from(random.below(3)).unwrap()).unwrap();
    let events = vec![NewEvent::new(&at, kind, &payload); usize::try_from(1 + random.below(3)).unwrap()];
    let level =
        random.of(&[Durability::Durable, Durability::Durable, Durability::Written, Durability::Queued]);
    store.append_batch_with(&events, level).map(|_| ())
}

/// A reader that took some events of each subscription.
struct Follower {
    store: Store,
    subscriptions: Vec<(Query, Subscription, Vec<u64>)>,
}

fn queries() -> [Query; 3] {
    let item = QueryItem::new;
    [
        Query::all(),
        Query::of(item().kind(Kind::new(0x2001).unwrap())),
        Query::of(item().scope("s").entity("e:2")),
    ]
}

impl Follower {
    fn open(disk: &SimulatedDirectory, seed: u64) -> Option<Self> {
        let store = options(seed).open_read_only_on(disk.clone()).ok()?;
        let subscriptions =
            queries().map(|query| (query.clone(), store.subscribe(query), Vec::new())).into_iter().collect();
        Some(Self { store, subscriptions })
    }

    /// Another process takes the subscriptions over, from where they were.
    fn open_again(&mut self, disk: &SimulatedDirectory, seed: u64) {
        let Ok(store) = options(seed).open_read_only_on(disk.clone()) else { return };
        for (query, subscription, _) in &mut self.subscriptions {
            *subscription = store.subscribe(query.clone()).after(subscription.delivered());
        }
        self.store = store;
    }

    /// Takes what there is, of each at most `limit`.
    fn take(&mut self, limit: usize) {
        for (_, subscription, taken) in &mut self.subscriptions {
            let next = || subscription.try_next().unwrap().map(|event| event.sequence().0);
            taken.extend(std::iter::from_fn(next).take(limit));
        }
    }
}

/// One writer's lives with followers beside it.
struct World {
    disk: SimulatedDirectory,
    random: Random,
    writer: Option<Store>,
    followers: Vec<Follower>,
    visibility: Durability,
    lives: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let visibility = random.of(&[Durability::Durable, Durability::Written]);
        let disk = SimulatedDirectory::new();
        Self { disk, random, writer: None, followers: Vec::new(), visibility, lives: seed << 20 }
    }

    fn writer(&mut self) -> Option<Store> {
        if self.writer.is_none() {
            self.lives += 1;
            let opened = options(self.lives).visibility(self.visibility).open_on(self.disk.clone());
            self.writer = opened.ok();
        }
        self.writer.clone()
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..8 => {
                if let Some(writer) = self.writer() {
                    drop(append(&writer, &mut self.random));
                }
            }
            8 => drop(self.writer().map(|writer| writer.pump())),
            9 => drop(self.writer().map(|writer| writer.checkpoint())),
            10 => drop(self.writer().map(|writer| writer.close())),
            // What was not written goes with it, as in a process that is killed.
            11 => self.writer = None,
            12 => {
                let name = format!("kind {}", self.random.below(6));
                drop(self.writer().map(|writer| writer.kind(&name)));
            }
            13 => {
                let (last, at) = (
                    self.writer().map_or(Sequence(0), |writer| writer.last_sequence()),
                    self.random.below(20),
                );
                let first = Sequence(last.0.saturating_sub(at));
                drop(self.writer().map(|writer| writer.hide(first, last)));
            }
            14 => {
                let at = self.disk.operation_count() + self.random.below(6);
                let fault = self.random.of(&[Fault::Fail(Errno::Io), Fault::ShortWrite(40)]);
                self.disk.inject(at, fault, Span::Once);
            }
            15 if self.followers.len() < 3 => {
                let seed = self.random.below(u64::MAX);
                self.followers.extend(Follower::open(&self.disk, seed));
            }
            16 => {
                let seed = self.random.below(u64::MAX);
                let disk = self.disk.clone();
                self.followers.iter_mut().take(1).for_each(|follower| follower.open_again(&disk, seed));
            }
            _ => {
                let limit = self.random.of(&[1, 3, usize::MAX]);
                for follower in &mut self.followers {
                    follower.take(limit);
                    let published = self.writer.as_ref().map_or(Sequence(u64::MAX), Store::last_sequence);
                    assert!(follower.store.last_sequence() <= published, "of a writer that lives");
                }
            }
        }
        // A writer that stopped or was closed is replaced, sooner or later.
        if self.random.below(4) == 0 && self.writer.as_ref().is_some_and(|writer| writer.sync().is_err()) {
            self.writer = None;
        }
    }

    fn check(mut self, seed: u64) {
        // Until no fault is left.
        let mut count = 0;
        while count < 10 {
            let appended =
                self.writer().map(|writer| append(&writer, &mut self.random).and_then(|()| writer.sync()));
            count = if matches!(appended, Some(Ok(_))) { count + 1 } else { 0 };
            self.writer = self.writer.take().filter(|_| count > 0);
        }
        let writer = self.writer().unwrap();
        for follower in &mut self.followers {
            follower.take(usize::MAX);
            assert_eq!(follower.store.last_sequence(), writer.last_sequence(), "seed {seed}");
            assert_eq!(follower.store.kind_names(), writer.kind_names(), "seed {seed}");
            assert_eq!(follower.store.hidden(), writer.hidden(), "seed {seed}");
            for (query, subscription, taken) in &follower.subscriptions {
                let shown: Vec<_> =
                    writer.query(query.clone()).map(|event| event.unwrap().sequence().0).collect();
                assert!(taken.is_sorted_by(|one, next| one < next), "seed {seed}: {query}: {taken:?}");
                // What was hidden later may have been taken before.
                let is_hidden =
                    |at: &u64| writer.hidden().iter().any(|range| (range.0.0..=range.1.0).contains(at));
                let taken: Vec<_> = taken.iter().copied().filter(|at| !is_hidden(at)).collect();
                assert_eq!(taken, shown, "seed {seed}: {query}");
                assert_eq!(subscription.delivered(), writer.last_sequence(), "seed {seed}: {query}");
            }
        }
    }
}

fn explore(seeds: Range<u64>) {
    for seed in seeds {
        let mut world = World::new(seed);
        let steps = 40 + world.random.below(160);
        (0..steps).for_each(|_| world.step());
        world.check(seed);
    }
}

#[test]
fn a_follower_sees_what_its_writers_publish_once_and_in_order() {
    explore(0..if cfg!(miri) { 2 } else { 100 });
}

#[test]
fn a_follower_sees_only_what_is_published_and_at_once() {
    let disk = SimulatedDirectory::new();
    let writer = options(1).open_on(disk.clone()).unwrap();
    let follower = options(2).open_read_only_on(disk.clone()).unwrap();
    let mut random = Random(7);
    for _ in 0..100 {
        append(&writer, &mut random).unwrap();
        let opened = options(3).open_read_only_on(disk.clone()).unwrap();
        assert_eq!(follower.refresh().unwrap(), writer.last_sequence());
        assert_eq!(opened.last_sequence(), writer.last_sequence());
    }
    assert!(writer.stats().unwrap().segment_count > 5);
}

#[test]
fn what_is_new_within_a_segment_costs_what_is_new() {
    let disk = SimulatedDirectory::new();
    let writer = options(1).segment_bytes(1 << 20).checkpoint_bytes(0).open_on(disk.clone()).unwrap();
    let follower = options(2).open_read_only_on(disk.clone()).unwrap();
    let at = Coordinate::new("e:1", "s").unwrap();
    let event = NewEvent::new(&at, Kind::new(0x2001).unwrap(), &[7; 100]);
    writer.append(&event).unwrap();
    follower.refresh().unwrap();
    let mut costs = Vec::new();
    for _ in 0..400 {
        writer.append(&event).unwrap();
        let taken = allocation_counter::measure(|| assert!(follower.refresh().unwrap() > Sequence(1)));
        costs.push(taken.bytes_total);
    }
    assert_eq!(follower.last_sequence(), Sequence(401));
    let median = |costs: &mut [u64]| {
        costs.sort_unstable();
        costs[costs.len() / 2]
    };
    let (first, last) = costs.split_at_mut(200);
    let (first, last) = (median(first), median(last));
    assert!(last <= first + first / 4, "{first} bytes at first, {last} later");
}

#[test]
fn one_that_waits_is_told_without_being_asked_for() {
    let disk = SimulatedDirectory::new();
    let writer = options(1).open_on(disk.clone()).unwrap();
    let follower = options(2).open_read_only_on(disk).unwrap();
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let subscription = follower.subscribe(Query::all());
            thread::spawn(move || {
                subscription.take(40).map(|event| event.unwrap().sequence().0).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut ended = follower.subscribe(Query::of(QueryItem::new().tag("none")));
    let ender = ended.ender();
    let ended = thread::spawn(move || ended.next().is_none());
    let mut random = Random(3);
    while writer.last_sequence() < Sequence(40) {
        append(&writer, &mut random).unwrap();
    }
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), (1..=40).collect::<Vec<_>>());
    }
    assert!(follower.wait_visible(Sequence(39), Duration::MAX).unwrap() >= Sequence(40));
    ender.end();
    assert!(ended.join().unwrap());
}

#[test]
fn it_ends_when_the_follower_is_closed_or_gone_and_not_with_the_writer() {
    let disk = SimulatedDirectory::new();
    let writer = options(1).open_on(disk.clone()).unwrap();
    append(&writer, &mut Random(1)).unwrap();
    let [closed, gone] = [2, 3].map(|seed| options(seed).open_read_only_on(disk.clone()).unwrap());
    let mut subscriptions = [&closed, &gone].map(|store| store.subscribe(Query::all()).from_now());
    writer.close().unwrap();
    for subscription in &mut subscriptions {
        assert!(subscription.next_within(Duration::from_millis(1)).unwrap().is_none());
    }
    let waiters = subscriptions.map(|mut subscription| thread::spawn(move || subscription.next().is_none()));
    closed.close().unwrap();
    drop(gone);
    assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
}

/// The files of a store with `count` events that follow from `seed`.
fn store_of(directory: &MemoryDirectory, seed: u64, count: u64) {
    let writer = options(seed).open_on(directory.clone()).unwrap();
    while writer.last_sequence().0 < count {
        append(&writer, &mut Random(seed)).unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn another_history_in_its_place_is_refused() {
    let directory = MemoryDirectory::new();
    store_of(&directory, 1, 4);
    let kept = image(&directory);
    store_of(&directory, 2, 9);
    let follower = options(3).open_read_only_on(directory.clone()).unwrap();
    let mut subscription = follower.subscribe(Query::all());
    assert!((0..9).all(|_| subscription.try_next().unwrap().is_some()));

    // The past comes back, and other events follow it.
    for name in directory.names() {
        if let Some(bytes) = kept.get(&name) {
            directory.write_file(&name, bytes.clone());
        } else if name != "LOCK" {
            annals::disk::Directory::remove(&directory, &name).unwrap();
        }
    }
    store_of(&directory, 4, 20);
    let error = subscription.try_next().unwrap_err();
    assert!(matches!(error, Error::OtherHistory { .. }), "{error}");
    assert!(matches!(follower.refresh(), Err(Error::OtherHistory { .. })));
    assert!(subscription.next().is_none());
}
