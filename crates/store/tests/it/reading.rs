//! Reading: iterators against a list of events, in every direction and within all bounds, while others append.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use annals::{
    Background, Coordinate, Digest, Durability, Error, Events, Kind, NewEvent, Options, Query, QueryItem,
    Recorded, Revision, Sequence, Store, Tag, disk::MemoryDirectory,
};
use proptest::{collection::vec, option, prelude::*};

use crate::history::{Draft, Facts, History, Step, directory, id, image, options, segments, steps};

/// What is read, and within which bounds.
#[derive(Debug, Clone)]
struct Read {
    /// A stream; or else everything, or a query.
    stream: Option<(usize, usize)>,
    items: Vec<Item>,
    is_backwards: bool,
    after: Option<u64>,
    until: Option<u64>,
    from: Option<u64>,
    limit: Option<u64>,
    times: Times,
}

/// The moments between which events were recorded, as [`time`] has them.
type Times = [Option<usize>; 2];

fn times() -> impl Strategy<Value = Times> {
    let number = || option::weighted(0.25, 0..250_usize);
    [number(), number()]
}

/// Just before an event was recorded, right then, or just after; behind all of them, the end of time.
fn time(events: &[Facts], number: usize) -> Recorded {
    let event = events.get(number / 3);
    event.map_or(Recorded(u64::MAX), |event| Recorded(event.recorded.0 + number as u64 % 3 - 1))
}

fn is_recorded(events: &[Facts], [after, until]: Times, event: &Facts) -> bool {
    after.is_none_or(|after| event.recorded > time(events, after))
        && until.is_none_or(|until| event.recorded <= time(events, until))
}

/// A query's item, of a few terms.
#[derive(Debug, Clone)]
struct Item {
    kind: Option<u16>,
    category: Option<u16>,
    tags: Vec<&'static str>,
    scope: Option<&'static str>,
    entity: Option<&'static str>,
    prefix: Option<&'static str>,
    correlation: Option<u64>,
    causation: Option<u64>,
    after: Option<u64>,
    until: Option<u64>,
    times: Times,
}

const SCOPES: [&str; 4] = ["shop/eu", "bank", "shop", "none"];
const ENTITIES: [&str; 4] = ["order:1", "order:10", "user:1", "ä"];

fn items() -> impl Strategy<Value = Item> {
    let rarely = |strategy: BoxedStrategy<u64>| option::weighted(0.15, strategy);
    let (kind, tag) =
        (prop::sample::select(vec![0x2001, 0x2002, 0xf001]), prop::sample::select(vec!["a", "blue", "vip"]));
    let terms = (
        option::weighted(0.3, kind),
        option::weighted(0.2, prop::sample::select(vec![0x2, 0xf])),
        vec(tag, 0..3),
        option::weighted(0.3, prop::sample::select(SCOPES.to_vec())),
        option::weighted(0.2, prop::sample::select(ENTITIES.to_vec())),
        option::weighted(0.2, prop::sample::select(vec!["order", "order:1", "u", "zzz"])),
    );
    let numbers = (
        rarely((0..60_u64).boxed()),
        rarely((0..60_u64).boxed()),
        rarely((0..90_u64).boxed()),
        rarely((0..90_u64).boxed()),
    );
    (terms, numbers, times()).prop_map(|((kind, category, tags, scope, entity, prefix), numbers, times)| {
        let (correlation, causation, after, until) = numbers;
        Item { kind, category, tags, scope, entity, prefix, correlation, causation, after, until, times }
    })
}

fn reads() -> impl Strategy<Value = Read> {
    let number = || option::weighted(0.4, prop_oneof![9 => 0..100_u64, 1 => Just(u64::MAX)]);
    let stream = option::weighted(0.4, (0..ENTITIES.len(), 0..SCOPES.len()));
    let numbers = [number(), number(), number(), number()];
    (stream, vec(items(), 0..3), any::<bool>(), numbers, times()).prop_map(
        |(stream, items, is_backwards, [after, until, from, limit], times)| Read {
            stream,
            items,
            is_backwards,
            after,
            until,
            from,
            limit,
            times,
        },
    )
}

impl Item {
    fn query(&self, events: &[Facts]) -> QueryItem {
        let mut item = QueryItem::new();
        let time = |number| time(events, number);
        item = self.times[0].into_iter().fold(item, |item, number| item.recorded_after(time(number)));
        item = self.times[1].into_iter().fold(item, |item, number| item.recorded_until(time(number)));
        item = self.kind.into_iter().fold(item, |item, kind| item.kind(Kind::new(kind).unwrap()));
        item = self.category.into_iter().fold(item, QueryItem::category);
        item = self.tags.iter().fold(item, |item, tag| item.tag(*tag));
        item = self.scope.into_iter().fold(item, QueryItem::scope);
        item = self.entity.into_iter().fold(item, QueryItem::entity);
        item = self.prefix.into_iter().fold(item, QueryItem::entity_prefix);
        item = self.correlation.into_iter().fold(item, |item, number| item.correlation(id(number)));
        item = self.causation.into_iter().fold(item, |item, number| item.causation(id(number)));
        item = self.after.into_iter().fold(item, |item, after| item.after(Sequence(after)));
        self.until.into_iter().fold(item, |item, until| item.until(Sequence(until)))
    }

    fn matches(&self, events: &[Facts], event: &Facts) -> bool {
        let names_kinds = self.kind.is_some() || self.category.is_some();
        let is_kind = self.kind == Some(event.kind.number()) || self.category == Some(event.kind.category());
        (is_kind || !names_kinds)
            && self.tags.iter().all(|tag| event.tags.iter().any(|found| found == tag))
            && self.scope.is_none_or(|scope| event.scope == scope)
            && self.entity.is_none_or(|entity| event.entity == entity)
            && self.prefix.is_none_or(|prefix| event.entity.starts_with(prefix))
            && self.correlation.is_none_or(|number| event.correlation == id(number))
            && self.causation.is_none_or(|number| event.causation == Some(id(number)))
            && self.after.is_none_or(|after| event.sequence.0 > after)
            && self.until.is_none_or(|until| event.sequence.0 <= until)
            && is_recorded(events, self.times, event)
    }
}

impl Read {
    /// The same of a store that has `known`, which the times are of.
    fn begin(&self, store: &Store, known: &[Facts]) -> Events {
        let mut events = match (self.stream, &self.items[..]) {
            (Some((entity, scope)), _) => {
                store.stream(&Coordinate::new(ENTITIES[entity], SCOPES[scope]).unwrap())
            }
            (None, []) => store.all(),
            (None, [first, others @ ..]) => {
                let query = Query::of(first.query(known));
                store.query(others.iter().fold(query, |query, item| query.or(item.query(known))))
            }
        };
        if self.is_backwards {
            events = events.backwards();
        }
        events = self.after.into_iter().fold(events, |events, after| events.after(Sequence(after)));
        events = self.until.into_iter().fold(events, |events, until| events.until(Sequence(until)));
        let [after, until] = self.times.map(|number| number.map(|number| time(known, number)));
        events = after.into_iter().fold(events, Events::recorded_after);
        events = until.into_iter().fold(events, Events::recorded_until);
        events = self.from.into_iter().fold(events, |events, from| events.from(Revision(from)));
        self.limit.into_iter().fold(events, Events::limit)
    }

    /// What it must give, of `events`.
    fn expected(&self, events: &[Facts]) -> Vec<Digest> {
        let is_wanted = |event: &&Facts| match self.stream {
            Some((entity, scope)) => {
                let is_within = self.from.is_none_or(|from| {
                    if self.is_backwards { event.revision.0 <= from } else { event.revision.0 >= from }
                });
                (event.entity.as_str(), event.scope.as_str()) == (ENTITIES[entity], SCOPES[scope])
                    && event.lane.0 == 0
                    && is_within
            }
            None => self.items.is_empty() || self.items.iter().any(|item| item.matches(events, event)),
        };
        let is_within = |event: &&Facts| {
            !event.is_hidden
                && self.after.is_none_or(|after| event.sequence.0 > after)
                && self.until.is_none_or(|until| event.sequence.0 <= until)
                && is_recorded(events, self.times, event)
        };
        let mut wanted: Vec<_> =
            events.iter().filter(is_within).filter(is_wanted).map(|event| event.hash).collect();
        if self.is_backwards {
            wanted.reverse();
        }
        wanted.truncate(usize::try_from(self.limit.unwrap_or(u64::MAX)).unwrap());
        wanted
    }
}

fn hashes(events: Events) -> Vec<Digest> {
    events.map(|event| event.unwrap().hash()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn iterators_give_what_is_there_within_their_bounds(steps in steps(), reads in vec(reads(), 40)) {
        let mut history = History::of(&steps);
        history.apply(&Step::Sync);
        for read in &reads {
            let begin = || read.begin(history.store(), &history.events);
            let expected = read.expected(&history.events);
            prop_assert_eq!(begin().count_events().unwrap(), expected.len() as u64, "{:?}", read);
            let mut begun = begin();
            let seen = begun.by_ref().take(3).count();
            prop_assert_eq!(begun.count_events().unwrap(), (expected.len() - seen) as u64, "{:?}", read);
            prop_assert_eq!(hashes(begin()), expected, "{:?}", read);
        }
    }

    /// What is appended, rotated, sealed and checkpointed meanwhile changes nothing for who began before.
    #[test]
    fn iterators_give_what_was_there_when_they_began(
        before in steps(),
        after in vec(vec(0..600_usize, 1..4), 1..25),
        reads in vec(reads(), 20),
    ) {
        let mut history = History::of(&before);
        history.apply(&Step::Sync);
        let expected: Vec<_> = reads.iter().map(|read| read.expected(&history.events)).collect();
        let mut begun: Vec<_> = reads
            .iter()
            .map(|read| (read.begin(history.store(), &history.events), Vec::new()))
            .collect();
        for (number, lens) in after.iter().enumerate() {
            let drafts = lens.iter().map(|len| Draft::rich(number + len, *len)).collect();
            history.apply(&Step::Batch(drafts, true, Durability::Durable));
            if number % 3 == 0 {
                history.apply(if number % 2 == 0 { &Step::Pump } else { &Step::Checkpoint });
            }
            for (events, found) in &mut begun {
                found.extend(events.next().map(|event| event.unwrap().hash()));
            }
        }
        for ((events, mut found), expected) in begun.into_iter().zip(expected) {
            found.extend(hashes(events));
            prop_assert_eq!(found, expected);
        }
    }
}

const WRITTEN: u64 = 600;

fn coordinate(number: u64) -> Coordinate {
    Coordinate::new(&format!("entity:{}", number % 7), "scope").unwrap()
}

/// Appends events one by one and in batches; `acknowledged` is the last that is durable.
fn write(store: &Store, acknowledged: &AtomicU64) {
    let mut number = 0;
    while number < WRITTEN {
        let count = 1 + number % 4;
        let numbers: Vec<_> = (number..number + count).collect();
        let coordinates: Vec<_> = numbers.iter().map(|number| coordinate(*number)).collect();
        let payloads: Vec<_> =
            numbers.iter().map(|number| vec![7; 20 + usize::try_from(number % 90).unwrap()]).collect();
        let event = |index: usize| {
            let tag = Tag::new(&format!("tag {}", numbers[index] % 3)).unwrap();
            let event = NewEvent::new(&coordinates[index], Kind::new(0x2001).unwrap(), &payloads[index]);
            event.id(id(numbers[index])).tag(tag)
        };
        let events: Vec<_> = (0..numbers.len()).map(event).collect();
        store.append_batch(&events).unwrap();
        number += count;
        acknowledged.store(number, Ordering::SeqCst);
        if number % 50 < count {
            store.checkpoint().unwrap();
        }
    }
}

/// Reads a store of which all up to `least` is durable, in all ways, each of which must give a whole beginning of
/// what is written.
fn check_beginning(store: &Store, least: u64, round: u64) {
    let numbers = |events: Events| -> Vec<u64> { events.map(|event| event.unwrap().sequence().0).collect() };
    let all = numbers(store.all());
    assert!(all.len() as u64 >= least && all.iter().copied().eq(1..=all.len() as u64), "{least}: {all:?}");
    let backwards = numbers(store.all().backwards());
    assert!(backwards.len() >= all.len() && backwards.iter().rev().copied().eq(1..=backwards.len() as u64));
    let tagged = numbers(store.query(Query::of(QueryItem::new().tag(format!("tag {}", round % 3)))));
    let is_tagged = |sequence: &u64| (sequence - 1) % 3 == round % 3;
    let last = tagged.last().copied().unwrap_or(0);
    assert!(tagged.iter().copied().eq((1..=last).filter(is_tagged)) && last + 3 > least, "{tagged:?}");
    let stream: Vec<_> = store.stream(&coordinate(round)).map(|event| event.unwrap().revision().0).collect();
    assert!(
        stream.iter().copied().eq(1..=stream.len() as u64) && stream.len() as u64 >= least / 7,
        "{stream:?}"
    );
    if least > 0 {
        let found = store.get(id(least - 1)).unwrap().expect("it was acknowledged");
        assert_eq!(found.sequence(), Sequence(least));
    }
}

fn threaded() -> Options {
    Options::new().create(true).segment_bytes(4096).checkpoint_bytes(9000).background(Background::Thread)
}

#[test]
fn readers_see_a_whole_beginning_while_a_writer_appends() {
    let store = threaded().open_on(MemoryDirectory::new()).unwrap();
    let acknowledged = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| write(&store, &acknowledged));
        for reader in 0..2 {
            let (store, acknowledged) = (&store, &acknowledged);
            scope.spawn(move || {
                let mut least = 0;
                for round in (reader..).step_by(2) {
                    check_beginning(store, least, round);
                    if least >= WRITTEN {
                        break;
                    }
                    least = acknowledged.load(Ordering::SeqCst);
                }
            });
        }
    });
    assert!(store.incidents().is_empty(), "{:?}", store.incidents());
}

/// The same for those that open the store for reading only, in a directory of the system, as another process would.
#[test]
fn read_only_stores_open_beside_a_writer_at_any_time() {
    let directory = tempfile::tempdir().unwrap();
    let acknowledged = AtomicU64::new(0);
    let store = threaded().open(directory.path()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            write(&store, &acknowledged);
            store.close().unwrap();
        });
        scope.spawn(|| {
            let mut least = 0;
            for round in 0.. {
                let reader = Options::new().open_read_only(directory.path());
                let reader = reader.unwrap_or_else(|error| panic!("{least} acknowledged: {error}"));
                check_beginning(&reader, least, round);
                if least >= WRITTEN {
                    break;
                }
                least = acknowledged.load(Ordering::SeqCst);
            }
        });
    });
}

#[test]
fn an_error_ends_an_iterator_and_no_other_event() {
    let mut history = History::new();
    for number in 0..12 {
        history.apply(&Step::Batch(vec![Draft::rich(number, 900)], true, Durability::Durable));
    }
    history.close();
    let mut image = image(&history.directory);
    let name = segments(&image)[1].clone();
    // In the payload of the second segment's second event.
    image.get_mut(&name).unwrap()[512 + 1100 + 600] ^= 1;
    let store = options(5).open_on(directory(&image)).unwrap();
    let broken: Vec<_> = history.events.iter().filter(|event| store.get(event.id).is_err()).collect();
    let [broken] = broken[..] else { panic!("{} broken events", broken.len()) };
    for is_backwards in [false, true] {
        let mut events = if is_backwards { store.all().backwards() } else { store.all() };
        let whole = events.by_ref().take_while(Result::is_ok).count() as u64;
        let expected = if is_backwards { 12 - broken.sequence.0 } else { broken.sequence.0 - 1 };
        assert_eq!(whole, expected);
        assert!(events.next().is_none() && events.next().is_none());
    }
    let error = store.get(broken.id).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains(&name), "{error}");
    for event in history.events.iter().filter(|event| event.id != broken.id) {
        assert_eq!(Facts::of(&store.get(event.id).unwrap().unwrap()), *event);
    }
}
