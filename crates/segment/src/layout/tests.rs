//! Inventories, and what is decided of each: a table for every way in which files can contradict each other.

use annals_wire::{Chain, Digest, PreviousEnd, Recorded, Salt, StoreId};

use super::*;
use crate::FoundManifest;

/// Where the frames of every segment of the tables end, and their files with them.
const END: u64 = 1024;

fn header(id: u64) -> SegmentHeader {
    let previous = (id > 1).then(|| PreviousEnd {
        id: SegmentId(id - 1),
        generation: Generation(0),
        end: END,
        chain: Chain(u32::try_from(id - 1).unwrap()),
        mark: Digest::NONE,
    });
    SegmentHeader {
        store: StoreId([1; 16]),
        id: SegmentId(id),
        generation: Generation(0),
        salt: Salt(id),
        first_sequence: Sequence(10 * id),
        recorded: Recorded(0),
        previous,
    }
}

fn file(header: SegmentHeader, len: u64) -> SegmentFile {
    SegmentFile { generation: Generation(0), len, header: Some(Ok(header)), covered: None }
}

fn covered(id: u64) -> CoveredSegment {
    CoveredSegment {
        id: SegmentId(id),
        generation: Generation(0),
        first_sequence: Sequence(10 * id),
        end: END,
        chain: Chain(u32::try_from(id).unwrap()),
        len: 0,
    }
}

/// The segments `ids`, of which the manifest names those from 1 to `named`.
fn inventory(ids: impl IntoIterator<Item = u64>, named: u64) -> Inventory {
    let manifest = Manifest {
        counter: 9,
        store: StoreId([1; 16]),
        oldest: SegmentId(1),
        newest: SegmentId(named),
        clean: None,
        replaced: Vec::new(),
    };
    Inventory {
        manifest: Some(FoundManifest { manifest, damaged_slot: None }),
        segments: ids.into_iter().map(|id| (SegmentId(id), file(header(id), END))).collect(),
        ..Inventory::default()
    }
}

/// What happened to a sound directory.
trait Happened: Sized {
    fn but(self, change: impl FnOnce(&mut Self)) -> Self;
    fn with_damaged_slot(self) -> Self;
    fn with_header(self, id: u64, change: impl FnOnce(&mut SegmentHeader)) -> Self;
    fn with_unreadable(self, id: u64) -> Self;
    fn with_len(self, id: u64, len: u64) -> Self;
    fn closed(self) -> Self;
    fn vouched(self, id: u64) -> Self;
}

impl Happened for Inventory {
    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn with_damaged_slot(self) -> Self {
        self.but(|it| it.manifest.as_mut().unwrap().damaged_slot = Some((0, damage())))
    }

    fn with_header(self, id: u64, change: impl FnOnce(&mut SegmentHeader)) -> Self {
        self.but(|it| {
            let file = it.segments.get_mut(&SegmentId(id)).unwrap();
            change(file.header.as_mut().unwrap().as_mut().unwrap());
        })
    }

    fn with_unreadable(self, id: u64) -> Self {
        self.but(|it| it.segments.get_mut(&SegmentId(id)).unwrap().header = Some(Err(damage())))
    }

    fn with_len(self, id: u64, len: u64) -> Self {
        self.but(|it| it.segments.get_mut(&SegmentId(id)).unwrap().len = len)
    }

    fn vouched(self, id: u64) -> Self {
        self.but(|it| {
            let file = it.segments.get_mut(&SegmentId(id)).unwrap();
            file.header = None;
            file.covered = Some(covered(id));
        })
    }

    fn closed(self) -> Self {
        let (chain, next_sequence, mark) = (Chain(9), Sequence(40), Digest::NONE);
        let clean = CleanEnd { end: END, chain, next_sequence, recorded: Recorded(0), mark };
        self.but(|it| manifest(it).clean = Some(clean))
    }
}

fn manifest(inventory: &mut Inventory) -> &mut Manifest {
    &mut inventory.manifest.as_mut().unwrap().manifest
}

fn damage() -> annals_wire::Error {
    annals_wire::Error::Invalid { what: "it", why: "damaged" }
}

fn said(inventory: &Inventory, upto: Option<u64>) -> String {
    let layout = match Layout::decide(inventory, Path::new(""), upto.map(SegmentId)) {
        Ok(layout) => layout,
        Err(error) => return error.to_string(),
    };
    let mut said: Vec<String> = layout.sealed.iter().map(|place| place.id.to_string()).collect();
    for (place, id) in layout.sealed.iter().zip(layout.manifest.oldest.0..) {
        assert_eq!((place.id, place.end, place.first_sequence), (SegmentId(id), END, Sequence(10 * id)));
        assert_eq!(place.chain, Chain(u32::try_from(id).unwrap()));
    }
    said.extend(layout.newest.as_ref().map(|newest| {
        let unnamed = if newest.is_named { "" } else { " unnamed" };
        let clean = newest.clean.map(|clean| format!(" clean {}", clean.end)).unwrap_or_default();
        format!("[{}{unnamed}{clean} closed {}]", newest.header.id, newest.closed_end)
    }));
    said.extend(layout.discard.iter().map(|name| format!("-{name}")));
    said.extend(layout.oddities.iter().map(|oddity| format!("! {oddity}")));
    assert_eq!(layout.is_manifest_damaged, inventory.manifest.as_ref().unwrap().damaged_slot.is_some());
    said.join(" ")
}

fn check(rows: impl IntoIterator<Item = (&'static str, Inventory, &'static str)>) {
    for (row, inventory, expected) in rows {
        assert_eq!(said(&inventory, None), expected, "{row}");
    }
}

const SLOT: &str = "! MANIFEST has a damaged slot at offset 0: it: damaged";

#[test]
fn all_from_the_oldest_to_the_newest_make_the_log() {
    let temporary = |it: &mut Inventory| it.temporary.push("CHECKPOINT.tmp".to_owned());
    check([
        ("created and no segment yet", inventory([], 0), ""),
        ("one segment", inventory([1], 1), "[1 closed 0]"),
        ("three segments", inventory(1..4, 3), "1 2 [3 closed 0]"),
        ("closed cleanly", inventory(1..4, 3).closed(), "1 2 [3 clean 1024 closed 1024]"),
        ("an unfinished replacement", inventory([1], 1).but(temporary), "[1 closed 0] -CHECKPOINT.tmp"),
        (
            "segments below the oldest",
            inventory(1..4, 3).but(|it| manifest(it).oldest = SegmentId(3)),
            "[3 closed 0] -000001.seg -000002.seg",
        ),
        (
            "damaged ones below the oldest",
            inventory(1..4, 3).with_unreadable(1).but(|it| manifest(it).oldest = SegmentId(2)),
            "2 [3 closed 0] -000001.seg",
        ),
    ]);
}

#[test]
fn what_the_checkpoint_vouches_for_needs_no_header() {
    let known = |it: &mut Inventory| it.segments.get_mut(&SegmentId(1)).unwrap().covered = Some(covered(1));
    let not_continuing = "000003.seg: its header does not continue the segment before it";
    let previous = |it: &mut SegmentHeader| it.previous.as_mut().unwrap().id = SegmentId(1);
    let short = "000001.seg ends at offset 1016, but the checkpoint proves that it was durable to 1024: \
                 acknowledged data is lost";
    check([
        ("all before the newest", inventory(1..4, 3).vouched(1).vouched(2), "1 2 [3 closed 0]"),
        ("the first", inventory(1..4, 3).vouched(1), "1 2 [3 closed 0]"),
        (
            "one whose end only the checkpoint says",
            inventory(1..4, 3).vouched(2).but(known),
            "1 2 [3 closed 0]",
        ),
        ("closed cleanly", inventory(1..3, 2).vouched(1).closed(), "1 [2 clean 1024 closed 1024]"),
        (
            "another continues it",
            inventory(1..4, 3).vouched(2).but(known).with_header(3, previous),
            not_continuing,
        ),
        ("too short", inventory(1..4, 3).vouched(1).vouched(2).with_len(1, END - 8), short),
        ("one missing", inventory([1, 3], 3).vouched(1), "segment 2 is missing: 000002.seg is not there"),
    ]);
}

#[test]
fn no_manifest_is_a_new_log_only_where_there_is_nothing() {
    let without = |ids: std::ops::Range<u64>| inventory(ids, 3).but(|it| it.manifest = None);
    let lost = "MANIFEST is missing, although the directory holds a log's segments; restore it from a backup";
    let checkpoint = without(1..1).but(|it| it.has_checkpoint = true);
    check([
        ("nothing", without(1..1), " holds no log"),
        ("segments", without(1..2), lost),
        ("a checkpoint", checkpoint, lost),
    ]);
}

#[test]
fn a_missing_segment_is_named() {
    let missing = |id| format!("segment {id} is missing: 00000{id}.seg is not there");
    for id in 1..4 {
        let inventory = inventory((1..4).filter(|other| *other != id), 3);
        assert_eq!(said(&inventory, None), missing(id), "segment {id}");
        assert_eq!(said(&inventory.clone().with_damaged_slot(), None), missing(id), "segment {id}, one slot");
    }
    let other_generation = inventory(1..4, 3).but(|it| {
        it.segments.get_mut(&SegmentId(2)).unwrap().generation = Generation(1);
    });
    assert_eq!(said(&other_generation, None), missing(2), "another generation of it");
}

#[test]
fn what_a_segment_contradicts_is_refused() {
    let other = "it is another segment of this log: its name and its header disagree";
    let foreign = "it is a segment of another log; move it away and restore the log's own";
    let not_continuing = "its header does not continue the segment before it";
    let previous =
        |header: &mut SegmentHeader, change: fn(&mut PreviousEnd)| change(header.previous.as_mut().unwrap());
    let swapped = inventory(1..4, 3).but(|it| {
        it.segments.insert(SegmentId(1), file(header(2), END));
        it.segments.insert(SegmentId(2), file(header(1), END));
    });
    let rows = [
        ("two swapped", swapped, "000001.seg", other),
        ("a store's first", inventory(1..4, 3).with_header(1, |it| it.store.0[0] = 2), "000001.seg", foreign),
        (
            "a store's newest",
            inventory(1..4, 3).with_header(3, |it| it.store.0[0] = 2),
            "000003.seg",
            foreign,
        ),
        ("a generation", inventory(1..4, 3).with_header(2, |it| it.generation.0 = 1), "000002.seg", other),
        (
            "no end of the one before",
            inventory(1..4, 3).with_header(2, |it| it.previous = None),
            "000002.seg",
            not_continuing,
        ),
        (
            "another before",
            inventory(1..4, 3).with_header(3, |it| previous(it, |it| it.id.0 = 1)),
            "000003.seg",
            not_continuing,
        ),
        (
            "another generation before",
            inventory(1..4, 3).with_header(3, |it| previous(it, |it| it.generation.0 = 1)),
            "000003.seg",
            not_continuing,
        ),
    ];
    for (row, inventory, name, why) in rows {
        assert_eq!(said(&inventory, None), format!("{name}: {why}"), "{row}");
    }
}

#[test]
fn a_damaged_header_is_damage_and_never_a_missing_segment() {
    for id in 1..4 {
        let said = said(&inventory(1..4, 3).with_unreadable(id), None);
        assert_eq!(said, format!("00000{id}.seg is damaged at offset 0: it: damaged"));
    }
    let newer = annals_wire::Error::Version { what: "segment header", found: 2, supported: 1 };
    let newer =
        inventory(1..4, 3).but(|it| it.segments.get_mut(&SegmentId(2)).unwrap().header = Some(Err(newer)));
    assert!(matches!(Layout::decide(&newer, Path::new(""), None), Err(Error::Newer { .. })));
}

#[test]
fn a_sealed_segment_that_is_too_short_is_lost_data() {
    for (id, len) in [(1, END - 1), (2, END - 8), (2, 512), (1, 0)] {
        let expected = format!(
            "00000{id}.seg ends at offset {len}, but the header of the next segment proves that it was \
             durable to 1024: acknowledged data is lost"
        );
        assert_eq!(said(&inventory(1..4, 3).with_len(id, len), None), expected, "{id} with {len} bytes");
    }
    assert_eq!(said(&inventory(1..4, 3).with_len(2, 9999), None), "1 2 [3 closed 0]", "a footer behind");
}

#[test]
fn an_unnamed_segment_counts_where_it_continues_the_named_newest() {
    let continues = "1 2 3 [4 unnamed closed 0] ! segment 4 continues segment 3 and is not named by MANIFEST";
    let not_continuing = "000004.seg: it does not continue the newest segment that the manifest names";
    let other_end = |it: &mut SegmentHeader| it.previous.as_mut().unwrap().end = END + 8;
    let other_store = |it: &mut SegmentHeader| it.store.0[0] = 2;
    let replaced = |it: &mut SegmentHeader| it.previous.as_mut().unwrap().generation = Generation(1);
    let two = "1 2 3 4 [5 unnamed closed 0] ! segment 4 continues segment 3 and is not named by MANIFEST \
               ! segment 5 continues segment 4 and is not named by MANIFEST";
    let discarded = "1 2 [3 closed 0] -000004.seg";
    let first = "[1 unnamed closed 0] ! segment 1 continues segment 0 and is not named by MANIFEST";
    check([
        ("continuing", inventory(1..5, 3), continues),
        ("only its header, continuing", inventory(1..5, 3).with_len(4, 512), continues),
        ("behind a clean close", inventory(1..5, 3).closed(), continues),
        ("two of them", inventory(1..6, 3), two),
        ("unreadable", inventory(1..5, 3).with_unreadable(4), discarded),
        ("empty", inventory(1..5, 3).with_unreadable(4).with_len(4, 0), discarded),
        (
            "only its header, of another end",
            inventory(1..5, 3).with_header(4, other_end).with_len(4, 512),
            discarded,
        ),
        ("frames behind another end", inventory(1..5, 3).with_header(4, other_end), not_continuing),
        ("frames behind a replacement", inventory(1..5, 3).with_header(4, replaced), not_continuing),
        ("frames of another store", inventory(1..5, 3).with_header(4, other_store), not_continuing),
        ("the first", inventory([1], 0), first),
        ("the first, only its header", inventory([1], 0).with_len(1, 512), first),
        ("the first, unreadable", inventory([1], 0).with_unreadable(1), "-000001.seg"),
        (
            "the first, of another store",
            inventory([1], 0).with_header(1, other_store),
            "000001.seg: it does not continue the newest segment that the manifest names",
        ),
        (
            "the first, with another's name",
            inventory([1], 0).with_header(1, |it| it.id = SegmentId(2)),
            "000001.seg: it does not continue the newest segment that the manifest names",
        ),
        (
            "the first, behind another",
            inventory([1], 0).with_header(1, |it| it.previous = header(2).previous),
            "000001.seg: it does not continue the newest segment that the manifest names",
        ),
    ]);
}

#[test]
fn with_a_damaged_slot_what_it_may_have_named_is_kept() {
    let unnamed = "[4 unnamed closed 0] ! MANIFEST has a damaged slot at offset 0: it: damaged \
                   ! segment 4 continues segment 3 and is not named by MANIFEST";
    let unnamed = format!("1 2 3 {unnamed}");
    let named = format!("1 2 [3 closed 0] {SLOT}");
    let closed = format!("1 2 [3 closed 1024] {SLOT}");
    let first =
        format!("[1 unnamed closed 0] {SLOT} ! segment 1 continues segment 0 and is not named by MANIFEST");
    let rows = [
        ("the slot that did not count", inventory(1..4, 3), named.as_str()),
        ("a clean close that may have been cleared", inventory(1..4, 3).closed(), &closed),
        ("the slot that named the newest", inventory(1..5, 3), &unnamed),
        (
            "and was unreadable",
            inventory(1..5, 3).with_unreadable(4),
            "000004.seg is damaged at offset 0: it: damaged",
        ),
        ("the slot that named the first", inventory([1], 0), &first),
        (
            "and was unreadable",
            inventory([1], 0).with_unreadable(1),
            "000001.seg is damaged at offset 0: it: damaged",
        ),
        ("nothing was named yet", inventory([], 0), SLOT),
        (
            "a header alone that does not continue the newest",
            inventory(1..5, 3).with_header(4, |it| it.previous = None).with_len(4, 512),
            "000004.seg: it does not continue the newest segment that the manifest names",
        ),
    ];
    for (row, inventory, expected) in rows {
        assert_eq!(said(&inventory.with_damaged_slot(), None), expected, "{row}");
    }
}

#[test]
fn segments_behind_a_gap_are_refused() {
    let beyond = |id| format!("00000{id}.seg: it lies behind segments that are not there");
    let rows = [
        ("behind the named", inventory([1, 2, 3, 5], 3), 5),
        ("behind an unnamed one", inventory([1, 2, 3, 4, 6], 3), 6),
        ("behind an unreadable one", inventory(1..6, 3).with_unreadable(4), 5),
        ("behind nothing", inventory([2], 0), 2),
    ];
    for (row, inventory, id) in rows {
        assert_eq!(said(&inventory, None), beyond(id), "{row}");
    }
}

#[test]
fn a_reader_beside_a_writer_sees_no_further_than_it_may_and_removes_nothing() {
    let temporary = inventory(1..4, 3).but(|it| it.temporary.push("CHECKPOINT.tmp".to_owned()));
    let rows = [
        ("upto the newest", temporary.clone(), 3, "1 2 [3 closed 0]"),
        ("upto one before", temporary.clone().closed(), 2, "1 [2 closed 0]"),
        ("upto the first", temporary.clone(), 1, "[1 closed 0]"),
        ("further than there is", temporary, 9, "1 2 [3 closed 0]"),
        ("a damaged one behind", inventory(1..4, 3).with_unreadable(3), 2, "1 [2 closed 0]"),
        ("one in the making", inventory(1..5, 3).with_unreadable(4), 3, "1 2 [3 closed 0]"),
    ];
    for (row, inventory, upto, expected) in rows {
        assert_eq!(said(&inventory, Some(upto)), expected, "{row}");
    }
}
