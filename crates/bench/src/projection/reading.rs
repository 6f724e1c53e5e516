//! Readers while everything is made anew.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use annals::{Error, Sequence, Store, consume::Projection};
use serde::Serialize;

use super::{Tallies, append, next_hash};

const READERS: usize = 2;

/// What readers saw.
#[derive(Debug, Default, Serialize)]
pub(super) struct Seen {
    pub(super) seconds: f64,
    /// How many events were appended and folded by what served.
    pub(super) appended: u64,
    pub(super) reads: u64,
    /// How many states they were given, of which some were the same.
    pub(super) states: u64,
    /// How many of those were no fold of a prefix, or of a shorter one than the same reader had seen.
    pub(super) wrong: u64,
}

/// What of a state tells whether it is right.
struct Fingerprint {
    sequence: Sequence,
    count: u64,
    hash: u64,
}

/// Makes everything anew, by another version of the fold, while some read and one appends and folds.
pub(super) fn rebuild_beside(store: &Store, projection: &Projection<Tallies>) -> Result<Seen, Error> {
    let is_over = AtomicBool::new(false);
    let before = store.last_sequence();
    let (seconds, looked) = thread::scope(|scope| {
        let looking: Vec<_> = (0..READERS).map(|_| scope.spawn(|| look(projection, &is_over))).collect();
        let following = scope.spawn(|| follow(store, projection, &is_over));
        let start = Instant::now();
        let rebuilt = projection.rebuild_with(Tallies { version: 3 });
        let seconds = start.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        let followed = following.join().expect("it does not panic");
        let looked: Vec<_> = looking.into_iter().flat_map(thread::ScopedJoinHandle::join).collect();
        rebuilt.and(followed).map(|()| (seconds, looked))
    })?;
    let hashes = hashes(store)?;
    let is_right = |found: &Fingerprint| {
        let place = usize::try_from(found.sequence.0).unwrap_or(usize::MAX);
        hashes.get(place) == Some(&found.hash) && found.count == found.sequence.0
    };
    let mut seen = Seen { seconds, appended: store.last_sequence().0 - before.0, ..Seen::default() };
    for (reads, states) in looked {
        let steps = states.windows(2);
        let back =
            steps.filter(|pair| pair.first().map(|one| one.sequence) > pair.last().map(|one| one.sequence));
        seen.wrong += back.count() as u64 + states.iter().filter(|found| !is_right(found)).count() as u64;
        (seen.reads, seen.states) = (seen.reads + reads, seen.states + states.len() as u64);
    }
    Ok(seen)
}

/// Reads until it is over, and once more; how often, and what was seen.
fn look(projection: &Projection<Tallies>, is_over: &AtomicBool) -> (u64, Vec<Fingerprint>) {
    let (mut reads, mut states, mut last) = (0, Vec::new(), None);
    loop {
        let is_last = is_over.load(Ordering::Relaxed);
        let folded = projection.read();
        reads += 1;
        let is_new = last.replace((folded.sequence, folded.fold_version()))
            != Some((folded.sequence, folded.fold_version()));
        if is_new {
            let (sequence, count, hash) = (folded.sequence, folded.state.count(), folded.state.hash);
            states.push(Fingerprint { sequence, count, hash });
        }
        if is_last {
            return (reads, states);
        }
    }
}

/// Appends and catches up until it is over.
fn follow(store: &Store, projection: &Projection<Tallies>, is_over: &AtomicBool) -> Result<(), Error> {
    while !is_over.load(Ordering::Relaxed) {
        append(store, 10, 64)?;
        projection.catch_up()?;
    }
    Ok(())
}

/// The hash behind each event, by its sequence.
fn hashes(store: &Store) -> Result<Vec<u64>, Error> {
    let mut hashes = vec![0];
    for event in store.all() {
        let last = hashes.last().copied().unwrap_or_default();
        hashes.push(next_hash(last, &event?));
    }
    Ok(hashes)
}
