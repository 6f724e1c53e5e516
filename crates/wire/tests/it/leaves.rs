//! Footers of more streams than a leaf has, and of streams larger than a leaf.

use std::collections::BTreeSet;

use annals_wire::{
    Block, Chain, Depth, Digest, EventId, Footer, FooterTrailer, Generation, Kind, Lane, Recorded, Revision,
    SegmentId, Sequence, StoreId, StreamKey, TableBytes,
};

use crate::new_tables::{Indexed, NewTables};

/// The stream of each event: scope, entity, lane.
type Streams<'a> = dyn Fn(u32) -> (&'static str, String, u32) + 'a;

fn event(row: u32, (scope, entity, lane): (&str, String, u32)) -> Indexed {
    Indexed {
        offset: 512 + row * 8,
        id: EventId(u128::from(row).to_le_bytes()),
        correlation: None,
        causation: None,
        scope: scope.to_owned(),
        entity,
        lane: Lane(lane),
        fork_depth: Depth(if lane == 0 { 0 } else { 7 }),
        revision: Revision(1 + u64::from(row) * (u64::MAX >> 34)),
        kind: Kind::new(0x1001).unwrap(),
        recorded: Recorded(row.into()),
        tags: BTreeSet::new(),
    }
}

/// The footer of `count` events, having checked that it answers as what it was made of.
fn footer(count: u32, streams: &Streams<'_>) -> Vec<u8> {
    let events: Vec<Indexed> = (0..count).map(|row| event(row, streams(row))).collect();
    let tables = NewTables::new(&events, &[]);
    let trailer = FooterTrailer {
        store: StoreId([3; 16]),
        segment: SegmentId(1),
        generation: Generation(0),
        chain: Chain(4),
        frames_end: 1 << 20,
        first_sequence: Sequence(1),
        row_count: count,
        digest: Digest([5; 32]),
    };
    let bytes = tables.encode(&trailer);
    tables.assert_in(&bytes, &trailer).unwrap();
    bytes
}

/// How many bytes the streams and the entries of their leaves take.
fn lens(bytes: &[u8]) -> (usize, usize) {
    let footer = Footer::decode(bytes.into()).unwrap();
    (footer.block_range(Block::Streams).len(), footer.block_range(Block::Leaves).len() / 12)
}

#[test]
fn many_streams_in_many_leaves_are_found() {
    let scopes = ["a", "b", "c"];
    let bytes =
        footer(1_500, &|row| (scopes[row as usize % 3], format!("order:{:05}", row / 2 * 3), row % 2));
    let (len, leaves) = lens(&bytes);
    assert!(leaves >= 5 && (leaves - 1) * 4096 < len && len <= leaves * 4096, "{len} bytes, {leaves} leaves");
}

#[test]
fn lanes_of_one_entity_go_on_in_the_next_leaf() {
    let bytes = footer(700, &|row| ("s", if row < 30 { format!("{row:02}") } else { "m".to_owned() }, row));
    let (_, leaves) = lens(&bytes);
    assert!(leaves > 3, "{leaves} leaves");
    let bytes = TableBytes::from(&bytes);
    let footer = Footer::decode(bytes).unwrap();
    let (_, scope) = footer.find_scope(bytes, "s").unwrap().unwrap();
    assert_eq!(footer.find_entity(bytes, &scope, "m").unwrap(), 30..700);
    for absent in ["", "0", "30", "l", "ma", "z"] {
        let key = StreamKey { scope: "s", entity: absent, lane: Lane(0) };
        assert!(footer.find_stream(bytes, key).unwrap().is_none(), "{absent}");
    }
}

#[test]
fn a_stream_larger_than_a_page_has_leaves_for_itself() {
    // 3,000 rows of seven bytes take six pages; before and behind them are streams of a row each.
    let bytes = footer(3_040, &|row| match row {
        0..20 => ("s", format!("a{row:02}"), 0),
        20..3_020 => ("s", "b".to_owned(), 0),
        _ => ("s", format!("c{row}"), 0),
    });
    let (len, leaves) = lens(&bytes);
    assert_eq!((len / 4096, leaves), (7, 3));
    let bytes = TableBytes::from(&bytes);
    let footer = Footer::decode(bytes).unwrap();
    let key = StreamKey { scope: "s", entity: "b", lane: Lane(0) };
    let (place, stream) = footer.find_stream(bytes, key).unwrap().unwrap();
    assert_eq!((place, stream.rows.placed_at(2_999).unwrap()), (20, Some((3_019, 512 + 3_019 * 8))));
}

#[test]
fn long_entities_fill_leaves_and_share_no_half_of_a_character() {
    let text = |row: u32| format!("{}{}", "ä".repeat(400), char::from_u32(0x3b1 + row).unwrap());
    let (_, leaves) = lens(&footer(60, &|row| ("s", text(row), 0)));
    assert!(leaves > 1);
}
