//! From an event to a line: of an imported one the line that it came from, as JSON.
//!
//! An event that was appended otherwise is told as well as CloudEvents can: its payload is `data` where it is
//! JSON, else `data_base64`. Tags, lanes and extensions of other names have no place in a CloudEvent.

use annals::Event;
use serde_json::value::RawValue;

use super::{Line, OTHERS, PREFIX, SPECVERSION};
use crate::{base64, time};

/// Appends the line of `event` to `out`, with its line feed; `kind` is the name of its kind.
pub(crate) fn encode(event: &Event, kind: &str, out: &mut Vec<u8>) {
    let own = OwnWords::of(event);
    out.extend_from_slice(b"{\"specversion\":");
    out.extend_from_slice(SPECVERSION.as_bytes());
    let id = || Some(event.id().to_string());
    put_own(out, "id", own.id, id);
    put_text(out, "source", event.scope());
    put_own(out, "subject", own.subject, || Some(event.entity().to_owned()));
    put_text(out, "type", kind);
    put_own(out, "time", own.time, || event.occurred().and_then(time::format));
    let correlation = Some(event.correlation()).filter(|correlation| *correlation != event.id());
    put_own(out, "correlationid", own.correlation, || correlation.map(|id| id.to_string()));
    put_own(out, "causationid", own.causation, || event.causation().map(|id| id.to_string()));
    let version = event.extension("annals/version");
    if let Some(version) = version {
        put_raw(out, "annalsversion", version);
    }
    for (key, value) in event.extensions() {
        match key.strip_prefix(PREFIX) {
            Some("annalsversion") if version.is_some() => {}
            Some(name) if !is_told(name) => put_raw(out, name, value),
            None if key == OTHERS => put_others(out, value),
            _ => {}
        }
    }
    put_payload(out, event.payload().unwrap_or_default(), own.base64);
    out.extend_from_slice(b"}\n");
}

/// What the line said in words that the event's fields do not give back. An empty value is a mark: of the
/// subject, that there was none.
#[derive(Default)]
struct OwnWords<'a> {
    id: Option<&'a [u8]>,
    subject: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
    correlation: Option<&'a [u8]>,
    causation: Option<&'a [u8]>,
    base64: Option<&'a [u8]>,
}

impl<'a> OwnWords<'a> {
    fn of(event: &'a Event) -> Self {
        let mut own = Self::default();
        for (key, value) in event.extensions() {
            let value = Some(value);
            match key.strip_prefix(PREFIX) {
                Some("id") => own.id = value,
                Some("subject") => own.subject = value,
                Some("time") => own.time = value,
                Some("correlationid") => own.correlation = value,
                Some("causationid") => own.causation = value,
                Some("data_base64") => own.base64 = value,
                _ => {}
            }
        }
        own
    }
}

/// Whether an attribute is written by other means than as the extension that it is.
fn is_told(name: &str) -> bool {
    matches!(
        name,
        "specversion"
            | "id"
            | "source"
            | "subject"
            | "type"
            | "time"
            | "correlationid"
            | "causationid"
            | "data"
            | "data_base64"
    )
}

/// Puts an attribute in its own words where there are some, else as `field` gives it back.
fn put_own(out: &mut Vec<u8>, name: &str, own: Option<&[u8]>, field: impl FnOnce() -> Option<String>) {
    match own {
        Some([]) => {}
        Some(raw) => put_raw(out, name, raw),
        None => {
            if let Some(text) = field() {
                put_text(out, name, &text);
            }
        }
    }
}

fn put_payload(out: &mut Vec<u8>, payload: &[u8], base64: Option<&[u8]>) {
    let is_json = base64 != Some(&[]) && is_json(payload);
    if let Some(raw @ [_, ..]) = base64 {
        put_raw(out, "data_base64", raw);
    }
    if is_json {
        put_name(out, "data");
        put_json(out, payload);
    } else if base64 == Some(&[]) || (base64.is_none() && !payload.is_empty()) {
        put_text(out, "data_base64", &base64::encode(payload));
    }
}

fn put_others(out: &mut Vec<u8>, object: &[u8]) {
    match Line::parse(object) {
        Ok(line) => line.attributes().for_each(|(name, raw)| put_raw(out, name, raw.as_bytes())),
        Err(_) => put_raw(out, OTHERS, object),
    }
}

fn put_raw(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    put_name(out, name);
    if is_json(value) {
        put_json(out, value);
    } else {
        // Nothing that was imported; whoever wrote it with this key, the line stays JSON.
        put_string(out, &String::from_utf8_lossy(value));
    }
}

fn put_text(out: &mut Vec<u8>, name: &str, text: &str) {
    put_name(out, name);
    put_string(out, text);
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    out.push(b',');
    put_string(out, name);
    out.push(b':');
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a vector takes any string");
}

/// A line feed in JSON stands between tokens only, where any other space does as well.
fn put_json(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    for byte in out.iter_mut().skip(start).filter(|byte| **byte == b'\n') {
        *byte = b' ';
    }
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(bytes).is_ok()
}
