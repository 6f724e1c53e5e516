//! Any bytes as one frame, and what it holds.
//!
//! Must hold: no panic; a frame that is accepted encodes to the bytes that it was decoded from, and so does the
//! control record in it. The first 20 bytes are the salt, the segment and the offset that seed the checksum. All is
//! tried twice, with the checksums as they are and with the right ones, which no mutation finds by chance.

#![no_main]

use annals_wire::{Control, Frame, FrameSeed, NewFrame, Salt, SegmentId};
use libfuzzer_sys::fuzz_target;

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
    let Ok(frame) = Frame::decode(bytes, seed, offset.into()) else { return };
    let _ = reading::read_frame(&frame);
    if let Ok((stamp, control)) = Control::decode(&frame) {
        let mut body = Vec::new();
        control.encode(&mut body);
        assert_eq!((&stamp.encode()[..], &*body), (frame.stamp, frame.body));
    }
    let header = frame.header;
    let new = NewFrame {
        frame_type: header.frame_type,
        skippable: header.skippable,
        sequence: header.sequence,
        batch: header.batch,
        synced_len: header.synced_len,
        stamp: frame.stamp,
        body: frame.body,
        body_crc: header.body_crc,
    };
    let mut again = Vec::new();
    assert_eq!(new.encode(seed, offset.into(), &mut again), header.header_crc);
    assert_eq!(again.len() as u64, header.frame_len());
    assert!(bytes.starts_with(&again));
}
