//! From a line to an event that can be appended.

use std::borrow::Cow;

use annals::{Coordinate, Error, EventId, Kind, NewEvent, Occurred};

use super::{BadLine, Line, OTHERS, PREFIX, canonical_id, event_id};
use crate::{base64, time};

/// The most bytes that an extension's key may have.
const KEY_LEN_MAX: usize = 1024;

/// An event as a line tells it. Its kind is still a name: naming a kind writes, and decoding does not.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) coordinate: Coordinate,
    pub(crate) kind: String,
    pub(crate) id: EventId,
    correlation: Option<EventId>,
    causation: Option<EventId>,
    occurred: Option<Occurred>,
    version: Option<u32>,
    extensions: Vec<(String, Vec<u8>)>,
    payload: Vec<u8>,
}

impl Record {
    /// The event to append, of the kind that has this record's name.
    pub(crate) fn new_event(&self, kind: Kind) -> NewEvent<'_> {
        let mut event = NewEvent::new(&self.coordinate, kind, &self.payload).id(self.id);
        if let Some(correlation) = self.correlation {
            event = event.correlation(correlation);
        }
        if let Some(causation) = self.causation {
            event = event.causation(causation);
        }
        if let Some(occurred) = self.occurred {
            event = event.occurred(occurred);
        }
        if let Some(version) = self.version {
            event = event.version(version);
        }
        for (key, value) in &self.extensions {
            event = event.extension(key.as_str(), value.as_slice());
        }
        event
    }
}

/// The event that a line tells of; `default_entity` is the entity of a line without a subject.
pub(crate) fn decode(line: &Line<'_>, default_entity: Option<&str>) -> Result<Record, BadLine> {
    if line.required("specversion")? != "1.0" {
        return Err(BadLine::new("the attribute `specversion` is not \"1.0\""));
    }
    let source = line.required("source")?;
    let id_text = line.required("id")?;
    let id = event_id(&source, &id_text);
    let kind = line.required("type")?.into_owned();
    let subject = line.text("subject")?;
    let entity = subject.as_deref().or(default_entity);
    let entity = entity.ok_or_else(|| BadLine::new("no `subject`, and no --entity to stand in for it"))?;
    let coordinate = Coordinate::new(entity, &source).map_err(|error| invalid(error.into()))?;
    let time_text = line.text("time")?;
    let occurred = time_text.as_deref().map(parse_time).transpose()?;
    let correlation_text = line.words("correlationid")?;
    let causation_text = line.words("causationid")?;
    let version = line.raw("annalsversion").and_then(parse_version);
    let payload = decode_payload(line)?;

    // What the event's own fields say in the very words of the line, or in other words for the same JSON.
    let is_canonical = |text: &Option<Cow<'_, str>>| text.as_deref().is_some_and(is_canonical);
    let told = Told {
        id: canonical_id(&id_text).is_some(),
        subject: subject.is_some(),
        time: occurred.and_then(time::format) == time_text.map(Cow::into_owned) && occurred.is_some(),
        correlation: is_canonical(&correlation_text) && correlation_text.as_deref() != Some(&id_text),
        causation: is_canonical(&causation_text),
        version: version.is_some(),
        base64: payload.is_base64,
    };
    Ok(Record {
        coordinate,
        kind,
        id,
        correlation: correlation_text.map(|words| event_id(&source, &words)),
        causation: causation_text.map(|words| event_id(&source, &words)),
        occurred,
        version,
        extensions: extensions(line, &told),
        payload: payload.bytes.into_owned(),
    })
}

fn invalid(error: Error) -> BadLine {
    match error {
        Error::Invalid { what, why } => BadLine(format!("the {what}: {why}")),
        error => BadLine(error.to_string()),
    }
}

fn parse_time(text: &str) -> Result<Occurred, BadLine> {
    time::parse(text).ok_or_else(|| BadLine::new("the attribute `time` is no time as in RFC 3339"))
}

/// The version of a type that is not its first, in its one form.
fn parse_version(raw: &str) -> Option<u32> {
    raw.parse().ok().filter(|version: &u32| *version > 1 && version.to_string() == raw)
}

fn is_canonical(text: &str) -> bool {
    canonical_id(text).is_some()
}

/// The payload, and whether it stands for base64.
struct DecodedPayload<'a> {
    bytes: Cow<'a, [u8]>,
    is_base64: bool,
}

fn decode_payload<'a>(line: &Line<'a>) -> Result<DecodedPayload<'a>, BadLine> {
    let raw = line.raw("data");
    let base64 = line.raw("data_base64").filter(|_| raw.is_none());
    let inner = base64.and_then(|raw| raw.strip_prefix('"')?.strip_suffix('"'));
    if let Some(bytes) = inner.and_then(base64::decode) {
        return Ok(DecodedPayload { bytes: Cow::Owned(bytes), is_base64: true });
    }
    Ok(DecodedPayload { bytes: Cow::Borrowed(raw.unwrap_or_default().as_bytes()), is_base64: false })
}

/// Which attributes need no extension, because the event's own fields give them back.
struct Told {
    id: bool,
    subject: bool,
    time: bool,
    correlation: bool,
    causation: bool,
    version: bool,
    base64: bool,
}

impl Told {
    fn has(&self, name: &str) -> bool {
        match name {
            "specversion" | "source" | "type" | "data" => true,
            "id" => self.id,
            "subject" => self.subject,
            "time" => self.time,
            "correlationid" => self.correlation,
            "causationid" => self.causation,
            "annalsversion" => self.version,
            "data_base64" => self.base64,
            _ => false,
        }
    }
}

fn extensions(line: &Line<'_>, told: &Told) -> Vec<(String, Vec<u8>)> {
    let mut extensions = Vec::new();
    let mut others = String::new();
    for (name, raw) in line.attributes().filter(|(name, _)| !told.has(name)) {
        if can_be_key(name) {
            extensions.push((format!("{PREFIX}{name}"), raw.as_bytes().to_vec()));
        } else {
            others.push(if others.is_empty() { '{' } else { ',' });
            others.push_str(&serde_json::Value::from(name).to_string());
            others.push(':');
            others.push_str(raw);
        }
    }
    if !others.is_empty() {
        others.push('}');
        extensions.push((OTHERS.to_owned(), others.into_bytes()));
    }
    let had_subject = line.raw("subject").is_some();
    let marks = [("subject", !had_subject), ("data_base64", told.base64)];
    let marks = marks.iter().filter(|(_, is_set)| *is_set);
    extensions.extend(marks.map(|(name, _)| (format!("{PREFIX}{name}"), Vec::new())));
    extensions
}

fn can_be_key(name: &str) -> bool {
    !name.is_empty() && PREFIX.len() + name.len() <= KEY_LEN_MAX && !name.chars().any(char::is_control)
}
