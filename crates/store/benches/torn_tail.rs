//! Opening a store whose newest segment ends in what a crash left, by kind and size, measured against reading the
//! segment's file twice in the same moment.
//!
//! Every measured open has a yardstick beside it: both read the same bytes from the page cache, one right after
//! the other, so that a loaded machine slows both. What is printed last is the fastest of each, to which other work
//! on the machine added least, and their ratio; where the search is linear it does not grow with the size. Opening
//! for writing also copies the bytes aside, durably, and is listed by itself.

#![expect(clippy::print_stdout, clippy::indexing_slicing, reason = "a benchmark prints, and may panic")]

use std::{
    collections::BTreeMap,
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use annals::{
    Background, Coordinate, Durability, Kind, NewEvent, Options, Store,
    disk::{Directory, DiskDirectory, SeededEntropy},
};
use annals_segment::{Access, DirectoryEntry};
use annals_wire::{Batch, FrameType, NewFrame, SEGMENT_HEADER_LEN, SegmentHeader, Sequence};
use criterion::{BenchmarkId, Criterion, SamplingMode};
use tempfile::TempDir;

const MIB: usize = 1 << 20;
const SIZES: [usize; 4] = [1, 4, 16, 64];
const EVENT_COUNT: u64 = 3;
const SEGMENT: &str = "000001.seg";

/// What stands behind the last whole event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tail {
    /// Nothing was written there.
    Zeros,
    /// Random bytes.
    Garbage,
    /// The byte that every frame has at its fifth place, everywhere.
    Markers,
    /// Every eighth byte begins what may be a header with the longest stamp: the most that the search can be made
    /// to do.
    Headers,
    /// One event that is not whole, whose payload is full of frames: copies from another place, and ones that are
    /// valid where they stand.
    Event,
}

const TAILS: [Tail; 5] = [Tail::Zeros, Tail::Garbage, Tail::Markers, Tail::Headers, Tail::Event];

fn options() -> Options {
    Options::new()
        .segment_bytes(1 << 30)
        .event_bytes_max(1 << 28)
        .background(Background::Manual)
        .entropy(SeededEntropy::new(1))
}

fn append(store: &Store, len: usize) {
    let coordinate = Coordinate::new("order:42", "shop/eu").expect("short");
    let payload = vec![PAYLOAD; len];
    let event = NewEvent::new(&coordinate, Kind::new(0x2001).expect("of category 2"), &payload);
    store.append_with(&event, Durability::Durable).expect("there is space");
}

const PAYLOAD: u8 = 0x55;

/// A store with such a tail, in a directory of its own.
struct Torn {
    directory: TempDir,
    kind: Tail,
    len: usize,
}

impl Torn {
    fn new(kind: Tail, len: usize) -> Self {
        let directory = TempDir::new().expect("there is space");
        let store = options().create(true).open(directory.path()).expect("there is space");
        (0..EVENT_COUNT).for_each(|_| append(&store, 100));
        if kind == Tail::Event {
            append(&store, len);
        }
        drop(store);
        let path = directory.path().join(SEGMENT);
        let mut bytes = fs::read(&path).expect("it was just made");
        let end = bytes.iter().rposition(|byte| *byte != 0).expect("there are events") + 1;
        bytes.truncate(end.next_multiple_of(8));
        match kind {
            Tail::Event => fill_with_frames(&mut bytes, len),
            _ => bytes.extend(tail(kind, len)),
        }
        fs::write(&path, bytes).expect("there is space");
        Self { directory, kind, len }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes sure that what was opened is the store without its tail.
    fn check(&self, store: &Store) {
        assert_eq!(store.last_sequence().0, EVENT_COUNT, "{:?}", self.kind);
        let torn = store.report().log.torn.as_ref().map_or(0, |(_, torn)| torn.len);
        let expected = if self.kind == Tail::Zeros { 0 } else { self.len as u64 };
        assert!(torn >= expected, "{:?}: {torn} of {expected} bytes are torn", self.kind);
    }
}

fn tail(kind: Tail, len: usize) -> Vec<u8> {
    match kind {
        Tail::Zeros => vec![0; len],
        Tail::Markers => vec![0xa7; len],
        Tail::Headers => [0, 2, 0, 0, 0xa7, 1, 0, 255].repeat(len / 8),
        Tail::Garbage | Tail::Event => {
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            };
            (0..len / 8).flat_map(|_| next()).collect()
        }
    }
}

/// Fills the payload of the last event with frames: in the first half copies of the segment's first, in the second
/// half frames that are valid where they stand. The event's checksum is wrong then.
fn fill_with_frames(bytes: &mut [u8], len: usize) {
    let seed = SegmentHeader::decode(bytes).expect("it was just made").seed();
    let start = (bytes.len() - len).next_multiple_of(8);
    let copied = bytes[SEGMENT_HEADER_LEN..][..200].to_vec();
    let (mut offset, mut frame) = (start, Vec::new());
    while offset + 300 < bytes.len() {
        frame.clear();
        if offset < start + len / 2 {
            frame.extend_from_slice(&copied);
        } else {
            let body = [PAYLOAD; 60];
            let new = NewFrame {
                frame_type: FrameType::EVENT,
                skippable: false,
                sequence: Sequence(offset as u64),
                batch: Batch::SINGLE,
                synced_len: 512,
                stamp: &[7; 52],
                body: &body,
                body_crc: annals_wire::crc(&body),
            };
            new.encode(seed, offset as u64, &mut frame);
        }
        bytes[offset..][..frame.len()].copy_from_slice(&frame);
        offset += frame.len();
    }
}

/// The yardstick: the segment's file, read twice from its beginning to its end.
fn read_twice(directory: &Path) {
    let directory = DiskDirectory::open(directory).expect("it is there");
    let file = directory.open(SEGMENT, Access::Read).expect("it is there");
    let mut window = vec![0; MIB];
    for _ in 0..2 {
        let mut offset = 0;
        loop {
            match file.read_full_at(&mut window, offset).expect("it can be read") {
                0 => break,
                read => offset += read as u64,
            }
        }
        black_box(&window);
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let outcome = work();
    (start.elapsed(), outcome)
}

/// Times of an open and of the yardstick beside it.
#[derive(Debug, Default)]
struct Samples {
    open: Vec<Duration>,
    reads: Vec<Duration>,
}

fn fastest(times: &[Duration]) -> f64 {
    times.iter().min().map_or(f64::NAN, Duration::as_secs_f64)
}

type Table = BTreeMap<(&'static str, Tail, usize), Samples>;

/// Reads the yardstick and opens, in turns.
fn measure(
    criterion: &mut Criterion,
    table: &mut Table,
    name: &'static str,
    open: impl Fn(&Torn) -> Duration,
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(50)).measurement_time(Duration::from_millis(500));
    for kind in TAILS {
        for size in SIZES {
            let torn = Torn::new(kind, size * MIB);
            let mut samples = Samples::default();
            group.bench_function(BenchmarkId::new(format!("{kind:?}"), format!("{size} MiB")), |bencher| {
                bencher.iter_custom(|count| {
                    (0..count)
                        .map(|_| {
                            samples.reads.push(timed(|| read_twice(torn.path())).0);
                            let time = open(&torn);
                            samples.open.push(time);
                            time
                        })
                        .sum()
                });
            });
            // None where the measurement was filtered out.
            if !samples.open.is_empty() {
                table.insert((name, kind, size), samples);
            }
        }
    }
    group.finish();
}

fn open_read_only(torn: &Torn) -> Duration {
    let (time, store) = timed(|| options().open_read_only(torn.path()).expect("a torn end is no damage"));
    torn.check(&store);
    time
}

/// Recovers a copy of the store, as each can be recovered once.
fn open_for_writing(torn: &Torn) -> Duration {
    let copy = TempDir::new().expect("there is space");
    for entry in DiskDirectory::open(torn.path()).and_then(|files| files.list()).expect("it is there") {
        let DirectoryEntry { name, .. } = entry;
        fs::copy(torn.path().join(&name), copy.path().join(&name)).expect("there is space");
    }
    let (time, store) = timed(|| options().open(copy.path()).expect("a torn end is no damage"));
    torn.check(&store);
    time
}

fn print(table: &Table) {
    println!("\n{:<18} {:<8} {:>7} {:>12} {:>12} {:>7}", "", "tail", "MiB", "open ms", "2 reads ms", "ratio");
    for ((name, kind, size), samples) in table {
        let (open, reads) = (fastest(&samples.open), fastest(&samples.reads));
        let kind = format!("{kind:?}");
        let ratio = open / reads;
        println!("{name:<18} {kind:<8} {size:>7} {:>12.2} {:>12.2} {ratio:>7.2}", open * 1e3, reads * 1e3);
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args().without_plots();
    let mut table = Table::new();
    measure(&mut criterion, &mut table, "open read-only", open_read_only);
    measure(&mut criterion, &mut table, "open for writing", open_for_writing);
    print(&table);
    criterion.final_summary();
}
