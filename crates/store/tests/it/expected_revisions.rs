//! The cases that KurrentDB documents for expected revisions and repeated appends ("Optimistic concurrency and
//! idempotence", EventStoreDB .NET client 21.2, in the repository EventStore/documentation), and what Annals does in
//! each; where that is something else, why. Its event numbers count from 0, revisions here from 1.

use annals::{
    Background, Coordinate, Error, EventId, Expected, Kind, NewEvent, Options, Revision, Store,
    disk::{MemoryDirectory, SeededEntropy},
};

/// What becomes of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Appended,
    /// Acknowledged once more, and nothing appended.
    Repeated,
    /// Not where it was expected; in KurrentDB also where some of the events are there already.
    WrongRevision,
    PartlyRepeated,
    IdTaken,
    /// There is nothing like it.
    Nothing,
}

use Outcome::{Appended, IdTaken, Nothing, PartlyRepeated, Repeated, WrongRevision};

struct Case {
    name: &'static str,
    expected: Expected,
    /// The events by their ids: those of the stream are a, b and c. A capital has the id and other content.
    events: &'static str,
    kurrent: Outcome,
    annals: Outcome,
    /// Why it is not the same.
    why: &'static str,
}

const fn case(
    name: &'static str,
    expected: Expected,
    events: &'static str,
    [kurrent, annals]: [Outcome; 2],
    why: &'static str,
) -> Case {
    Case { name, expected, events, kurrent, annals, why }
}

const fn exactly(revision: u64) -> Expected {
    Expected::Exactly(Revision(revision))
}

const UNIQUE: &str = "an id belongs to one event of the store for ever; who uses it twice has made a mistake, and \
                      must not be told that his other content was stored";
const OWN_ERROR: &str = "an error of its own: to read again and retry, as after a conflict, would never help";
const ANY_ORDER: &str = "a repeat is told by ids and content, before any expectation is looked at: what a retry \
                         expected is past";

/// Appends to a stream that has a, b and c.
const CASES: &[Case] = &[
    case("any revision", Expected::Any, "d", [Appended; 2], ""),
    case("any, all there", Expected::Any, "abc", [Repeated; 2], ""),
    case("any, some there", Expected::Any, "cd", [WrongRevision, PartlyRepeated], OWN_ERROR),
    case("no stream, new events", Expected::None, "d", [WrongRevision; 2], ""),
    case("no stream, all there", Expected::None, "abc", [Repeated; 2], ""),
    case("no stream, the first two there", Expected::None, "ab", [Repeated; 2], ""),
    case("no stream, one that is not the first", Expected::None, "b", [WrongRevision, Repeated], ANY_ORDER),
    case("no stream, with a gap", Expected::None, "ac", [WrongRevision, Repeated], ANY_ORDER),
    case("no stream, some there", Expected::None, "abcd", [WrongRevision, PartlyRepeated], OWN_ERROR),
    case("stream exists", Expected::Exists, "d", [Appended; 2], ""),
    case("the current one", exactly(3), "d", [Appended; 2], ""),
    case("the current one, several", exactly(3), "def", [Appended; 2], ""),
    case("a later one", exactly(4), "d", [WrongRevision; 2], ""),
    case("a later one, all there", exactly(4), "c", [WrongRevision, Repeated], ANY_ORDER),
    case("an earlier one, new events", exactly(1), "d", [WrongRevision; 2], ""),
    case("an earlier one, all there", exactly(1), "bc", [Repeated; 2], ""),
    case("an earlier one, the next there", exactly(1), "b", [Repeated; 2], ""),
    case("an earlier one, some there", exactly(2), "cd", [WrongRevision, PartlyRepeated], OWN_ERROR),
    case("the same id and other content", Expected::Any, "A", [Repeated, IdTaken], UNIQUE),
    case("the same ids and one other content", exactly(1), "bC", [Repeated, IdTaken], UNIQUE),
];

/// Appends to a stream without events; another has a, b and c.
const CASES_OF_ANOTHER: &[Case] = &[
    case("any revision", Expected::Any, "d", [Appended; 2], ""),
    case("no stream", Expected::None, "de", [Appended; 2], ""),
    case("stream exists", Expected::Exists, "d", [WrongRevision; 2], ""),
    case("a revision", exactly(1), "d", [WrongRevision; 2], ""),
    case("an id of another stream", Expected::Any, "a", [Appended, IdTaken], UNIQUE),
];

fn options() -> Options {
    let options = Options::new().create(true).segment_bytes(4096);
    options.background(Background::Manual).entropy(SeededEntropy::new(1))
}

fn append(store: &Store, entity: &str, events: &str, expected: Expected) -> Outcome {
    let (at, kind) = (Coordinate::new(entity, "s").unwrap(), Kind::new(0x1001).unwrap());
    let events = events.bytes().zip([expected].into_iter().chain(std::iter::repeat(Expected::Any)));
    let events: Vec<_> = events
        .map(|(name, expected)| {
            let payload: &[u8] = if name.is_ascii_uppercase() { b"other" } else { b"content" };
            let id = EventId([name.to_ascii_lowercase(); 16]);
            NewEvent::new(&at, kind, payload).id(id).expected(expected)
        })
        .collect();
    let before = store.last_sequence().0;
    let outcome = store.append_batch(&events);
    let appended = store.last_sequence().0 - before;
    match outcome {
        Ok(receipts) if receipts.iter().all(|receipt| receipt.is_repeat) => {
            assert_eq!(appended, 0);
            Repeated
        }
        Ok(receipts) => {
            assert_eq!(appended, receipts.len() as u64);
            Appended
        }
        Err(error) => {
            assert_eq!(appended, 0, "{error}");
            match error {
                Error::Conflict { .. } => WrongRevision,
                Error::PartlyRepeated { .. } => PartlyRepeated,
                Error::IdTaken { .. } => IdTaken,
                error => panic!("{error}"),
            }
        }
    }
}

fn check(cases: &[Case], entity: &str) {
    for case in cases {
        // What is repeated lies in the growing segment, or in sealed ones of an earlier life.
        for is_old in [false, true] {
            let directory = MemoryDirectory::new();
            let mut store = options().open_on(directory.clone()).unwrap();
            assert_eq!(append(&store, "stream", "abc", Expected::None), Appended);
            if is_old {
                for number in 0..60 {
                    let at = Coordinate::new("filler", "s").unwrap();
                    let event = NewEvent::new(&at, Kind::new(0x1001).unwrap(), b"content");
                    store.append(&event.id(EventId([150 + number; 16]))).unwrap();
                }
                store.close().unwrap();
                store = options().open_on(directory).unwrap();
            }
            let found = append(&store, entity, case.events, case.expected);
            assert_eq!(found, case.annals, "{}, of an earlier life {is_old}", case.name);
        }
        let is_same = case.kurrent == case.annals;
        assert_eq!(is_same, case.why.is_empty(), "{}: a difference has its reason", case.name);
    }
}

#[test]
fn what_is_expected_of_a_stream_and_repeated() {
    check(CASES, "stream");
}

#[test]
fn what_is_expected_of_a_stream_without_events() {
    check(CASES_OF_ANOTHER, "another");
}

/// KurrentDB has a stream that exists without events; here a stream is its events, and who wants it empty wants none.
/// Its "any other integer" from 0 is the number of the last event; here that would be no stream or a stream of one.
#[test]
fn what_is_expected_where_there_is_nothing_like_it() {
    for (name, expected, annals) in
        [("an empty stream", Expected::None, Appended), ("revision 0", exactly(0), Nothing)]
    {
        let store = options().open_on(MemoryDirectory::new()).unwrap();
        let at = Coordinate::new("stream", "s").unwrap();
        let event = NewEvent::new(&at, Kind::new(0x1001).unwrap(), b"").expected(expected);
        match (store.append(&event), annals) {
            (Ok(receipt), Appended) => assert_eq!(receipt.revision, Revision(1), "{name}"),
            (Err(Error::Invalid { why, .. }), Nothing) => assert!(why.contains("Expected::None"), "{why}"),
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}
