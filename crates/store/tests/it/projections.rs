//! Projections: what serves is the fold of exactly the events that a list of them says, whatever happened.

mod aggregates;
mod power;
mod snapshots;
mod switching;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use annals::{
    Background, Coordinate, Durability, Error, Event, Kind, NewEvent, Options, Query, QueryItem, Sequence,
    Store, Tag,
    consume::{Fold, Folded, Projection, Projections},
    disk::{MemoryDirectory, SeededEntropy, SimulatedDirectory},
};
use annals_segment::Directory;
use serde::{Deserialize, Serialize};

const KIND: u16 = 0x2001;

/// What tells any two lists of events apart: how many they are, and a hash of their sequences and payloads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Trail {
    count: u64,
    hash: u64,
}

impl Trail {
    fn add(&mut self, event: &Event) {
        self.count += 1;
        let bytes = event.sequence().0.to_le_bytes();
        for byte in bytes.iter().chain(event.payload().unwrap_or_default()) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
        }
    }
}

/// The fold to trails, of a query, which counts how often it is given an event.
#[derive(Debug, Clone)]
struct Trails {
    version: u32,
    query: Query,
    given: Arc<AtomicU64>,
}

impl Fold for Trails {
    type State = Trail;

    fn name(&self) -> &str {
        "trails"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn query(&self, _: &Store) -> Query {
        self.query.clone()
    }

    fn apply(&self, trail: &mut Trail, event: &Event) -> Result<(), Error> {
        self.given.fetch_add(1, Ordering::Relaxed);
        trail.add(event);
        Ok(())
    }
}

impl Trails {
    fn new(query: Query) -> Self {
        Self { version: 1, query, given: Arc::default() }
    }

    fn given(&self) -> u64 {
        self.given.swap(0, Ordering::Relaxed)
    }
}

fn tagged(tag: &str) -> Query {
    Query::of(QueryItem::new().tag(tag))
}

fn options(seed: u64) -> Options {
    Options::new()
        .create(true)
        .segment_bytes(8192)
        .background(Background::Manual)
        .entropy(SeededEntropy::new(seed))
}

fn open(directory: impl Directory + 'static, seed: u64) -> Store {
    options(seed).open_on(directory).unwrap()
}

/// Appends an event to one of three streams, with the tag `odd` or `even`.
fn append(store: &Store, number: u64, durability: Durability) {
    let at = Coordinate::new(&format!("entity:{}", number % 3), "scope").unwrap();
    let payload = format!("payload {number}");
    let event = NewEvent::new(&at, Kind::new(KIND).unwrap(), payload.as_bytes());
    let event = event.tag(Tag::new(if number % 2 == 1 { "odd" } else { "even" }).unwrap());
    store.append_with(&event, durability).unwrap();
}

fn fill(store: &Store, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        append(store, number, Durability::Queued);
    }
    store.sync().unwrap();
}

/// What a list of the events says.
fn naive(store: &Store, query: &Query, until: Sequence) -> Trail {
    let mut trail = Trail::default();
    store.query(query.clone()).until(until).for_each(|event| trail.add(&event.unwrap()));
    trail
}

fn assert_right(store: &Store, query: &Query, folded: &Folded<Trail>) {
    assert_eq!(folded.state, naive(store, query, folded.sequence), "up to {}", folded.sequence);
    assert_eq!(folded.event_count, folded.state.count);
}

/// The projection, which must be right and at the end.
fn project(store: &Store, fold: &Trails) -> Projection<Trails> {
    let projection = store.project(fold.clone()).unwrap();
    let folded = projection.read();
    assert_eq!(folded.sequence, store.last_sequence());
    assert_right(store, &fold.query, &folded);
    projection
}

#[test]
fn each_event_that_matches_is_folded_once_and_new_ones_alone() {
    for query in [Query::all(), tagged("odd"), tagged("nothing")] {
        let store = open(MemoryDirectory::new(), 1);
        fill(&store, 1..=100);
        let fold = Trails::new(query.clone());
        let projection = project(&store, &fold);
        assert_eq!(fold.given(), naive(&store, &query, Sequence(100)).count);
        // The first round copies the state, for a reader has it; later ones fold what two of them have in turn.
        for round in 0..5 {
            let first = 101 + 10 * round;
            fill(&store, first..=first + 9);
            let folded = projection.catch_up().unwrap();
            assert_eq!(folded.sequence, store.last_sequence());
            assert_right(&store, &query, &folded);
            let new = naive(&store, &query, Sequence(110)).count - naive(&store, &query, Sequence(100)).count;
            drop(folded);
            assert!(fold.given() <= 2 * new, "only what is new, and at most twice");
        }
        projection.catch_up().unwrap();
        assert_eq!(fold.given(), 0);
    }
}

#[test]
fn a_state_that_a_reader_holds_does_not_change() {
    let store = open(MemoryDirectory::new(), 1);
    let projection = project(&store, &Trails::new(Query::all()));
    let mut held = Vec::new();
    for number in 1..=30 {
        fill(&store, number..=number);
        held.push(projection.catch_up().unwrap());
    }
    for folded in held {
        assert_right(&store, &Query::all(), &folded);
    }
}

/// A fold that refuses an event.
struct Refusing {
    inner: Trails,
    refused: Arc<Mutex<Option<u64>>>,
}

impl Fold for Refusing {
    type State = Trail;

    fn name(&self) -> &str {
        "refusing"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(&self, trail: &mut Trail, event: &Event) -> Result<(), Error> {
        if *self.refused.lock().unwrap() == Some(event.sequence().0) {
            return Err(Error::Invalid { what: "event", why: "refused".to_owned() });
        }
        self.inner.apply(trail, event)
    }
}

#[test]
fn what_a_fold_refuses_is_not_served_and_tried_again() {
    let store = open(MemoryDirectory::new(), 1);
    fill(&store, 1..=10);
    let refused = Arc::new(Mutex::new(None));
    let inner = Trails::new(Query::all());
    let projection = store.project(Refusing { inner, refused: Arc::clone(&refused) }).unwrap();
    let other = project(&store, &Trails::new(tagged("odd")));
    fill(&store, 11..=20);
    *refused.lock().unwrap() = Some(15);
    let error = Projections::new().with(&projection).with(&other).catch_up().unwrap_err();
    assert!(matches!(error, Error::Invalid { what: "event", .. }), "{error}");
    assert_eq!(projection.read().sequence, Sequence(10), "what served before");
    assert_eq!(other.read().sequence, Sequence(20), "the others go on");
    assert_right(&store, &tagged("odd"), &other.read());
    *refused.lock().unwrap() = None;
    assert_right(&store, &Query::all(), &projection.catch_up().unwrap());
    *refused.lock().unwrap() = Some(5);
    let inner = Trails::new(Query::all());
    store.project(Refusing { inner, refused }).expect_err("nothing was saved");
}

#[test]
fn several_folds_read_the_log_once() {
    let disk = SimulatedDirectory::new();
    let store = options(1).maps(false).open_on(disk.clone()).unwrap();
    let folds = ["odd", "even"].map(|tag| Trails::new(tagged(tag)));
    let all = Trails::new(Query::all());
    let [odd, even] = folds.clone().map(|fold| store.project(fold).unwrap());
    let whole = store.project(all.clone()).unwrap();
    fill(&store, 1..=400);
    // One is ahead of the others.
    odd.catch_up().unwrap();
    fill(&store, 401..=600);
    let reads = disk.read_count();
    let upto = Projections::new().with(&odd).with(&even).with(&whole).with(&odd).catch_up().unwrap();
    let together = disk.read_count() - reads;
    assert_eq!(upto, Sequence(600));
    assert_right(&store, &tagged("odd"), &odd.read());
    assert_right(&store, &tagged("even"), &even.read());
    assert_right(&store, &Query::all(), &whole.read());
    assert_eq!((folds[0].given(), folds[1].given(), all.given()), (300, 300, 600));
    let reads = disk.read_count();
    for query in [tagged("even"), Query::all()] {
        naive(&store, &query, upto);
    }
    let apart = disk.read_count() - reads;
    assert!(3 * together <= 2 * apart + 30, "{together} reads together, {apart} apart");

    let other = open(MemoryDirectory::new(), 2);
    let stranger = project(&other, &Trails::new(Query::all()));
    let mixed = Projections::new().with(&odd).with(&stranger).catch_up();
    assert!(matches!(mixed, Err(Error::Invalid { what: "projections", .. })), "{mixed:?}");
    assert_eq!(Projections::new().catch_up().unwrap(), Sequence(0));
}

#[test]
fn who_waits_sees_what_it_wrote_when_it_can_be_read() {
    let store = open(MemoryDirectory::new(), 1);
    let fold = Trails::new(Query::all());
    let projection = project(&store, &fold);
    append(&store, 1, Durability::Durable);
    let seen = projection.wait(Sequence(1), Duration::ZERO).unwrap().unwrap();
    assert_right(&store, &Query::all(), &seen);
    // Not durable, so nobody can read it, and nobody but this thread would make it so.
    append(&store, 2, Durability::Written);
    assert!(projection.wait(Sequence(2), Duration::from_millis(1)).unwrap().is_none());
    assert_eq!(projection.read().sequence, Sequence(1));
    let waiter = std::thread::spawn({
        let projection = projection.clone();
        move || projection.wait(Sequence(2), Duration::from_secs(600)).unwrap().unwrap().sequence
    });
    store.sync().unwrap();
    assert!(waiter.join().unwrap() >= Sequence(2));
    assert_eq!(projection.wait(Sequence(0), Duration::ZERO).unwrap().unwrap().sequence, Sequence(2));
    store.close().unwrap();
    let never = projection.wait(Sequence(3), Duration::from_secs(600));
    assert!(matches!(never, Err(Error::Closed)), "{never:?}");
}

#[test]
fn who_waits_for_another_that_folds_gives_up_in_time() {
    let store = open(MemoryDirectory::new(), 1);
    let (entered, is_entered) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let gate = Gate { entered, may_go_on: Mutex::new(may_go_on) };
    let projection = store.project(gate).unwrap();
    fill(&store, 1..=1);
    let folding = std::thread::spawn({
        let projection = projection.clone();
        move || projection.catch_up().unwrap().sequence
    });
    is_entered.recv().unwrap();
    assert!(projection.wait(Sequence(1), Duration::from_millis(1)).unwrap().is_none());
    let waiting = std::thread::spawn({
        let projection = projection.clone();
        move || projection.wait(Sequence(1), Duration::from_secs(600)).unwrap().unwrap().state
    });
    go_on.send(()).unwrap();
    assert_eq!((folding.join().unwrap(), waiting.join().unwrap()), (Sequence(1), 1));
}

/// A fold that waits in the middle.
struct Gate {
    entered: std::sync::mpsc::Sender<()>,
    may_go_on: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Fold for Gate {
    type State = u64;

    fn name(&self) -> &str {
        "gate"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(&self, count: &mut u64, _: &Event) -> Result<(), Error> {
        self.entered.send(()).unwrap();
        self.may_go_on.lock().unwrap().recv().unwrap();
        *count += 1;
        Ok(())
    }
}

#[test]
fn an_event_that_is_hidden_later_goes_from_the_state() {
    let store = open(MemoryDirectory::new(), 1);
    fill(&store, 1..=100);
    let fold = Trails::new(tagged("odd"));
    let projection = project(&store, &fold);
    let right = || assert_right(&store, &fold.query, &projection.catch_up().unwrap());
    fold.given();
    store.hide(Sequence(40), Sequence(40)).unwrap();
    right();
    assert_eq!(fold.given(), 0, "it was not in the state");
    store.hide(Sequence(41), Sequence(42)).unwrap();
    right();
    assert_eq!(fold.given(), 49, "everything anew");
    fill(&store, 101..=110);
    store.hide(Sequence(103), Sequence(106)).unwrap();
    right();
    assert!(fold.given() <= 49 + 2 * 3, "what was not in it yet is passed by");
    fill(&store, 111..=120);
    right();
    let info = projection.info().unwrap();
    assert_eq!(info.rebuild_count, 2, "{info:?}");
    assert!(info.rebuilt_because.unwrap().contains("was hidden"));
}

#[test]
fn a_kind_that_got_its_name_late_is_folded_whole() {
    #[derive(annals::Event, Serialize, Deserialize)]
    #[event(name = "noted")]
    struct Noted(String);

    struct Notes(Arc<AtomicU64>);

    impl Fold for Notes {
        type State = Vec<u64>;

        fn name(&self) -> &str {
            "notes"
        }

        fn version(&self) -> u32 {
            1
        }

        fn query(&self, store: &Store) -> Query {
            store.query_of::<Noted>()
        }

        fn apply(&self, notes: &mut Vec<u64>, event: &Event) -> Result<(), Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            notes.push(event.sequence().0);
            Ok(())
        }
    }

    let store = open(MemoryDirectory::new(), 1);
    fill(&store, 1..=20);
    let given = Arc::new(AtomicU64::new(0));
    let projection = store.project(Notes(Arc::clone(&given))).unwrap();
    assert!(projection.read().state.is_empty());
    let at = Coordinate::new("a", "s").unwrap();
    store.append(&NewEvent::of(&at, &Noted("one".to_owned())).unwrap()).unwrap();
    assert_eq!(projection.catch_up().unwrap().state, [21]);
    assert_eq!(projection.info().unwrap().rebuild_count, 1, "there was none before the name");
    // Events of a kind that is given the name of the type afterwards.
    let store = open(MemoryDirectory::new(), 2);
    fill(&store, 1..=20);
    let projection = store.project(Notes(given)).unwrap();
    store.name_kind(Kind::new(KIND).unwrap(), "noted").unwrap();
    fill(&store, 21..=21);
    assert_eq!(projection.catch_up().unwrap().state, Vec::from_iter(1..=21));
}

#[test]
fn how_it_is_doing() {
    let store = open(MemoryDirectory::new(), 1);
    let projection = project(&store, &Trails::new(tagged("odd")));
    fill(&store, 1..=10);
    let info = projection.info().unwrap();
    assert_eq!((info.name.as_str(), info.fold_version, info.sequence), ("trails", 1, Sequence(0)));
    assert_eq!((info.lag_events, info.saved, info.rebuild_count), (10, None, 1));
    assert_eq!(info.rebuilt_because, None, "there was no snapshot");
    projection.catch_up().unwrap();
    assert_eq!(projection.save().unwrap(), Some(Sequence(10)));
    let info = projection.info().unwrap();
    assert_eq!((info.event_count, info.lag_events, info.saved), (5, 0, Some(Sequence(10))));
    assert_eq!(info.lag, Duration::ZERO);
    let named = Trails::new(Query::all());
    assert!(format!("{:?}", store.project(named).unwrap()).contains("trails"));
}

/// A store that another writes: what it shows is folded, and what is hidden of it goes.
#[test]
fn a_followers_projection_follows() {
    let directory = MemoryDirectory::new();
    let store = open(directory.clone(), 1);
    fill(&store, 1..=50);
    let follower = options(2).open_read_only_on(directory).unwrap();
    let fold = Trails::new(tagged("odd"));
    let projection = project(&follower, &fold);
    // Through several segments.
    for round in 1..=8 {
        let end = 50 + 20 * round;
        fill(&store, end - 19..=end);
        store.pump().unwrap();
        let seen = projection.wait(Sequence(end), Duration::from_secs(600)).unwrap().unwrap();
        assert_eq!(seen.state, naive(&store, &fold.query, Sequence(end)));
    }
    store.hide(Sequence(71), Sequence(71)).unwrap();
    fill(&store, 211..=212);
    let seen = projection.wait(Sequence(212), Duration::from_secs(600)).unwrap().unwrap();
    assert_eq!(seen.state, naive(&store, &fold.query, Sequence(212)));
}

/// What would have to be folded was removed from the log by intent: no state is made of the rest.
#[test]
fn a_log_without_its_beginning_is_folded_from_a_snapshot_or_not_at_all() {
    let directory = MemoryDirectory::new();
    let store = open(directory.clone(), 1);
    fill(&store, 1..=300);
    let fold = Trails::new(tagged("odd"));
    let at = Coordinate::new("entity:1", "scope").unwrap();
    let aggregate = store.fold_stream(&fold, &at).unwrap();
    let whole = naive(&store, &fold.query, Sequence(300));
    project(&store, &fold).save().unwrap();
    fill(&store, 301..=302);
    store.close().unwrap();
    crate::retention::change_manifest(&directory, |manifest| manifest.oldest = annals_wire::SegmentId(3));
    for name in ["000001.seg", "000002.seg"] {
        directory.remove(name).unwrap();
    }
    let store = open(directory, 2);
    let first = store.all().next().unwrap().unwrap().sequence();
    assert!(first > Sequence(2));
    let folded = store.project(fold.clone()).unwrap().read();
    assert_eq!((folded.state.count, folded.sequence), (whole.count + 1, Sequence(302)));
    let refused = store.project(Trails { version: 2, ..fold.clone() }).unwrap_err();
    assert!(refused.to_string().contains("were removed from the log"), "{refused}");
    let rest = Query::of(QueryItem::new().after(Sequence(first.0 - 1)));
    project(&store, &Trails { version: 2, ..Trails::new(rest) });
    let refused = store.fold_stream(&fold, &at).unwrap_err();
    assert!(refused.to_string().contains("were removed from the log"), "{refused}");
    store.save_stream(&fold, &at, &aggregate).unwrap();
    let again = store.fold_stream(&fold, &at).unwrap();
    assert_eq!((again.folded.event_count, again.new_count), (aggregate.folded.event_count + 1, 1));
}
