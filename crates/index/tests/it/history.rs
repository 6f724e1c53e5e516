//! Random histories of one stretch of the log, and random queries about them.
//!
//! There are few strings, kinds and ids, so that streams, tags and conversations have many events each.

use std::{collections::HashMap, sync::Arc};

use annals_index::{ActiveIndex, Entry, Query, QueryItem, SealedIndex};
use annals_wire::{
    Batch, Coordinate, Depth, Digest, Event, EventContent, EventId, EventStamp, FooterTrailer, Fork, Frame,
    FrameSeed, FrameType, Generation, Kind, Lane, NewFrame, Recorded, Revision, Salt, SegmentId, Sequence,
    StoreId, Tag,
};
use proptest::{collection::vec, option, prelude::*};

pub(crate) const SCOPES: [&str; 3] = ["shop/eu", "bank", "shop"];
pub(crate) const ENTITIES: [&str; 4] = ["order:1", "order:10", "user:1", "order:2"];
pub(crate) const TAGS: [&str; 5] = ["a", "b", "blue", "red", "vip"];
pub(crate) const KINDS: [u16; 4] = [0x1001, 0x1002, 0x2001, 0xf001];

/// Ids that no event has.
pub(crate) const FOREIGN: std::ops::Range<usize> = 1_000_000..1_000_003;

const FIRST_OFFSET: usize = 512;

/// One frame that is appended.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Event { scope: usize, entity: usize, lane: u32, kind: usize, tags: u8, links: [Link; 2] },
    Control,
}

/// What a correlation or causation names.
#[derive(Debug, Clone)]
pub(crate) enum Link {
    None,
    Own,
    Earlier(usize),
    Foreign(usize),
}

/// A history that was encoded to frames.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) first_sequence: Sequence,
    frames: Vec<(u32, Vec<u8>)>,
}

/// The id of the event at a place; the order of ids is not that of places.
pub(crate) fn id(place: usize) -> EventId {
    let mixed = (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    EventId(((place as u128) << 64 | u128::from(mixed)).to_le_bytes())
}

pub(crate) fn kind(index: usize) -> Kind {
    Kind::new(KINDS[index]).unwrap()
}

impl History {
    pub(crate) fn new(first_sequence: u64, steps: &[Step]) -> Self {
        let mut history = Self { first_sequence: Sequence(first_sequence), frames: Vec::new() };
        let (mut revisions, mut place, mut offset) = (HashMap::new(), 0, FIRST_OFFSET);
        for step in steps {
            let mut frame = Vec::new();
            match step {
                Step::Event { .. } => {
                    history.encode_event(step, place, &mut revisions, offset, &mut frame);
                    place += 1;
                }
                Step::Control => encode_frame(FrameType::CONTROL, 0, &[0; 44], b"", offset, &mut frame),
            }
            let len = frame.len();
            history.frames.push((u32::try_from(offset).unwrap(), frame));
            offset += len;
        }
        history
    }

    fn encode_event(
        &self,
        step: &Step,
        place: usize,
        revisions: &mut HashMap<(usize, usize, u32), u64>,
        offset: usize,
        out: &mut Vec<u8>,
    ) {
        let Step::Event { scope, entity, lane, kind: kind_index, tags, links } = step else { return };
        // A stream may have begun before this stretch.
        let revision = revisions.entry((*scope, *entity, *lane)).or_insert(*entity as u64 * 7);
        *revision += 1;
        let link = |link: &Link| match link {
            Link::None => None,
            Link::Own => Some(id(place)),
            Link::Earlier(earlier) => Some(id(earlier % (place + 1))),
            Link::Foreign(foreign) => Some(id(FOREIGN.start + foreign)),
        };
        let event = (*revision == 1).then(|| id(FOREIGN.start));
        let fork = Fork { depth: Depth(u64::from(*lane) + 4), event };
        let chosen = TAGS.iter().enumerate().filter(|(bit, _)| tags & (1 << bit) != 0);
        let tags: Vec<Tag> = chosen.map(|(_, tag)| Tag::new(tag).unwrap()).collect();
        let content = EventContent {
            id: id(place),
            correlation: link(&links[0]),
            causation: link(&links[1]),
            occurred: None,
            coordinate: &Coordinate::new(ENTITIES[*entity], SCOPES[*scope]).unwrap(),
            lane: (*lane != 0).then_some((Lane(*lane), fork)),
            tags: &tags,
            extensions: &[],
            payload: b"payload",
        };
        let mut body = Vec::new();
        let (flags, _) = content.encode(&mut body).unwrap();
        let hash = Digest([u8::try_from(place % 251).unwrap(); 32]);
        // So that there are times between.
        let recorded = Recorded(place as u64 * 2 + 1);
        let stamp =
            EventStamp { revision: Revision(*revision), recorded, kind: kind(*kind_index), flags, hash };
        let sequence = self.first_sequence.0 + place as u64;
        encode_frame(FrameType::EVENT, sequence, &stamp.encode(), &body, offset, out);
    }

    pub(crate) fn frames(&self) -> impl Iterator<Item = (u32, Frame<'_>)> {
        let decode = |offset, bytes| Frame::decode(bytes, seed(), u64::from(offset)).unwrap();
        self.frames.iter().map(move |(offset, bytes)| (*offset, decode(*offset, bytes)))
    }

    /// The events, decoded, each at its row.
    pub(crate) fn events(&self) -> Vec<Event<'_>> {
        let events = self.frames().filter(|(_, frame)| frame.header.frame_type == FrameType::EVENT);
        events.map(|(_, frame)| Event::decode(&frame).unwrap()).collect()
    }

    /// The index that a scan makes.
    pub(crate) fn scan(&self) -> ActiveIndex {
        let mut index = ActiveIndex::new(self.first_sequence);
        for (offset, frame) in self.frames() {
            if frame.header.frame_type == FrameType::CONTROL {
                index.insert_control(offset);
                continue;
            }
            let event = Event::decode(&frame).unwrap();
            let entry = Entry::of(&event, offset);
            assert!(index.accepts(&entry));
            index.insert(&entry, event.tags.iter());
        }
        index
    }

    pub(crate) fn trailer(&self) -> FooterTrailer {
        trailer(self.first_sequence, self.events().len())
    }
}

pub(crate) fn trailer(first_sequence: Sequence, row_count: usize) -> FooterTrailer {
    FooterTrailer {
        store: StoreId([7; 16]),
        segment: SegmentId(3),
        generation: Generation(0),
        chain: Default::default(),
        frames_end: 4096,
        first_sequence,
        row_count: u32::try_from(row_count).unwrap(),
        digest: Digest::NONE,
    }
}

pub(crate) fn seal(bytes: &[u8]) -> Result<SealedIndex, annals_index::Error> {
    SealedIndex::new(Arc::new(bytes.to_vec()))
}

fn seed() -> FrameSeed {
    FrameSeed::new(Salt(1), SegmentId(3))
}

fn encode_frame(
    frame_type: FrameType,
    sequence: u64,
    stamp: &[u8],
    body: &[u8],
    offset: usize,
    out: &mut Vec<u8>,
) {
    let frame = NewFrame {
        frame_type,
        skippable: false,
        sequence: Sequence(sequence),
        batch: Batch::SINGLE,
        synced_len: 0,
        stamp,
        body,
        body_crc: crc32(body),
    };
    frame.encode(seed(), offset as u64, out);
}

fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
}

/// An interpreter takes its time.
const STEPS_MAX: usize = if cfg!(miri) { 9 } else { 60 };

pub(crate) fn histories() -> impl Strategy<Value = History> {
    (1..50_u64, vec(steps(), 0..STEPS_MAX))
        .prop_map(|(first_sequence, steps)| History::new(first_sequence, &steps))
}

pub(crate) fn steps() -> impl Strategy<Value = Step> {
    let links = || {
        prop_oneof![
            3 => Just(Link::None),
            1 => Just(Link::Own),
            4 => prop_oneof![3 => 0..4_usize, 1 => 0..60_usize].prop_map(Link::Earlier),
            1 => (0..FOREIGN.len()).prop_map(Link::Foreign),
        ]
    };
    let lane = prop_oneof![3 => Just(0), 1 => 1..3_u32, 1 => Just(u32::MAX)];
    let event = (0..SCOPES.len(), 0..ENTITIES.len(), lane, 0..KINDS.len(), any::<u8>(), [links(), links()]);
    prop_oneof![
        9 => event.prop_map(|(scope, entity, lane, kind, tags, links)| {
            Step::Event { scope, entity, lane, kind, tags: tags & tags >> 3, links }
        }),
        1 => Just(Step::Control),
    ]
}

/// Any query, most with few terms; some name what no event has.
pub(crate) fn queries() -> impl Strategy<Value = Query> {
    vec(items(), 0..4).prop_map(|items| {
        let mut items = items.into_iter();
        items.next().map_or(Query::all(), |first| items.fold(Query::of(first), Query::or))
    })
}

fn items() -> impl Strategy<Value = QueryItem> {
    let kinds = (vec(0..KINDS.len(), 0..3), vec(0..4_u16, 0..2));
    let tags = vec(0..TAGS.len() + 1, 0..3);
    let stream = (
        option::of(0..SCOPES.len() + 1),
        option::of(0..ENTITIES.len() + 1),
        option::weighted(0.2, prop::sample::select(vec!["", "order:", "order:1", "x"])),
        option::weighted(0.2, prop::sample::select(vec![0, 1, 9, u32::MAX])),
    );
    let place = || option::weighted(0.25, prop_oneof![6 => 0..4_usize, 3 => 0..60_usize, 1 => FOREIGN]);
    let sequences =
        (option::weighted(0.3, 0..100_u64), option::weighted(0.3, prop_oneof![0..100_u64, Just(u64::MAX)]));
    let time = || option::weighted(0.2, prop_oneof![9 => 0..130_u64, 1 => Just(u64::MAX)]);
    let sequences = (sequences, time(), time());
    let named = (option::weighted(0.3, kinds), option::weighted(0.4, tags), option::weighted(0.5, stream));
    (named, place(), place(), sequences).prop_map(
        |((kinds, tags, stream), correlation, causation, (bounds, later, earlier))| {
            let mut item = with_stream(QueryItem::new(), stream.unwrap_or_default());
            let (kinds, categories) = kinds.unwrap_or_default();
            item = kinds.into_iter().fold(item, |item, index| item.kind(kind(index)));
            item = categories.into_iter().fold(item, QueryItem::category);
            item = tags
                .into_iter()
                .flatten()
                .fold(item, |item, index| item.tag(*TAGS.get(index).unwrap_or(&"none")));
            item = correlation.into_iter().fold(item, |item, place| item.correlation(id(place)));
            item = causation.into_iter().fold(item, |item, place| item.causation(id(place)));
            item = later.into_iter().fold(item, |item, time| item.recorded_after(Recorded(time)));
            item = earlier.into_iter().fold(item, |item, time| item.recorded_until(Recorded(time)));
            item = bounds.0.into_iter().fold(item, |item, after| item.after(Sequence(after)));
            bounds.1.into_iter().fold(item, |item, until| item.until(Sequence(until)))
        },
    )
}

type StreamTerms = (Option<usize>, Option<usize>, Option<&'static str>, Option<u32>);

fn with_stream(item: QueryItem, (scope, entity, prefix, lane): StreamTerms) -> QueryItem {
    let item = scope.into_iter().fold(item, |item, at| item.scope(*SCOPES.get(at).unwrap_or(&"none")));
    let item = entity.into_iter().fold(item, |item, at| item.entity(*ENTITIES.get(at).unwrap_or(&"none")));
    let item = prefix.into_iter().fold(item, QueryItem::entity_prefix);
    lane.into_iter().fold(item, |item, lane| item.lane(Lane(lane)))
}
