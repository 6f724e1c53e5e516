//! CloudEvents 1.0 in JSON, one object per line, and how an event of the store holds one.
//!
//! | attribute | in the store |
//! | --- | --- |
//! | `specversion` | not kept: it is always `"1.0"` |
//! | `source`, `subject`, `type` | scope, entity, name of the kind |
//! | `id`, `correlationid`, `causationid` | a UUID in lower case as it is; anything else as a UUID of version 5 |
//! | `time` | occurred, in microseconds |
//! | `data` | the payload, byte for byte as it stands in the line; without it the payload is empty |
//! | `data_base64` | the bytes that it stands for are the payload, and an empty extension says so |
//! | `annalsversion` | the version of its type that the payload has, where it is a number from 2 |
//! | any other | an extension `cloudevents/<name>` with its JSON text as it stands |
//!
//! What these rules would lose is kept beside them, as an extension under the attribute's own name with its
//! JSON text: an id that is no UUID, a time that is not written as [`crate::time::format`] writes it, a
//! correlation that is the event's own id, `null`, base64 that is not in its one canonical form or stands
//! beside `data`. An empty `cloudevents/subject` says that the line had no subject. Attributes whose names
//! cannot be an extension's key are together in the extension [`OTHERS`], as a JSON object.
//!
//! Invariant: [`encode`] of what [`decode`] made is the same line as JSON, whatever the line.

mod decode;
mod encode;
mod line;

use annals::EventId;
use uuid::Uuid;

pub(crate) use self::{
    decode::{Record, decode},
    encode::encode,
    line::{BadLine, Line},
};

/// What the keys of extensions that hold attributes begin with.
const PREFIX: &str = "cloudevents/";

/// The extension for attributes whose names cannot be a key.
const OTHERS: &str = "cloudevents-others/json";

/// The version of CloudEvents that is read and written, as JSON.
const SPECVERSION: &str = "\"1.0\"";

/// The namespace of ids that are made from words: the UUIDv5 of `urn:annals:cloudevents` as a URL.
const NAMESPACE: Uuid = Uuid::from_u128(0xa8e2_4808_8e1e_5130_a818_4ac1_3d6b_fcb6);

/// The id that `words` stand for among the events of `source`: the UUID that they are, where they are one in
/// its canonical form, else the UUIDv5 in [`NAMESPACE`] of source, NUL and words.
pub(crate) fn event_id(source: &str, words: &str) -> EventId {
    canonical_id(words).unwrap_or_else(|| {
        let name = [source.as_bytes(), b"\0", words.as_bytes()].concat();
        EventId(Uuid::new_v5(&NAMESPACE, &name).into_bytes())
    })
}

/// The id with this text; `None` where another text would be written for it.
fn canonical_id(text: &str) -> Option<EventId> {
    let id: EventId = text.parse().ok()?;
    (!text.bytes().any(|byte| byte.is_ascii_uppercase())).then_some(id)
}

#[cfg(test)]
mod tests {
    use annals::{Coordinate, Event, Kind, NewEvent, Options, Store, disk::MemoryDirectory};
    use proptest::{collection::btree_map, prelude::*};
    use serde_json::{Map, Value, json};

    use super::*;

    const UUID: &str = "a07d7a6d-be3e-57fd-9a74-91b1331e74c6";

    fn store() -> Store {
        Options::new().create(true).open_on(MemoryDirectory::new()).unwrap()
    }

    fn import(store: &Store, line: &str, entity: Option<&str>) -> Result<Event, BadLine> {
        let record = decode(&Line::parse(line.as_bytes())?, entity)?;
        let event = record.new_event(store.kind(&record.kind).unwrap());
        assert!(!store.append(&event).unwrap().is_repeat, "{line}");
        assert!(store.append(&event).unwrap().is_repeat, "{line}");
        Ok(store.get(record.id).unwrap().unwrap())
    }

    fn export(store: &Store, event: &Event) -> String {
        let mut line = Vec::new();
        encode(event, &store.kind_name(event.kind()).unwrap(), &mut line);
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
        line
    }

    fn round_trip(line: &str) {
        let store = store();
        let out = export(&store, &import(&store, line, Some("default")).unwrap());
        let value = |text| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&out), value(line), "{line} became {out}");
    }

    /// A line with these attributes beside the required ones; `null` takes a required one away.
    fn line(attributes: &str) -> String {
        format!(r#"{{"specversion":"1.0","source":"s","type":"t"{attributes}}}"#)
    }

    #[test]
    fn the_namespace_is_a_uuid_of_what_it_is_for() {
        assert_eq!(NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:annals:cloudevents"));
    }

    #[test]
    fn a_canonical_uuid_is_the_id_and_any_other_text_makes_one() {
        assert_eq!(event_id("s", UUID).to_string(), UUID);
        for words in ["evt-1", &UUID.to_uppercase(), &UUID.replace('-', "")] {
            let id = event_id("s", words);
            assert_ne!(id.to_string(), UUID);
            assert_eq!(id, event_id("s", words));
            assert_ne!(id, event_id("t", words), "another source's event is another event");
            assert_eq!(id.0[6] >> 4, 5);
        }
    }

    #[test]
    fn a_line_comes_out_as_it_went_in() {
        let upper = UUID.to_uppercase();
        for attributes in [
            r#","id":"1""#,
            r#","id":"A07D7A6D-BE3E-57FD-9A74-91B1331E74C6""#,
            r#","id":"\u0031\n\"\\""#,
            r#","id":"1","subject":"e/1 \u00e9 \ud83d\ude00""#,
            r#","id":"1","subject":null"#,
            r#","id":"1","time":"2018-09-23T18:30:14Z""#,
            r#","id":"1","time":"2018-09-23T18:30:14.500Z""#,
            r#","id":"1","time":"2018-09-23T20:30:14.123456789+02:00""#,
            r#","id":"1","time":"1990-12-31T23:59:60Z""#,
            r#","id":"1","time":"9999-12-31T23:59:59Z""#,
            r#","id":"1","time":"0000-01-01T00:00:00-12:00""#,
            r#","id":"1","time":null"#,
            r#","id":"1","correlationid":"1","causationid":"0""#,
            r#","id":"1","correlationid":42,"causationid":{"a":[true]}"#,
            r#","id":"1","correlationid":null,"causationid":null,"batch":null"#,
            r#","id":"1","data":null"#,
            r#","id":"1","data":"""#,
            r#","id":"1","data": { "a" : 1.50, "b":[ ] } "#,
            r#","id":"1","data_base64":"""#,
            r#","id":"1","data_base64":"bnVsbA==""#,
            r#","id":"1","data_base64":"bnVsbA""#,
            r#","id":"1","data_base64":"\u0041A==""#,
            r#","id":"1","data_base64":7"#,
            r#","id":"1","data_base64":null"#,
            r#","id":"1","data":1,"data_base64":"AA==""#,
            r#","id":"1","data":null,"data_base64":null"#,
            r#","id":"1","batch":7,"n":1.50,"e":1E5,"z":-0.0,"f":false,"a":[1,{"b":2}],"x":"\u00e9""#,
            r#","id":"1","annalsversion":2"#,
            r#","id":"1","annalsversion":4294967295"#,
            r#","id":"1","annalsversion":1"#,
            r#","id":"1","annalsversion":4294967296"#,
            r#","id":"1","annalsversion":-2"#,
            r#","id":"1","annalsversion":2.0"#,
            r#","id":"1","annalsversion":"2""#,
            r#","id":"1","annalsversion":null"#,
            r#","id":"1","":"no name","Not Allowed":"kept","a/b":"kept","\n":"control","\t\"":[1]"#,
            r#","id":"1","cloudevents/id":"x","cloudevents":"y","datacontenttype":"text/plain""#,
        ] {
            round_trip(&line(attributes));
        }
        for id in [UUID, &upper] {
            for name in ["correlationid", "causationid"] {
                for other in [UUID, &upper, "00000000-0000-0000-0000-000000000000"] {
                    round_trip(&line(&format!(r#","id":"{id}","{name}":"{other}""#)));
                }
            }
        }
        round_trip(&line(&format!(r#","id":"1","{}":"too long for a key""#, "k".repeat(1013))));
        round_trip(&line(&format!(r#","id":"1","{}":"just not too long""#, "k".repeat(1012))));
    }

    #[test]
    fn the_attributes_are_where_the_store_looks_for_them() {
        let store = store();
        let attributes = r#","id":"1","subject":"e","time":"1970-01-01T01:00:00.5+01:00","correlationid":"c",
            "causationid":"2","data": {"a" : [1, 2]} ,"color":"red""#;
        let event = import(&store, &line(attributes), None).unwrap();
        assert_eq!((event.scope(), event.entity()), ("s", "e"));
        assert_eq!(event.payload(), Some(&br#"{"a" : [1, 2]}"#[..]));
        assert_eq!(event.occurred().unwrap().0, 500_000);
        assert_eq!(event.correlation(), event_id("s", "c"));
        assert_eq!(event.causation(), Some(event_id("s", "2")));
        assert_eq!(event.extension("cloudevents/color"), Some(&br#""red""#[..]));
        assert_eq!(store.kind_name(event.kind()).unwrap(), "t");
        assert_eq!(event.kind().category(), 1);

        let event = import(&store, &line(r#","id":"2","subject":"e","data_base64":"AAH/""#), None).unwrap();
        assert_eq!(event.payload(), Some(&[0, 1, 255][..]));
        let line_of_version = line(r#","id":"3","subject":"e","annalsversion":2,"data":1"#);
        assert_eq!(import(&store, &line_of_version, None).unwrap().version().unwrap(), 2);
        let plain =
            import(&store, &line(&format!(r#","id":"{UUID}","subject":"e","data":1"#)), None).unwrap();
        assert_eq!(plain.extensions().count(), 0, "a plain line needs none");
    }

    #[test]
    fn a_line_that_is_no_event_is_refused_with_the_reason() {
        let long = format!(r#"{{"specversion":"1.0","source":"{}","type":"t","id":"1"}}"#, "s".repeat(1025));
        for (text, reason) in [
            ("", "EOF"),
            ("{}", "the attribute `specversion` is missing"),
            (r#"{"specversion":"0.3","source":"s","type":"t","id":"1"}"#, "`specversion` is not \"1.0\""),
            (r#"{"specversion":1.0,"source":"s","type":"t","id":"1"}"#, "`specversion` is no string"),
            (r#"{"specversion":"1.0","type":"t","id":"1"}"#, "`source` is missing"),
            (r#"{"specversion":"1.0","source":"s","id":"1"}"#, "`type` is missing"),
            (
                r#"{"specversion":"1.0","source":"a\u0000b","type":"t","id":"1"}"#,
                "the scope: contains a control",
            ),
            (&long, "the scope: longer than"),
            (&line(""), "`id` is missing"),
            (&line(r#","id":7"#), "`id` is no string"),
            (&line(r#","id":"""#), "`id` is empty"),
            (&line(r#","id":"\ud800""#), "`id` is no text"),
            (&line(r#","id":"1","subject":"""#), "`subject` is empty"),
            (&line(r#","id":"1","time":"yesterday""#), "`time` is no time"),
            (&line(r#","id":"1","time":7"#), "`time` is no string"),
            (&line(r#","id":"1","correlationid":"""#), "`correlationid` is empty"),
            (&line(r#","id":"1","id":"1""#), "`id` is there twice"),
        ] {
            let why = import(&store(), text, Some("e")).unwrap_err().to_string();
            assert!(why.contains(reason), "{text}: {why}");
        }
        let why = import(&store(), &line(r#","id":"1""#), None).unwrap_err();
        assert_eq!(why.to_string(), "no `subject`, and no --entity to stand in for it");
    }

    #[test]
    fn an_event_that_was_not_imported_is_told_as_well_as_can_be() {
        let store = store();
        let coordinate = Coordinate::new("e", "s").unwrap();
        let kind = store.kind("t").unwrap();
        let exported = |event: NewEvent<'_>| -> Value {
            let id = store.append(&event).unwrap().id;
            serde_json::from_str(&export(&store, &store.get(id).unwrap().unwrap())).unwrap()
        };
        let data = |payload: &'static [u8]| exported(NewEvent::new(&coordinate, kind, payload));
        assert_eq!(data(b"{\n  \"a\": 1\n}\n")["data"], json!({ "a": 1 }));
        assert_eq!(data(b"\xff")["data_base64"], "/w==");
        assert_eq!(data(b"no JSON")["data_base64"], "bm8gSlNPTg==");
        let value = data(b"");
        let names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["id", "source", "specversion", "subject", "type"]);

        // Whoever writes rubbish under our names gets JSON all the same.
        let event = NewEvent::new(&coordinate, kind, b"1").extension("cloudevents/time", &b"\xffnow\n"[..]);
        let event = event.extension(OTHERS, &b"{"[..]).extension("cloudevents/source", &b"\"x\""[..]);
        assert_eq!(exported(event)["source"], "s");
        let event =
            NewEvent::new(&coordinate, kind, b"1").version(2).extension("cloudevents/annalsversion", b"7");
        assert_eq!(exported(event)["annalsversion"], 2);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                btree_map(".*", inner, 0..4).prop_map(|map| Value::from(Map::from_iter(map))),
            ]
        })
    }

    fn any_attributes() -> impl Strategy<Value = Map<String, Value>> {
        let name = prop_oneof![
            3 => "[a-z0-9]{1,20}",
            1 => ".{0,8}",
            1 => prop_oneof![
                Just("data".to_owned()),
                Just("data_base64".to_owned()),
                Just("correlationid".to_owned()),
                Just("causationid".to_owned()),
            ],
        ];
        let value = any_json().prop_filter("an empty string names nothing", |value| value != "");
        btree_map(name, value, 0..8).prop_map(Map::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_attributes_come_out_as_they_went_in(
            mut attributes in any_attributes(),
            id in "[ -~]{1,40}",
            subject in proptest::option::of("[^\\p{Cc}]{1,20}"),
        ) {
            attributes.extend([("specversion".to_owned(), json!("1.0")), ("id".to_owned(), json!(id))]);
            attributes.extend([("source".to_owned(), json!("s")), ("type".to_owned(), json!("t"))]);
            attributes.remove("time");
            attributes.remove("subject");
            attributes.extend(subject.map(|subject| ("subject".to_owned(), json!(subject))));
            round_trip(&Value::from(attributes).to_string());
        }

        #[test]
        fn any_bytes_are_an_event_or_a_reason(bytes: Vec<u8>) {
            if let Ok(line) = Line::parse(&bytes) {
                drop(decode(&line, None));
            }
        }
    }

    #[test]
    fn a_kind_without_a_name_is_told_by_its_number() {
        let kind = Kind::new(0x2001).unwrap();
        assert_eq!(crate::show::KindNames::default().name(kind), "0x2001");
    }
}
