//! Any bytes as one frame, and what it holds.
//!
//! Must hold: no panic; a frame that is accepted, and the event or control record in it, encode to the bytes that
//! they were decoded from. The first 20 bytes are the salt, the segment and the offset that seed the checksum. All
//! is tried twice, with the checksums as they are and with the right ones, which no mutation finds by chance.

#![no_main]

use annals_wire::{Frame, FrameSeed, Salt, SegmentId};
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
    let Some((salt, rest)) = data.split_first_chunk() else { return };
    let Some((segment, rest)) = rest.split_first_chunk() else { return };
    let Some((offset, bytes)) = rest.split_first_chunk() else { return };
    let (salt, segment) = (u64::from_le_bytes(*salt), u64::from_le_bytes(*segment));
    let offset = u32::from_le_bytes(*offset) & !7;
    let seed = FrameSeed::new(Salt(salt), SegmentId(segment));
    decode(bytes, seed, offset);
    let mut bytes = bytes.to_vec();
    resealed::reseal_frame(&mut bytes, salt, segment, offset);
    decode(&bytes, seed, offset);
});

fn decode(bytes: &[u8], seed: FrameSeed, offset: u32) {
    if let Ok(frame) = Frame::decode(bytes, seed, offset.into()) {
        let _ = reading::read_frame(&frame);
        encoded_again::assert_frame(&frame, seed, offset.into(), bytes);
    }
}
