//! What an event carries beside its payload: extensions and causes, through every kind of reopen.

use annals::{
    Coordinate, Error, Event, EventId, Kind, NewEvent, Options, Sequence, Store,
    disk::{MemoryDirectory, verify_on},
};

use crate::history::{directory, id, image, options};

fn kind() -> Kind {
    Kind::new(0x2001).unwrap()
}

fn coordinate() -> Coordinate {
    Coordinate::new("order:1", "shop").unwrap()
}

/// Calls `check` with the store in `image`, opened from each of its sources and with all of them.
pub(crate) fn reopened(closed: &MemoryDirectory, check: &dyn Fn(&Store, &str)) {
    let image = image(closed);
    for bits in 0..16_u8 {
        let is_on = |bit: u8| bits & bit == 0;
        let options = || {
            let options = options(7).use_footers(is_on(1)).use_checkpoint(is_on(2));
            options.use_runs(is_on(4)).maps(is_on(8))
        };
        let context =
            format!("footers {}, checkpoint {}, runs {}, maps {}", is_on(1), is_on(2), is_on(4), is_on(8));
        check(&options().open_on(directory(&image)).unwrap(), &context);
        let reader = options().open_read_only_on(directory(&image)).unwrap();
        check(&reader, &format!("{context}, read-only"));
    }
}

/// A closed store of many segments, made by `fill`.
pub(crate) fn closed(fill: impl FnOnce(&Store)) -> MemoryDirectory {
    let directory = MemoryDirectory::new();
    let store = options(1).create(true).open_on(directory.clone()).unwrap();
    fill(&store);
    store.pump().unwrap();
    store.close().unwrap();
    assert!(image(&directory).len() > 5, "several segments: {:?}", directory.names());
    directory
}

const KEYS: [&str; 4] = ["a/a", "shop/terminal", "shop/é", "z/name/with/slashes"];

/// The value of the extension `key` of the event with `number`; half of them have it.
fn value(number: u64, key: usize) -> Option<Vec<u8>> {
    let bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let len = usize::try_from(number).unwrap() * 7 % 90;
    (bits & (1 << key) != 0).then(|| vec![u8::try_from(number % 251).unwrap(); len])
}

#[test]
fn extensions_come_back_in_order_and_by_key_through_every_kind_of_reopen() {
    const COUNT: u64 = 100;
    let at = coordinate();
    let directory = closed(|store| {
        for number in 0..COUNT {
            let mut event = NewEvent::new(&at, kind(), b"payload").id(id(number));
            for (place, key) in KEYS.iter().enumerate().rev() {
                if let Some(value) = value(number, place) {
                    event = event.extension(*key, value);
                }
            }
            store.append(&event).unwrap();
        }
    });
    reopened(&directory, &|store, context| {
        for number in 0..COUNT {
            let event = store.get(id(number)).unwrap().unwrap();
            let expected =
                KEYS.iter().enumerate().filter_map(|(place, key)| Some((*key, value(number, place)?)));
            let expected: Vec<_> = expected.collect();
            let found: Vec<_> = event.extensions().map(|(key, value)| (key, value.to_vec())).collect();
            assert_eq!(found, expected, "event {number}, {context}");
            for (place, key) in KEYS.iter().enumerate() {
                assert_eq!(
                    event.extension(key),
                    value(number, place).as_deref(),
                    "{key} of {number}, {context}"
                );
            }
            assert_eq!(event.extension("shop"), None, "{context}");
        }
    });
    assert!(verify_on(directory, &mut |_| {}).unwrap().is_sound());
}

fn append(store: &Store, event: &NewEvent<'_>) -> String {
    match store.append(event) {
        Err(Error::Invalid { what, why }) => format!("{what}: {why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_that_breaks_a_rule_is_refused_by_name() {
    let store = options(1).create(true).open_on(MemoryDirectory::new()).unwrap();
    let at = coordinate();
    let with = |key: &str| NewEvent::new(&at, kind(), b"").extension(key.to_owned(), &b"x"[..]);
    let shape = "is no namespace and name with a slash between them, such as shop/terminal";
    for (key, why) in [
        ("", format!("\"\" {shape}")),
        ("terminal", format!("\"terminal\" {shape}")),
        ("/terminal", format!("\"/terminal\" {shape}")),
        ("shop/", format!("\"shop/\" {shape}")),
        ("shop/a\nb", "\"shop/a\\nb\" contains a control character".to_owned()),
        (
            "annals/version",
            "\"annals/version\" is in the namespace annals, which is the store's own".to_owned(),
        ),
    ] {
        assert_eq!(append(&store, &with(key)), format!("extension key: {why}"));
    }
    let long = format!("shop/{}", "k".repeat(1020));
    let why = append(&store, &with(&long));
    assert!(why.contains("\"shop/kkkk") && why.contains("1025 bytes; at most 1024"), "{why}");
    assert!(why.len() < 200, "{why}");
    let twice = with("shop/a").extension("shop/b", b"").extension("shop/a", b"");
    assert_eq!(append(&store, &twice), "extension key: \"shop/a\" is there twice");
    let many =
        (0..=65_535).fold(NewEvent::new(&at, kind(), b""), |event, n| event.extension(format!("s/{n}"), b""));
    assert!(append(&store, &many).contains("65,535"));
    assert_eq!(store.last_sequence(), Sequence(0), "nothing of that was appended");

    for key in [&long[..1024], "annalss/x", "ann/als", "a/annals/"] {
        store.append(&with(key)).unwrap();
    }
    let event = store.all().next().unwrap().unwrap();
    assert_eq!(event.extension(&long[..1024]), Some(&b"x"[..]));
}

#[test]
fn an_extension_counts_towards_the_limit_of_an_event() {
    let store = options(1).create(true).event_bytes_max(512).open_on(MemoryDirectory::new()).unwrap();
    let at = coordinate();
    let event = NewEvent::new(&at, kind(), b"").extension("shop/image", vec![0; 512]);
    assert!(matches!(store.append(&event), Err(Error::TooLarge { what: "an event", max: 512, .. })));
}

#[test]
fn extensions_are_a_part_of_what_an_event_is() {
    let at = coordinate();
    let new = || NewEvent::new(&at, kind(), b"x").id(id(1)).extension("s/a", b"1").extension("s/b", b"");
    let directory = closed(|store| {
        store.append(&new()).unwrap();
        for number in 10..80 {
            store.append(&NewEvent::new(&at, kind(), &[0; 100]).id(id(number))).unwrap();
        }
    });
    let others = || {
        let bare = || NewEvent::new(&at, kind(), b"x").id(id(1));
        [
            bare(),
            bare().extension("s/a", b"1"),
            bare().extension("s/a", b"1").extension("s/b", b"1"),
            bare().extension("s/a", b"1").extension("s/c", b""),
            new().extension("s/c", b""),
        ]
    };
    reopened(&directory, &|store, context| {
        if store.report().is_read_only {
            return;
        }
        for other in others() {
            let refused = store.append(&other);
            assert!(
                matches!(refused, Err(Error::IdTaken { sequence: Sequence(1), .. })),
                "{context}: {refused:?}"
            );
        }
        let turned = NewEvent::new(&at, kind(), b"x").id(id(1)).extension("s/b", b"").extension("s/a", b"1");
        assert!(store.append(&turned).unwrap().is_repeat, "{context}: in another order it is the same");
    });
}

#[test]
fn the_hash_covers_extensions() {
    let at = coordinate();
    let hash = |event: NewEvent<'_>| {
        let store = options(1).create(true).open_on(MemoryDirectory::new()).unwrap();
        store.append(&event.id(id(1))).unwrap().hash
    };
    let new = || NewEvent::new(&at, kind(), b"x");
    let hashes = [
        hash(new()),
        hash(new().extension("s/a", b"1")),
        hash(new().extension("s/a", b"2")),
        hash(new().extension("s/b", b"1")),
        hash(new().extension("s/a1", b"")),
    ];
    for (place, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..place].contains(hash), "the hash of {place}");
    }
}

/// The cause of each event by its id.
fn causes(store: &Store) -> Vec<(EventId, Option<EventId>)> {
    store.all().map(Result::unwrap).map(|event: Event| (event.id(), event.causation())).collect()
}

#[test]
fn an_item_of_a_batch_is_caused_by_an_earlier_one() {
    let at = coordinate();
    let directory = closed(|store| {
        for round in 0..20 {
            let new = || NewEvent::new(&at, kind(), &[0; 60]);
            let given = id(round);
            let receipts = store
                .append_batch(&[
                    new(),
                    new().id(given).caused_by_item(0),
                    new().caused_by_item(0),
                    new().caused_by_item(1),
                    new().causation(id(99)).caused_by_item(3),
                    new().caused_by_item(3).causation(id(99)),
                ])
                .unwrap();
            let ids: Vec<_> = receipts.iter().map(|receipt| receipt.id).collect();
            let expected = [None, Some(ids[0]), Some(ids[0]), Some(given), Some(ids[3]), Some(id(99))];
            let expected: Vec<_> = ids.iter().copied().zip(expected).collect();
            assert_eq!(causes(store)[causes(store).len() - 6..], expected);
        }
    });
    let expected = causes(&options(1).open_read_only_on(directory.clone()).unwrap());
    reopened(&directory, &|store, context| assert_eq!(causes(store), expected, "{context}"));
}

#[test]
fn only_an_earlier_item_of_the_batch_is_a_cause() {
    let store = options(1).create(true).open_on(MemoryDirectory::new()).unwrap();
    let at = coordinate();
    let new = || NewEvent::new(&at, kind(), b"x");
    let refused = |batch: &[NewEvent<'_>]| match store.append_batch(batch) {
        Err(Error::Invalid { what: "causation", why }) => why,
        other => panic!("{other:?}"),
    };
    let why = |own, named| {
        format!("item {own} of the batch names item {named}: only an item before it can be its cause")
    };
    assert_eq!(refused(&[new(), new().caused_by_item(1)]), why(1, 1), "itself");
    assert_eq!(refused(&[new().caused_by_item(1), new()]), why(0, 1), "a later one");
    assert_eq!(refused(&[new(), new().caused_by_item(2)]), why(1, 2), "one that is not there");
    assert_eq!(refused(&[new(), new(), new().caused_by_item(usize::MAX)]), why(2, usize::MAX));
    assert_eq!(append(&store, &new().caused_by_item(0)), format!("causation: {}", why(0, 0)), "alone");
    assert_eq!(store.last_sequence(), Sequence(0), "nothing of that was appended");
}

#[test]
fn a_batch_with_causes_within_it_is_a_repeat_of_itself_alone() {
    let directory = MemoryDirectory::new();
    let at = coordinate();
    let new = |number| NewEvent::new(&at, kind(), b"x").id(id(number));
    let options = || Options::new().create(true).background(annals::Background::Manual);
    let store = options().open_on(directory.clone()).unwrap();
    let batch = || [new(1), new(2), new(3).caused_by_item(0)];
    let first = store.append_batch(&batch()).unwrap();
    store.close().unwrap();
    let store = options().open_on(directory).unwrap();
    let again = store.append_batch(&batch()).unwrap();
    assert!(again.iter().all(|receipt| receipt.is_repeat));
    assert_eq!(again[2].hash, first[2].hash);
    let named = [new(1), new(2), new(3).causation(id(1))];
    assert!(store.append_batch(&named).unwrap()[2].is_repeat, "by id it is the same cause");
    let other = [new(1), new(2), new(3).caused_by_item(1)];
    assert!(matches!(store.append_batch(&other), Err(Error::IdTaken { .. })));
    assert_eq!(store.last_sequence(), Sequence(3));
}
