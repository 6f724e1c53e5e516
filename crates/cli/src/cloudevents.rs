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
const OTHERS: &str = "cloudevents";

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
    use super::*;

    #[test]
    fn the_namespace_is_a_uuid_of_what_it_is_for() {
        assert_eq!(NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:annals:cloudevents"));
    }

    #[test]
    fn a_canonical_uuid_is_the_id_and_any_other_text_makes_one() {
        let uuid = "a07d7a6d-be3e-57fd-9a74-91b1331e74c6";
        assert_eq!(event_id("s", uuid).to_string(), uuid);
        for words in ["evt-1", &uuid.to_uppercase(), &uuid.replace('-', "")] {
            let id = event_id("s", words);
            assert_ne!(id.to_string(), uuid);
            assert_eq!(id, event_id("s", words));
            assert_ne!(id, event_id("t", words), "another source's event is another event");
            assert_eq!(id.0[6] >> 4, 5);
        }
        assert_ne!(event_id("a", "b\0c"), event_id("a\0b", "d"));
    }
}
