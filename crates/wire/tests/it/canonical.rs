//! What nothing writes is not read, although its checksums are right. Offsets are those of the examples in
//! docs/format.md.

use annals_wire::{CheckpointHead, Error};

use crate::{
    event_hash::{PLACE, base},
    examples::{Example, example, examples},
    structure::Structure,
};

/// Bytes to put at offsets.
type Edits = &'static [(usize, &'static [u8])];

fn edited(example: &Example, edits: Edits) -> Vec<u8> {
    let mut bytes = example.bytes.clone();
    for (at, new) in edits {
        assert_ne!(bytes[*at..][..new.len()], **new, "no change at {at:04x}");
        bytes[*at..][..new.len()].copy_from_slice(new);
    }
    example.structure.reseal(&mut bytes);
    bytes
}

fn assert_invalid(name: &str, cases: &[(&str, Edits)]) {
    let example = example(name);
    for (what, edits) in cases {
        let found = example.structure.read(&edited(&example, edits));
        let is_invalid = matches!(found, Err(Error::Invalid { .. } | Error::Truncated { .. }));
        assert!(is_invalid, "{name}, {what}: {found:?}");
    }
}

#[test]
fn a_segment_header_that_nothing_writes_is_refused() {
    assert_invalid(
        "segment-header",
        &[
            ("version 0", &[(0x08, &[0])]),
            ("another length", &[(0x0c, &[1])]),
            ("segment 0", &[(0x20, &[0])]),
            ("reserved bytes", &[(0x2c, &[1])]),
            ("salt 0", &[(0x30, &[0; 8])]),
            ("first sequence 0", &[(0x38, &[0])]),
            ("an end of segment 0", &[(0x48, &[0])]),
            ("an end in the header before", &[(0x58, &[0xf8, 0x01])]),
            ("an end at no multiple of eight", &[(0x58, &[0xe4])]),
            ("an end past 4 GiB", &[(0x5c, &[1])]),
            ("more reserved bytes", &[(0x80, &[1])]),
        ],
    );
}

#[test]
fn a_frame_that_nothing_writes_is_refused() {
    assert_invalid(
        "event-frame-full",
        &[
            ("another marker", &[(0x04, &[0xa6])]),
            ("type 0", &[(0x05, &[0])]),
            ("an unknown flag", &[(0x06, &[2])]),
            ("a stamp past the end", &[(0x07, &[0xff])]),
            ("a body past the end", &[(0x08, &[0, 0, 0, 0x40])]),
            ("a body over 1 GiB", &[(0x08, &[1, 0, 0, 0x40])]),
            ("a place outside of its batch", &[(0x18, &[2])]),
            ("an empty batch", &[(0x18, &[0]), (0x1c, &[0])]),
            ("padding", &[(0xef, &[1])]),
        ],
    );
}

#[test]
fn an_event_that_nothing_writes_is_refused() {
    assert_invalid(
        "event-frame-full",
        &[
            ("another type", &[(0x05, &[16])]),
            ("sequence 0", &[(0x10, &[0])]),
            ("revision 0", &[(0x24, &[0])]),
            ("a fork behind a lane's first event", &[(0x24, &[2])]),
            ("a reserved category", &[(0x35, &[0xd0])]),
            ("an unknown flag", &[(0x37, &[1])]),
            ("no fork", &[(0x36, &[0x6f])]),
            ("a fork from the trunk", &[(0x36, &[0x77])]),
            ("erased, and longer than a digest", &[(0x36, &[0xff])]),
            ("a correlation with itself", &[(0x77, &[2])]),
            ("lane 0", &[(0x90, &[0])]),
            ("an empty entity", &[(0xac, &[0])]),
            ("an entity of 1,025 bytes", &[(0xac, &[1, 4])]),
            ("a control character", &[(0xae, b"\n")]),
            ("a control character of two bytes", &[(0xae, &[0xc2, 0x85])]),
            ("no UTF-8", &[(0xae, &[0xff])]),
            ("no tags", &[(0xbf, &[0])]),
            ("tags out of order", &[(0xc3, b"w")]),
            ("more tags", &[(0xbf, &[3])]),
            ("no extensions", &[(0xcd, &[0])]),
            ("an extension past the end", &[(0xdc, &[0x80])]),
            ("a shorter payload", &[(0xdf, &[9])]),
            ("a longer payload", &[(0xdf, &[11])]),
        ],
    );
    assert_invalid("event-frame-erased", &[("not erased", &[(0x36, &[0x7f])])]);
}

#[test]
fn extensions_out_of_order_are_refused() {
    let bytes = base().encode(PLACE);
    let key = bytes.windows(3).position(|window| window == b"\x01\0k").unwrap() + 2;
    for name in [b'l', b'm'] {
        let mut bytes = bytes.clone();
        bytes[key] = name;
        let structure = Structure::Frame(PLACE);
        structure.reseal(&mut bytes);
        assert!(matches!(structure.read(&bytes), Err(Error::Invalid { .. })), "k, l became {name}, l");
    }
}

#[test]
fn a_control_record_that_nothing_writes_is_refused() {
    assert_invalid(
        "control-frame",
        &[
            ("a sequence", &[(0x10, &[1])]),
            ("record type 0", &[(0x2c, &[0])]),
            ("reserved bytes", &[(0x2e, &[1])]),
            ("a reserved category", &[(0x51, &[0])]),
            ("a control character", &[(0x52, &[0x7f])]),
        ],
    );
    assert_invalid(
        "control-frame-hidden",
        &[("a range from 0", &[(0x50, &[0])]), ("a range that ends before it begins", &[(0x58, &[1])])],
    );
    assert_invalid(
        "control-frame-move",
        &[
            ("move 0", &[(0x50, &[0])]),
            ("a hash without a position", &[(0x58, &[0])]),
            ("neither a cursor nor a group", &[(0x80, &[3])]),
            ("an unknown flag", &[(0x82, &[2])]),
            ("a position of one that is gone", &[(0x82, &[1])]),
            ("done at the position", &[(0x88, &[1])]),
            ("more done than there is", &[(0x87, &[1])]),
            ("a name with a capital", &[(0x90, b"B")]),
            ("a name that begins with a dot", &[(0x90, b".")]),
            ("no UTF-8", &[(0x91, &[0xff])]),
        ],
    );
}

#[test]
fn a_control_record_of_a_later_type_is_newer_and_not_damaged() {
    let example = example("control-frame");
    let found = example.structure.read(&edited(&example, &[(0x2c, &[4])]));
    assert!(matches!(found, Err(Error::Version { found: 4, supported: 3, .. })), "{found:?}");
}

#[test]
fn a_manifest_that_nothing_writes_is_refused() {
    assert_invalid(
        "manifest-slot",
        &[
            ("version 0", &[(0x08, &[0])]),
            ("another length", &[(0x0d, &[0x20])]),
            ("an unknown flag", &[(0x28, &[3])]),
            ("an end without being closed", &[(0x28, &[0])]),
            ("more replaced segments than there is room for", &[(0x2c, &[165])]),
            ("one replaced segment more than there is", &[(0x2c, &[2])]),
            ("one replaced segment less than there is", &[(0x2c, &[0])]),
            ("oldest segment 0", &[(0x30, &[0])]),
            ("an end of 0", &[(0x41, &[0])]),
            ("an end at no multiple of eight", &[(0x40, &[4])]),
            ("reserved bytes", &[(0x5c, &[1])]),
            ("more reserved bytes", &[(0x80, &[1])]),
            ("a replaced segment that ends in its header", &[(0x99, &[1])]),
            ("generation 0", &[(0x90, &[0])]),
            ("a segment twice", &[(0x2c, &[2]), (0xa0, &[1]), (0xa8, &[1]), (0xb1, &[2])]),
            ("reserved bytes at the end", &[(0xffb, &[1])]),
        ],
    );
    assert_invalid(
        "state",
        &[
            ("another length of its header", &[(0x0c, &[0x88])]),
            ("segment 0", &[(0x28, &[0])]),
            ("an end at no multiple of eight", &[(0x30, &[4])]),
            ("another length", &[(0x40, &[1])]),
            ("another digest", &[(0x48, &[0])]),
            ("reserved bytes", &[(0x68, &[1])]),
            ("version 0", &[(0x08, &[0])]),
        ],
    );
    assert_invalid(
        "mark-frame",
        &[("an unknown mark", &[(0x24, &[2])]), ("reserved bytes", &[(0x28, &[1])])],
    );
    assert_invalid("frontier", &[("reserved bytes", &[(0x34, &[1])]), ("version 0", &[(0x08, &[0])])]);
}

#[test]
fn a_footer_that_nothing_writes_is_refused() {
    assert_invalid(
        "footer",
        &[
            ("a group outside of its leaf", &[(0x00, &[0x2d])]),
            ("an entity that shares more than there is", &[(0x15, &[9])]),
            ("an entity outside of its leaf", &[(0x03, &[0x2c])]),
            ("a length in more bytes than it takes", &[(0x16, &[0x80, 0])]),
            ("rows outside of their leaf", &[(0x17, &[0x05])]),
            ("a frame of a stream at no multiple of eight", &[(0x11, &[0x61])]),
            ("no UTF-8", &[(0x04, &[0xff])]),
            ("padding of a leaf", &[(0x17, &[0x02])]),
            ("a frame at no multiple of eight", &[(0x70, &[0x62])]),
            ("a reserved category", &[(0x78, &[0])]),
            ("padding", &[(0x82, &[1])]),
            ("ends that do not ascend", &[(0x120, &[9])]),
            ("a leaf of no page", &[(0x148, &[0])]),
            ("a leaf of more streams than there are", &[(0x14c, &[3])]),
            ("a stream that is in no leaf", &[(0x14c, &[1])]),
            ("a scope of streams that are not there", &[(0x164, &[3])]),
            ("an only scope without all rows", &[(0x168, &[1])]),
            ("reserved bytes of a kind", &[(0x17a, &[1])]),
            ("padding of the checksums", &[(0x184, &[1])]),
            ("half a row", &[(0x198, &[0x11])]),
            ("a block of another length", &[(0x198, &[0x1b])]),
            ("a block outside of the footer", &[(0x18f, &[0x80])]),
            ("half a tag", &[(0x1f0, &[0x0c])]),
            ("half an offset", &[(0x208, &[3])]),
            ("no leaf", &[(0x210, &[0])]),
            ("another block count", &[(0x244, &[20])]),
            ("another row count", &[(0x278, &[3])]),
            ("another length", &[(0x280, &[0xb8])]),
            ("longer than its file", &[(0x280, &[0xc8])]),
            ("shorter than its head", &[(0x280, &[0x18, 0x01])]),
            ("longer than memory", &[(0x280, &[0xff; 8])]),
            ("another stream count", &[(0x2a8, &[1])]),
            ("reserved bytes", &[(0x2ac, &[1])]),
        ],
    );
}

#[test]
fn a_footer_with_bytes_of_no_block_is_refused() {
    let Example { structure, mut bytes, .. } = example("footer");
    bytes.splice(0x188..0x188, [0; 8]);
    bytes[0x288] += 8;
    structure.reseal(&mut bytes);
    assert!(matches!(structure.read(&bytes), Err(Error::Invalid { .. })));
}

#[test]
fn an_index_run_that_nothing_writes_is_refused() {
    assert_invalid(
        "index-run",
        &[
            ("version 0", &[(0x08, &[0])]),
            ("a header of no length", &[(0x0c, &[0, 0])]),
            ("a header of another length", &[(0x0c, &[0, 0x20])]),
            ("segment 0", &[(0x20, &[0])]),
            ("no segments", &[(0x28, &[0])]),
            ("more segments than there is room for", &[(0x29, &[2])]),
            ("reserved bytes", &[(0x2c, &[1])]),
            ("more entries than there are", &[(0x31, &[4])]),
            ("fewer entries than there are", &[(0x30, &[8])]),
            ("padding", &[(0x40, &[1])]),
            ("a sieve with one bit more", &[(0x2010, &[1])]),
            ("a sieve with another place", &[(0x2000, &[1])]),
            ("a line behind the last", &[(0x2040, &[1])]),
            ("padding behind the lines", &[(0x2ffb, &[1])]),
        ],
    );
}

#[test]
fn a_checkpoint_that_nothing_writes_is_refused() {
    assert_invalid(
        "checkpoint",
        &[
            ("version 0", &[(0x08, &[0])]),
            ("a head with a byte more", &[(0x0c, &[0x0e])]),
            ("a head with a byte less", &[(0x0c, &[0x0c])]),
            ("a field less", &[(0x20, &[0x84])]),
            ("an unknown field", &[(0x22, b"x")]),
            ("a gap behind the covered segments", &[(0x52, &[3])]),
            ("a number longer than it must be", &[(0x67, &[0, 0x20])]),
            ("a covered segment with a field less", &[(0xc7, &[0x95])]),
            ("a covered segment with a field more", &[(0xc7, &[0x97])]),
            ("a footer without a byte", &[(0xd4, &[0x03, 0xe0])]),
            ("a file that is shorter than its frames", &[(0xd4, &[0x03, 0xdf])]),
            ("padding", &[(0x12f, &[1])]),
        ],
    );
}

#[test]
fn a_head_whose_last_segment_has_no_successor_is_refused() {
    let mut head = CheckpointHead::decode(&example("checkpoint").bytes).unwrap();
    head.covered[0].id.0 = u64::MAX;
    head.watermark.segment.0 = 0;
    assert!(matches!(CheckpointHead::decode(&head.encode(&[])), Err(Error::Invalid { .. })));
}

#[test]
fn a_newer_version_is_refused_as_such() {
    for example in examples() {
        let at = match example.structure {
            Structure::Frame(_) => continue,
            Structure::Footer => example.bytes.len() - 128,
            _ => 8,
        };
        let mut bytes = example.bytes.clone();
        bytes[at] = 2;
        example.structure.reseal(&mut bytes);
        let error = example.structure.read(&bytes).unwrap_err();
        assert!(error.is_newer_version(), "{}: {error}", example.title);
        assert!(matches!(error, Error::Version { found: 2, supported: 1, .. }));
    }
}

#[test]
fn something_else_is_told_by_how_it_begins() {
    for name in ["segment-header", "manifest-slot", "frontier", "index-run", "checkpoint", "state"] {
        let example = example(name);
        let mut bytes = example.bytes.clone();
        bytes[7] ^= 1;
        example.structure.reseal(&mut bytes);
        assert!(matches!(example.structure.read(&bytes), Err(Error::Magic { .. })), "{name}");
    }
}
