//! The decoders of annals-wire that stand behind a checksum.
//!
//! Must hold of each: no panic; what is accepted encodes to the bytes that it was decoded from, so that nothing
//! can be written in two ways. All is tried twice, with the checksums as they are and with the right ones,
//! which no mutation finds by chance.

use annals_wire::{
    Batch, CheckpointHead, EVENT_STAMP_LEN, Frame, FrameSeed, FrameType, MANIFEST_SLOT_LEN, Manifest,
    NewFrame, Salt, SegmentId, Sequence,
};

use super::{encoded_again, reading, resealed};

const CONTROL_STAMP_LEN: usize = 44;

/// One frame, and what it holds. The first 20 bytes are the salt, the segment and the offset that seed the
/// checksum.
pub fn frame_decode(input: &[u8]) {
    let Some((salt, rest)) = input.split_first_chunk() else { return };
    let Some((segment, rest)) = rest.split_first_chunk() else { return };
    let Some((offset, bytes)) = rest.split_first_chunk() else { return };
    let (salt, segment) = (u64::from_le_bytes(*salt), u64::from_le_bytes(*segment));
    let offset = u32::from_le_bytes(*offset) & !7;
    let seed = FrameSeed::new(Salt(salt), SegmentId(segment));
    read_frame(bytes, seed, offset);
    let mut bytes = bytes.to_vec();
    resealed::reseal_frame(&mut bytes, salt, segment, offset);
    read_frame(&bytes, seed, offset);
}

fn read_frame(bytes: &[u8], seed: FrameSeed, offset: u32) {
    if let Ok(frame) = Frame::decode(bytes, seed, offset.into()) {
        let _ = reading::read_frame(&frame);
        encoded_again::assert_frame(&frame, seed, offset.into(), bytes);
    }
}

/// An event: the stamp, then coordinate, tags, extensions and payload, with no checksum before the decoder.
pub fn event_header(input: &[u8]) {
    in_a_frame(input, EVENT_STAMP_LEN, FrameType::EVENT, Sequence(1));
}

/// A control record: the stamp, then a kind and its name, with no checksum before the decoder.
pub fn control_record(input: &[u8]) {
    in_a_frame(input, CONTROL_STAMP_LEN, FrameType::CONTROL, Sequence(0));
}

/// Makes a sound frame of the stamp and the body that `input` is, and reads it.
fn in_a_frame(input: &[u8], stamp_len: usize, frame_type: FrameType, sequence: Sequence) {
    let Some((stamp, body)) = input.split_at_checked(stamp_len) else { return };
    let new = NewFrame {
        frame_type,
        skippable: false,
        sequence,
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
}

/// The footer of a sealed segment, used in place: every look-up that there is, none of which may leave the bytes.
pub fn footer(input: &[u8]) {
    let _ = reading::read_footer(input);
    let mut bytes = input.to_vec();
    resealed::reseal_footer(&mut bytes);
    let _ = reading::read_footer(&bytes);
    let mut run = input.to_vec();
    let _ = reading::read_run(&run);
    resealed::reseal_run(&mut run);
    let _ = reading::read_run(&run);
}

/// A MANIFEST of two slots.
pub fn manifest(input: &[u8]) {
    let mut bytes = input.to_vec();
    for slot in bytes.chunks_mut(MANIFEST_SLOT_LEN) {
        read_slot(slot);
        resealed::reseal_end(slot);
        read_slot(slot);
    }
}

fn read_slot(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::decode(bytes) {
        assert_eq!(manifest.encode(), bytes);
    }
}

/// A CHECKPOINT: the head, then the tables block by block.
pub fn checkpoint(input: &[u8]) {
    read_checkpoint(input);
    let mut bytes = input.to_vec();
    resealed::reseal_checkpoint(&mut bytes);
    read_checkpoint(&bytes);
}

fn read_checkpoint(bytes: &[u8]) {
    let _ = reading::read_checkpoint(bytes);
    if let Ok(head) = CheckpointHead::decode(bytes) {
        encoded_again::assert_checkpoint(&head, bytes);
    }
}
