//! What fuzzing the decoders begins with: the examples of docs/format.md, kept in fuzz/corpus.
//!
//! `ANNALS_CORPORA=write` writes the files. Miri has none to read.

use std::{fs, path::Path};

use annals_wire::CheckpointPrefix;

use crate::{
    examples::{Example, example, segment},
    structure::Structure,
};

/// Bytes that follow the frames, as a segment that is written has them.
const PREPARED_LEN: usize = 64;

/// The inputs, with their names: the target, and what they are.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let bytes = |name: &str| example(name).bytes;
    let footer_empty = tables(&bytes("checkpoint"));
    let slot = bytes("manifest-slot");
    let mut seeds = vec![
        ("control_record/control", content("control-frame")),
        ("event_header/event", content("event-frame")),
        ("event_header/event-full", content("event-frame-full")),
        ("event_header/event-erased", content("event-frame-erased")),
        ("footer/footer", bytes("footer")),
        ("footer/footer-empty", footer_empty.clone()),
        ("sealed_index/footer", bytes("footer")),
        ("sealed_index/footer-empty", footer_empty),
        ("checkpoint/checkpoint", bytes("checkpoint")),
        ("manifest/manifest-slots", [vec![0; slot.len()], slot].concat()),
        ("segment_scan/segment", [segment(), vec![0; PREPARED_LEN]].concat()),
        ("small_files/segment-header", bytes("segment-header")),
        ("small_files/frontier", bytes("frontier")),
        ("small_files/state", bytes("state")),
        ("small_files/publication", body("mark-frame")),
        ("small_files/lock", b"pid 4711\nepoch 0123456789abcdef\n".to_vec()),
        ("small_files/name-segment", b"000002.seg".to_vec()),
        ("small_files/name-replaced", b"000002-3.seg".to_vec()),
        ("small_files/name-torn", b"000002.seg.torn-992".to_vec()),
        ("small_files/name-almost", b"2.seg".to_vec()),
        ("small_files/name-temporary", b"CHECKPOINT.tmp".to_vec()),
    ];
    for name in ["control-frame", "event-frame", "event-frame-full", "event-frame-erased", "mark-frame"] {
        seeds.push((name, placed(name)));
    }
    let named =
        |name: &str| if name.contains('/') { name.to_owned() } else { format!("frame_decode/{name}") };
    seeds.into_iter().map(|(name, bytes)| (named(name), bytes)).collect()
}

/// A frame behind what its checksum is seeded with.
fn placed(name: &str) -> Vec<u8> {
    let Example { bytes, structure: Structure::Frame(place), .. } = example(name) else { panic!("a frame") };
    let offset = u32::try_from(place.offset).unwrap();
    [&place.salt.0.to_le_bytes()[..], &place.segment.0.to_le_bytes(), &offset.to_le_bytes(), &bytes].concat()
}

/// The stamp and the body of a frame.
fn content(name: &str) -> Vec<u8> {
    let bytes = example(name).bytes;
    let body_len = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
    bytes[36..36 + usize::from(bytes[7]) + body_len].to_vec()
}

/// The body of a frame.
fn body(name: &str) -> Vec<u8> {
    let stamp_len = usize::from(example(name).bytes[7]);
    content(name)[stamp_len..].to_vec()
}

/// The tables of a checkpoint, which are a footer.
fn tables(checkpoint: &[u8]) -> Vec<u8> {
    let start = CheckpointPrefix::decode(checkpoint).unwrap().tables_offset();
    checkpoint[usize::try_from(start).unwrap()..].to_vec()
}

#[test]
fn corpora_hold_the_examples() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let is_writing = std::env::var_os("ANNALS_CORPORA").is_some_and(|value| value == "write");
    for (name, bytes) in seeds() {
        let path = corpora.join(&name);
        if is_writing {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        assert!(
            fs::read(&path).is_ok_and(|found| found == bytes),
            "fuzz/corpus/{name} is not what the code makes: ANNALS_CORPORA=write cargo test -p annals-wire corpora"
        );
    }
}
