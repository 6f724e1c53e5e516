//! An event as it is shown: as a JSON object for programs, as a row or a list of facts for people.

use std::{borrow::Cow, collections::BTreeMap, str};

use annals::{Coordinate, Event, EventId, Kind, Store};
use comfy_table::Table;
use indicatif::HumanBytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    base64,
    failure::Failure,
    output::{facts, printable},
    time,
};

/// How many characters of a payload are shown in a row.
const ROW_CHARS: usize = 60;
/// How many characters of a payload or extension are shown in a list of facts.
const FACT_CHARS: usize = 2000;

/// The names of kinds; the number where a kind has none.
#[derive(Debug, Default)]
pub(crate) struct KindNames(BTreeMap<Kind, String>);

impl KindNames {
    pub(crate) fn of(store: &Store) -> Self {
        Self(store.kind_names().into_iter().collect())
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.0.contains_key(&kind)
    }

    pub(crate) fn name(&self, kind: Kind) -> Cow<'_, str> {
        self.0.get(&kind).map_or_else(|| Cow::Owned(kind.to_string()), |name| Cow::Borrowed(name.as_str()))
    }
}

/// The kind with this name, or this number. One that nobody ever used is refused: it is spelled wrong.
pub(crate) fn find_kind(store: &Store, name: &str) -> Result<Kind, Failure> {
    let number =
        || u16::from_str_radix(name.strip_prefix("0x")?, 16).ok().and_then(|number| Kind::new(number).ok());
    let kind = store.find_kind(name).or_else(number);
    kind.ok_or_else(|| Failure::Refused(format!("no kind has the name {name}")))
}

/// An event for programs to read. Bytes that are no text are in base64.
#[derive(Serialize)]
pub(crate) struct EventJson<'a> {
    sequence: u64,
    id: String,
    scope: &'a str,
    entity: &'a str,
    lane: u32,
    revision: u64,
    depth: u64,
    kind: u16,
    kind_name: Option<&'a str>,
    recorded: Option<String>,
    occurred: Option<String>,
    correlation: String,
    causation: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: BTreeMap<String, Bytes>,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

/// Bytes in JSON: a string where they are text.
#[derive(Serialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Base64 { base64: String },
}

impl Bytes {
    fn new(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64 { base64: base64::encode(bytes) },
        }
    }
}

impl<'a> EventJson<'a> {
    pub(crate) fn new(event: &'a Event, names: &'a KindNames) -> Self {
        let payload = event.payload().unwrap_or_default();
        // A line feed would end the line; such a payload is shown as the bytes that it is.
        let data = if payload.contains(&b'\n') { None } else { serde_json::from_slice(payload).ok() };
        let extensions = event.extensions().map(|(key, value)| (key.to_owned(), Bytes::new(value)));
        Self {
            sequence: event.sequence().0,
            id: event.id().to_string(),
            scope: event.scope(),
            entity: event.entity(),
            lane: event.lane().0,
            revision: event.revision().0,
            depth: event.depth().0,
            kind: event.kind().number(),
            kind_name: names.0.get(&event.kind()).map(String::as_str),
            recorded: time::from_millis(event.recorded().millis()),
            occurred: event.occurred().and_then(time::format),
            correlation: event.correlation().to_string(),
            causation: event.causation().as_ref().map(EventId::to_string),
            tags: event.tags().map(str::to_owned).collect(),
            extensions: extensions.collect(),
            hash: event.hash().to_string(),
            data,
            data_base64: (data.is_none() && !payload.is_empty()).then(|| base64::encode(payload)),
        }
    }
}

/// The headings of [`row`].
pub(crate) const HEADINGS: [&str; 6] = ["sequence", "stream", "revision", "kind", "time", "data"];

/// The column of [`row`] that names the stream.
pub(crate) const STREAM_COLUMN: usize = 1;

/// An event as a row of a table. Its time is when it occurred, or was recorded where nobody said.
pub(crate) fn row(event: &Event, names: &KindNames) -> [String; 6] {
    [
        event.sequence().to_string(),
        stream(&event.coordinate(), event.lane().0),
        event.revision().to_string(),
        printable(&names.name(event.kind()), FACT_CHARS),
        occurred(event).unwrap_or_else(|| time::for_people(event.recorded().millis())),
        payload(event, ROW_CHARS),
    ]
}

fn occurred(event: &Event) -> Option<String> {
    event.occurred().and_then(time::format).map(|text| text.replace('T', " "))
}

fn payload(event: &Event, chars: usize) -> String {
    match event.payload() {
        None => "(erased)".to_owned(),
        Some(bytes) => bytes_for_people(bytes, chars),
    }
}

fn bytes_for_people(bytes: &[u8], chars: usize) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => printable(text, chars),
        Err(_) => format!("({})", HumanBytes(bytes.len() as u64)),
    }
}

/// All of an event, for people.
pub(crate) fn event_facts(event: &Event, names: &KindNames) -> Table {
    let mut table = facts();
    let mut fact = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    fact("id", event.id().to_string());
    fact("sequence", event.sequence().to_string());
    fact("stream", stream(&event.coordinate(), event.lane().0));
    fact("revision", event.revision().to_string());
    fact("kind", printable(&names.name(event.kind()), FACT_CHARS));
    fact("recorded", time::for_people(event.recorded().millis()));
    if let Some(occurred) = occurred(event) {
        fact("occurred", occurred);
    }
    fact("correlation", event.correlation().to_string());
    if let Some(causation) = event.causation() {
        fact("causation", causation.to_string());
    }
    for tag in event.tags() {
        fact("tag", tag.to_owned());
    }
    for (key, value) in event.extensions() {
        fact(key, bytes_for_people(value, FACT_CHARS));
    }
    fact("hash", event.hash().to_string());
    fact("data", payload(event, FACT_CHARS));
    table
}

/// A stream's name, with its lane where it is not the trunk.
pub(crate) fn stream(coordinate: &Coordinate, lane: u32) -> String {
    if lane == 0 { coordinate.to_string() } else { format!("{coordinate} on lane {lane}") }
}
