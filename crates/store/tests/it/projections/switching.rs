//! The switch to a state that was made anew, while others read and fold; and what is called for events meanwhile.

use std::{sync::atomic::AtomicBool, thread};

use annals_segment::SystemEntropy;

use super::*;

/// The trails up to each sequence, by a list of all events.
fn trails(store: &Store, query: &Query) -> Vec<Trail> {
    let mut trails = vec![Trail::default()];
    let wanted: Vec<u64> = store.query(query.clone()).map(|event| event.unwrap().sequence().0).collect();
    for event in store.all() {
        let event = event.unwrap();
        let mut trail = trails.last().unwrap().clone();
        if wanted.binary_search(&event.sequence().0).is_ok() {
            trail.add(&event);
        }
        trails.push(trail);
    }
    trails
}

/// Threads read all the while that others append, fold, hold on to states, and have everything made anew: each state
/// that any of them saw is the fold of all that its version asks for up to its sequence, and none saw less than before.
#[test]
fn readers_see_folds_of_prefixes_and_never_less() {
    const EVENTS: u64 = 6_000;
    let options = Options::new().create(true).segment_bytes(64 << 10).entropy(SystemEntropy::default());
    let store = options.open_on(MemoryDirectory::new()).unwrap();
    fill(&store, 1..=EVENTS / 2);
    let projection = store.project(Trails::new(tagged("odd"))).unwrap();
    let is_over = AtomicBool::new(false);
    let read = || {
        let mut seen = vec![projection.read()];
        while !is_over.load(Ordering::Relaxed) {
            let next = projection.read();
            if !Arc::ptr_eq(&next, seen.last().unwrap()) {
                seen.push(next);
            }
        }
        seen.push(projection.catch_up().unwrap());
        seen
    };
    let seen = thread::scope(|scope| {
        // Also where something fails here: then the others end as well.
        let _over = Over(&is_over);
        let readers = [(); 2].map(|()| scope.spawn(read));
        let folding = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                projection.catch_up().unwrap();
            }
        });
        let appending = scope.spawn(|| {
            for first in (EVENTS / 2 + 1..=EVENTS).step_by(50) {
                fill(&store, first..=first + 49);
            }
        });
        for version in 2..8 {
            let query = tagged(if version % 2 == 0 { "even" } else { "odd" });
            projection.rebuild_with(Trails { version, ..Trails::new(query) }).unwrap();
            projection.rebuild().unwrap();
        }
        appending.join().unwrap();
        is_over.store(true, Ordering::Relaxed);
        folding.join().unwrap();
        readers.map(|reader| reader.join().unwrap())
    });
    let expected = [tagged("even"), tagged("odd")].map(|query| trails(&store, &query));
    for seen in seen {
        assert!(seen.is_sorted_by_key(|folded| (folded.sequence, folded.fold_version())), "nobody sees less");
        for folded in &seen {
            let expected = &expected[usize::try_from(folded.fold_version() % 2).unwrap()];
            let sequence = usize::try_from(folded.sequence.0).unwrap();
            assert_eq!(folded.state, expected[sequence], "version {}", folded.fold_version());
        }
        let last = seen.last().unwrap();
        assert_eq!((last.sequence, last.fold_version()), (Sequence(EVENTS), 7));
    }
}

/// Says that it is over when it goes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Hook = Box<dyn Fn(&Event) + Send + Sync>;

/// A fold of a version, with something that happens while it folds.
struct Hooked {
    version: u32,
    hook: Hook,
}

impl Fold for Hooked {
    type State = Trail;

    fn name(&self) -> &str {
        "hooked"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn apply(&self, trail: &mut Trail, event: &Event) -> Result<(), Error> {
        (self.hook)(event);
        trail.add(event);
        Ok(())
    }
}

fn hooked(version: u32, hook: impl Fn(&Event) + Send + Sync + 'static) -> Hooked {
    Hooked { version, hook: Box::new(hook) }
}

#[test]
fn the_old_one_serves_and_goes_on_while_the_new_one_is_made() {
    let store = open(MemoryDirectory::new(), 1);
    fill(&store, 1..=3_000);
    let projection = store.project(hooked(1, |_| ())).unwrap();
    let called = Arc::new(Mutex::new(Vec::new()));
    projection.on_event({
        let (called, projection) = (Arc::clone(&called), projection.clone());
        move |trail, event| {
            assert!(trail.count >= event.sequence().0, "the state has it");
            assert!(projection.read().sequence >= event.sequence(), "and serves");
            called.lock().unwrap().push((event.sequence().0, projection.read().fold_version()));
        }
    });
    // In the middle of it, what is new is appended, folded by the old one, and read.
    let rebuild = hooked(2, {
        let (store, projection) = (store.clone(), projection.clone());
        move |event| match event.sequence().0 {
            _ if projection.read().fold_version() == 2 => {}
            1_000 => {
                fill(&store, 3_001..=3_010);
                let folded = projection.catch_up().unwrap();
                assert_eq!((folded.sequence, folded.fold_version()), (Sequence(3_010), 1));
                assert_right(&store, &Query::all(), &folded);
            }
            // Nobody folds this one before the switch.
            3_000 => fill(&store, 3_011..=3_020),
            _ => {}
        }
    });
    projection.rebuild_with(rebuild).unwrap();
    let folded = projection.read();
    assert_eq!((folded.sequence, folded.fold_version()), (Sequence(3_020), 2));
    assert_right(&store, &Query::all(), &folded);
    let expected = (3_001..=3_010).map(|sequence| (sequence, 1));
    let expected: Vec<_> = expected.chain((3_011..=3_020).map(|sequence| (sequence, 2))).collect();
    assert_eq!(*called.lock().unwrap(), expected, "each once, in order, by who serves it first");
    projection.rebuild().unwrap();
    store.hide(Sequence(3_015), Sequence(3_015)).unwrap();
    projection.catch_up().unwrap();
    assert_eq!(called.lock().unwrap().len(), 20, "none for what is made anew");
    assert_eq!(projection.info().unwrap().rebuild_count, 4);
}

#[test]
fn a_rebuild_that_fails_changes_nothing() {
    let store = open(MemoryDirectory::new(), 1);
    fill(&store, 1..=10);
    let refused = Arc::new(Mutex::new(None));
    let fold = || Refusing { inner: Trails::new(Query::all()), refused: Arc::clone(&refused) };
    let projection = store.project(fold()).unwrap();
    *refused.lock().unwrap() = Some(5);
    projection.rebuild().unwrap_err();
    assert_eq!(projection.read().sequence, Sequence(10));
    fill(&store, 11..=12);
    assert_right(&store, &Query::all(), &projection.catch_up().unwrap());
    let same = projection.rebuild_with(fold()).unwrap_err();
    assert!(same.to_string().contains("it has version 1"), "{same}");
}

#[test]
fn what_is_called_for_an_event_is_called_once_even_where_it_panics() {
    let store = open(MemoryDirectory::new(), 1);
    fill(&store, 1..=5);
    let projection = store.project(Trails::new(tagged("odd"))).unwrap();
    let called = Arc::new(Mutex::new(Vec::new()));
    projection.on_event({
        let called = Arc::clone(&called);
        move |_, event| {
            called.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event.sequence().0);
            assert_ne!(event.sequence().0, 9, "on purpose");
        }
    });
    fill(&store, 6..=12);
    let panicked = thread::spawn({
        let projection = projection.clone();
        move || projection.catch_up().map(drop)
    });
    panicked.join().unwrap_err();
    assert_right(&store, &tagged("odd"), &projection.read());
    assert_eq!(projection.read().sequence, Sequence(12), "it serves before anything is called");
    projection.catch_up().unwrap();
    fill(&store, 13..=14);
    assert_right(&store, &tagged("odd"), &projection.catch_up().unwrap());
    let called = called.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    assert_eq!(*called, [7, 9, 11, 13]);
}

#[test]
fn a_fold_that_panics_leaves_what_served() {
    let store = open(MemoryDirectory::new(), 1);
    fill(&store, 1..=5);
    let is_angry = Arc::new(AtomicBool::new(false));
    let fold = hooked(1, {
        let is_angry = Arc::clone(&is_angry);
        move |_| assert!(!is_angry.load(Ordering::Relaxed), "on purpose")
    });
    let projection = store.project(fold).unwrap();
    for round in 0..3 {
        fill(&store, 6 + 4 * round..=7 + 4 * round);
        projection.catch_up().unwrap();
        fill(&store, 8 + 4 * round..=9 + 4 * round);
        is_angry.store(true, Ordering::Relaxed);
        let folding = projection.clone();
        thread::spawn(move || folding.catch_up().map(drop)).join().unwrap_err();
        is_angry.store(false, Ordering::Relaxed);
        assert_eq!(projection.read().sequence, Sequence(7 + 4 * round));
        assert_right(&store, &Query::all(), &projection.catch_up().unwrap());
    }
}

/// Events that were folded already, and events that were found and are still to be folded, are hidden meanwhile.
#[test]
fn an_event_that_is_hidden_while_it_is_folded_is_not_in_the_state() {
    for (first, last) in [(10, 10), (45, 60), (300, 310)] {
        let store = open(MemoryDirectory::new(), 1);
        fill(&store, 1..=400);
        let is_hidden = Arc::new(AtomicBool::new(false));
        let fold = || {
            let (store, is_hidden) = (store.clone(), Arc::clone(&is_hidden));
            hooked(1, move |event| {
                if event.sequence() == Sequence(50) && !is_hidden.swap(true, Ordering::Relaxed) {
                    store.hide(Sequence(first), Sequence(last)).unwrap();
                }
            })
        };
        let projection = store.project(fold()).unwrap();
        assert_right(&store, &Query::all(), &projection.read());
        // And the same of a stream.
        is_hidden.store(false, Ordering::Relaxed);
        let at = Coordinate::new("entity:1", "scope").unwrap();
        let hide = hooked(1, {
            let store = store.clone();
            move |event| {
                if event.sequence() == Sequence(61) {
                    store.hide(Sequence(4), Sequence(4)).unwrap();
                }
            }
        });
        let mut trail = Trail::default();
        let aggregate = store.fold_stream(&hide, &at).unwrap();
        store.stream(&at).for_each(|event| trail.add(&event.unwrap()));
        assert_eq!(aggregate.folded.state, trail);
        projection.rebuild().unwrap();
        assert_right(&store, &Query::all(), &projection.read());
    }
}

/// A fold that breaks its word: it depends on more than its events, which is what people make things anew for.
#[test]
fn a_rebuild_leaves_nothing_of_what_served_before() {
    struct Weighed(Arc<AtomicU64>);

    impl Fold for Weighed {
        type State = u64;

        fn name(&self) -> &str {
            "weighed"
        }

        fn version(&self) -> u32 {
            1
        }

        fn apply(&self, sum: &mut u64, _: &Event) -> Result<(), Error> {
            *sum += self.0.load(Ordering::Relaxed);
            Ok(())
        }
    }

    let store = open(MemoryDirectory::new(), 1);
    fill(&store, 1..=100);
    let weight = Arc::new(AtomicU64::new(1));
    let projection = store.project(Weighed(Arc::clone(&weight))).unwrap();
    fill(&store, 101..=102);
    assert_eq!(projection.catch_up().unwrap().state, 102);
    weight.store(2, Ordering::Relaxed);
    projection.rebuild().unwrap();
    for last in 103..=106 {
        fill(&store, last..=last);
        assert_eq!(projection.catch_up().unwrap().state, 2 * last);
    }
}

/// Counts events; something else happens when it is asked for its query.
struct Disturbed {
    name: &'static str,
    meanwhile: Meanwhile,
}

type Pair = [Projection<Disturbed>; 2];
type Meanwhile = Arc<Mutex<Option<Pair>>>;

impl Fold for Disturbed {
    type State = u64;

    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> u32 {
        1
    }

    fn query(&self, store: &Store) -> Query {
        let pair = self.meanwhile.lock().unwrap().take();
        for projection in pair.into_iter().flatten() {
            if projection.info().unwrap().name == self.name {
                continue;
            }
            fill(store, 2..=2);
            projection.catch_up().unwrap();
            store.hide(Sequence(1), Sequence(1)).unwrap();
        }
        Query::all()
    }

    fn apply(&self, count: &mut u64, _: &Event) -> Result<(), Error> {
        *count += 1;
        Ok(())
    }
}

#[test]
fn what_somebody_else_folded_further_and_is_outdated_goes_back_for_nobody() {
    let store = open(SimulatedDirectory::new(), 1);
    fill(&store, 1..=1);
    let meanwhile = Meanwhile::default();
    let pair = ["one", "two"].map(|name| {
        let meanwhile = Arc::clone(&meanwhile);
        store.project(Disturbed { name, meanwhile }).unwrap()
    });
    *meanwhile.lock().unwrap() = Some(pair.clone());
    // The one is asked for its query, and meanwhile the other goes on, and an event that it has is hidden.
    Projections::new().with(&pair[0]).with(&pair[1]).catch_up().unwrap();
    let mut served = pair.map(|projection| (projection.read().sequence.0, projection.read().state));
    served.sort_unstable();
    assert_eq!(served, [(1, 0), (2, 1)]);
}
