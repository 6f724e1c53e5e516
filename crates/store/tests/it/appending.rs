//! What an append demands, gives, and leaves.

use annals::{
    Background, Coordinate, Durability, Error, EventId, Expected, Kind, NewEvent, Options, Revision,
    Sequence, Store, Tag, disk::MemoryDirectory,
};

fn options() -> Options {
    Options::new().create(true).background(Background::Manual)
}

fn store() -> Store {
    options().open_on(MemoryDirectory::new()).unwrap()
}

fn coordinate(entity: &str) -> Coordinate {
    Coordinate::new(entity, "shop").unwrap()
}

fn kind() -> Kind {
    Kind::new(0x1001).unwrap()
}

fn id(number: u8) -> EventId {
    EventId([number; 16])
}

#[test]
fn an_event_is_read_back_as_it_was_appended() {
    let store = store();
    let at = coordinate("order:1");
    let event = NewEvent::new(&at, kind(), b"payload")
        .id(id(1))
        .correlation(id(2))
        .causation(id(3))
        .occurred(annals::Occurred(-5))
        .tag(Tag::new("b").unwrap())
        .tag(Tag::new("a").unwrap())
        .tag(Tag::new("b").unwrap())
        .extension("z/z", &b"1"[..])
        .extension("a/a", &b""[..]);
    let receipt = store.append(&event).unwrap();
    assert_eq!((receipt.sequence, receipt.revision), (Sequence(1), Revision(1)));
    assert_eq!(receipt.durability, Durability::Durable);
    let read = store.get(id(1)).unwrap().unwrap();
    assert_eq!(read.payload(), Some(&b"payload"[..]));
    assert_eq!((read.entity(), read.scope(), read.kind()), ("order:1", "shop", kind()));
    assert_eq!((read.correlation(), read.causation()), (id(2), Some(id(3))));
    assert_eq!(read.occurred(), Some(annals::Occurred(-5)));
    assert_eq!(read.tags().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(read.extensions().collect::<Vec<_>>(), [("a/a", &b""[..]), ("z/z", &b"1"[..])]);
    assert_eq!((read.hash(), read.recorded()), (receipt.hash, receipt.recorded));
    assert!(store.get(id(9)).unwrap().is_none());
}

#[test]
fn expectations_are_about_the_stream_before_the_append() {
    let store = store();
    let at = coordinate("order:1");
    let expect = |expected| store.append(&NewEvent::new(&at, kind(), b"").expected(expected));
    assert!(matches!(expect(Expected::Exists), Err(Error::Conflict { actual: None, .. })));
    assert!(matches!(expect(Expected::Exactly(Revision(1))), Err(Error::Conflict { .. })));
    assert!(matches!(expect(Expected::Exactly(Revision(0))), Err(Error::Invalid { .. })));
    assert_eq!(expect(Expected::None).unwrap().revision, Revision(1));
    let conflict = expect(Expected::None).unwrap_err();
    assert_eq!(
        conflict.to_string(),
        "order:1 in shop was expected to have no event, and it is at revision 1"
    );
    assert_eq!(expect(Expected::Exactly(Revision(1))).unwrap().revision, Revision(2));
    assert_eq!(expect(Expected::Exists).unwrap().revision, Revision(3));
    assert_eq!(expect(Expected::Any).unwrap().revision, Revision(4));
    assert_eq!(store.last_sequence(), Sequence(4), "what was refused took no sequence");
}

#[test]
fn a_batch_is_all_or_nothing_and_expects_what_was_before_it() {
    let store = store();
    let (one, two) = (coordinate("one"), coordinate("two"));
    let new = |at| NewEvent::new(at, kind(), b"x");
    let refused = store.append_batch(&[new(&one), new(&two).expected(Expected::Exists)]);
    assert!(matches!(refused, Err(Error::Conflict { .. })));
    assert_eq!(store.last_sequence(), Sequence(0));
    let receipts = store
        .append_batch(&[
            new(&one).expected(Expected::None),
            new(&one).expected(Expected::None),
            new(&two).expected(Expected::None),
        ])
        .unwrap();
    let revisions: Vec<_> = receipts.iter().map(|receipt| receipt.revision.0).collect();
    assert_eq!(revisions, [1, 2, 1]);
    assert_eq!(store.all().count(), 3);
    assert!(store.append_batch(&[]).unwrap().is_empty());
}

#[test]
fn the_same_event_again_gets_the_first_receipt() {
    let directory = MemoryDirectory::new();
    let at = coordinate("one");
    let new = || NewEvent::new(&at, kind(), b"x").id(id(1)).tag(Tag::new("t").unwrap());
    let store = options().open_on(directory.clone()).unwrap();
    let first = store.append(&new().expected(Expected::None)).unwrap();
    let again = store.append(&new().expected(Expected::None)).unwrap();
    assert!(again.is_repeat);
    assert_eq!((again.sequence, again.hash, again.revision), (first.sequence, first.hash, first.revision));
    for other in [
        NewEvent::new(&at, kind(), b"y").id(id(1)).tag(Tag::new("t").unwrap()),
        NewEvent::new(&at, kind(), b"x").id(id(1)),
        NewEvent::new(&at, Kind::new(0x1002).unwrap(), b"x").id(id(1)).tag(Tag::new("t").unwrap()),
        NewEvent::new(&coordinate("two"), kind(), b"x").id(id(1)).tag(Tag::new("t").unwrap()),
        new().causation(id(4)),
        new().correlation(id(4)),
        new().occurred(annals::Occurred(1)),
        new().extension("a/b", &b""[..]),
    ] {
        assert!(matches!(store.append(&other), Err(Error::IdTaken { sequence: Sequence(1), .. })));
    }
    assert_eq!(
        store.append(&new().correlation(id(1))).unwrap().sequence,
        first.sequence,
        "its own id is none"
    );
    store.close().unwrap();
    let store = options().open_on(directory).unwrap();
    assert_eq!(store.append(&new()).unwrap().hash, first.hash);
    assert_eq!(store.last_sequence(), Sequence(1));
}

#[test]
fn a_batch_is_wholly_new_or_wholly_a_repeat() {
    let store = store();
    let at = coordinate("one");
    let new = |number| NewEvent::new(&at, kind(), b"x").id(id(number));
    let first = store.append_batch(&[new(1), new(2)]).unwrap();
    let again = store.append_batch(&[new(1), new(2)]).unwrap();
    assert_eq!(first[1].hash, again[1].hash);
    let partly = store.append_batch(&[new(2), new(3)]);
    assert!(matches!(partly, Err(Error::PartlyRepeated { known: 1, count: 2 })));
    assert!(matches!(store.append_batch(&[new(4), new(4)]), Err(Error::Invalid { what: "batch", .. })));
    assert_eq!(store.last_sequence(), Sequence(2));
}

#[test]
fn names_of_kinds_are_kept_for_ever() {
    let directory = MemoryDirectory::new();
    let store = options().open_on(directory.clone()).unwrap();
    let placed = store.kind("order.placed").unwrap();
    let paid = store.kind("order.paid").unwrap();
    assert_eq!((placed.number(), paid.number()), (0x1000, 0x1001));
    assert_eq!(store.kind("order.placed").unwrap(), placed);
    let chosen = Kind::new(0x2abc).unwrap();
    store.name_kind(chosen, "chosen").unwrap();
    store.name_kind(chosen, "chosen").unwrap();
    assert!(store.name_kind(chosen, "other").is_err());
    assert!(store.name_kind(Kind::new(0x2abd).unwrap(), "chosen").is_err());
    assert!(store.kind("").is_err());
    store.close().unwrap();
    let store = options().open_on(directory).unwrap();
    assert_eq!(store.kind_name(chosen).as_deref(), Some("chosen"));
    assert_eq!(store.find_kind("order.paid"), Some(paid));
    assert_eq!(store.kind("third").unwrap().number(), 0x1002);
}

#[test]
fn what_is_too_large_is_refused_and_nothing_else() {
    let store = options().event_bytes_max(512).batch_bytes_max(1024).open_on(MemoryDirectory::new()).unwrap();
    let at = coordinate("one");
    let large = vec![0; 512];
    let error = store.append(&NewEvent::new(&at, kind(), &large)).unwrap_err();
    assert!(matches!(error, Error::TooLarge { what: "an event", max: 512, .. }), "{error}");
    let medium = vec![0; 300];
    let batch = vec![NewEvent::new(&at, kind(), &medium); 3];
    assert!(matches!(store.append_batch(&batch), Err(Error::TooLarge { what: "a batch", .. })));
    store.append(&NewEvent::new(&at, kind(), &medium)).unwrap();
}

#[test]
fn a_closed_store_reads_and_appends_no_more() {
    let store = store();
    let at = coordinate("one");
    store.append(&NewEvent::new(&at, kind(), b"x")).unwrap();
    let clone = store.clone();
    store.close().unwrap();
    assert!(matches!(clone.append(&NewEvent::new(&at, kind(), b"x")), Err(Error::Closed)));
    assert!(matches!(clone.sync(), Err(Error::Closed)));
    assert_eq!(clone.all().count(), 1);
}

#[test]
fn three_events_take_little_space() {
    let directory = MemoryDirectory::new();
    let store = options().open_on(directory.clone()).unwrap();
    let at = coordinate("one");
    for _ in 0..3 {
        store.append(&NewEvent::new(&at, kind(), b"x")).unwrap();
    }
    let len = |directory: &MemoryDirectory| {
        directory.names().iter().map(|name| directory.file(name).unwrap().len()).sum::<usize>()
    };
    assert!(len(&directory) < 256 << 10, "open, with what is prepared: {}", len(&directory));
    store.close().unwrap();
    assert!(len(&directory) < 10 << 10, "closed, nothing prepared: {}", len(&directory));
}

#[test]
fn queued_events_are_seen_when_they_are_durable() {
    let store = store();
    let at = coordinate("one");
    let receipt = store.append_with(&NewEvent::new(&at, kind(), b"x"), Durability::Queued).unwrap();
    assert_eq!(receipt.durability, Durability::Queued);
    assert_eq!(store.last_sequence(), Sequence(0));
    assert!(store.get(receipt.id).unwrap().is_none());
    assert_eq!(store.stream(&at).count(), 0);
    store.append_with(&NewEvent::new(&at, kind(), b"y"), Durability::Written).unwrap();
    assert_eq!(store.last_sequence(), Sequence(0));
    store.pump().unwrap();
    assert_eq!(store.last_sequence(), Sequence(2));
    assert_eq!(store.stream(&at).count(), 2);
}
