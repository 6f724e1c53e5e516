//! One link of a stream's chain: an event, and the one before it in its stream.

use annals_wire::{Digest, Event, Recorded, Revision, event_hash};

/// The event that another follows in its stream; before the first, revision 0 and no hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Previous {
    pub(super) revision: Revision,
    pub(super) hash: Digest,
}

/// What is wrong with an event.
#[derive(Debug)]
pub(super) struct Break {
    pub(super) what: String,
    /// The hash that the event has.
    pub(super) expected: Option<Digest>,
    /// The hash that it would have, as what it says and the history before it are now.
    pub(super) found: Option<Digest>,
}

/// What is wrong with `event` behind `previous`, if anything is. `payload` is the digest of its payload.
pub(super) fn broken_link(event: &Event<'_>, previous: Previous, payload: Digest) -> Option<Break> {
    let (revision, before) = (event.stamp.revision, previous.revision);
    if before.next() != Some(revision) {
        let what = format!("event {} has revision {revision} behind {before}", event.id);
        return Some(Break { what, expected: None, found: None });
    }
    let fixed = event.stamp.hashed(event.sequence, event.batch);
    let (expected, found) = (event.stamp.hash, event_hash(previous.hash, &fixed, event.head(), payload));
    let what = || {
        let (id, sequence) = (event.id, event.sequence);
        format!(
            "event {id} at sequence {sequence} has a hash that does not follow from it and the history before it: \
             {expected}, and what is there gives {found}"
        )
    };
    (expected != found).then(|| Break { what: what(), expected: Some(expected), found: Some(found) })
}

/// What is wrong with the time of `event`, if anything is, which comes after one of the time `before`.
pub(super) fn broken_time(event: &Event<'_>, before: Recorded) -> Option<Break> {
    let recorded = event.stamp.recorded;
    let what = || format!("event {} was recorded at {recorded}, before {before}", event.id);
    (recorded < before).then(|| Break { what: what(), expected: None, found: None })
}
