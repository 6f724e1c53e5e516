//! Random content for every structure, within the format's rules.

use std::collections::{BTreeMap, BTreeSet};

use annals_wire::{
    Batch, Chain, CheckpointHead, CleanEnd, Consumer, ConsumerMove, ConsumerName, Control, CoveredSegment,
    Depth, Digest, EventId, FooterTrailer, Fork, Frontier, Generation, GroupRecord, Kind, Lane, LogPosition,
    Manifest, Occurred, PreviousEnd, REPLACED_COUNT_MAX, Recorded, Replaced, Revision, Salt, SegmentHeader,
    SegmentId, Sequence, SequenceRange, SnapshotHeader, StateHeader, StoreId, Watermark, blake3_digest,
};
use proptest::{collection, option, prelude::*, sample::select, test_runner::Config};

use crate::{
    new_control::{NewControl, kind_name},
    new_event::{NewEvent, NewPayload, Place},
    new_tables::Indexed,
};

/// Some hundred cases; few for an interpreter. What fails is printed, and becomes a test of its own.
pub(crate) fn config(cases: u32) -> Config {
    let cases = if cfg!(miri) { 2 } else { cases };
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Text without control characters, sometimes as long as it may be.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-z:/0-9]{1,12}", 4 => "\\PC{1,12}", 1 => "[a-z]{1024}"]
}

fn kind() -> impl Strategy<Value = Kind> {
    any::<u16>().prop_filter_map("a reserved category", |number| Kind::new(number).ok())
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn event_id() -> impl Strategy<Value = EventId> {
    any::<[u8; 16]>().prop_map(EventId)
}

fn store_id() -> impl Strategy<Value = StoreId> {
    any::<[u8; 16]>().prop_map(StoreId)
}

fn batch() -> impl Strategy<Value = Batch> {
    (1..=u32::MAX).prop_flat_map(|count| (0..count).prop_map(move |index| Batch { index, count }))
}

/// Where the frames of a segment may end, and so where one may begin.
fn segment_end() -> impl Strategy<Value = u64> {
    (64..=u64::from(u32::MAX) / 8).prop_map(|eights| eights * 8)
}

pub(crate) fn place() -> impl Strategy<Value = Place> {
    (1..=u64::MAX, 1..=u64::MAX, segment_end()).prop_map(|(salt, segment, offset)| Place {
        salt: Salt(salt),
        segment: SegmentId(segment),
        offset,
    })
}

/// A lane with its fork, and a revision that fits.
fn branch() -> impl Strategy<Value = (Revision, Option<(Lane, Fork)>)> {
    (1..=u64::MAX, option::of((1..=u32::MAX, any::<u64>(), event_id()))).prop_map(|(revision, lane)| {
        let lane = lane.map(|(lane, depth, event)| {
            let event = Some(event).filter(|_| revision % 2 == 0);
            (Lane(lane), Fork { depth: Depth(depth), event })
        });
        let is_first = lane.is_some_and(|(_, fork)| fork.event.is_some());
        let revision = if is_first { 1 } else { revision.max(2) };
        (Revision(revision), lane)
    })
}

fn payload() -> impl Strategy<Value = NewPayload> {
    let erased = (digest(), 0..100_u32).prop_map(|(digest, len)| NewPayload::Erased { digest, len });
    let present = collection::vec(any::<u8>(), 0..100).prop_map(NewPayload::Present);
    prop_oneof![3 => present, 1 => erased]
}

prop_compose! {
    pub(crate) fn new_event()(
        (previous, sequence, batch, synced_len) in (digest(), 1..=u64::MAX, batch(), any::<u32>()),
        ((revision, lane), recorded, kind, id) in (branch(), any::<u64>(), kind(), event_id()),
        (correlation, causation) in (option::of(event_id()), option::of(event_id())),
        (occurred, entity, scope) in (option::of(any::<i64>()), text(), text()),
        tags in collection::btree_set(text(), 0..5),
        extensions in collection::btree_map(text(), collection::vec(any::<u8>(), 0..20), 0..5),
        payload in payload(),
    ) -> NewEvent {
        NewEvent {
            previous,
            sequence: Sequence(sequence),
            batch,
            synced_len,
            revision,
            recorded: Recorded(recorded),
            kind,
            id,
            correlation: correlation.filter(|correlation| *correlation != id),
            causation,
            occurred: occurred.map(Occurred),
            lane,
            entity,
            scope,
            tags: tags.into_iter().collect(),
            extensions: extensions.into_iter().collect(),
            payload,
        }
    }
}

prop_compose! {
    pub(crate) fn new_control()(
        (previous, batch, synced_len, recorded) in (digest(), batch(), any::<u32>(), any::<u64>()),
        control in control(),
    ) -> NewControl {
        NewControl { previous, batch, synced_len, recorded: Recorded(recorded), control }
    }
}

fn control() -> impl Strategy<Value = Control> {
    prop_oneof![
        (kind(), text()).prop_map(|(kind, name)| kind_name(kind, &name)),
        sequence_range().prop_map(Control::Hidden),
        consumer_move().prop_map(Control::ConsumerMove),
    ]
}

fn sequence_range() -> impl Strategy<Value = SequenceRange> {
    let bounds = (1..=u64::MAX, 1..=u64::MAX);
    bounds.prop_map(|(one, other)| {
        SequenceRange::new(Sequence(one.min(other)), Sequence(one.max(other))).unwrap()
    })
}

prop_compose! {
    fn consumer_move()(
        consumer in prop_oneof![Just(Consumer::Cursor), Just(Consumer::Group)],
        (name, number, digest) in ("[a-z0-9][a-z0-9._-]{0,63}", 1..=u64::MAX, digest()),
        sequences in collection::btree_set(any::<u64>(), 1..6),
        is_deleted in any::<bool>(),
    ) -> ConsumerMove {
        let mut sequences = sequences.into_iter().map(Sequence).filter(|_| !is_deleted);
        let sequence = sequences.next().unwrap_or_default();
        let is_none = sequence == Sequence(0);
        ConsumerMove {
            consumer,
            name: ConsumerName::new(&name).unwrap(),
            number,
            sequence,
            hash: if is_none { Digest::NONE } else { digest },
            done: sequences.collect(),
            is_deleted,
        }
    }
}

/// Ranges with gaps between them.
fn hidden() -> impl Strategy<Value = Vec<SequenceRange>> {
    collection::btree_set(1..1_000_000_u64, 0..8).prop_map(|bounds| {
        let bounds: Vec<_> = bounds.into_iter().collect();
        let ranges = bounds.as_chunks().0.iter().map(|[first, last]: &[u64; 2]| (first * 3, last * 3 - 1));
        ranges.map(|(first, last)| SequenceRange::new(Sequence(first), Sequence(last)).unwrap()).collect()
    })
}

/// Of each consumer one, none of those that are gone.
fn moves() -> impl Strategy<Value = Vec<ConsumerMove>> {
    collection::vec(consumer_move(), 0..4).prop_map(|moves| {
        let there = moves.into_iter().filter(|moved| !moved.is_deleted);
        let named: BTreeMap<_, _> =
            there.map(|moved| ((moved.consumer, moved.name.clone()), moved)).collect();
        named.into_values().collect()
    })
}

prop_compose! {
    fn previous_end()(
        (id, generation, end) in (1..=u64::MAX, any::<u32>(), segment_end()),
        (chain, mark) in (any::<u32>(), digest()),
    ) -> PreviousEnd {
        PreviousEnd { id: SegmentId(id), generation: Generation(generation), end, chain: Chain(chain), mark }
    }
}

prop_compose! {
    pub(crate) fn segment_header()(
        (store, id, generation, salt) in (store_id(), 1..=u64::MAX, any::<u32>(), 1..=u64::MAX),
        (first_sequence, recorded) in (1..=u64::MAX, any::<u64>()),
        previous in option::of(previous_end()),
    ) -> SegmentHeader {
        SegmentHeader {
            store,
            id: SegmentId(id),
            generation: Generation(generation),
            salt: Salt(salt),
            first_sequence: Sequence(first_sequence),
            recorded: Recorded(recorded),
            previous,
        }
    }
}

prop_compose! {
    fn clean_end()(
        (end, chain, next_sequence) in (segment_end(), any::<u32>(), any::<u64>()),
        (recorded, mark) in (any::<u64>(), digest()),
    ) -> CleanEnd {
        let (next_sequence, recorded) = (Sequence(next_sequence), Recorded(recorded));
        CleanEnd { end, chain: Chain(chain), next_sequence, recorded, mark }
    }
}

fn replaced() -> impl Strategy<Value = Vec<Replaced>> {
    let generations =
        |count| collection::btree_map(1..=u64::MAX, (1..=u32::MAX, any::<u32>(), segment_end()), count);
    let generations =
        prop_oneof![3 => generations(0..=9), 1 => generations(REPLACED_COUNT_MAX..=REPLACED_COUNT_MAX)];
    generations.prop_map(|generations: BTreeMap<u64, (u32, u32, u64)>| {
        let replaced = generations.into_iter().map(|(id, (generation, chain, end))| Replaced {
            id: SegmentId(id),
            generation: Generation(generation),
            chain: Chain(chain),
            end,
        });
        replaced.collect()
    })
}

prop_compose! {
    pub(crate) fn manifest()(
        (counter, store) in (any::<u64>(), store_id()),
        (oldest, newest) in (1..=u64::MAX, any::<u64>()),
        (clean, replaced) in (option::of(clean_end()), replaced()),
    ) -> Manifest {
        Manifest { counter, store, oldest: SegmentId(oldest), newest: SegmentId(newest), clean, replaced }
    }
}

prop_compose! {
    pub(crate) fn state_header()(
        (store, sequence, segment) in (store_id(), any::<u64>(), 1..=u64::MAX),
        (offset, generation, chain) in (64..1_u64 << 28, any::<u32>(), any::<u32>()),
        state in collection::vec(any::<u8>(), 0..40),
    ) -> (StateHeader, Vec<u8>) {
        let position = LogPosition {
            sequence: Sequence(sequence),
            segment: SegmentId(segment),
            generation: Generation(generation),
            offset: 8 * offset,
            chain: Chain(chain),
        };
        (StateHeader::new(store, position, &state), state)
    }
}

prop_compose! {
    /// A record of each type.
    pub(crate) fn group_records()(
        (store, sequence, attempt) in (store_id(), 1..=u64::MAX, any::<u32>()),
        (number, at, hash, id) in (any::<u64>(), any::<u64>(), digest(), any::<[u8; 16]>()),
        (position, reason) in (any::<u64>(), "\\PC{0,40}"),
    ) -> Vec<GroupRecord> {
        let (sequence, position, reason) = (Sequence(sequence), Sequence(position), Box::<str>::from(reason));
        vec![
            GroupRecord::Bound { store },
            GroupRecord::Begun { sequence, attempt, hash },
            GroupRecord::Done { sequence },
            GroupRecord::Failed { sequence, not_before: at, reason: reason.clone() },
            GroupRecord::Parked { sequence, attempt, at, reason },
            GroupRecord::Aside { sequence },
            GroupRecord::Replayed { sequence },
            GroupRecord::Meant { sequence, id: EventId(id) },
            GroupRecord::Position { number, sequence: position, hash },
            GroupRecord::Reset { number, sequence: position, hash },
        ]
    }
}

prop_compose! {
    pub(crate) fn snapshot_header()(
        (store, sequence, event_count) in (store_id(), 1..=u64::MAX, any::<u64>()),
        (name, fold_version) in ("[a-z0-9][a-z0-9._-]{0,63}", any::<u32>()),
        digests in any::<[[u8; 32]; 3]>(),
        state in collection::vec(any::<u8>(), 0..40),
    ) -> (SnapshotHeader, Vec<u8>) {
        let [hash, subject, hidden] = digests.map(Digest);
        let header = SnapshotHeader {
            store,
            sequence: Sequence(sequence),
            hash,
            event_count: event_count.min(sequence),
            fold_version,
            name: ConsumerName::new(&name).unwrap(),
            subject,
            hidden,
            len: state.len() as u64,
            digest: blake3_digest(&state),
        };
        (header, state)
    }
}

prop_compose! {
    pub(crate) fn frontier()(
        (epoch, segment, end) in (any::<u64>(), any::<u64>(), any::<u64>()),
        (visible, durable) in (any::<u64>(), any::<u64>()),
    ) -> Frontier {
        let (segment, visible, durable) = (SegmentId(segment), Sequence(visible), Sequence(durable));
        Frontier { epoch, segment, end, visible, durable }
    }
}

prop_compose! {
    /// An event of few scopes, entities, kinds and so on, so that groups have several rows.
    fn indexed()(
        (scope, entity, lane) in (select(&["s", "shop", "größe"]), select(&["a", "ab", "b", "ö"]), 0..3_u32),
        (correlation, causation) in (option::of(0..3_u8), option::of(0..3_u8)),
        (type_number, revision, fork_depth) in (0..3_u16, any::<u64>(), any::<u64>()),
        tags in collection::btree_set(select(&["x", "xy", "y"]), 0..3),
    ) -> Indexed {
        let text = |tag: &str| tag.to_owned();
        Indexed {
            offset: 0,
            id: EventId::default(),
            correlation: correlation.map(|byte| EventId([byte; 16])),
            causation: causation.map(|byte| EventId([byte; 16])),
            scope: text(scope),
            entity: text(entity),
            lane: Lane(lane),
            fork_depth: Depth(if lane == 0 { 0 } else { fork_depth }),
            revision: Revision(revision),
            kind: Kind::new(0x1000 + type_number).expect("of category 1"),
            recorded: Recorded(0),
            tags: tags.into_iter().map(text).collect::<BTreeSet<_>>(),
        }
    }
}

/// Events with distinct ids, one behind the other.
pub(crate) fn indexed_events() -> impl Strategy<Value = Vec<Indexed>> {
    let ids = |count| collection::btree_set(any::<[u8; 16]>(), count).prop_map(Vec::from_iter).prop_shuffle();
    (0..30_usize).prop_flat_map(move |count| (collection::vec(indexed(), count), ids(count))).prop_map(
        |(events, ids)| {
            let places = (512..).step_by(120).zip(ids);
            events
                .into_iter()
                .zip(places)
                .map(|(event, (offset, id))| Indexed {
                    offset,
                    id: EventId(id),
                    recorded: Recorded(offset.into()),
                    ..event
                })
                .collect()
        },
    )
}

prop_compose! {
    /// A trailer for a footer of no rows yet.
    pub(crate) fn trailer()(
        (store, segment, generation, chain) in (store_id(), any::<u64>(), any::<u32>(), any::<u32>()),
        (frames_end, first_sequence, digest) in (segment_end(), any::<u64>(), digest()),
    ) -> FooterTrailer {
        FooterTrailer {
            store,
            segment: SegmentId(segment),
            generation: Generation(generation),
            chain: Chain(chain),
            frames_end,
            first_sequence: Sequence(first_sequence),
            row_count: 0,
            digest,
        }
    }
}

prop_compose! {
    /// Segments without a gap, the last of them in front of the watermark's.
    fn covered(count: usize)(
        first in 1..=u64::MAX - 100,
        segments in collection::vec((any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>(), any::<u32>()), count),
    ) -> Vec<CoveredSegment> {
        let numbered = (first..).zip(segments);
        let covered = numbered.map(|(id, (generation, first_sequence, end, chain, footer_len))| CoveredSegment {
            id: SegmentId(id),
            generation: Generation(generation),
            first_sequence: Sequence(first_sequence),
            end: u64::from(end),
            chain: Chain(chain),
            len: if footer_len % 4 == 0 { 0 } else { u64::from(end) + u64::from(footer_len) },
        });
        covered.collect()
    }
}

prop_compose! {
    pub(crate) fn checkpoint_head()(covered in (0..20_usize).prop_flat_map(covered))(
        (store, generation, offset, chain) in (store_id(), any::<u32>(), any::<u64>(), any::<u32>()),
        (segment, sequence, recorded) in (any::<u64>(), any::<u64>(), any::<u64>()),
        (mark, control) in (digest(), digest()),
        kind_names in collection::vec((kind(), text()), 0..5),
        (hidden, moves) in (hidden(), moves()),
        covered in Just(covered),
    ) -> CheckpointHead {
        let watermark = Watermark {
            segment: covered.last().map_or(SegmentId(segment), |last| SegmentId(last.id.0 + 1)),
            generation: Generation(generation),
            offset,
            chain: Chain(chain),
            sequence: Sequence(sequence),
            recorded: Recorded(recorded),
            mark,
        };
        CheckpointHead { store, watermark, covered, kind_names, hidden, moves, control }
    }
}
