//! A worker process: two threads that handle what the group hands out, fail now and then, and append results.

use std::{thread, time::Duration};

use annals::{
    Error, NewEvent, Store,
    consume::{Delivery, Group, GroupOptions},
};

use super::{GROUP, Place, RESULTS, coordinate, failed, kind, number, options, result, work_query};
use crate::{Flaw, random::Random};

/// How long a worker waits for something to do before it lets others have the store.
const PATIENCE: Duration = Duration::from_millis(5);

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Flaw> {
    let mut random = Random::new(arguments.place.seed, 2);
    loop {
        let store = options().open(&arguments.place.store).map_err(failed("a worker opens the store"))?;
        let count = 1 + random.below(60);
        shift(&store, &mut random, count)?;
        if random.below(2) == 0 {
            store.close().map_err(failed("a worker closes the store"))?;
        }
    }
}

/// Does what is left, without failing.
pub(super) fn finish(store: &Store) -> Result<(), Flaw> {
    let group = open(store)?;
    while let Some(mut delivery) = group.next_within(PATIENCE * 20).map_err(failed("the last worker"))? {
        hand_in(&mut delivery).map_err(failed("the last result"))?;
    }
    group.check().map_err(failed("the group's own check"))?;
    let parked = group.parked().map_err(failed("what is parked"))?;
    if !parked.is_empty() {
        return Err(Flaw::new(format!("{} events are parked", parked.len())));
    }
    group.close().map_err(failed("the group is closed"))
}

fn open(store: &Store) -> Result<Group, Flaw> {
    // Whoever is killed says nothing of what it had: no event is to be parked for that.
    let options = GroupOptions::new().attempts_max(u32::MAX).lock_timeout(Duration::from_secs(60));
    store.group_with(GROUP, work_query(), &options).map_err(failed("the group is opened"))
}

/// Handles about `count` events, with two threads.
fn shift(store: &Store, random: &mut Random, count: u64) -> Result<(), Flaw> {
    let group = open(store)?;
    let seeds = [random.next(), random.next()];
    let workers = seeds.map(|seed| {
        let group = group.clone();
        thread::spawn(move || handle(&group, &mut Random::new(seed, 3), count / 2 + 1))
    });
    for worker in workers {
        worker.join().map_err(|_| Flaw::new("a worker panicked"))??;
    }
    if random.below(2) == 0 { group.close().map_err(failed("the group is closed")) } else { Ok(()) }
}

fn handle(group: &Group, random: &mut Random, count: u64) -> Result<(), Flaw> {
    for _ in 0..count {
        let next = group.next_within(PATIENCE).map_err(failed("a worker asks for an event"))?;
        let Some(mut delivery) = next else { break };
        match random.below(10) {
            0 => drop(delivery),
            1 => {
                let again = delivery.retry_after(Duration::from_millis(random.below(4)), "not now");
                again.map_err(failed("a worker puts an event off"))?;
            }
            _ => hand_in(&mut delivery).map_err(failed("a worker appends a result"))?,
        }
    }
    Ok(())
}

fn hand_in(delivery: &mut Delivery) -> Result<(), Error> {
    let event = delivery.event();
    let payload = number(event.payload()).map_or(0, result).to_le_bytes();
    let stream = coordinate(RESULTS, &format!("{}/{}", event.scope(), event.entity()));
    let cause = event.id();
    let made = NewEvent::new(&stream, kind(), &payload).causation(cause);
    delivery.done_with(&[made])?;
    Ok(())
}
