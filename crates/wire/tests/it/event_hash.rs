//! An event's hash commits to all of the event and to what came before, and to nothing else.

use std::collections::HashMap;

use annals_wire::{
    Batch, Depth, Digest, Event, EventId, Fork, Frame, Kind, Lane, Occurred, Recorded, Revision, Salt,
    SegmentId, Sequence,
};

use crate::{
    new_control::{NewControl, kind_name},
    new_event::{NewEvent, NewPayload, Place},
};

pub(crate) const PLACE: Place = Place { salt: Salt(7), segment: SegmentId(1), offset: 512 };

/// An event with all parts, each of them with a neighbour that could take a byte of it over.
pub(crate) fn base() -> NewEvent {
    NewEvent {
        previous: Digest([1; 32]),
        sequence: Sequence(10),
        batch: Batch { index: 1, count: 3 },
        synced_len: 512,
        revision: Revision(1),
        recorded: Recorded(1 << 16),
        kind: Kind::new(0x1001).unwrap(),
        id: EventId([2; 16]),
        correlation: Some(EventId([3; 16])),
        causation: Some(EventId([4; 16])),
        occurred: Some(Occurred(-5)),
        lane: Some((Lane(6), Fork { depth: Depth(7), event: Some(EventId([8; 16])) })),
        entity: "entity".to_owned(),
        scope: "scope".to_owned(),
        tags: vec!["a".to_owned(), "b".to_owned()],
        extensions: vec![("k".to_owned(), b"value".to_vec()), ("l".to_owned(), vec![])],
        payload: NewPayload::Present(b"payload".to_vec()),
    }
}

type Change = fn(&mut NewEvent);

/// Changes of one thing each.
const CHANGES: &[(&str, Change)] = &[
    ("previous hash", |event| event.previous = Digest([9; 32])),
    ("no previous hash", |event| event.previous = Digest::NONE),
    ("sequence", |event| event.sequence = Sequence(11)),
    ("batch index", |event| event.batch.index = 2),
    ("batch count", |event| event.batch.count = 4),
    ("recorded", |event| event.recorded.0 += 1),
    ("kind", |event| event.kind = Kind::new(0x1002).unwrap()),
    ("category", |event| event.kind = Kind::new(0x2001).unwrap()),
    ("id", |event| event.id = EventId([9; 16])),
    ("correlation", |event| event.correlation = Some(EventId([9; 16]))),
    ("no correlation", |event| event.correlation = None),
    ("causation", |event| event.causation = Some(EventId([9; 16]))),
    ("no causation", |event| event.causation = None),
    ("causation for correlation", |event| std::mem::swap(&mut event.causation, &mut event.correlation)),
    ("occurred", |event| event.occurred = Some(Occurred(5))),
    ("never occurred", |event| event.occurred = None),
    ("lane", |event| event.lane.as_mut().unwrap().0 = Lane(9)),
    ("depth of the fork", |event| event.lane.as_mut().unwrap().1.depth = Depth(9)),
    ("event of the fork", |event| event.lane.as_mut().unwrap().1.event = Some(EventId([9; 16]))),
    ("trunk", |event| event.lane = None),
    ("revision", |event| {
        event.revision = Revision(2);
        event.lane.as_mut().unwrap().1.event = None;
    }),
    ("entity", |event| event.entity = "Entity".to_owned()),
    ("scope", |event| event.scope = "Scope".to_owned()),
    ("a letter between entity and scope", |event| {
        event.entity = "entit".to_owned();
        event.scope = "yscope".to_owned();
    }),
    ("tag", |event| event.tags[1] = "c".to_owned()),
    ("tags as one", |event| event.tags = vec!["ab".to_owned()]),
    ("a tag more", |event| event.tags.push("c".to_owned())),
    ("no tags", |event| event.tags.clear()),
    ("extension's value", |event| event.extensions[0].1 = b"valuf".to_vec()),
    ("extension's key", |event| event.extensions[0].0 = "j".to_owned()),
    ("a letter between key and value", |event| event.extensions[0] = ("kv".to_owned(), b"alue".to_vec())),
    ("an extension less", |event| event.extensions.truncate(1)),
    ("no extensions", |event| event.extensions.clear()),
    ("payload", |event| event.payload = NewPayload::Present(b"Payload".to_vec())),
    ("no payload", |event| event.payload = NewPayload::Present(vec![])),
    ("a byte between extension and payload", |event| {
        event.extensions[1].1 = b"p".to_vec();
        event.payload = NewPayload::Present(b"ayload".to_vec());
    }),
];

#[test]
fn whatever_changes_in_an_event_changes_its_hash() {
    let mut seen = HashMap::from([(base().hash(), "nothing")]);
    for (what, change) in CHANGES {
        let mut event = base();
        change(&mut event);
        assert_ne!(event, base(), "{what}");
        assert_eq!(seen.insert(event.hash(), what), None, "{what} and another give the same hash");
        let decoded = NewEvent::decode(&event.encode(PLACE), PLACE, event.previous).unwrap();
        assert_eq!(decoded, event, "{what}");
    }
}

#[test]
fn what_only_tells_how_an_event_was_written_is_not_in_its_hash() {
    let event = NewEvent { synced_len: 1024, ..base() };
    assert_eq!(event.hash(), base().hash());
}

#[test]
fn an_erased_payload_keeps_the_hash() {
    let (event, erased) = (base(), base().erased());
    assert_eq!(erased.hash(), event.hash());
    let bytes = erased.encode(PLACE);
    assert_eq!(NewEvent::decode(&bytes, PLACE, event.previous), Ok(erased));
    let frame = Frame::decode(&bytes, PLACE.seed(), PLACE.offset).unwrap();
    let decoded = Event::decode(&frame).unwrap();
    assert!(decoded.stamp.flags.is_erased());
    assert_eq!(decoded.expected_hash(event.previous), event.hash());
    assert_ne!(decoded.expected_hash(Digest::NONE), event.hash());
}

#[test]
fn an_erased_payload_of_another_length_or_digest_has_another_hash() {
    let NewPayload::Erased { digest, len } = base().erased().payload else { panic!("it was erased") };
    let mut hashes = vec![base().hash()];
    for payload in [
        NewPayload::Erased { digest: Digest([9; 32]), len },
        NewPayload::Erased { digest, len: len + 1 },
        NewPayload::Present(digest.0.to_vec()),
    ] {
        let hash = NewEvent { payload, ..base() }.hash();
        assert!(!hashes.contains(&hash));
        hashes.push(hash);
    }
}

#[test]
fn whatever_changes_in_a_control_record_changes_its_hash() {
    let kind = Kind::new(0x1001).unwrap();
    let record = NewControl {
        previous: Digest([1; 32]),
        batch: Batch { index: 0, count: 2 },
        synced_len: 512,
        recorded: Recorded(1 << 16),
        control: kind_name(kind, "name"),
    };
    let changed = [
        NewControl { previous: Digest::NONE, ..record.clone() },
        NewControl { batch: Batch { index: 1, count: 2 }, ..record.clone() },
        NewControl { batch: Batch::SINGLE, ..record.clone() },
        NewControl { recorded: Recorded(2 << 16), ..record.clone() },
        NewControl { control: kind_name(kind, "nam"), ..record.clone() },
        NewControl { control: kind_name(Kind::new(0x1002).unwrap(), "name"), ..record.clone() },
    ];
    let mut hashes: Vec<_> = changed.iter().chain([&record]).map(NewControl::hash).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), changed.len() + 1);
    assert_eq!(NewControl { synced_len: 0, ..record.clone() }.hash(), record.hash());
}
