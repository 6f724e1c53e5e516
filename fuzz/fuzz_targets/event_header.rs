//! Any bytes as an event: the stamp, then coordinate, tags, extensions and payload.
//!
//! Must hold: no panic; every length is checked against what is there; what is accepted encodes to the same
//! bytes, and so hashes to the same hash. The frame around it is made here, so that no checksum stands before the
//! decoder: that is the point.

#![no_main]

use annals_wire::{Batch, EVENT_STAMP_LEN, Frame, FrameSeed, FrameType, NewFrame, Salt, SegmentId, Sequence};
use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "other targets use the rest")]
#[path = "../../crates/wire/tests/it/encoded_again.rs"]
mod encoded_again;
#[expect(dead_code, reason = "other targets use the rest")]
#[path = "../../crates/wire/tests/it/reading.rs"]
mod reading;
#[expect(dead_code, reason = "other targets use the rest")]
#[path = "../../crates/wire/tests/it/resealed.rs"]
mod resealed;

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
    let (mut bytes, seed, offset) = (Vec::new(), FrameSeed::new(Salt(1), SegmentId(1)), 512);
    new.encode(seed, offset, &mut bytes);
    let frame = Frame::decode(&bytes, seed, offset).expect("it was just encoded");
    let _ = reading::read_frame(&frame);
    encoded_again::assert_frame(&frame, seed, offset, &bytes);
});
