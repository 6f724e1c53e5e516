//! Any bytes as an event: the stamp, then coordinate, tags, extensions and payload.
//!
//! Must hold: no panic; every length is checked against what is there; what is accepted encodes to the same
//! bytes, and so hashes to the same hash. The frame around it is made here: that is the point.

#![no_main]

use annals_wire::{
    Batch, Coordinate, EVENT_STAMP_LEN, Event, EventContent, Extension, Frame, FrameSeed, FrameType,
    NewFrame, Payload, Salt, SegmentId, Sequence, Tag,
};
use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "other targets use the rest")]
#[path = "../../crates/wire/tests/it/reading.rs"]
mod reading;
#[expect(dead_code, reason = "other targets use the rest")]
#[path = "../../crates/wire/tests/it/resealed.rs"]
mod resealed;

const PAYLOAD_LEN_LEN: usize = 4;

fuzz_target!(|data: &[u8]| {
    let Some((stamp, body)) = data.split_at_checked(EVENT_STAMP_LEN) else { return };
    let new = NewFrame {
        frame_type: FrameType::EVENT,
        skippable: false,
        sequence: Sequence(1),
        batch: Batch::SINGLE,
        synced_len: 0,
        stamp,
        body,
        body_crc: resealed::crc32(0, body),
    };
    let (mut bytes, seed) = (Vec::new(), FrameSeed::new(Salt(1), SegmentId(1)));
    new.encode(seed, 512, &mut bytes);
    let frame = Frame::decode(&bytes, seed, 512).expect("a frame that was just encoded");
    let _ = reading::read_frame(&frame);
    if let Ok(event) = Event::decode(&frame) {
        assert_eq!(event.stamp.encode()[..], *stamp);
        assert_encodes_again(&event, body);
    }
});

/// Checks that the event's content gives the body that it was decoded from.
fn assert_encodes_again(event: &Event<'_>, body: &[u8]) {
    let coordinate = Coordinate::new(event.stream.entity, event.stream.scope).expect("checked when decoded");
    let tags: Vec<_> = event.tags.iter().map(|tag| Tag::new(tag).expect("checked when decoded")).collect();
    let extensions: Vec<Extension<'_>> = event.extensions.iter().collect();
    let content = EventContent {
        id: event.id,
        correlation: event.correlation,
        causation: event.causation,
        occurred: event.occurred,
        coordinate: &coordinate,
        lane: event.fork.map(|fork| (event.stream.lane, fork)),
        tags: &tags,
        extensions: &extensions,
        payload: if let Payload::Present(payload) = event.payload { payload } else { &[] },
    };
    let mut again = Vec::new();
    let (flags, head_len) = content.encode(&mut again).expect("what was decoded is canonical");
    match event.payload {
        Payload::Erased { digest, len } => {
            again.truncate(head_len - PAYLOAD_LEN_LEN);
            again.extend(len.to_le_bytes());
            again.extend(digest.0);
            assert_ne!(event.stamp.flags, flags);
        }
        _ => assert_eq!(event.stamp.flags, flags),
    }
    assert_eq!(again, body);
    assert!(body.starts_with(event.head()));
}
