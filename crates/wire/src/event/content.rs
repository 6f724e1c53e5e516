//! What a caller says of an event, and the body that it makes.
//!
//! Invariant: a body is canonical: the same content makes the same bytes, and content that is out of order is refused.
//!
//! Layout: docs/format.md, "Event".

use super::{Extension, Fork, WHAT, lists::EXTENSION_KEY_LEN_MAX, stamp::EventFlags};
use crate::{
    Coordinate, Error, EventId, Lane, Occurred, Tag,
    codec::{Put, long_len, short_len},
};

/// The most tags, and the most extensions.
const COUNT_MAX: usize = u16::MAX as usize;

/// What a caller says of an event, before it has its place.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever appends: every field must be given")]
pub struct EventContent<'a> {
    /// The event's id.
    pub id: EventId,
    /// The conversation; left out where it is the id.
    pub correlation: Option<EventId>,
    /// The event that caused it.
    pub causation: Option<EventId>,
    /// The caller's own time.
    pub occurred: Option<Occurred>,
    /// The coordinate.
    pub coordinate: &'a Coordinate,
    /// The lane, with where it forks for all but the trunk.
    pub lane: Option<(Lane, Fork)>,
    /// The tags, sorted and distinct.
    pub tags: &'a [Tag],
    /// The extensions, sorted by distinct keys.
    pub extensions: &'a [Extension<'a>],
    /// The payload.
    pub payload: &'a [u8],
}

impl EventContent<'_> {
    /// Appends the body to `out`; returns its flags and how many bytes lie before the payload.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a tag or extension is out of order, too long, or too many.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(EventFlags, usize), Error> {
        self.check()?;
        let start = out.len();
        let correlation = self.correlation.filter(|correlation| *correlation != self.id);
        let fork = self.lane.and_then(|(_, fork)| fork.event);
        let mut flags = EventFlags::default();
        flags.set(EventFlags::CORRELATION, correlation.is_some());
        flags.set(EventFlags::CAUSATION, self.causation.is_some());
        flags.set(EventFlags::OCCURRED, self.occurred.is_some());
        flags.set(EventFlags::LANE, self.lane.is_some());
        flags.set(EventFlags::FORK, fork.is_some());
        flags.set(EventFlags::TAGS, !self.tags.is_empty());
        flags.set(EventFlags::EXTENSIONS, !self.extensions.is_empty());
        out.put(&self.id.0);
        for id in [correlation, self.causation].into_iter().flatten() {
            out.put(&id.0);
        }
        if let Some(occurred) = self.occurred {
            out.put(&occurred.0.to_le_bytes());
        }
        if let Some((lane, fork)) = self.lane {
            out.put_u32(lane.0);
            out.put_u64(fork.depth.0);
        }
        if let Some(event) = fork {
            out.put(&event.0);
        }
        put_short(out, self.coordinate.entity().as_bytes());
        put_short(out, self.coordinate.scope().as_bytes());
        self.put_tags(out);
        self.put_extensions(out);
        out.put_u32(long_len(self.payload.len()));
        let head_len = out.len() - start;
        out.put(self.payload);
        Ok((flags, head_len))
    }

    fn put_tags(&self, out: &mut Vec<u8>) {
        if self.tags.is_empty() {
            return;
        }
        out.put_u16(short_len(self.tags.len()));
        for tag in self.tags {
            put_short(out, tag.as_str().as_bytes());
        }
    }

    fn put_extensions(&self, out: &mut Vec<u8>) {
        if self.extensions.is_empty() {
            return;
        }
        out.put_u16(short_len(self.extensions.len()));
        for extension in self.extensions {
            put_short(out, extension.key.as_bytes());
            out.put_u32(long_len(extension.value.len()));
            out.put(extension.value);
        }
    }

    fn check(&self) -> Result<(), Error> {
        let invalid = |why| Err(Error::Invalid { what: WHAT, why });
        if self.tags.len() > COUNT_MAX || self.extensions.len() > COUNT_MAX {
            return invalid("more than 65,535 tags or extensions");
        }
        if self.tags.iter().zip(self.tags.iter().skip(1)).any(|(tag, next)| tag >= next) {
            return invalid("the tags are not sorted and distinct");
        }
        if self.extensions.iter().zip(self.extensions.iter().skip(1)).any(|(one, next)| one.key >= next.key) {
            return invalid("the extensions are not sorted by distinct keys");
        }
        for extension in self.extensions {
            crate::coordinate::check_text("extension key", extension.key, EXTENSION_KEY_LEN_MAX)?;
        }
        let lens = self.extensions.iter().map(|extension| extension.value.len()).chain([self.payload.len()]);
        if lens.fold(0, usize::saturating_add) >= crate::BODY_LEN_MAX as usize / 2 {
            return invalid("payload and extensions have 512 MiB or more");
        }
        if self.lane.is_some_and(|(lane, _)| lane == Lane(0)) {
            return invalid("the trunk forks from nothing");
        }
        Ok(())
    }
}

fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u16(short_len(bytes.len()));
    out.put(bytes);
}
