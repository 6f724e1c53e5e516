//! Walks over segments in memory: whole, cut, changed anywhere, and with frames where none belong; and what they cost.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use annals_wire::{NewFrame, SEGMENT_HEADER_LEN, Salt, SegmentId, crc, frame_len};

use super::*;
use crate::{Access, Directory, MemoryDirectory};

#[test]
fn bytes_end_with_the_last_that_is_not_zero() {
    for (len, last) in [(0, None), (255, None), (1000, None), (1000, Some(0)), (1000, Some(999))] {
        let mut bytes = vec![0; len];
        if let Some(last) = last {
            bytes[last] = 1;
        }
        assert_eq!(nonzero_len(&bytes), last.map_or(0, |last| last + 1));
    }
    for last in 0..600 {
        let mut bytes = vec![0; 600];
        bytes[last] = 0x80;
        assert_eq!(nonzero_len(&bytes), last + 1);
    }
}

const KNOWN: &[FrameType] = &[FrameType(16), FrameType(17)];
const START: u64 = SEGMENT_HEADER_LEN as u64;
const WINDOW: u64 = WINDOW_LEN as u64;

fn seed() -> FrameSeed {
    FrameSeed::new(Salt(7), SegmentId(3))
}

/// A segment's bytes in the making. The first sequence is 1.
#[derive(Clone)]
struct Bytes {
    bytes: Vec<u8>,
    next: u64,
    /// Where each batch ends.
    ends: Vec<u64>,
}

impl Bytes {
    fn new() -> Self {
        Self { bytes: vec![0; SEGMENT_HEADER_LEN], next: 1, ends: Vec::new() }
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn frame(&mut self, change: impl FnOnce(&mut NewFrame<'_>), stamp: &[u8], body: &[u8]) {
        let mut frame = NewFrame {
            frame_type: FrameType(16),
            skippable: false,
            sequence: Sequence(self.next),
            batch: Batch::SINGLE,
            synced_len: 0,
            stamp,
            body,
            body_crc: crc(body),
        };
        change(&mut frame);
        self.next += u64::from(frame.sequence != Sequence(0));
        let (is_last, offset) = (frame.batch.is_last(), self.len());
        frame.encode(seed(), offset, &mut self.bytes);
        if is_last {
            self.ends.push(self.len());
        }
    }

    fn batch(mut self, bodies: &[&[u8]]) -> Self {
        let count = u32::try_from(bodies.len()).unwrap();
        for (index, body) in (0..).zip(bodies) {
            self.frame(|frame| frame.batch = Batch { index, count }, b"stamp", body);
        }
        self
    }

    fn single(mut self, change: impl FnOnce(&mut NewFrame<'_>)) -> Self {
        self.frame(change, b"", b"a body");
        self
    }

    fn append(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn file(&self) -> Arc<dyn File> {
        let files = [("a".to_owned(), self.bytes.clone())];
        MemoryDirectory::from_files(files).open("a", Access::Read).unwrap()
    }
}

/// What a walk shows of a frame: its offset, sequence, stamp and body.
type Shown = (u64, Sequence, Vec<u8>, Vec<u8>);

fn run(file: &dyn File, until: u64) -> (Vec<Shown>, Result<Scanned, Error>) {
    let mut shown = Vec::new();
    let start = Position { offset: START, chain: Chain::default(), next_sequence: Sequence(1) };
    let scanned = Scan::new(file, Path::new("a"), seed(), KNOWN, until).run(start, &mut |offset, frame| {
        assert!(KNOWN.contains(&frame.header.frame_type));
        shown.push((offset, frame.header.sequence, frame.stamp.to_vec(), frame.body.to_vec()));
        Ok(())
    });
    (shown, scanned)
}

fn run_all(bytes: &Bytes) -> (Vec<Shown>, Scanned) {
    let (shown, scanned) = run(&*bytes.file(), bytes.len());
    (shown, scanned.unwrap())
}

fn remains(bytes: &Bytes, from: u64) -> (u64, u64, u64) {
    let found = search(&*bytes.file(), Path::new("a"), seed(), from, bytes.len()).unwrap();
    (found.nonzero_end, found.frame_count, found.synced_len)
}

fn small() -> Bytes {
    let control =
        |frame: &mut NewFrame<'_>| (frame.sequence, frame.frame_type) = (Sequence(0), FrameType(17));
    Bytes::new()
        .batch(&[b"one"])
        .batch(&[b"two", b"three", b"four"])
        .single(control)
        .batch(&[b"five", &[6; 100]])
}

#[test]
fn a_whole_segment_is_shown_in_order() {
    let (shown, scanned) = run_all(&small());
    let bodies: Vec<_> = shown.iter().map(|shown| shown.3.as_slice()).collect();
    assert_eq!(bodies, [&b"one"[..], b"two", b"three", b"four", b"a body", b"five", &[6; 100]]);
    assert_eq!(shown.iter().map(|shown| shown.1.0).collect::<Vec<_>>(), [1, 2, 3, 4, 0, 5, 6]);
    assert_eq!((scanned.stop, scanned.passed_over), (None, 0));
    assert_eq!((scanned.position.offset, scanned.position.next_sequence), (small().len(), Sequence(7)));
}

#[test]
fn every_cut_shows_the_whole_batches_before_it() {
    let bytes = small();
    let (file, (all, whole)) = (bytes.file(), run_all(&bytes));
    for n in START..=bytes.len() {
        let (shown, scanned) = run(&*file, n);
        let scanned = scanned.unwrap();
        let end = bytes.ends.iter().copied().filter(|end| *end <= n).max().unwrap_or(START);
        assert_eq!(scanned.position.offset, end, "cut to {n}");
        assert!(all.starts_with(&shown), "cut to {n}");
        assert_eq!(shown.len(), all.iter().filter(|shown| shown.0 < end).count(), "cut to {n}");
        assert_eq!(scanned.stop.is_none(), n == end, "cut to {n}");
        assert!(scanned.stop.is_none_or(|stop| (end..=n).contains(&stop.offset)), "cut to {n}");
        let start = scanned.position;
        let rest =
            Scan::new(&*file, Path::new("a"), seed(), KNOWN, bytes.len()).run(start, &mut |_, _| Ok(()));
        assert_eq!(rest.unwrap().position, whole.position, "begun again at {end}");
    }
}

#[test]
fn every_flipped_byte_stops_the_walk_before_its_batch() {
    let bytes = small();
    let all = run_all(&bytes).0;
    for place in SEGMENT_HEADER_LEN..bytes.bytes.len() {
        let mut flipped = bytes.clone();
        flipped.bytes[place] ^= 0x10;
        let (shown, scanned) = run_all(&flipped);
        let end = bytes.ends.iter().copied().filter(|end| *end <= place as u64).max().unwrap_or(START);
        assert_eq!(scanned.position.offset, end, "byte {place}");
        assert!(scanned.stop.is_some() && all.starts_with(&shown), "byte {place}");
    }
}

#[test]
fn a_batch_is_shown_only_where_its_places_follow() {
    let place = |index, count| move |frame: &mut NewFrame<'_>| frame.batch = Batch { index, count };
    let rows = [
        ("an end alone", Bytes::new().single(place(1, 2)), 0, START),
        ("no end", Bytes::new().single(place(0, 2)), 0, START),
        ("one left out", Bytes::new().single(place(0, 3)).single(place(2, 3)), 0, START),
        ("one twice", Bytes::new().single(place(0, 2)).single(place(0, 2)).single(place(1, 2)), 0, START),
        ("another count", Bytes::new().single(place(0, 3)).single(place(1, 2)), 0, START),
        ("a batch within", small().single(place(0, 2)).single(place(0, 1)), 7, small().len()),
    ];
    for (row, bytes, count, end) in rows {
        let (shown, scanned) = run_all(&bytes);
        assert_eq!((shown.len(), scanned.position.offset), (count, end), "{row}");
        assert!(scanned.stop.is_some(), "{row}");
    }
}

#[test]
fn unknown_frames_are_passed_over_where_they_allow_it_and_are_newer_elsewhere() {
    let unknown = |skippable| {
        move |frame: &mut NewFrame<'_>| {
            (frame.frame_type, frame.skippable) = (FrameType(99), skippable);
        }
    };
    let (shown, scanned) = run_all(&small().single(unknown(true)).batch(&[b"behind"]));
    assert_eq!((shown.len(), scanned.passed_over, scanned.stop), (8, 1, None));
    assert_eq!(shown.last().map(|shown| shown.1), Some(Sequence(8)), "it has a sequence all the same");
    let bytes = small().single(unknown(false)).batch(&[b"behind"]);
    let (shown, scanned) = run(&*bytes.file(), bytes.len());
    assert!(matches!(scanned, Err(Error::Newer { .. })) && shown.len() == 7, "{scanned:?}");
    let cut = run(&*bytes.file(), small().len() + 8).1.unwrap();
    assert_eq!(cut.position.offset, small().len(), "one that is not whole is torn");
}

#[test]
fn a_sequence_that_does_not_follow_is_damage() {
    for found in [1, 6, 8, u64::MAX] {
        let bytes = small().single(|frame| frame.sequence = Sequence(found));
        match run(&*bytes.file(), bytes.len()).1 {
            Err(Error::Mismatch { offset, what: "the sequence", expected, found: said, .. }) => {
                assert_eq!((offset, expected, said), (small().len(), "7".to_owned(), found.to_string()));
            }
            other => panic!("{found}: {other:?}"),
        }
    }
}

#[test]
fn frames_of_another_place_segment_or_salt_are_none() {
    let bytes = small();
    let mut moved = Bytes::new().append(&[0; 8]);
    moved.bytes.extend_from_slice(&bytes.bytes[SEGMENT_HEADER_LEN..]);
    assert_eq!(run_all(&moved).0, []);
    assert_eq!(remains(&moved, START).1, 0);
    for other in [FrameSeed::new(Salt(8), SegmentId(3)), FrameSeed::new(Salt(7), SegmentId(4))] {
        let found = search(&*bytes.file(), Path::new("a"), other, START, bytes.len()).unwrap();
        assert_eq!(found.frame_count, 0);
    }
}

#[test]
fn a_search_says_what_stands_behind() {
    let synced = |len| move |frame: &mut NewFrame<'_>| frame.synced_len = len;
    let cut = |count: usize| {
        let mut bytes = small().single(synced(700));
        bytes.bytes.truncate(bytes.bytes.len() - count);
        bytes
    };
    let behind_hole = small().append(&[0; 64]).single(synced(700)).append(&[0; 80]).single(synced(600));
    let rows = [
        ("nothing", small(), (0, 0)),
        ("zeros", small().append(&[0; 5000]), (0, 0)),
        ("zeros over windows", small().append(&vec![0; 3 << 20]), (0, 0)),
        ("one byte", small().append(&[0; 77]).append(&[1]).append(&[0; 9]), (0, 0)),
        ("one byte in a later window", small().append(&vec![0; 2 << 20]).append(&[1]), (0, 0)),
        ("garbage", small().append(&[0xa7; 1000]), (0, 0)),
        ("frames behind holes", behind_hole.clone(), (2, 700)),
        ("frames behind a long hole", small().append(&vec![0; 2 << 20]).single(synced(800)), (1, 800)),
        ("a frame without its body", cut(12), (1, 700)),
        ("half a header", cut(20), (0, 0)),
    ];
    for (row, bytes, (count, synced_len)) in rows {
        let nonzero_end = bytes.bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
        let expected = (nonzero_end.max(small().len()), count, synced_len);
        assert_eq!(remains(&bytes, small().len()), expected, "{row}");
    }
    assert_eq!(remains(&behind_hole, small().len() + 3).1, 2, "from a place where none can begin");
}

/// A segment with a frame that begins at `offset`, which is further than a window, and two behind it.
fn with_frame_at(offset: u64, stamp: &[u8], body: &[u8]) -> Bytes {
    let mut bytes = small();
    let filler = usize::try_from(offset - bytes.len()).unwrap() - FRAME_HEADER_LEN;
    bytes.frame(|_| {}, b"", &vec![3; filler]);
    assert_eq!(bytes.len(), offset);
    bytes.frame(|frame| frame.synced_len = 1234, stamp, body);
    bytes.batch(&[b"behind", b"it"])
}

#[test]
fn frames_across_a_windows_end_are_walked_and_found() {
    let header = FRAME_HEADER_LEN as u64;
    let rows = [
        ("header", 8),
        ("the end of the header", header + 4),
        ("stamp", header + 12),
        ("body", 304),
        ("the end", 1048),
    ];
    for (what, before) in rows {
        // A walk's windows begin where it does, a search's at round places.
        for (from, end) in [START, small().ends[0]].into_iter().flat_map(|from| [(from, from), (from, 0)]) {
            let bytes = with_frame_at(end + WINDOW - before, &[9; 255], &[8; 757]);
            let (shown, scanned) = run_all(&bytes);
            assert_eq!(
                (shown.len(), scanned.stop, scanned.position.offset),
                (11, None, bytes.len()),
                "{what}"
            );
            assert_eq!((&shown[8].2, &shown[8].3), (&vec![9; 255], &vec![8; 757]), "{what}");
            let mut holes = bytes.clone();
            holes.bytes[SEGMENT_HEADER_LEN..1100].fill(0);
            assert_eq!(run_all(&holes).0, [], "{what}");
            let found = remains(&holes, from);
            assert_eq!((found.1, found.2), (3, 1234), "{what}, searched from {from}");
        }
    }
}

#[test]
fn a_batch_longer_than_a_window_is_whole_or_not_shown() {
    let large = vec![5; WINDOW_LEN / 2 + 1];
    let bytes = small().batch(&[&large, b"small", &large, &large]).batch(&[b"behind"]);
    let (shown, scanned) = run_all(&bytes);
    assert_eq!((shown.len(), scanned.stop), (12, None));
    assert_eq!((shown[10].3.len(), shown[11].3.as_slice()), (large.len(), &b"behind"[..]));
    let cut = bytes.ends[4] - 8;
    let (shown, scanned) = run(&*bytes.file(), cut);
    assert_eq!((shown.len(), scanned.unwrap().position.offset), (7, small().len()));
    let single = small().batch(&[&vec![5; 2 * WINDOW_LEN]]);
    assert_eq!(run_all(&single).0.len(), 8);
}

#[test]
fn payloads_full_of_valid_frames_change_nothing() {
    // Frames as they would be valid within the payload if its place were theirs; and copies of what is there.
    let mut within = Bytes::new();
    let inner = small().len() + frame_len(0, 0);
    within.bytes.resize(usize::try_from(inner).unwrap(), 0);
    let mut within = within.single(|_| {}).single(|frame| frame.synced_len = 4_000_000);
    let payload = within.bytes.split_off(usize::try_from(inner).unwrap());
    let copies = small().bytes[SEGMENT_HEADER_LEN..].repeat(3);
    let padding = frame_len(0, 0) - FRAME_HEADER_LEN as u64;
    let at_its_place = [vec![0; usize::try_from(padding).unwrap()], payload, copies].concat();
    let mut bytes = small();
    bytes.frame(|_| {}, b"", &at_its_place);
    let bytes = bytes.batch(&[b"behind"]);
    let (shown, scanned) = run_all(&bytes);
    assert_eq!((shown.len(), scanned.stop, scanned.position.offset), (9, None, bytes.len()));
    assert_eq!(shown[7].3, at_its_place);
    assert_eq!(scanned.position.next_sequence, Sequence(9));
}

#[test]
fn copies_of_frames_in_a_torn_payload_are_no_evidence() {
    let synced = small().single(|frame| frame.synced_len = 4_000_000);
    let copies = synced.bytes[usize::try_from(small().len()).unwrap()..].repeat(50);
    let mut torn = small();
    torn.frame(|frame| frame.synced_len = 600, b"", &copies);
    torn.bytes.pop();
    assert_eq!(run_all(&torn).1.position.offset, small().len());
    let found = remains(&torn, small().len());
    assert_eq!((found.1, found.2), (1, 600), "only the torn frame's own header");
}

/// A file that counts the bytes that are read of it, and how often.
#[derive(Debug)]
struct Counted(Arc<dyn File>, AtomicU64, AtomicU64);

impl File for Counted {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.0.read_at(buffer, offset)?;
        self.1.fetch_add(read as u64, Ordering::Relaxed);
        self.2.fetch_add(1, Ordering::Relaxed);
        Ok(read)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        unreachable!("a walk writes nothing")
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        unreachable!("a walk cuts nothing")
    }

    fn sync_data(&self) -> io::Result<()> {
        unreachable!("a walk syncs nothing")
    }

    fn map(&self, _: std::ops::Range<u64>) -> io::Result<crate::Region> {
        unreachable!("a walk maps nothing")
    }
}

#[test]
fn a_torn_end_is_read_once_by_the_walk_and_once_by_the_search() {
    let len = 5 << 20;
    let frames = small().bytes.split_off(SEGMENT_HEADER_LEN);
    let mut torn = small();
    torn.frame(|_| {}, b"", &frames.repeat(len / frames.len()));
    *torn.bytes.iter_mut().nth_back(99).unwrap() ^= 1;
    let rows = [
        ("zeros", small().append(&vec![0; len]), 1),
        ("markers", small().append(&vec![0xa7; len]), 1),
        ("what may be headers", small().append(&[0, 2, 0, 0, 0xa7, 16, 0, 255].repeat(len / 8)), 1),
        ("a torn frame full of frames", torn, 2),
    ];
    for (row, bytes, times) in rows {
        let file = Counted(bytes.file(), AtomicU64::new(0), AtomicU64::new(0));
        let scanned = run(&file, bytes.len()).1.unwrap();
        assert_eq!(scanned.position.offset, small().len(), "{row}");
        search(&file, Path::new("a"), seed(), scanned.position.offset, bytes.len()).unwrap();
        let (read, windows) = (file.1.into_inner(), bytes.len() / WINDOW + 2);
        let bound = times * bytes.len() + WINDOW + windows * HEADER_LEN_MAX as u64;
        assert!(read <= bound, "{row}: {read} bytes are read of {}", bytes.len());
    }
}

#[test]
fn a_batch_of_many_windows_is_read_a_window_at_a_time() {
    let bytes = small().batch(&vec![&[5; 1_000][..]; 4 * WINDOW_LEN / 1_000]);
    let file = Counted(bytes.file(), AtomicU64::new(0), AtomicU64::new(0));
    assert_eq!(run(&file, bytes.len()).0.len(), 7 + 4 * WINDOW_LEN / 1_000);
    let [read, times] = [file.1, file.2].map(AtomicU64::into_inner);
    let windows = bytes.len() / WINDOW + 2;
    assert!(read <= bytes.len() && times <= windows, "{read} bytes of {}, {times} times", bytes.len());
}

#[test]
fn no_memory_is_taken_for_a_frame_that_is_not_whole() {
    let mut bytes = small();
    let end = bytes.len();
    bytes.frame(|_| {}, b"", &vec![1; 8 << 20]);
    bytes.bytes.extend_from_slice(&[0; 64]);
    let whole = run_all(&bytes).0;
    assert_eq!(whole.last().unwrap().3.len(), 8 << 20);
    *bytes.bytes.iter_mut().nth_back(999).unwrap() ^= 1;
    let file = bytes.file();
    let start = Position { offset: START, chain: Chain::default(), next_sequence: Sequence(1) };
    let mut scan = Scan::new(&*file, Path::new("a"), seed(), KNOWN, bytes.len());
    let scanned = scan.run(start, &mut |_, _| Ok(())).unwrap();
    assert_eq!(scanned.position.offset, end);
    assert!(matches!(scanned.stop.unwrap().error, annals_wire::Error::Checksum { .. }));
    assert!(scan.window.capacity() <= 2 * WINDOW_LEN, "{}", scan.window.capacity());
}

#[test]
fn no_memory_is_taken_for_bytes_that_are_not_there() {
    let mut bytes = small();
    let end = bytes.len();
    bytes.frame(|_| {}, b"", &vec![0; 8 << 20]);
    bytes.bytes.truncate(usize::try_from(end).unwrap() + 100);
    let file = bytes.file();
    let start = Position { offset: START, chain: Chain::default(), next_sequence: Sequence(1) };
    let mut scan = Scan::new(&*file, Path::new("a"), seed(), KNOWN, bytes.len());
    let scanned = scan.run(start, &mut |_, _| Ok(())).unwrap();
    assert_eq!(scanned.position.offset, end);
    assert!(scan.window.capacity() < 4096, "{}", scan.window.capacity());
}
