//! What a caller appends, what it may demand, and what it gets back.

use std::{borrow::Cow, fmt};

use annals_wire::{
    Coordinate, Digest, EventContent, EventFlags, EventId, Kind, Lane, Occurred, Recorded, Revision,
    Sequence, StreamKey, Tag, blake3_digest,
};

use crate::{Durability, Error, extension, lanes::OnLane, typed::Schema};

/// Where an append expects its stream to be, before the append.
///
/// ```
/// # use annals::{*, disk::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let (order, placed) = (Coordinate::new("order:42", "shop")?, store.kind("order.placed")?);
/// let event = NewEvent::new(&order, placed, b"two chairs").expected(Expected::None);
/// let first = store.append(&event)?;
/// let conflict = store.append(&event.expected(Expected::Exactly(Revision(7)))).unwrap_err();
/// assert!(conflict.is_conflict() && first.revision == Revision(1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// Wherever it is.
    #[default]
    Any,
    /// It has no event.
    None,
    /// It has at least one event.
    Exists,
    /// Its last event has exactly this revision, 1 or more.
    Exactly(Revision),
}

impl Expected {
    pub(crate) fn is_met(self, actual: Option<Revision>) -> bool {
        match self {
            Self::Any => true,
            Self::None => actual.is_none(),
            Self::Exists => actual.is_some(),
            Self::Exactly(revision) => actual == Some(revision),
        }
    }

    pub(crate) fn describe(actual: Option<Revision>) -> String {
        actual
            .map_or_else(|| "it has no event".to_owned(), |revision| format!("it is at revision {revision}"))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anywhere"),
            Self::None => f.write_str("to have no event"),
            Self::Exists => f.write_str("to have an event"),
            Self::Exactly(revision) => write!(f, "at revision {revision}"),
        }
    }
}

impl Cause {
    /// The id of the cause, where the items `earlier` come before its effect in the batch.
    fn resolve(self, earlier: &[Prepared<'_>]) -> Result<EventId, Error> {
        match self {
            Self::Event(id) => Ok(id),
            Self::Item(index) => earlier.get(index).map(|item| item.id).ok_or_else(|| {
                let own = earlier.len();
                let why = format!(
                    "item {own} of the batch names item {index}: only an item before it can be its cause"
                );
                Error::Invalid { what: "causation", why }
            }),
        }
    }
}

/// An event to be appended.
///
/// ```
/// # use annals::{*, disk::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let (order, paid) = (Coordinate::new("order:42", "shop")?, store.kind("order.paid")?);
/// let event = NewEvent::new(&order, paid, b"199 EUR").tag(Tag::new("customer:7")?).occurred(Occurred(0));
/// assert_eq!(store.append(&event)?.sequence, Sequence(1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    coordinate: &'a Coordinate,
    kind: NewKind,
    /// Of what the payload has, by its type; 1 or more, or the append is refused.
    version: u32,
    payload: Cow<'a, [u8]>,
    id: Option<EventId>,
    correlation: Option<EventId>,
    cause: Option<Cause>,
    occurred: Option<Occurred>,
    tags: Vec<Tag>,
    extensions: Vec<(Cow<'a, str>, Cow<'a, [u8]>)>,
    lane: Lane,
    fork: Option<EventId>,
    expected: Expected,
}

/// The kind of an event to be appended.
#[derive(Debug, Clone, Copy)]
enum NewKind {
    Number(Kind),
    /// The one that has the type's name; only the store knows it.
    Of(Schema),
}

/// What caused an event.
#[derive(Debug, Clone, Copy)]
enum Cause {
    Event(EventId),
    /// An item of the same batch, counted from 0.
    Item(usize),
}

impl<'a> NewEvent<'a> {
    /// An event of `kind` at `coordinate`, with `payload` as it is.
    #[must_use]
    pub fn new(coordinate: &'a Coordinate, kind: Kind, payload: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self::with_payload(coordinate, kind, Cow::Borrowed(payload.as_ref()))
    }

    /// An event of `kind` at `coordinate`, with a payload that is borrowed or owned.
    #[must_use]
    pub fn with_payload(coordinate: &'a Coordinate, kind: Kind, payload: Cow<'a, [u8]>) -> Self {
        Self::of_kind(coordinate, NewKind::Number(kind), 1, payload)
    }

    /// An event of the type with `schema`, with the payload that its value became.
    pub(crate) fn with_schema(coordinate: &'a Coordinate, schema: Schema, payload: Vec<u8>) -> Self {
        Self::of_kind(coordinate, NewKind::Of(schema), schema.version(), Cow::Owned(payload))
    }

    fn of_kind(coordinate: &'a Coordinate, kind: NewKind, version: u32, payload: Cow<'a, [u8]>) -> Self {
        Self {
            coordinate,
            kind,
            version,
            payload,
            id: None,
            correlation: None,
            cause: None,
            occurred: None,
            tags: Vec::new(),
            extensions: Vec::new(),
            lane: Lane(0),
            fork: None,
            expected: Expected::Any,
        }
    }

    /// Its id, unique in the store for ever. The same id with the same content again is a repeat: it appends
    /// nothing and gets the first receipt. Without one, the store makes a UUID of version 7.
    #[must_use]
    pub fn id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// The id that it was given, or else the one that `make` gives it now.
    pub(crate) fn id_or_insert_with(
        &mut self,
        make: impl FnOnce() -> Result<EventId, Error>,
    ) -> Result<EventId, Error> {
        let id = self.id.map_or_else(make, Ok)?;
        self.id = Some(id);
        Ok(id)
    }

    /// The conversation that it belongs to; its own id where none is given.
    #[must_use]
    pub fn correlation(mut self, id: EventId) -> Self {
        self.correlation = Some(id);
        self
    }

    /// The event that caused it, in this store or elsewhere.
    #[must_use]
    pub fn causation(mut self, id: EventId) -> Self {
        self.cause = Some(Cause::Event(id));
        self
    }

    /// The event that caused it: the item at `index` of the batch that it is appended in, counted from 0, whatever
    /// id that item has or is given. The item comes before it; any other is refused with [`Error::Invalid`] when the
    /// batch is appended.
    ///
    /// ```
    /// # use annals::{Coordinate, NewEvent, Options, disk::MemoryDirectory};
    /// # fn main() -> Result<(), annals::Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// # let (order, stock) = (Coordinate::new("order:42", "shop")?, Coordinate::new("chair", "stock")?);
    /// let receipts = store.append_batch(&[
    ///     NewEvent::new(&order, store.kind("order.placed")?, b"two chairs"),
    ///     NewEvent::new(&stock, store.kind("stock.reserved")?, b"2").caused_by_item(0),
    /// ])?;
    /// let reserved = store.get(receipts[1].id)?.unwrap();
    /// assert_eq!(reserved.causation(), Some(receipts[0].id));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn caused_by_item(mut self, index: usize) -> Self {
        self.cause = Some(Cause::Item(index));
        self
    }

    /// When the fact happened, by the caller's clock.
    #[must_use]
    pub fn occurred(mut self, occurred: Occurred) -> Self {
        self.occurred = Some(occurred);
        self
    }

    /// A tag to find it by; giving one twice is giving it once.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// The version of its type that its payload has, 1 or more; 1 where none is given. [`NewEvent::of`] gives the one of
    /// its type; this is for payloads that come from elsewhere. It is in the log as the extension `annals/version`. The
    /// append refuses 0 with [`Error::Invalid`].
    ///
    /// ```
    /// # use annals::{Coordinate, NewEvent, Options, disk::MemoryDirectory};
    /// # fn main() -> Result<(), annals::Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// # let (at, kind) = (Coordinate::new("order:42", "shop")?, store.kind("order.placed")?);
    /// let id = store.append(&NewEvent::new(&at, kind, b"two chairs").version(2))?.id;
    /// assert_eq!(store.get(id)?.unwrap().version()?, 2);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Bytes carried beside the payload and covered by the event's hash; [`crate::Event::extension`] gives them back.
    /// The key is a namespace and a name, such as `cloudevents/time`: at most 1,024 bytes, no control characters, each
    /// key once, and not in the namespace `annals`, which is the store's own. At most 65,535 extensions. What breaks
    /// these rules is refused with [`Error::Invalid`] when the event is appended.
    ///
    /// ```
    /// # use annals::{Coordinate, NewEvent, Options, disk::MemoryDirectory};
    /// # fn main() -> Result<(), annals::Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// # let (at, kind) = (Coordinate::new("order:42", "shop")?, store.kind("order.placed")?);
    /// let event = NewEvent::new(&at, kind, b"two chairs").extension("shop/terminal", b"till 3");
    /// let id = store.append(&event)?.id;
    /// assert_eq!(store.get(id)?.unwrap().extension("shop/terminal"), Some(&b"till 3"[..]));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn extension(mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, [u8]>>) -> Self {
        self.extensions.push((key.into(), value.into()));
        self
    }

    /// The lane of its coordinate that it is appended to, instead of the trunk. The lane is there, or an earlier item of
    /// the batch forks it; else the append is refused with [`Error::Invalid`].
    #[must_use]
    pub fn lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// The first event of a new lane, 1 or more, of its coordinate, which forks from the event `from` of any lane of it
    /// and goes on from there. Where the lane has an event already the append is refused with [`Error::Conflict`].
    #[must_use]
    pub fn fork(mut self, lane: Lane, from: EventId) -> Self {
        (self.lane, self.fork) = (lane, Some(from));
        self
    }

    /// Where its stream must be before the append; in a batch, before the batch.
    #[must_use]
    pub fn expected(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    pub(crate) fn payload_len(&self) -> u64 {
        self.payload.len() as u64
    }

    pub(crate) fn coordinate(&self) -> &'a Coordinate {
        self.coordinate
    }

    /// Its lane, and which event that forks from where it is the lane's first.
    pub(crate) fn on_lane(&self) -> (Lane, Option<EventId>) {
        (self.lane, self.fork)
    }

    /// Everything about the event that needs no turn: its body, its checksum, the digest of its payload. `earlier` are
    /// the items before it in its batch, `lane` is where it was found to belong; `kind_of` finds the kind of a type.
    pub(crate) fn prepare(
        &self,
        lane: Option<OnLane>,
        kind_of: impl FnOnce(&Schema) -> Result<Kind, Error>,
        earlier: &[Prepared<'_>],
        make_id: impl FnOnce() -> EventId,
    ) -> Result<Prepared<'_>, Error> {
        self.expected.check()?;
        let id = self.id.unwrap_or_else(make_id);
        let mut tags: Cow<'_, [Tag]> = Cow::Borrowed(&self.tags);
        if tags.len() > 1 {
            tags.to_mut().sort();
            tags.to_mut().dedup();
        }
        let version = extension::version_value(self.version)?;
        let extensions = extension::sorted(&self.extensions, version.as_deref())?;
        let causation = self.cause.map(|cause| cause.resolve(earlier)).transpose()?;
        let content = EventContent {
            id,
            correlation: self.correlation,
            causation,
            occurred: self.occurred,
            coordinate: self.coordinate,
            lane: lane.map(|on| (on.lane, on.fork)),
            tags: &tags,
            extensions: &extensions,
            payload: &self.payload,
        };
        let mut body = Vec::with_capacity(256 + self.payload.len());
        let (flags, head_len) = content.encode(&mut body)?;
        let kind = match &self.kind {
            NewKind::Number(kind) => *kind,
            NewKind::Of(schema) => kind_of(schema)?,
        };
        Ok(Prepared {
            id,
            is_given: self.id.is_some(),
            correlation: self.correlation.filter(|correlation| *correlation != id),
            causation,
            coordinate: self.coordinate,
            lane,
            kind,
            tags,
            expected: self.expected,
            flags,
            head_len,
            body_crc: annals_wire::crc(&body),
            payload: blake3_digest(&self.payload),
            body,
        })
    }
}

/// An event whose turn has not come: its bytes are made, its place is not known.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    pub(crate) id: EventId,
    /// Whether the caller brought the id, so that it may be a repeat.
    pub(crate) is_given: bool,
    pub(crate) correlation: Option<EventId>,
    pub(crate) causation: Option<EventId>,
    pub(crate) coordinate: &'a Coordinate,
    /// `None` on the trunk.
    pub(crate) lane: Option<OnLane>,
    pub(crate) kind: Kind,
    pub(crate) tags: Cow<'a, [Tag]>,
    pub(crate) expected: Expected,
    pub(crate) flags: EventFlags,
    pub(crate) head_len: usize,
    pub(crate) body: Vec<u8>,
    pub(crate) body_crc: u32,
    pub(crate) payload: Digest,
}

impl Prepared<'_> {
    /// Its stream.
    pub(crate) fn key(&self) -> StreamKey<'_> {
        self.coordinate.stream(self.lane.map_or(Lane(0), |on| on.lane))
    }

    /// Whether it is to be the first of its lane.
    pub(crate) fn forks(&self) -> bool {
        self.lane.is_some_and(|on| on.fork.event.is_some())
    }
}

/// What an append returns.
///
/// ```
/// # use annals::{*, disk::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let (order, placed) = (Coordinate::new("order:42", "shop")?, store.kind("order.placed")?);
/// let receipt = store.append(&NewEvent::new(&order, placed, b"two chairs"))?;
/// assert_eq!((receipt.sequence, receipt.durability, receipt.is_repeat), (Sequence(1), Durability::Durable, false));
/// assert_eq!(store.get(receipt.id)?.map(|event| event.hash()), Some(receipt.hash));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The event's id.
    pub id: EventId,
    /// Its store-wide position.
    pub sequence: Sequence,
    /// Its place in its stream.
    pub revision: Revision,
    /// When the store recorded it.
    pub recorded: Recorded,
    /// Its hash, which commits to it and to all the history of its stream.
    pub hash: Digest,
    /// How durable it was when the receipt returned, at least.
    pub durability: Durability,
    /// Whether the event was in the store already, and nothing was appended.
    pub is_repeat: bool,
}
