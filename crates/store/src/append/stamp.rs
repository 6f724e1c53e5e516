//! The stamp: an event gets its place, its revision, its time and its hash, its frame goes into memory, and it into the
//! index.
//!
//! Invariant: whoever holds the turn stamps, one event after the other. Nothing here is visible yet.

use annals_index::Entry as IndexEntry;
use annals_segment::Entry;
use annals_wire::{Batch, Digest, EventStamp, FrameType, Recorded, Revision, Sequence, Tag, event_hash};

use super::log;
use crate::{
    Error, lanes,
    new_event::Prepared,
    part::{Part, PartIndex},
    sync::PoisonError,
    turn::Turn,
    view::Head,
};

/// An event with its place.
pub(super) struct Stamped {
    pub(super) stamp: EventStamp,
    pub(super) sequence: Sequence,
    offset: u64,
}

/// Stamps one event and stages its frame.
pub(super) fn stamp(
    turn: &mut Turn,
    event: &Prepared<'_>,
    head: Option<Head>,
    batch: Batch,
    now: Recorded,
) -> Result<Stamped, Error> {
    let sequence = log(turn)?.next_sequence();
    let recorded = turn.recorded.tick(now).expect("room was made sure of before the batch");
    let revision = head.map_or(Revision(0), |head| head.revision).next();
    let revision = revision.expect("a stream has fewer events than there are sequences");
    let mut stamp =
        EventStamp { revision, recorded, kind: event.kind, flags: event.flags, hash: Digest::NONE };
    let fork_hash = event.lane.and_then(|on| on.fork_hash);
    let previous = head.map(|head| head.hash).or(fork_hash).unwrap_or(Digest::NONE);
    let fields = stamp.hashed(sequence, batch);
    let head_bytes = event.body.get(..event.head_len).unwrap_or_default();
    stamp.hash = event_hash(previous, &fields, head_bytes, event.payload);
    let encoded = stamp.encode();
    let entry = Entry {
        frame_type: FrameType::EVENT,
        is_numbered: true,
        stamp: &encoded,
        body: &event.body,
        body_crc: event.body_crc,
    };
    let failed = turn.failed();
    let offset = log(turn)?.stage(&entry, batch).map_err(failed)?;
    turn.recorded = recorded;
    turn.mark = stamp.hash;
    turn.appended.bytes += entry.frame_len();
    turn.appended.sequence = sequence;
    Ok(Stamped { stamp, sequence, offset })
}

/// Puts a staged event into the index. It is not visible before it landed.
pub(super) fn insert(part: &Part, event: &Prepared<'_>, stamped: &Stamped) {
    let PartIndex::Active(index) = &part.index else {
        unreachable!("the last part of a writer's view grows")
    };
    let entry = IndexEntry {
        offset: u32::try_from(stamped.offset).expect("a segment is under 4 GiB"),
        id: event.id,
        correlation: event.correlation,
        causation: event.causation,
        stream: event.key(),
        kind: event.kind,
        revision: stamped.stamp.revision,
        fork_depth: lanes::fork_depth(event.lane),
        recorded: stamped.stamp.recorded,
        hash: stamped.stamp.hash,
    };
    let tags = event.tags.iter().map(Tag::as_str);
    index.write().unwrap_or_else(PoisonError::into_inner).insert(&entry, tags);
}
