//! What a store answers, compared with the list.

use annals::{Coordinate, Error, Event, Events, Kind, Query, QueryItem, Store, Tag};

use super::model::Draft;

pub(super) const SCOPES: [&str; 2] = ["shop/eu", "bank"];
pub(super) const ENTITIES: [&str; 3] = ["order:1", "order:10", "ä"];
pub(super) const TAGS: [&str; 3] = ["a", "blue", "vip"];
pub(super) const KINDS: [u16; 3] = [0x2001, 0x2002, 0xf001];

pub(super) fn coordinate(draft: &Draft) -> Coordinate {
    Coordinate::new(ENTITIES[draft.entity], SCOPES[draft.scope])
        .expect("short, and without control characters")
}

pub(super) fn kind(number: u16) -> Kind {
    Kind::new(number).expect("of a category that there is")
}

/// The tags of `draft`, sorted.
pub(super) fn tags(draft: &Draft) -> impl Iterator<Item = Tag> {
    let bits = draft.tags;
    let has = move |bit: &usize| bits >> bit & 1 == 1;
    (0..TAGS.len()).filter(has).map(|bit| Tag::new(TAGS[bit]).expect("short, and without control characters"))
}

/// Asks everything of a store that shows `events` and none of those `behind` them. An error ends an answer, and is
/// returned: whoever calls knows whether there may be one.
pub(super) fn check(store: &Store, events: &[Draft], behind: &[Draft]) -> Result<(), Error> {
    assert_eq!(store.last_sequence().0, events.len() as u64, "the last sequence");
    compare(store.all(), events, |_| true)?;
    for number in KINDS {
        let item = QueryItem::new().kind(kind(number));
        compare(store.query(Query::of(item)), events, |event| event.kind == number)?;
    }
    for (bit, tag) in TAGS.iter().enumerate() {
        let item = QueryItem::new().tag(*tag).scope(SCOPES[0]);
        compare(store.query(Query::of(item)), events, |event| {
            event.scope == 0 && event.tags >> bit & 1 == 1
        })?;
    }
    let mut streams = Vec::new();
    for (place, event) in events.iter().enumerate() {
        let found = store.get(event.id())?;
        assert_same(&found.unwrap_or_else(|| panic!("event {place} is not found by its id")), place, events);
        if !events[..place].iter().any(|other| other.is_of_stream_of(event)) {
            compare(store.stream(&coordinate(event)), events, |other| other.is_of_stream_of(event))?;
            streams.push((
                SCOPES[event.scope],
                ENTITIES[event.entity],
                revision_at(events, events.len(), event),
            ));
        }
    }
    for event in behind {
        assert!(store.get(event.id())?.is_none(), "{event:?} is there and not yet to be seen");
    }
    streams.sort_unstable();
    let found = store.streams()?;
    let found = found.iter().map(|stream| (&*stream.scope, &*stream.entity, stream.revision.0));
    assert!(found.eq(streams.iter().copied()), "streams: {:?}, and not {streams:?}", store.streams());
    Ok(())
}

/// Compares an answer, and the same backwards, with those of `events` that are asked for.
fn compare(found: Events, events: &[Draft], is_asked_for: impl Fn(&Draft) -> bool) -> Result<(), Error> {
    let mut count = 0;
    let mut places = (0..events.len()).filter(|place| is_asked_for(&events[*place]));
    for event in found {
        let event = event?;
        assert_same(&event, places.next().unwrap_or_else(|| panic!("one event too many: {event:?}")), events);
        count += 1;
    }
    assert_eq!(places.next(), None, "a shorter answer, of {count} events");
    Ok(())
}

/// How many of the first `count` events are of the stream of `event`.
fn revision_at(events: &[Draft], count: usize, event: &Draft) -> u64 {
    events[..count].iter().filter(|other| other.is_of_stream_of(event)).count() as u64
}

/// Whether `event` is what was sent as the event at `place`, in every respect.
pub(super) fn assert_same(event: &Event, place: usize, events: &[Draft]) {
    let draft = &events[place];
    assert_eq!(event.sequence().0, place as u64 + 1, "{draft:?}");
    assert_eq!(event.id(), draft.id(), "{draft:?}");
    assert_eq!(event.revision().0, revision_at(events, place + 1, draft), "{draft:?}");
    assert_eq!((event.entity(), event.scope()), (ENTITIES[draft.entity], SCOPES[draft.scope]), "{draft:?}");
    assert_eq!(event.kind(), kind(draft.kind), "{draft:?}");
    assert!(event.tags().eq(tags(draft).map(|tag| tag.as_str().to_owned()).collect::<Vec<_>>()), "{draft:?}");
    assert_eq!(event.payload(), Some(&*draft.payload()), "{draft:?}");
}
