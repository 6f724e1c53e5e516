//! docs/format.md shows the bytes that the code writes, and the code reads what the document shows.

use annals_wire::{Digest, blake3_digest};

use crate::{
    document::{HexBlock, hex_blocks},
    examples::{Example, example, examples},
    resealed::{crc32, frame_header_crc},
    structure::Structure,
};

#[test]
fn golden_examples_are_those_of_the_document() {
    let blocks = hex_blocks();
    let (shown, made): (Vec<_>, Vec<_>) = (
        blocks.iter().map(|block| block.title.clone()).collect(),
        examples().into_iter().map(|example| example.title).collect(),
    );
    assert_eq!(shown, made, "the document's examples (left) are not those of the tests (right)");
}

#[test]
fn golden_bytes_are_what_the_code_writes() {
    let blocks = hex_blocks();
    let mut wrong = String::new();
    for Example { title, bytes, .. } in examples() {
        let block = blocks.iter().find(|block| block.title == title);
        if block.is_none_or(|block| block.bytes() != bytes) {
            let plain = HexBlock::titled(title);
            wrong += &block.unwrap_or(&plain).showing(&bytes);
        }
    }
    assert!(wrong.is_empty(), "docs/format.md should show\n\n{wrong}");
}

#[test]
fn golden_bytes_are_read_as_what_they_show() {
    for example in examples() {
        let block = hex_blocks().into_iter().find(|block| block.title == example.title);
        let bytes = block.expect("checked by another test").bytes();
        example.check(&bytes).unwrap_or_else(|error| panic!("{}: {error}", example.title));
    }
}

#[test]
fn golden_checksums_are_computed_as_the_document_says() {
    assert_eq!(crc32(0, b"123456789"), 0xcbf4_3926, "the check value of CRC-32/ISO-HDLC");
    assert_eq!(crc32(crc32(0, b"1234"), b"56789"), 0xcbf4_3926, "a CRC goes on from another");
    let mut chain = 0;
    for name in ["control-frame", "event-frame", "event-frame-full"] {
        let Example { bytes, structure: Structure::Frame(place), .. } = example(name) else {
            panic!("a frame")
        };
        let crc =
            frame_header_crc(&bytes, place.salt.0, place.segment.0, u32::try_from(place.offset).unwrap());
        assert_eq!(bytes[..4], crc.unwrap().to_le_bytes(), "{name}");
        chain = crc32(chain, &bytes[..4]);
    }
    assert_eq!(example("segment-header").bytes[84..88], chain.to_le_bytes(), "the chain");
}

#[test]
fn golden_hashes_are_computed_as_the_document_says() {
    let (placed, branched) = (example("event-frame").bytes, example("event-frame-full").bytes);
    let hash = |previous: &[u8], bytes: &[u8], payload: &[u8]| {
        let body_len = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
        let head = &bytes[88..88 + body_len - payload.len()];
        assert_eq!(bytes[88 + head.len()..][..payload.len()], *payload);
        let digest = blake3_digest(payload);
        let parts = [b"annals/event/v1\0", previous, &bytes[16..32], &bytes[36..56], head, &digest.0];
        blake3_digest(&parts.concat())
    };
    let first = hash(&Digest::NONE.0, &placed, b"\x81\xa5total\xcd\x07\xc6");
    assert_eq!(placed[56..88], first.0);
    assert_eq!(branched[56..88], hash(&first.0, &branched, b"\x81\xa5total\xcd\x07\xd0").0);
    assert_eq!(example("event-frame-erased").bytes[56..88], branched[56..88]);
    let control = example("control-frame").bytes;
    let parts =
        [b"annals/contrl/v1", &Digest::NONE.0[..], &control[24..32], &control[36..48], &control[80..94]];
    assert_eq!(control[48..80], blake3_digest(&parts.concat()).0);
}
