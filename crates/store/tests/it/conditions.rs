//! Conditions on appends: the rules of dynamic consistency boundaries, over every kind of part and from many threads.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use annals::{
    Background, Condition, Coordinate, Durability, Error, EventId, Expected, Kind, NewEvent, Options, Query,
    QueryItem, Revision, Sequence, Store, Tag,
    disk::{MemoryDirectory, SeededEntropy},
};
use proptest::{collection::vec, prelude::*};

fn options() -> Options {
    let options = Options::new().create(true).segment_bytes(4096);
    options.background(Background::Manual).entropy(SeededEntropy::new(1))
}

fn kind(number: u16) -> Kind {
    Kind::new(0x1000 + number).unwrap()
}

fn at(entity: &str) -> Coordinate {
    Coordinate::new(entity, "s").unwrap()
}

fn item() -> QueryItem {
    QueryItem::new()
}

fn append(store: &Store, entity: &str, number: u16, tags: &[&str]) -> Sequence {
    let coordinate = at(entity);
    let event = tags
        .iter()
        .fold(NewEvent::new(&coordinate, kind(number), b"x"), |event, tag| event.tag(Tag::new(tag).unwrap()));
    store.append_with(&event, Durability::Queued).unwrap().sequence
}

/// What an append under `condition` finds: `None` where it is appended.
fn found(store: &Store, condition: &Condition) -> Option<Sequence> {
    let before = store.all().count();
    let coordinate = at("probe");
    match store.append_if(&[NewEvent::new(&coordinate, kind(9), b"")], condition) {
        Ok(receipts) => {
            assert_eq!(receipts.len(), 1);
            None
        }
        Err(Error::ConditionFailed { found, .. }) => {
            assert!(store.all().count() >= before, "nothing is taken away");
            Some(found)
        }
        Err(error) => panic!("{error}"),
    }
}

/// Three events: 1 of kind 1 with a and b, 2 of kind 2 with a, 3 of kind 1 with c.
fn three() -> Store {
    let store = options().open_on(MemoryDirectory::new()).unwrap();
    append(&store, "e:1", 1, &["a", "b"]);
    append(&store, "e:2", 2, &["a"]);
    append(&store, "e:2", 1, &["c"]);
    store
}

/// The rules of dcb.events: kinds of an item are joined by "or", its tags by "and", items by "or"; a query without
/// items is everything; what lies up to the given position is known and hinders nothing.
#[test]
fn the_rules_of_dynamic_consistency_boundaries() {
    let of = Query::of;
    let rows: [(&str, Query, u64, Option<u64>); 17] = [
        ("everything, from the start", Query::all(), 0, Some(1)),
        ("everything, all known", Query::all(), 3, None),
        ("everything, one unknown", Query::all(), 2, Some(3)),
        ("a position that is not there yet", Query::all(), 99, None),
        ("a kind", of(item().kind(kind(2))), 0, Some(2)),
        ("a kind that is known", of(item().kind(kind(2))), 2, None),
        ("a kind that nothing has", of(item().kind(kind(3))), 0, None),
        ("one kind or the other", of(item().kind(kind(3)).kind(kind(2))), 0, Some(2)),
        ("a tag", of(item().tag("c")), 0, Some(3)),
        ("all of the tags", of(item().tag("a").tag("b")), 0, Some(1)),
        ("all of the tags, and only one is there", of(item().tag("a").tag("c")), 0, None),
        ("a tag and a kind", of(item().tag("a").kind(kind(2))), 0, Some(2)),
        ("a tag and a kind that no event has both", of(item().tag("c").kind(kind(2))), 0, None),
        ("one item or another", of(item().tag("z")).or(item().tag("c")), 0, Some(3)),
        ("the first match of two items", of(item().tag("c")).or(item().tag("b")), 0, Some(1)),
        ("a tag that is a part of another", of(item().tag("")), 0, None),
        ("a stream", of(item().scope("s").entity("e:2")), 2, Some(3)),
    ];
    for (rule, query, after, expected) in rows {
        let condition = Condition::new().no_event(query, Sequence(after));
        assert_eq!(found(&three(), &condition), expected.map(Sequence), "{rule}");
    }
}

#[test]
fn every_demand_must_hold_and_the_error_says_which_did_not() {
    let store = three();
    let never = Query::of(item().tag("z"));
    let met = Condition::new()
        .no_event(never.clone(), Sequence(0))
        .stream(at("e:2"), Expected::Exactly(Revision(2)));
    let events = [("e:1", 1), ("e:9", 2)].map(|(entity, number)| (at(entity), kind(number)));
    let batch: Vec<_> = events.iter().map(|(at, kind)| NewEvent::new(at, *kind, b"")).collect();
    assert_eq!(store.append_if(&batch, &met).unwrap().len(), 2);
    // A batch is judged by what was before it: its own events hinder nothing.
    let own = Condition::new().no_event(Query::all(), Sequence(5));
    assert_eq!(store.append_if(&batch, &own).unwrap().len(), 2);

    let late = met.clone().no_event(Query::of(item().tag("c")), Sequence(1));
    let error = store.append_if(&batch, &late).unwrap_err();
    assert_eq!(error.to_string(), "after 1 no event was to match (tag c), and 3 does");
    assert!(error.is_conflict());
    let moved = met.stream(at("e:1"), Expected::Exactly(Revision(1)));
    let error = store.append_if(&batch, &moved).unwrap_err();
    assert!(error.is_conflict() && error.to_string().contains("it is at revision 3"), "{error}");
    let absent = Condition::new().stream(at("nobody"), Expected::Exists);
    let error = store.append_if(&batch, &absent).unwrap_err();
    assert!(error.to_string().contains("nobody") && error.to_string().contains("no event"), "{error}");
    let zero = Condition::new().stream(at("e:1"), Expected::Exactly(Revision(0)));
    assert!(matches!(store.append_if(&batch, &zero), Err(Error::Invalid { .. })));
    assert_eq!(store.sync().unwrap(), Sequence(7), "what was refused took no sequence");
}

#[test]
fn a_repeat_is_one_whatever_was_demanded() {
    let store = three();
    let (coordinate, id) = (at("e:5"), EventId([0x77; 16]));
    let event = [NewEvent::new(&coordinate, kind(1), b"once").id(id)];
    let once = Condition::new().no_event(Query::of(item().scope("s").entity("e:5")), Sequence(0));
    let first = store.append_if(&event, &once).unwrap();
    let again = store.append_if(&event, &once).unwrap();
    assert!(again[0].is_repeat && again[0].sequence == first[0].sequence);
}

#[test]
fn what_is_staged_and_not_durable_counts() {
    let store = three();
    assert_eq!(store.last_sequence(), Sequence(0), "nothing is visible");
    assert_eq!(found(&store, &Condition::new().no_event(Query::all(), Sequence(0))), Some(Sequence(1)));
}

/// One event as the naive store knows it.
#[derive(Debug, Clone)]
struct Naive {
    entity: usize,
    kind: u16,
    tags: BTreeSet<usize>,
}

const TAGS: [&str; 4] = ["t:1", "t:2", "t:3", "t:4"];
const ENTITIES: [&str; 3] = ["e:1", "e:2", "e:3"];

fn naive() -> impl Strategy<Value = Naive> {
    (0..ENTITIES.len(), 0..4_u16, proptest::collection::btree_set(0..TAGS.len(), 0..3))
        .prop_map(|(entity, kind, tags)| Naive { entity, kind, tags })
}

/// Terms of an item: a kind, tags, an entity.
type Terms = (Option<u16>, BTreeSet<usize>, Option<usize>);

fn terms() -> impl Strategy<Value = Terms> {
    let tags = proptest::collection::btree_set(0..TAGS.len(), 0..3);
    (proptest::option::of(0..5_u16), tags, proptest::option::of(0..ENTITIES.len()))
}

fn matches((kind, tags, entity): &Terms, event: &Naive) -> bool {
    kind.is_none_or(|kind| kind == event.kind)
        && tags.is_subset(&event.tags)
        && entity.is_none_or(|entity| entity == event.entity)
}

fn query(items: &[Terms]) -> Query {
    let item = |(number, tags, entity): &Terms| {
        let item = number.map_or_else(item, |number| item().kind(kind(number)));
        let item = tags.iter().fold(item, |item, tag| item.tag(TAGS[*tag]));
        entity.map_or_else(|| item.clone(), |entity| item.clone().scope("s").entity(ENTITIES[entity]))
    };
    let mut items = items.iter().map(item);
    let first = items.next().map_or_else(Query::all, Query::of);
    items.fold(first, Query::or)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Over footers, runs, checkpoint tables and the part that grows, before and after an open: the first event that
    /// matches is what a walk over all of them finds.
    #[test]
    fn a_condition_finds_what_a_naive_store_finds(
        events in vec(naive(), 1..120),
        pumped in vec(any::<bool>(), 8),
        asked in vec((vec(terms(), 0..3), 0..130_u64), 1..20),
    ) {
        let directory = MemoryDirectory::new();
        let mut store = options().open_on(directory.clone()).unwrap();
        for (place, event) in events.iter().enumerate() {
            let tags: Vec<_> = event.tags.iter().map(|tag| TAGS[*tag]).collect();
            append(&store, ENTITIES[event.entity], event.kind, &tags);
            if place % 16 == 15 && pumped[place / 16 % 8] {
                store.sync().unwrap();
                store.pump().unwrap();
            }
        }
        for reopen in [false, true] {
            if reopen {
                store.close().unwrap();
                store = options().open_on(directory.clone()).unwrap();
            }
            for (items, after) in &asked {
                let after_place = usize::try_from(*after).unwrap().min(events.len());
                let known = Sequence(*after).min(store.sync().unwrap());
                let naive = events.iter().skip(after_place).position(|event| {
                    items.is_empty() || items.iter().any(|item| matches(item, event))
                });
                let expected = naive.map(|place| Sequence((after_place + place + 1) as u64));
                // Only what is in the model: what earlier questions appended lies behind it.
                let end = Sequence(events.len() as u64);
                let probes = Condition::new().no_event(query(items), known.max(Sequence(*after)));
                let answer = found(&store, &probes).filter(|found| *found <= end);
                prop_assert_eq!(answer, expected, "{} after {}", query(items), after);
            }
        }
    }
}

#[test]
fn of_many_who_want_a_name_one_gets_it() {
    let store = options().background(Background::Thread).open_on(MemoryDirectory::new()).unwrap();
    let won = AtomicU64::new(0);
    for round in 0..20 {
        let tag = format!("name:{round}");
        let is_free = Condition::new().no_event(Query::of(item().tag(&*tag)), Sequence(0));
        thread::scope(|scope| {
            for user in 0..4 {
                let (store, won, is_free, tag) = (&store, &won, &is_free, &tag);
                scope.spawn(move || {
                    let coordinate = at(&format!("user:{round}-{user}"));
                    let event = NewEvent::new(&coordinate, kind(1), b"").tag(Tag::new(tag).unwrap());
                    match store.append_if(&[event], is_free) {
                        Ok(_) => won.fetch_add(1, Ordering::Relaxed),
                        Err(Error::ConditionFailed { .. }) => 0,
                        Err(error) => panic!("{error}"),
                    };
                });
            }
        });
        assert_eq!(won.load(Ordering::Relaxed), round + 1);
    }
}

#[test]
fn decisions_of_many_threads_lose_nothing() {
    let store = options().background(Background::Thread).open_on(MemoryDirectory::new()).unwrap();
    let (counter, query) = (at("counter"), Query::of(item().kind(kind(1))));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut left = 25;
                while left > 0 {
                    let taken = store.decide(&query, |events| {
                        let next = events.count() as u64 + 1;
                        let payload = next.to_le_bytes().to_vec().into();
                        Ok::<_, Error>(vec![NewEvent::with_payload(&counter, kind(1), payload)])
                    });
                    match taken {
                        Ok(receipts) => left -= receipts.len(),
                        // Beaten as often as it tries: nothing was appended.
                        Err(Error::ConditionFailed { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let number = |event: &annals::Event| u64::from_le_bytes(event.payload().unwrap().try_into().unwrap());
    let numbers: Vec<u64> = store.query(query).map(|event| number(&event.unwrap())).collect();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
}

#[test]
fn a_decision_may_be_to_append_nothing_or_not_to_decide() {
    let store = three();
    store.sync().unwrap();
    let nothing = store.decide(&Query::all(), |events| {
        assert_eq!(events.count(), 3);
        Ok::<_, Error>(Vec::new())
    });
    assert!(nothing.unwrap().is_empty());
    let mut tried = 0;
    let coordinate = at("e:1");
    let beaten = store.decide(&Query::all(), |_| {
        tried += 1;
        append(&store, "e:2", 1, &[]);
        Ok::<_, Error>(vec![NewEvent::new(&coordinate, kind(1), b"")])
    });
    assert!(matches!(beaten, Err(Error::ConditionFailed { .. })) && tried == 32, "{tried} times");
}
