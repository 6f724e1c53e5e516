//! The structures of one small store: what docs/format.md shows, and what the tests damage.

use std::{collections::BTreeSet, fmt};

use annals_wire::{
    Batch, CHECKPOINT_PREFIX_LEN, Chain, CheckpointHead, CheckpointPrefix, CleanEnd, Consumer, ConsumerMove,
    ConsumerName, Control, CoveredSegment, CursorRecord, Depth, Digest, Error, FooterTrailer, Fork, Frame,
    FrameHeader, FrameType, Frontier, Generation, GroupRecord, Key, Kind, Lane, LogPosition, Manifest,
    NewFrame, Occurred, PreviousEnd, Publication, Recorded, Replaced, Revision, RunEntry, RunHeader,
    RunSegment, SEGMENT_HEADER_LEN, Salt, SegmentHeader, SegmentId, Sequence, SequenceRange, SnapshotHeader,
    StateHeader, StoreId, StreamKey, Watermark, blake3_digest, hidden_digest, stream_digest,
};

use crate::{
    new_control::{NewControl, kind_name},
    new_event::{NewEvent, NewPayload, Place},
    new_run::encode_run,
    new_tables::{Indexed, NewTables},
    reading::read_run,
    structure::Structure,
};

type Check = dyn Fn(&[u8]) -> Result<(), Error>;

/// A structure with its bytes.
pub(crate) struct Example {
    pub(crate) structure: Structure,
    /// The name, and what the bytes depend on besides their content.
    pub(crate) title: String,
    pub(crate) bytes: Vec<u8>,
    check: Box<Check>,
}

impl Example {
    /// Decodes `bytes` and panics where they are anything but what the example is.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), Error> {
        (self.check)(bytes)
    }

    fn new<T: PartialEq + fmt::Debug + 'static>(
        structure: Structure,
        name: &str,
        value: T,
        bytes: Vec<u8>,
        decode: impl Fn(&[u8]) -> Result<T, Error> + 'static,
    ) -> Self {
        let check = move |bytes: &[u8]| {
            assert_eq!(decode(bytes)?, value);
            Ok(())
        };
        Self { structure, title: name.to_owned(), bytes, check: Box::new(check) }
    }

    fn at(mut self, place: Place) -> Self {
        let Place { salt, segment, offset } = place;
        self.title += &format!(" (offset {offset}, salt {:#018x}, segment {segment})", salt.0);
        self
    }
}

/// The store of the examples: two segments, the second without frames.
struct Store {
    store: StoreId,
    first: SegmentHeader,
    named: NewControl,
    placed: NewEvent,
    branched: NewEvent,
}

/// 2026-01-01T00:00:00Z, and milliseconds behind it.
fn recorded(millis: u64) -> Recorded {
    Recorded::from_millis(1_767_225_600_000 + millis)
}

fn order_placed() -> Kind {
    Kind::new(0x1001).unwrap()
}

/// The salt of the first segment.
const SALT: Salt = Salt(0x6a09_e667_f3bc_c908);
/// The salt of the segment that replaced it.
const REPLACED_SALT: Salt = Salt(0xbb67_ae85_84ca_a73b);

impl Store {
    fn new() -> Self {
        let store = "019b76da-a800-7000-8000-00000000a11a".parse().unwrap();
        let first = SegmentHeader {
            store,
            id: SegmentId(1),
            generation: Generation(0),
            salt: SALT,
            first_sequence: Sequence(1),
            recorded: recorded(0),
            previous: None,
        };
        let named = NewControl {
            previous: Digest::NONE,
            batch: Batch::SINGLE,
            synced_len: 512,
            recorded: recorded(1),
            control: kind_name(order_placed(), "order-placed"),
        };
        let placed = placed();
        let branched = branched(&placed);
        Self { store, first, named, placed, branched }
    }

    /// The frames of the first segment, with their offsets.
    fn frames(&self) -> [(Place, Vec<u8>); 3] {
        let at = |offset| Place { salt: SALT, segment: SegmentId(1), offset };
        let named = (at(512), self.named.encode(at(512)));
        let place = end(&named);
        let placed = (at(place), self.placed.encode(at(place)));
        let place = end(&placed);
        let branched = (at(place), self.branched.encode(at(place)));
        [named, placed, branched]
    }

    fn last(&self) -> Digest {
        self.branched.hash()
    }

    /// The record that hides the second event.
    fn hidden(&self) -> NewControl {
        let control = Control::Hidden(SequenceRange::new(Sequence(2), Sequence(2)).unwrap());
        NewControl { previous: self.named.hash(), recorded: recorded(4), control, ..self.named.clone() }
    }

    /// The record that moves a group behind the first event.
    fn moved(&self) -> NewControl {
        let control = Control::ConsumerMove(self.billing());
        NewControl { previous: self.hidden().hash(), recorded: recorded(5), control, ..self.named.clone() }
    }

    /// Where the group `billing` is: behind the first event, and the third is done.
    fn billing(&self) -> ConsumerMove {
        ConsumerMove {
            consumer: Consumer::Group,
            name: ConsumerName::new("billing").unwrap(),
            number: 7,
            sequence: Sequence(1),
            hash: self.placed.hash(),
            done: vec![Sequence(3)],
            is_deleted: false,
        }
    }

    fn first_segment_end(&self) -> PreviousEnd {
        let frames = self.frames();
        let crc = |(place, bytes): &(Place, Vec<u8>)| {
            FrameHeader::decode(bytes, place.seed(), place.offset).unwrap().header_crc
        };
        PreviousEnd {
            id: SegmentId(1),
            generation: Generation(0),
            end: end(&frames[2]),
            chain: frames.iter().map(crc).fold(Chain::default(), Chain::then),
            mark: self.last(),
        }
    }
}

fn end((place, bytes): &(Place, Vec<u8>)) -> u64 {
    place.offset + bytes.len() as u64
}

/// An event without any optional part.
fn placed() -> NewEvent {
    NewEvent {
        previous: Digest::NONE,
        sequence: Sequence(1),
        batch: Batch { index: 0, count: 2 },
        synced_len: 608,
        revision: Revision(1),
        recorded: recorded(2),
        kind: order_placed(),
        id: "019b76da-a802-7000-8000-000000000001".parse().unwrap(),
        correlation: None,
        causation: None,
        occurred: None,
        lane: None,
        entity: "order:42".to_owned(),
        scope: "shop/eu".to_owned(),
        tags: vec![],
        extensions: vec![],
        payload: NewPayload::Present(b"\x81\xa5total\xcd\x07\xc6".to_vec()),
    }
}

/// An event with every optional part: the first of a lane that forks from `from`.
fn branched(from: &NewEvent) -> NewEvent {
    NewEvent {
        previous: from.hash(),
        sequence: Sequence(2),
        batch: Batch { index: 1, count: 2 },
        recorded: Recorded(recorded(2).0 + 1),
        id: "019b76da-a802-7000-8000-000000000002".parse().unwrap(),
        correlation: Some(from.id),
        causation: Some(from.id),
        occurred: Some(Occurred(1_767_225_599_000_000)),
        lane: Some((Lane(1), Fork { depth: Depth(0), event: Some(from.id) })),
        tags: vec!["draft".to_owned(), "vip".to_owned()],
        extensions: vec![("trace/id".to_owned(), vec![0xca, 0xfe])],
        payload: NewPayload::Present(b"\x81\xa5total\xcd\x07\xd0".to_vec()),
        ..from.clone()
    }
}

/// All examples, in the document's order.
pub(crate) fn examples() -> Vec<Example> {
    let store = Store::new();
    let [(named, _), (placed, _), (branched, _)] = store.frames();
    let erased = Place { salt: REPLACED_SALT, ..branched };
    vec![
        segment_header(&store),
        event("event-frame", &store.placed, placed),
        event("event-frame-full", &store.branched, branched),
        event("event-frame-erased", &store.branched.erased(), erased),
        control("control-frame", &store.named, named),
        control("control-frame-hidden", &store.hidden(), Place { offset: 512, ..named }),
        control("control-frame-move", &store.moved(), Place { offset: 512, ..named }),
        manifest_slot(&store),
        frontier(),
        footer(&store),
        run(&store),
        checkpoint(&store),
        mark(&store, Place { offset: 512, ..named }),
        state(&store),
        cursor(&store, Place { offset: 512, ..named }),
        group_record("group-record-parked", Place { offset: 512, ..named }, parked()),
        group_record("group-record-position", Place { offset: 592, ..named }, group_position(&store)),
        snapshot(&store),
    ]
}

fn segment_header(store: &Store) -> Example {
    let header = SegmentHeader {
        id: SegmentId(2),
        salt: Salt(0x3c6e_f372_fe94_f82b),
        first_sequence: Sequence(3),
        recorded: recorded(3),
        previous: Some(store.first_segment_end()),
        ..store.first
    };
    let bytes = header.encode().to_vec();
    Example::new(Structure::SegmentHeader, "segment-header", header, bytes, SegmentHeader::decode)
}

fn event(name: &str, event: &NewEvent, place: Place) -> Example {
    let previous = event.previous;
    let decode = move |bytes: &[u8]| NewEvent::decode(bytes, place, previous);
    Example::new(Structure::Frame(place), name, event.clone(), event.encode(place), decode).at(place)
}

fn control(name: &str, control: &NewControl, place: Place) -> Example {
    let previous = control.previous;
    let decode = move |bytes: &[u8]| NewControl::decode(bytes, place, previous);
    let bytes = control.encode(place);
    Example::new(Structure::Frame(place), name, control.clone(), bytes, decode).at(place)
}

fn manifest_slot(store: &Store) -> Example {
    let manifest = Manifest {
        counter: 5,
        store: store.store,
        oldest: SegmentId(1),
        newest: SegmentId(2),
        clean: Some(CleanEnd {
            end: 512,
            chain: Chain::default(),
            next_sequence: Sequence(3),
            recorded: recorded(4),
            mark: store.last(),
        }),
        replaced: vec![Replaced {
            id: SegmentId(1),
            generation: Generation(1),
            chain: Chain(0x1b2c_3d4e),
            end: 1016,
        }],
    };
    let bytes = manifest.encode();
    Example::new(Structure::ManifestSlot, "manifest-slot", manifest, bytes, Manifest::decode)
}

fn frontier() -> Example {
    let frontier = Frontier {
        epoch: 0x0123_4567_89ab_cdef,
        segment: SegmentId(2),
        end: 512,
        visible: Sequence(2),
        durable: Sequence(2),
    };
    let bytes = frontier.encode().to_vec();
    Example::new(Structure::Frontier, "frontier", frontier, bytes, Frontier::decode)
}

/// What a program might publish of the store's log, which is none of its own.
const STATE: &[u8] = b"\x81\xa5total\x2a";

fn position(store: &Store) -> LogPosition {
    let end = store.first_segment_end();
    let (segment, generation) = (end.id, end.generation);
    LogPosition { sequence: Sequence(2), segment, generation, offset: end.end, chain: end.chain }
}

fn mark(store: &Store, place: Place) -> Example {
    let publication = Publication { sequence: position(store).sequence, digest: blake3_digest(STATE) };
    let body = publication.encode();
    let frame = NewFrame {
        frame_type: FrameType::MARK,
        skippable: false,
        sequence: Sequence(0),
        batch: Batch::SINGLE,
        synced_len: 512,
        stamp: &[],
        body: &body,
        body_crc: crc32fast::hash(&body),
    };
    let mut bytes = Vec::new();
    frame.encode(place.seed(), place.offset, &mut bytes);
    let decode = move |bytes: &[u8]| {
        let frame = Frame::decode(bytes, place.seed(), place.offset)?;
        Ok((frame.header.frame_type, Publication::decode(frame.body)?))
    };
    let value = (FrameType::MARK, publication);
    Example::new(Structure::Frame(place), "mark-frame", value, bytes, decode).at(place)
}

fn cursor(store: &Store, place: Place) -> Example {
    let record = CursorRecord {
        store: store.store,
        number: 7,
        moved: 5,
        sequence: Sequence(1),
        hash: store.placed.hash(),
        is_in_log: true,
    };
    let body = record.encode();
    let frame = NewFrame {
        frame_type: FrameType::RECORD,
        skippable: false,
        sequence: Sequence(7),
        batch: Batch::SINGLE,
        synced_len: 512,
        stamp: &[],
        body: &body,
        body_crc: crc32fast::hash(&body),
    };
    let mut bytes = Vec::new();
    frame.encode(place.seed(), place.offset, &mut bytes);
    let decode = move |bytes: &[u8]| {
        let frame = Frame::decode(bytes, place.seed(), place.offset)?;
        Ok((frame.header.frame_type, CursorRecord::decode(frame.body)?))
    };
    let value = (FrameType::RECORD, record);
    Example::new(Structure::Frame(place), "cursor-frame", value, bytes, decode).at(place)
}

fn state(store: &Store) -> Example {
    let header = StateHeader::new(store.store, position(store), STATE);
    let bytes = [&header.encode()[..], STATE].concat();
    let decode =
        |bytes: &[u8]| StateHeader::decode_file(bytes).map(|(header, state)| (header, state.to_vec()));
    Example::new(Structure::State, "state", (header, STATE.to_vec()), bytes, decode)
}

/// The second event failed for the third time.
fn parked() -> GroupRecord {
    let reason = "no such order".into();
    GroupRecord::Parked { sequence: Sequence(2), attempt: 3, at: 1_767_225_600_009, reason }
}

fn group_position(store: &Store) -> GroupRecord {
    GroupRecord::Position { number: 1, sequence: Sequence(2), hash: store.last() }
}

/// A record in the log of a group, whatever its number there.
fn group_record(name: &str, place: Place, record: GroupRecord) -> Example {
    let body = record.encode();
    let frame = NewFrame {
        frame_type: FrameType::RECORD,
        skippable: false,
        sequence: Sequence(7),
        batch: Batch::SINGLE,
        synced_len: 512,
        stamp: &[],
        body: &body,
        body_crc: crc32fast::hash(&body),
    };
    let mut bytes = Vec::new();
    frame.encode(place.seed(), place.offset, &mut bytes);
    let decode = move |bytes: &[u8]| {
        let frame = Frame::decode(bytes, place.seed(), place.offset)?;
        Ok((frame.header.frame_type, frame.header.sequence, GroupRecord::decode(frame.body)?))
    };
    let value = (FrameType::RECORD, Sequence(7), record);
    Example::new(Structure::Frame(place), name, value, bytes, decode).at(place)
}

/// What the projection `totals` made of the first stream, whose second event is hidden.
fn snapshot(store: &Store) -> Example {
    let stream = StreamKey { entity: "order:42", scope: "shop/eu", lane: Lane(0) };
    let header = SnapshotHeader {
        store: store.store,
        sequence: Sequence(2),
        hash: store.last(),
        event_count: 1,
        fold_version: 3,
        name: ConsumerName::new("totals").unwrap(),
        subject: stream_digest(stream),
        hidden: hidden_digest([SequenceRange::new(Sequence(2), Sequence(2)).unwrap()]),
        len: STATE.len() as u64,
        digest: blake3_digest(STATE),
    };
    let bytes = [&header.encode()[..], STATE].concat();
    let decode =
        |bytes: &[u8]| SnapshotHeader::decode_file(bytes).map(|(header, state)| (header, state.to_vec()));
    Example::new(Structure::Snapshot, "snapshot", (header, STATE.to_vec()), bytes, decode)
}

fn indexed(event: &NewEvent, place: Place) -> Indexed {
    let fork_depth = event.lane.map_or(Depth(0), |(_, fork)| fork.depth);
    Indexed {
        offset: u32::try_from(place.offset).unwrap(),
        id: event.id,
        correlation: event.correlation,
        causation: event.causation,
        scope: event.scope.clone(),
        entity: event.entity.clone(),
        lane: event.lane.map_or(Lane(0), |(lane, _)| lane),
        fork_depth,
        revision: event.revision,
        kind: event.kind,
        recorded: event.recorded,
        tags: event.tags.iter().cloned().collect::<BTreeSet<_>>(),
    }
}

fn footer(store: &Store) -> Example {
    let [(named, _), (placed, _), (branched, _)] = store.frames();
    let end = store.first_segment_end();
    let segment = segment();
    assert_eq!(segment.len() as u64, end.end);
    let events = [indexed(&store.placed, placed), indexed(&store.branched, branched)];
    let tables = NewTables::new(&events, &[u32::try_from(named.offset).unwrap()]);
    let trailer = FooterTrailer {
        store: store.store,
        segment: end.id,
        generation: end.generation,
        chain: end.chain,
        frames_end: end.end,
        first_sequence: Sequence(1),
        row_count: 2,
        digest: blake3_digest(&segment),
    };
    let bytes = tables.encode(&trailer);
    let decode = move |bytes: &[u8]| tables.assert_in(bytes, &trailer);
    Example::new(Structure::Footer, "footer", (), bytes, decode)
}

/// A run over the first segment, which has two events in one coordinate.
fn run(store: &Store) -> Example {
    let end = store.first_segment_end();
    let (placed, branched) = (&store.placed, &store.branched);
    let keys = [
        Key::Id(placed.id),
        Key::Id(branched.id),
        Key::Coordinate { scope: "shop/eu", entity: "order:42" },
        Key::Kind(order_placed()),
        Key::Scope("shop/eu"),
        Key::Tag("draft"),
        Key::Tag("vip"),
        Key::Correlation(placed.id),
        Key::Causation(placed.id),
    ];
    let mut entries = keys.map(|key| RunEntry { hash: key.hash(store.store), place: 0 });
    entries.sort();
    let header = RunHeader {
        store: store.store,
        first: end.id,
        segments: vec![RunSegment { generation: end.generation, chain: end.chain }],
        entry_count: entries.len() as u64,
    };
    let bytes = encode_run(&header, &entries);
    Example::new(Structure::Run, "index-run", (header, entries.to_vec()), bytes, read_run)
}

/// The first segment up to the end of its frames.
pub(crate) fn segment() -> Vec<u8> {
    let store = Store::new();
    let frames = store.frames().map(|(_, bytes)| bytes).concat();
    [&store.first.encode()[..], &frames].concat()
}

fn checkpoint(store: &Store) -> Example {
    let end = store.first_segment_end();
    let watermark = Watermark {
        segment: SegmentId(2),
        generation: Generation(0),
        offset: SEGMENT_HEADER_LEN as u64,
        chain: Chain::default(),
        sequence: Sequence(2),
        recorded: store.branched.recorded,
        mark: store.last(),
    };
    let head = CheckpointHead {
        store: store.store,
        watermark,
        covered: vec![CoveredSegment {
            id: end.id,
            generation: end.generation,
            first_sequence: Sequence(1),
            end: end.end,
            chain: end.chain,
            len: 2048,
        }],
        kind_names: vec![(order_placed(), "order-placed".to_owned())],
        hidden: vec![SequenceRange::new(Sequence(2), Sequence(2)).unwrap()],
        moves: vec![store.billing()],
        control: store.moved().hash(),
    };
    let trailer = FooterTrailer {
        store: store.store,
        segment: watermark.segment,
        generation: watermark.generation,
        chain: watermark.chain,
        frames_end: watermark.offset,
        first_sequence: Sequence(3),
        row_count: 0,
        digest: Digest::NONE,
    };
    let bytes = head.encode(&NewTables::default().encode(&trailer));
    let decode = move |bytes: &[u8]| decode_checkpoint(bytes, &NewTables::default(), &trailer);
    Example::new(Structure::Checkpoint, "checkpoint", head, bytes, decode)
}

/// Decodes a whole checkpoint and checks its tables.
pub(crate) fn decode_checkpoint(
    bytes: &[u8],
    tables: &NewTables,
    trailer: &FooterTrailer,
) -> Result<CheckpointHead, Error> {
    let prefix = CheckpointPrefix::decode(bytes)?;
    let head = CheckpointHead::decode(bytes)?;
    let (needed, available) = (prefix.file_len().unwrap(), bytes.len() as u64);
    if needed != available {
        return Err(Error::Truncated { what: "the file", needed, available });
    }
    let start = usize::try_from(prefix.tables_offset()).unwrap();
    assert!(start >= CHECKPOINT_PREFIX_LEN && start.is_multiple_of(8));
    tables.assert_in(&bytes[start..], trailer)?;
    Ok(head)
}

/// The example with this name.
pub(crate) fn example(name: &str) -> Example {
    let is_named = |example: &Example| example.title.split(' ').next() == Some(name);
    examples().into_iter().find(is_named).unwrap_or_else(|| panic!("no example {name}"))
}
