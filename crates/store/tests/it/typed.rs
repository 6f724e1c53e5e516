//! Typed events: what is appended as a type is read as it, of whatever version, or the read says why not.

use std::{collections::BTreeMap, error::Error as _, thread};

use annals::{
    Background, Coordinate, Error, Event, Kind, NewEvent, Options, Sequence, Store,
    disk::MemoryDirectory,
    typed::{BoxedError, DecodeError, EventType, Schema, Stored},
};
use serde::{Deserialize, Serialize};

use crate::{
    history::id,
    metadata::{closed, reopened},
};

/// An account as the program has it today, and its types of last year and the year before.
mod now {
    use super::{Deserialize, Event, Serialize, before, first};

    #[derive(Debug, Clone, PartialEq, Event, Serialize, Deserialize)]
    #[event(name = "account.opened")]
    pub(super) struct Opened {
        pub(super) owner: String,
    }

    #[derive(Debug, Clone, PartialEq, Event, Serialize, Deserialize)]
    #[event(name = "account.deposited", version = 3, upcast(in_euro, before::with_note))]
    pub(super) struct Deposited {
        pub(super) cents: i64,
        pub(super) currency: String,
        pub(super) note: String,
    }

    fn in_euro(first::Deposited { euro }: first::Deposited) -> before::Deposited {
        before::Deposited { cents: euro * 100, currency: "EUR".to_owned() }
    }

    #[derive(Debug, Clone, PartialEq, Event)]
    pub(super) enum Account {
        Opened(Opened),
        Deposited(Deposited),
    }
}

mod before {
    use super::{Deserialize, Event, Serialize, first, now};

    #[derive(Debug, Event, Serialize, Deserialize)]
    #[event(name = "account.deposited", version = 2, upcast(in_cents))]
    pub(super) struct Deposited {
        pub(super) cents: i64,
        pub(super) currency: String,
    }

    fn in_cents(first::Deposited { euro }: first::Deposited) -> Deposited {
        Deposited { cents: euro * 100, currency: "EUR".to_owned() }
    }

    pub(super) fn with_note(old: Deposited) -> now::Deposited {
        now::Deposited { cents: old.cents, currency: old.currency, note: "none".to_owned() }
    }
}

mod first {
    use super::{Deserialize, Event, Serialize};

    #[derive(Debug, Event, Serialize, Deserialize)]
    #[event(name = "account.deposited")]
    pub(super) struct Deposited {
        pub(super) euro: i64,
    }
}

use now::Account;

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(name = "light.switched")]
enum Light {
    On,
    Dimmed { percent: u8 },
}

#[derive(Debug, PartialEq, Event)]
enum House {
    Account(Account),
    Light(Light),
}

fn options() -> Options {
    Options::new().create(true).background(Background::Manual)
}

fn store() -> Store {
    options().open_on(MemoryDirectory::new()).unwrap()
}

fn coordinate() -> Coordinate {
    Coordinate::new("account:7", "bank").unwrap()
}

fn opened(owner: &str) -> now::Opened {
    now::Opened { owner: owner.to_owned() }
}

fn deposited(cents: i64, currency: &str, note: &str) -> now::Deposited {
    now::Deposited { cents, currency: currency.to_owned(), note: note.to_owned() }
}

/// Appends `payload` under the name of a deposit.
fn append_raw(store: &Store, payload: &[u8], version: u32) -> Event {
    let kind = store.kind("account.deposited").unwrap();
    let receipt = store.append(&NewEvent::new(&coordinate(), kind, payload).version(version)).unwrap();
    store.get(receipt.id).unwrap().unwrap()
}

fn named<const N: usize>(fields: [(&str, i64); N]) -> Vec<u8> {
    rmp_serde::to_vec_named(&BTreeMap::from(fields)).unwrap()
}

/// Why `event` is no `T`; and that it is said with the event's sequence.
fn refusal<T: EventType + std::fmt::Debug>(event: &Event) -> (DecodeError, String) {
    let error = event.decode::<T>().unwrap_err();
    let text = error.to_string();
    match error {
        Error::Decode { sequence, source } if sequence == event.sequence() => (source, text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_version_is_read_as_the_newest_through_every_kind_of_reopen() {
    const COUNT: i64 = 60;
    let at = coordinate();
    let small = || crate::history::options(5);
    // Three programs, one after the other: each knows the types of its time.
    let directory = closed(|store| {
        for round in 0..COUNT {
            store.append(&NewEvent::of(&at, &opened("Ada")).unwrap()).unwrap();
            store.append(&NewEvent::of(&at, &first::Deposited { euro: round }).unwrap()).unwrap();
        }
    });
    let store = small().events::<before::Deposited>().open_on(directory.clone()).unwrap();
    for cents in 0..COUNT {
        let deposit = before::Deposited { cents, currency: "SEK".to_owned() };
        store.append(&NewEvent::of(&at, &deposit).unwrap()).unwrap();
    }
    store.close().unwrap();
    let store = small().events::<Account>().open_on(directory.clone()).unwrap();
    for cents in 0..COUNT {
        store
            .append(&NewEvent::of(&at, &Account::Deposited(deposited(cents, "USD", "rent"))).unwrap())
            .unwrap();
    }
    store.close().unwrap();

    let mut expected = Vec::new();
    for round in 0..COUNT {
        expected.push(Account::Opened(opened("Ada")));
        expected.push(Account::Deposited(deposited(round * 100, "EUR", "none")));
    }
    expected.extend((0..COUNT).map(|cents| Account::Deposited(deposited(cents, "SEK", "none"))));
    expected.extend((0..COUNT).map(|cents| Account::Deposited(deposited(cents, "USD", "rent"))));
    reopened(&directory, &|store, context| {
        let read: Vec<_> = store.stream(&at).decode::<Account>().map(|row| row.unwrap().1).collect();
        assert_eq!(read, expected, "{context}");
        let versions: Vec<_> = store.all().map(|event| event.unwrap().version().unwrap()).collect();
        let ends =
            [0, 2 * 60 - 1, 2 * 60, 3 * 60 - 1, 3 * 60, 4 * 60 - 1].map(|place: usize| versions[place]);
        assert_eq!(ends, [1, 1, 2, 2, 3, 3], "{context}");
        assert_eq!(store.events_of::<Account>().count(), expected.len(), "{context}");
        assert_eq!(store.kind_names().len(), 2, "{context}");
    });
}

#[test]
fn an_enum_is_one_of_the_events_that_its_variants_hold() {
    let store = options().events::<House>().open_on(MemoryDirectory::new()).unwrap();
    let at = coordinate();
    let values = [
        House::Light(Light::On),
        House::Account(Account::Opened(opened("Ada"))),
        House::Light(Light::Dimmed { percent: 5 }),
    ];
    let batch: Vec<_> = values.iter().map(|value| NewEvent::of(&at, value).unwrap()).collect();
    store.append_batch(&batch).unwrap();
    let read: Vec<_> = store.all().decode::<House>().map(|row| row.unwrap().1).collect();
    assert_eq!(read, values);
    let lights: Vec<_> = store.all().of::<Light>().map(Result::unwrap).collect();
    assert_eq!(lights.iter().map(|(event, _)| event.sequence().0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(lights[1].1, Light::Dimmed { percent: 5 });
    let event = store.all().next().unwrap().unwrap();
    assert!(event.is::<Light>() && event.is::<House>());
    assert!(!event.is::<Account>() && !event.is::<now::Opened>());
}

#[test]
fn fields_may_move_come_with_a_default_and_go_without_a_new_version() {
    #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
    #[event(name = "account.deposited")]
    struct Wider {
        #[serde(default)]
        note: Option<String>,
        euro: i64,
    }
    let store = store();
    let event = append_raw(&store, &named([("gone", 1), ("euro", 5)]), 1);
    assert_eq!(event.decode::<Wider>().unwrap(), Wider { note: None, euro: 5 });
    let at = coordinate();
    let receipt = store.append(&NewEvent::of(&at, &first::Deposited { euro: 7 }).unwrap()).unwrap();
    let event = store.get(receipt.id).unwrap().unwrap();
    assert_eq!(event.payload(), Some(&named([("euro", 7)])[..]), "the names of the fields are in it");
    assert_eq!(event.extensions().count(), 0, "version 1 takes no byte");
}

#[test]
fn a_newer_version_is_told_with_which_and_where() {
    let store = store();
    append_raw(&store, b"x", 1);
    let event = append_raw(&store, b"whatever it is", 4);
    let (source, text) = refusal::<Account>(&event);
    assert!(matches!(source, DecodeError::NewerVersion { found: 4, known: 3, .. }), "{source:?}");
    assert_eq!(
        text,
        "event 2: account.deposited of version 4 is newer than this program, which knows it up to version 3"
    );
    assert!(event.is::<Account>(), "it is one all the same");
    let far = append_raw(&store, b"", u32::MAX);
    assert_eq!(far.version().unwrap(), u32::MAX);
    assert!(refusal::<first::Deposited>(&far).1.contains("version 4294967295 is newer"));
}

#[test]
fn another_event_is_told_with_its_name() {
    let store = store();
    let at = coordinate();
    store.append(&NewEvent::of(&at, &Light::On).unwrap()).unwrap();
    store.append(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"x")).unwrap();
    let events: Vec<_> = store.all().map(Result::unwrap).collect();
    let (source, text) = refusal::<Account>(&events[0]);
    assert!(matches!(source, DecodeError::OtherKind { name: Some(_), .. }), "{source:?}");
    assert_eq!(text, "event 1: it is light.switched, and no it::typed::now::Account");
    let (_, text) = refusal::<Account>(&events[1]);
    assert_eq!(text, "event 2: it is of kind 0x2001, which has no name, and no it::typed::now::Account");
    assert!(!events[1].is::<Account>());
}

#[test]
fn a_payload_that_is_no_value_is_told_with_the_cause() {
    let store = store();
    let good = named([("euro", 5)]);
    let behind = [&good[..], b"\x01\x02"].concat();
    for (payload, version, cause) in [
        (&b""[..], 1, "failed to fill whole buffer"),
        (&good[..good.len() - 1], 1, "failed to fill whole buffer"),
        (b"\xc1", 1, "Reserved"),
        (&named([("cents", 5)]), 1, "missing field `euro`"),
        (&good, 2, "missing field `cents`"),
        (&behind, 1, "2 more bytes behind the value"),
    ] {
        let event = append_raw(&store, payload, version);
        let (source, text) = refusal::<Account>(&event);
        assert!(matches!(source, DecodeError::Payload { .. }), "{payload:?}: {source:?}");
        let what = format!("event {}: the payload of account.deposited, version {version}", event.sequence());
        assert!(text.starts_with(&what) && text.contains(cause), "{payload:?}: {text}");
        assert!(source.source().is_some());
        assert!(event.is::<Account>(), "asked for by kind alone");
    }
}

#[test]
fn values_of_all_events_leave_none_out_and_those_of_some_pass_the_others_over() {
    let store = store();
    let at = coordinate();
    let append = |value: &House| store.append(&NewEvent::of(&at, value).unwrap()).unwrap();
    append(&House::Account(Account::Opened(opened("Ada"))));
    append(&House::Light(Light::On));
    append(&House::Account(Account::Opened(opened("Bob"))));
    let mut strict = store.stream(&at).decode::<Account>();
    assert!(strict.next().unwrap().is_ok());
    assert!(matches!(strict.next(), Some(Err(Error::Decode { sequence: Sequence(2), .. }))));
    assert!(strict.next().is_none(), "after an error it ends");
    let some: Vec<_> = store.stream(&at).backwards().of::<Account>().map(|row| row.unwrap().1).collect();
    assert_eq!(some, [Account::Opened(opened("Bob")), Account::Opened(opened("Ada"))]);

    append_raw(&store, b"\xc1", 1);
    append(&House::Light(Light::On));
    let mut some = store.all().of::<Account>().skip(2);
    assert!(matches!(some.next(), Some(Err(Error::Decode { sequence: Sequence(4), .. }))));
    assert!(some.next().is_none(), "after an error it ends");
    assert_eq!(store.all().of::<Light>().count(), 2, "what another event has is not decoded");
}

#[test]
fn the_events_of_a_type_are_found_by_their_kinds() {
    let directory = MemoryDirectory::new();
    let store = options().open_on(directory.clone()).unwrap();
    let at = coordinate();
    store.append(&NewEvent::of(&at, &Light::On).unwrap()).unwrap();
    let none = || store.events_of::<Account>();
    assert_eq!(none().count() + none().limit(9).count() + none().until(Sequence(9)).count(), 0);
    assert_eq!(store.kind_names().len(), 1, "reading binds no name");
    let placed = store.append(&NewEvent::of(&at, &opened("Ada")).unwrap()).unwrap();
    assert_eq!(
        store.events_of::<Account>().map(|event| event.unwrap().id()).collect::<Vec<_>>(),
        [placed.id]
    );

    let kinds = store.kinds_of::<Account>().unwrap();
    assert_eq!(store.kind_names().len(), 3, "a condition names kinds that have no event yet");
    assert_eq!(kinds[0], store.find_kind("account.opened").unwrap());
    assert_eq!(kinds[1], store.find_kind("account.deposited").unwrap());
    store.close().unwrap();
    let reader = options().open_read_only_on(directory).unwrap();
    assert_eq!(reader.kinds_of::<Account>().unwrap(), kinds);
    assert_eq!(reader.events_of::<Account>().decode::<Account>().count(), 1);
    assert!(matches!(reader.append(&NewEvent::of(&at, &Light::On).unwrap()), Err(Error::ReadOnly)));
}

#[test]
fn a_name_is_bound_by_the_first_append_and_once() {
    let store = store();
    let chosen = Kind::new(0x2abc).unwrap();
    store.name_kind(chosen, "light.switched").unwrap();
    assert_eq!(store.kind_names().len(), 1);
    let at = coordinate();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                store.append(&NewEvent::of(&at, &opened("Ada")).unwrap()).unwrap();
                store.append(&NewEvent::of(&at, &Light::On).unwrap()).unwrap();
            });
        }
    });
    assert_eq!(store.kind_names().len(), 2);
    assert_eq!(store.all().of::<now::Opened>().count(), 8);
    assert!(store.all().of::<Light>().all(|row| row.unwrap().0.kind() == chosen));
}

#[derive(Debug, Event, Serialize, Deserialize)]
#[event(name = "light.switched")]
struct OtherLight {}

#[derive(Debug, Event)]
enum Twice {
    Light(Light),
    Other(OtherLight),
}

#[test]
fn two_types_with_one_name_are_refused_when_a_store_opens() {
    let directory = MemoryDirectory::new();
    for both in [
        options().events::<Light>().events::<OtherLight>(),
        options().events::<House>().events::<OtherLight>(),
        options().events::<Twice>(),
    ] {
        for outcome in
            [both.clone().open_on(directory.clone()), both.clone().open_read_only_on(directory.clone())]
        {
            let Err(Error::Invalid { what: "event type", why }) = outcome else { panic!("{outcome:?}") };
            assert!(why.starts_with("light.switched is the name of two types, "), "{why}");
            assert!(why.contains("it::typed::Light") && why.contains("it::typed::OtherLight"), "{why}");
        }
    }
    assert!(directory.names().is_empty(), "refused before anything was made: {:?}", directory.names());
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    let both = || options().events::<Twice>();
    assert!(matches!(both().open(&path), Err(Error::Invalid { .. })));
    assert!(matches!(both().open_read_only(&path), Err(Error::Invalid { .. })));
    assert!(!path.exists());

    let same = options().events::<Light>().events::<House>().events::<Light>();
    drop(same.open_on(directory).unwrap());
}

#[test]
fn two_types_with_one_name_are_not_both_appended() {
    let store = store();
    let at = coordinate();
    store.append(&NewEvent::of(&at, &Light::On).unwrap()).unwrap();
    let refused = store.append(&NewEvent::of(&at, &OtherLight {}).unwrap());
    assert!(matches!(refused, Err(Error::Invalid { what: "event type", .. })), "{refused:?}");
    assert_eq!(store.kinds_of::<OtherLight>().unwrap(), [store.find_kind("light.switched").unwrap()]);
    assert_eq!(store.last_sequence(), Sequence(1));
    store.append(&NewEvent::of(&at, &Light::On).unwrap()).unwrap();

    let store = options().events::<Light>().open_on(MemoryDirectory::new()).unwrap();
    assert!(store.append(&NewEvent::of(&at, &OtherLight {}).unwrap()).is_err(), "known since the open");
}

#[test]
fn a_type_that_only_reads_may_know_less_than_the_one_that_appends() {
    #[derive(Debug, Event, Serialize, Deserialize)]
    #[event(name = "account.opened")]
    struct Anybody {}
    let store = options().events::<Account>().open_on(MemoryDirectory::new()).unwrap();
    store.append(&NewEvent::of(&coordinate(), &opened("Ada")).unwrap()).unwrap();
    assert_eq!(store.all().of::<Anybody>().filter(Result::is_ok).count(), 1);
}

/// A type by hand, of a name or a version that no event has.
#[derive(Debug)]
struct ByHand<const NAMED: bool>;

impl<const NAMED: bool> EventType for ByHand<NAMED> {
    fn schemas() -> Vec<Schema> {
        vec![if NAMED { Schema::of::<Self>("by hand", 0) } else { Schema::of::<Self>("by\nhand", 1) }]
    }

    fn schema(&self) -> Schema {
        Self::schemas()[0]
    }

    fn encode(&self) -> Result<Vec<u8>, BoxedError> {
        Ok(Vec::new())
    }

    fn decode(stored: &Stored<'_>) -> Result<Option<Self>, DecodeError> {
        Err(stored.newer(0))
    }
}

#[test]
fn a_name_or_version_that_no_event_has_is_refused_when_a_store_opens() {
    let nameless = options().events::<ByHand<false>>().open_on(MemoryDirectory::new());
    assert!(matches!(nameless, Err(Error::Invalid { what: "kind name", .. })), "{nameless:?}");
    let versionless = options().events::<ByHand<true>>().open_on(MemoryDirectory::new()).unwrap_err();
    assert!(versionless.to_string().contains("versions count from 1"), "{versionless}");
    let (store, at) = (store(), coordinate());
    for refused in [
        store.append(&NewEvent::of(&at, &ByHand::<false>).unwrap()),
        store.append(&NewEvent::of(&at, &ByHand::<true>).unwrap()),
    ] {
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
    assert!(store.kind_names().is_empty());
}

#[test]
fn a_version_is_a_part_of_what_an_event_is() {
    let store = store();
    let at = coordinate();
    let kind = store.kind("account.deposited").unwrap();
    let new = |version| NewEvent::new(&at, kind, b"x").id(id(1)).version(version);
    let first = store.append(&new(2)).unwrap();
    assert!(store.append(&new(2)).unwrap().is_repeat);
    for other in [1, 3] {
        assert!(matches!(store.append(&new(other)), Err(Error::IdTaken { .. })), "{other}");
    }
    assert!(matches!(store.append(&new(0)), Err(Error::Invalid { what: "version", .. })));
    let event = store.get(first.id).unwrap().unwrap();
    assert_eq!(event.extensions().collect::<Vec<_>>(), [("annals/version", &b"2"[..])]);
}

#[test]
fn a_value_that_cannot_be_written_is_refused() {
    #[derive(Debug, Event, Serialize, Deserialize)]
    #[event(name = "never.written")]
    struct Unwritable(#[serde(serialize_with = "fail")] u8);
    fn fail<S: serde::Serializer>(_: &u8, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no words for it"))
    }
    match NewEvent::of(&coordinate(), &Unwritable(1)) {
        Err(Error::Invalid { what: "payload", why }) => assert_eq!(why, "never.written: no words for it"),
        other => panic!("{other:?}"),
    }
}
