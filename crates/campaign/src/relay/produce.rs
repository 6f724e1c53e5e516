//! A producer: it appends the numbers from where it was, a few at a time, to its streams in turn.

use annals::{Durability, EventId, NewEvent, Store};

use super::{PRODUCERS, Place, STREAM_COUNT, coordinate, failed, kind, number, options};
use crate::{Flaw, random::Random};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Which producer
    #[arg(long)]
    number: usize,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Flaw> {
    let mut random = Random::new(arguments.place.seed, 1);
    let name = PRODUCERS.get(arguments.number).ok_or_else(|| Flaw::new("there is no such producer"))?;
    loop {
        let store = options().open(&arguments.place.store).map_err(failed("a producer opens the store"))?;
        let mut next = next_number(&store, name)?;
        for _ in 0..1 + random.below(12) {
            let count = 1 + random.below(6);
            append(&store, name, next..next + count, random.below(3) == 0)?;
            next += count;
        }
        if random.below(2) == 0 {
            store.close().map_err(failed("a producer closes the store"))?;
        }
    }
}

/// The number behind the last that the store has.
fn next_number(store: &Store, name: &str) -> Result<u64, Flaw> {
    let Some(last) = store.scope(name).backwards().limit(1).next() else { return Ok(0) };
    Ok(number(last.map_err(failed("a producer reads its last event"))?.payload())? + 1)
}

fn append(store: &Store, name: &str, numbers: std::ops::Range<u64>, is_written: bool) -> Result<(), Flaw> {
    let numbers: Vec<_> = numbers.map(|number| (number, number.to_le_bytes())).collect();
    let streams: Vec<_> =
        numbers.iter().map(|(number, _)| coordinate(name, &format!("s{}", number % STREAM_COUNT))).collect();
    let events = numbers.iter().zip(&streams).map(|((number, payload), stream)| {
        let mut id = [0; 16];
        id.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        id[8..].copy_from_slice(&number.to_be_bytes());
        NewEvent::new(stream, kind(), payload).id(EventId(id))
    });
    let durability = if is_written { Durability::Written } else { Durability::Durable };
    let events: Vec<_> = events.collect();
    store.append_batch_with(&events, durability).map_err(failed("a producer appends"))?;
    Ok(())
}
