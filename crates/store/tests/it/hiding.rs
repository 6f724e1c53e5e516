//! Hidden events: gone from every read, there for everything else, and hidden through whatever happens. The histories
//! of `opening.rs` and `reading.rs` hide events too, from every source and in every read.

use annals::{
    Background, Condition, Coordinate, Digest, Durability, Error, EventId, Events, Expected, Kind, NewEvent,
    Options, Query, QueryItem, Revision, Sequence, Store, Tag,
    disk::{MemoryDirectory, SeededEntropy, SimulatedDirectory, verify_on},
};

use annals_segment::{Errno, Fault, Span};

use crate::history::id;

const KIND: u16 = 0x2001;

fn options(seed: u64) -> Options {
    Options::new()
        .create(true)
        .segment_bytes(4096)
        .background(Background::Manual)
        .entropy(SeededEntropy::new(seed))
}

fn at() -> Coordinate {
    Coordinate::new("order:1", "shop").unwrap()
}

/// Appends `count` events to one stream, each caused by the one before, all of one conversation, and with one tag.
fn fill(store: &Store, count: u64) {
    for number in 1..=count {
        let at = at();
        let event = NewEvent::new(&at, Kind::new(KIND).unwrap(), b"content").id(id(number));
        let event = event.tag(Tag::new("tag").unwrap()).correlation(id(1));
        let event = if number > 1 { event.causation(id(number - 1)) } else { event };
        store.append(&event).unwrap();
    }
}

fn sequences(events: impl Iterator<Item = Result<annals::Event, Error>>) -> Vec<u64> {
    events.map(|event| event.unwrap().sequence().0).collect()
}

fn tagged() -> Query {
    Query::of(QueryItem::new().tag("tag"))
}

#[test]
fn hidden_events_are_in_no_read_and_keep_their_places() {
    let directory = MemoryDirectory::new();
    let store = options(1).open_on(directory.clone()).unwrap();
    fill(&store, 60);
    let hash = |number| store.get(id(number)).unwrap().unwrap().hash();
    let (last, third) = (hash(60), hash(30));
    store.hide(Sequence(10), Sequence(19)).unwrap();
    store.hide(Sequence(60), Sequence(60)).unwrap();
    store.hide(Sequence(20), Sequence(29)).unwrap();
    assert_eq!(store.hidden(), [(Sequence(10), Sequence(29)), (Sequence(60), Sequence(60))], "in one range");

    let shown: Vec<u64> = (1..10).chain(30..60).collect();
    let check = |store: &Store| {
        let reads: [fn(&Store) -> Events; 3] =
            [|store| store.all(), |store| store.stream(&at()), |store| store.query(tagged())];
        for read in reads {
            assert_eq!(sequences(read(store)), shown);
            assert_eq!(sequences(read(store).backwards()), shown.iter().rev().copied().collect::<Vec<_>>());
            assert_eq!(read(store).count_events().unwrap(), shown.len() as u64);
            assert_eq!(sequences(read(store).after(Sequence(12)).limit(1)), [30]);
        }
        assert_eq!(sequences(store.stream(&at()).from(Revision(15)).limit(2)), [30, 31]);
        assert_eq!(sequences(store.conversation(id(1))), shown);
        for number in 1..=60 {
            assert_eq!(store.get(id(number)).unwrap().is_some(), shown.contains(&number), "{number}");
        }
        // Walks lead through what is hidden.
        assert_eq!(sequences(store.ancestors(id(31))), [30, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(sequences(store.causes(id(31)))[..3], [30, 9, 8]);
        assert_eq!(sequences(store.effects(id(9)))[..2], [30, 31]);
        assert_eq!(store.get(id(30)).unwrap().unwrap().hash(), third);
    };
    check(&store);
    // The id is taken, the revision goes on, and the next hash is over the hidden one.
    let at = at();
    let sixty = NewEvent::new(&at, Kind::new(KIND).unwrap(), b"content").id(id(60)).correlation(id(1));
    let repeat = store.append(&sixty.tag(Tag::new("tag").unwrap()).causation(id(59))).unwrap();
    assert!(repeat.is_repeat && repeat.hash == last);
    let next = NewEvent::new(&at, Kind::new(0x2002).unwrap(), b"").expected(Expected::Exactly(Revision(60)));
    assert_eq!(store.append(&next).unwrap().revision, Revision(61));
    store.hide(Sequence(61), Sequence(61)).unwrap();
    check(&store);
    store.close().unwrap();
    assert!(verify_on(directory.clone(), &mut |_| {}).unwrap().is_sound());
    check(&options(2).open_on(directory.clone()).unwrap());
    check(&options(3).open_read_only_on(directory).unwrap());
}

#[test]
fn hidden_events_fail_no_condition() {
    let store = options(1).open_on(MemoryDirectory::new()).unwrap();
    fill(&store, 40);
    let at = Coordinate::new("other", "shop").unwrap();
    let append = |after| {
        let event = NewEvent::new(&at, Kind::new(KIND).unwrap(), b"");
        store.append_if(&[event], &Condition::new().no_event(tagged(), Sequence(after)))
    };
    // In sealed segments, and in the growing one.
    store.hide(Sequence(1), Sequence(20)).unwrap();
    assert!(matches!(append(0), Err(Error::ConditionFailed { found: Sequence(21), .. })));
    store.hide(Sequence(22), Sequence(40)).unwrap();
    assert!(matches!(append(20), Err(Error::ConditionFailed { found: Sequence(21), .. })));
    assert_eq!(append(21).unwrap()[0].sequence, Sequence(41));
    store.hide(Sequence(21), Sequence(21)).unwrap();
    assert_eq!(append(0).unwrap()[0].sequence, Sequence(42));
}

#[test]
fn a_range_that_cannot_be_hidden_is_refused() {
    let directory = MemoryDirectory::new();
    let store = options(1).open_on(directory.clone()).unwrap();
    fill(&store, 3);
    for (first, last, why) in
        [(0, 2, "begins with sequence 0"), (3, 2, "behind its end"), (2, 4, "newest event is 3")]
    {
        match store.hide(Sequence(first), Sequence(last)) {
            Err(Error::Invalid { why: found, .. }) => assert!(found.contains(why), "{found}"),
            other => panic!("{other:?}"),
        }
    }
    store.append_with(&NewEvent::new(&at(), Kind::new(KIND).unwrap(), b""), Durability::Written).unwrap();
    let unseen = store.hide(Sequence(4), Sequence(4));
    assert!(matches!(unseen, Err(Error::Invalid { .. })), "what nobody can see cannot be hidden: {unseen:?}");
    assert!(store.hidden().is_empty());
    store.close().unwrap();
    let reader = options(2).open_read_only_on(directory).unwrap();
    assert!(matches!(reader.hide(Sequence(1), Sequence(1)), Err(Error::ReadOnly)));
}

/// Whatever of the unsynced data a loss of power leaves: what was acknowledged as hidden stays hidden, and nothing
/// that was not asked for is.
#[test]
fn what_is_hidden_stays_hidden_when_the_power_goes() {
    for hides in 0..4_u64 {
        let disk = SimulatedDirectory::new();
        let store = options(hides).open_on(disk.clone()).unwrap();
        fill(&store, 30);
        for number in 0..hides {
            store.hide(Sequence(3 * number + 2), Sequence(3 * number + 3)).unwrap();
            if number == 1 {
                store.checkpoint().unwrap();
            }
        }
        let expected = store.hidden();
        drop(store);
        for is_kept in [|_: usize| false, |_: usize| true, |place: usize| place.is_multiple_of(2)] {
            let store = options(9).open_on(disk.crash_subset(is_kept)).unwrap();
            assert_eq!(store.hidden(), expected, "after {hides} times");
            assert_eq!(store.all().count() as u64, 30 - 2 * hides);
        }
    }
}

#[test]
fn a_hide_that_failed_hides_nothing_for_readers() {
    let disk = SimulatedDirectory::new();
    let store = options(1).open_on(disk.clone()).unwrap();
    fill(&store, 5);
    disk.inject(disk.operation_count(), Fault::Fail(Errno::Io), Span::Forever);
    assert!(matches!(store.hide(Sequence(2), Sequence(3)), Err(Error::Stopped { .. })));
    assert!(store.hidden().is_empty());
    assert_eq!(store.all().count(), 5);
    let unknown = EventId([9; 16]);
    assert!(
        store.get(unknown).unwrap().is_none() && store.get(id(2)).unwrap().unwrap().hash() != Digest::NONE
    );
}
