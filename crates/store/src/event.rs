//! An event as it is read.

use annals_segment::FrameBytes;
use annals_wire::{
    Coordinate, Depth, Digest, EventId, Kind, Lane, Occurred, Payload, Recorded, Revision, Sequence,
};

use crate::{
    kinds::Kinds,
    sync::{Arc, RwLock},
};

/// An event: a view into a mapped segment, or a copy. Cheap to clone.
///
/// ```
/// # use annals::{*, disk::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let (order, placed) = (Coordinate::new("order:42", "shop")?, store.kind("order.placed")?);
/// store.append(&NewEvent::new(&order, placed, b"two chairs"))?;
/// let event = store.stream(&order).next().expect("it is there")?;
/// assert_eq!((event.entity(), event.revision(), event.payload()), ("order:42", Revision(1), Some(&b"two chairs"[..])));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Event {
    bytes: FrameBytes,
    sequence: Sequence,
    /// The names of its store's kinds, where it was read for a caller.
    kinds: Option<Arc<RwLock<Kinds>>>,
}

impl Event {
    /// The event in a frame that was read, where it is one.
    pub(crate) fn new(bytes: FrameBytes) -> Result<Self, annals_wire::Error> {
        let sequence = annals_wire::Event::decode(&bytes.frame())?.sequence;
        Ok(Self { bytes, sequence, kinds: None })
    }

    /// The event for a caller, who may ask for the name of its kind.
    pub(crate) fn with_kinds(self, kinds: &Arc<RwLock<Kinds>>) -> Self {
        Self { kinds: Some(Arc::clone(kinds)), ..self }
    }

    /// The names of its store's kinds.
    pub(crate) fn kinds(&self) -> &RwLock<Kinds> {
        self.kinds.as_ref().expect("given to every event that a caller gets")
    }

    /// All of the event at once, in place; the methods below each look up one part of it.
    #[must_use]
    pub fn view(&self) -> annals_wire::Event<'_> {
        annals_wire::Event::decode(&self.bytes.frame()).expect("decoded when it was read")
    }

    /// How many bytes its frame has.
    pub(crate) fn frame_len(&self) -> u64 {
        self.bytes.frame().header.frame_len()
    }

    /// The store-wide position.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.view().id
    }

    /// What sort of event it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.view().stamp.kind
    }

    /// The place in its stream.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.view().stamp.revision
    }

    /// When the store recorded it.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        self.view().stamp.recorded
    }

    /// When it happened, by its caller's clock.
    #[must_use]
    pub fn occurred(&self) -> Option<Occurred> {
        self.view().occurred
    }

    /// The entity.
    #[must_use]
    pub fn entity(&self) -> &str {
        self.view().stream.entity
    }

    /// The scope.
    #[must_use]
    pub fn scope(&self) -> &str {
        self.view().stream.scope
    }

    /// Entity and scope.
    #[must_use]
    pub fn coordinate(&self) -> Coordinate {
        let stream = self.view().stream;
        Coordinate::new(stream.entity, stream.scope).expect("checked when it was decoded")
    }

    /// The branch of its coordinate's history.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.view().stream.lane
    }

    /// The distance from its coordinate's first event.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.view().depth()
    }

    /// The conversation that it belongs to; its own id where none was given.
    #[must_use]
    pub fn correlation(&self) -> EventId {
        self.view().correlation_or_id()
    }

    /// The event that caused it.
    #[must_use]
    pub fn causation(&self) -> Option<EventId> {
        self.view().causation
    }

    /// The hash, which commits to the event and to all the history of its stream.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.view().stamp.hash
    }

    /// The tags, sorted.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.view().tags.iter()
    }

    /// The extensions, sorted by key.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.view().extensions.iter().map(|extension| (extension.key, extension.value))
    }

    /// The value of the extension `key`.
    #[must_use]
    pub fn extension(&self, key: &str) -> Option<&[u8]> {
        self.view().extensions.find(key)
    }

    /// The payload; `None` where it was erased.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        match self.view().payload {
            Payload::Present(bytes) => Some(bytes),
            _ => None,
        }
    }
}
