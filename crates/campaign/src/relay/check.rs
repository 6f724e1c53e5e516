//! What must have come of it.

use std::fmt;

use annals::{Store, report::VerifyReport};

use super::{PRODUCERS, RESULTS, STREAM_COUNT, coordinate, failed, number, result};
use crate::{Flaw, flaw::ensure};

/// How much there was.
#[derive(Debug, Default)]
pub(super) struct Found {
    produced: u64,
    results: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { produced, results } = self;
        write!(f, "{produced} events, {results} results: one of each, in the order of its stream")
    }
}

/// Compares the results with what was produced.
pub(super) fn check(store: &Store) -> Result<Found, Flaw> {
    let mut found = Found::default();
    for producer in PRODUCERS {
        found.produced += check_producer(store, producer)?;
        for stream in (0..STREAM_COUNT).map(|number| format!("s{number}")) {
            found.results += check_stream(store, producer, &stream)?;
        }
    }
    let all = store.scope(RESULTS).count_events().map_err(failed("the results are counted"))?;
    ensure(all == found.results, || format!("{all} results, and {} were expected", found.results))?;
    let verified = store.verify(&mut |_| {}).map_err(failed("a verification"))?;
    ensure(verified.is_sound(), || format!("the store is damaged: {:?}", first(&verified)))?;
    Ok(found)
}

fn first(verified: &VerifyReport) -> Option<&annals::report::Damage> {
    verified.damage.first()
}

/// A producer's numbers have no gap: what was killed was begun again where it was.
fn check_producer(store: &Store, producer: &str) -> Result<u64, Flaw> {
    let mut next = 0;
    for event in store.scope(producer) {
        let event = event.map_err(failed("what was produced is read"))?;
        let found = number(event.payload())?;
        ensure(found == next, || format!("{producer} has {found} where {next} was expected"))?;
        next += 1;
    }
    Ok(next)
}

/// Of each event of a stream there is one result, in its order.
fn check_stream(store: &Store, producer: &str, stream: &str) -> Result<u64, Flaw> {
    let name = format!("{producer}/{stream}");
    let mut results = store.stream(&coordinate(RESULTS, &name));
    let mut count = 0;
    for event in store.stream(&coordinate(producer, stream)) {
        let event = event.map_err(failed("what was produced is read"))?;
        let (expected, at) = (result(number(event.payload())?), event.sequence());
        let Some(found) = results.next() else {
            return Err(Flaw::new(format!("{name}: no result of event {at}, the {count}. of its stream")));
        };
        let found = found.map_err(failed("a result is read"))?;
        let is_its = found.causation() == Some(event.id()) && number(found.payload())? == expected;
        ensure(is_its, || format!("{name}: result {} is none of event {at}", found.sequence()))?;
        count += 1;
    }
    match results.next() {
        None => Ok(count),
        Some(more) => {
            let more = more.map_err(failed("a result is read"))?;
            Err(Flaw::new(format!("{name}: one result too many, at {}", more.sequence())))
        }
    }
}
