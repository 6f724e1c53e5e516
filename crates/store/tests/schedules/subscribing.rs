//! Subscribers beside appends and the end of a store: whoever waits is told, of each event once and of the end.

use std::time::Duration;

use annals::{Background, Durability, Error, Query, Sequence, consume::Subscription};

use crate::{
    disk::Disk,
    explore::Model,
    scene::{append, choice, options, spawn},
};

pub(crate) const MODELS: &[Model] = &[
    Model::new(
        "a_subscriber_that_waits_is_told_of_each_event",
        a_subscriber_that_waits_is_told_of_each_event,
    ),
    Model::new("a_subscriber_that_waits_is_told_of_the_end", a_subscriber_that_waits_is_told_of_the_end),
];

const COUNT: u64 = 2;

/// Takes all events, waiting in one way or the other.
fn take_all(mut subscription: Subscription) {
    let mut next = 1;
    while next <= COUNT {
        let event = match choice(8) {
            0 => subscription.next_within(Duration::from_secs(3600)).unwrap(),
            1 => subscription.try_next().unwrap(),
            _ => Some(subscription.next().unwrap().unwrap()),
        };
        assert!(subscription.delivered() < Sequence(next + 1));
        if let Some(event) = event {
            assert_eq!(event.sequence(), Sequence(next));
            next += 1;
        }
    }
}

fn a_subscriber_that_waits_is_told_of_each_event() {
    let disk = Disk::new();
    let visibility = if choice(2) == 0 { Durability::Durable } else { Durability::Written };
    let store = options().visibility(visibility).open_on(disk).unwrap();
    let subscribers = [(); 2].map(|()| {
        let subscription = store.subscribe(Query::all());
        spawn(move || take_all(subscription))
    });
    let appenders = [0, 1].map(|number| {
        let store = store.clone();
        spawn(move || {
            let level = if choice(2) == 0 { Durability::Durable } else { visibility };
            append(&store, number, 0, level).unwrap();
        })
    });
    appenders.into_iter().for_each(|thread| thread.join().unwrap());
    // Nothing else wakes whoever missed an event.
    subscribers.into_iter().for_each(|thread| thread.join().unwrap());
}

fn a_subscriber_that_waits_is_told_of_the_end() {
    let disk = Disk::new();
    let store = options().background(Background::Thread).open_on(disk).unwrap();
    let subscription = store.subscribe(Query::all());
    let ender = subscription.ender();
    let subscriber = spawn(move || subscription.map(|event| event.unwrap().sequence().0).collect::<Vec<_>>());
    let how = choice(3);
    let appender = {
        let store = store.clone();
        spawn(move || append(&store, 0, 0, Durability::Durable))
    };
    let ending = spawn(move || {
        match how {
            0 => store.close().unwrap(),
            1 => drop(store),
            _ => {
                ender.end();
                return Some(store);
            }
        }
        None
    });
    let outcome = appender.join().unwrap();
    // One that was told to end does so while the store goes on.
    let kept = ending.join().unwrap();
    let seen = subscriber.join().unwrap();
    drop(kept);
    match (how, outcome) {
        // What was appended is delivered before the end.
        (0 | 1, Ok(receipt)) => assert_eq!(seen, [receipt.sequence.0]),
        (0, Err(error)) => assert!(matches!(error, Error::Closed) && seen.is_empty()),
        (_, outcome) => assert!(outcome.is_ok() && seen.len() < 2),
    }
}
