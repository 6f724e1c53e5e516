//! Causality: what a naive walk over a list of events finds, whatever callers said of causes.

use std::collections::HashSet;

use annals::{
    Background, Coordinate, Durability, Error, Event, EventId, Kind, NewEvent, Options, Sequence, Store,
    disk::{MemoryDirectory, SeededEntropy},
};
use proptest::{collection::vec, option, prelude::*};

fn options() -> Options {
    let options = Options::new().create(true).segment_bytes(4096).checkpoint_bytes(9000);
    options.background(Background::Manual).entropy(SeededEntropy::new(1))
}

fn id(number: usize) -> EventId {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    EventId((u128::from(mixed) << 64 | number as u128).to_le_bytes())
}

fn at(entity: usize) -> Coordinate {
    Coordinate::new(&format!("e:{entity}"), "s").unwrap()
}

/// An event as the naive store knows it; causes and conversations by number, also of what comes later or never.
#[derive(Debug, Clone)]
struct Naive {
    entity: usize,
    cause: Option<usize>,
    conversation: Option<usize>,
}

fn naive() -> impl Strategy<Value = Naive> {
    let number = || prop_oneof![6 => 0..12_usize, 3 => 0..90_usize];
    (0..5_usize, option::weighted(0.8, number()), option::weighted(0.4, number()))
        .prop_map(|(entity, cause, conversation)| Naive { entity, cause, conversation })
}

/// What was caused by `root`, each followed by its own effects.
fn effects(events: &[Naive], root: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut left: Vec<usize> = Vec::from([root]);
    while let Some(cause) = left.pop() {
        if cause != root {
            found.push(cause);
        }
        let caused = (0..events.len()).filter(|place| events[*place].cause == Some(cause));
        left.extend(caused.filter(|place| *place != root).rev());
    }
    found
}

fn causes(events: &[Naive], mut of: usize) -> Vec<usize> {
    let (mut found, mut seen) = (Vec::new(), HashSet::from([of]));
    while let Some(cause) = events[of].cause.filter(|cause| *cause < events.len() && seen.insert(*cause)) {
        found.push(cause);
        of = cause;
    }
    found
}

fn ancestors(events: &[Naive], of: usize) -> Vec<usize> {
    (0..of).rev().filter(|place| events[*place].entity == events[of].entity).collect()
}

fn conversation(events: &[Naive], of: usize) -> Vec<usize> {
    let own = |place: usize| events[place].conversation.unwrap_or(place);
    (0..events.len()).filter(|place| own(*place) == of).collect()
}

fn places(events: impl Iterator<Item = Result<Event, Error>>) -> Vec<usize> {
    // A walk in a circle is to fail, and not to hang.
    events.take(10_000).map(|event| usize::try_from(event.unwrap().sequence().0 - 1).unwrap()).collect()
}

fn append(store: &Store, number: usize, event: &Naive, durability: Durability) {
    let at = at(event.entity);
    let mut new = NewEvent::new(&at, Kind::new(0x1001).unwrap(), &[7; 90]).id(id(number));
    new = event.cause.into_iter().fold(new, |new, cause| new.causation(id(cause)));
    new = event.conversation.into_iter().fold(new, |new, conversation| new.correlation(id(conversation)));
    store.append_with(&new, durability).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Over footers, checkpoint tables and the part that grows, before and after an open, and while others append.
    #[test]
    fn causes_and_effects_are_those_of_a_naive_walk(
        events in vec(naive(), 1..90),
        pumped in vec(any::<bool>(), 6),
    ) {
        let directory = MemoryDirectory::new();
        let mut store = options().open_on(directory.clone()).unwrap();
        for (number, event) in events.iter().enumerate() {
            append(&store, number, event, Durability::Queued);
            if number % 16 == 15 && pumped[number / 16 % 6] {
                store.sync().unwrap();
                store.pump().unwrap();
            }
        }
        store.sync().unwrap();
        for reopen in [false, true] {
            if reopen {
                store.close().unwrap();
                store = options().open_on(directory.clone()).unwrap();
            }
            for of in 0..events.len() {
                prop_assert_eq!(places(store.causes(id(of))), causes(&events, of), "causes of {}", of);
                prop_assert_eq!(places(store.effects(id(of))), effects(&events, of), "effects of {}", of);
                prop_assert_eq!(places(store.ancestors(id(of))), ancestors(&events, of), "ancestors of {}", of);
                let together = conversation(&events, of);
                prop_assert_eq!(places(store.conversation(id(of))), together, "conversation {}", of);
            }
        }
        // What comes later belongs to none of the walks that were made before.
        let mut begun: Vec<_> = (0..events.len()).map(|of| (store.effects(id(of)), Vec::new())).collect();
        for number in 0..20 {
            let later = Naive { entity: number % 5, cause: Some(number % events.len()), conversation: None };
            append(&store, 1000 + number, &later, Durability::Durable);
            begun.iter_mut().for_each(|(walk, found)| found.extend(places(walk.take(1))));
        }
        for (of, (walk, mut found)) in begun.into_iter().enumerate() {
            found.extend(places(walk));
            prop_assert_eq!(found, effects(&events, of), "effects of {}", of);
        }
    }
}

#[test]
fn an_event_that_is_not_there_has_effects_and_nothing_else() {
    let store = options().open_on(MemoryDirectory::new()).unwrap();
    append(&store, 0, &Naive { entity: 0, cause: Some(77), conversation: Some(77) }, Durability::Durable);
    append(&store, 1, &Naive { entity: 0, cause: Some(0), conversation: None }, Durability::Queued);
    assert_eq!(places(store.effects(id(77))), [0], "and not what is not visible");
    assert_eq!(places(store.causes(id(77))), [0; 0]);
    assert_eq!(places(store.ancestors(id(77))), [0; 0]);
    assert_eq!(places(store.conversation(id(77))), [0]);
    assert_eq!(places(store.causes(id(1))), [0; 0], "it is not visible");
    store.sync().unwrap();
    assert_eq!(places(store.causes(id(1))), [0]);
    assert_eq!(store.last_sequence(), Sequence(2));
}

#[test]
fn a_long_line_of_causes_is_followed_in_both_directions() {
    const LEN: usize = 3_000;
    let store = options().segment_bytes(1 << 16).open_on(MemoryDirectory::new()).unwrap();
    for number in 0..LEN {
        let event = Naive { entity: 0, cause: number.checked_sub(1), conversation: Some(0) };
        append(&store, number, &event, Durability::Queued);
    }
    store.sync().unwrap();
    assert_eq!(places(store.effects(id(0))), (1..LEN).collect::<Vec<_>>());
    assert_eq!(places(store.causes(id(LEN - 1))), (0..LEN - 1).rev().collect::<Vec<_>>());
    assert_eq!(places(store.ancestors(id(LEN - 1)).take(5)), (LEN - 6..LEN - 1).rev().collect::<Vec<_>>());
}
