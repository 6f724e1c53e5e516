//! How long it takes to decide what an open uses, of logs of many segments.

use std::{hint::black_box, path::Path};

use annals_checkpoint::{Plan, Sources, find_checkpoint};
use annals_segment::{CHECKPOINT, Directory, Inventory, Layout, MANIFEST, MemoryDirectory, segment_name};
use annals_wire::{
    Chain, CheckpointHead, CoveredSegment, Digest, Generation, Manifest, PreviousEnd, Recorded, Salt,
    SegmentHeader, SegmentId, Sequence, StoreId, Watermark,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const STORE: StoreId = StoreId([1; 16]);
const END: u64 = 512;

/// A directory with `count` segments of which nothing is there but what an open looks at, and a checkpoint.
fn directory(count: u64) -> MemoryDirectory {
    let manifest = |counter| Manifest {
        counter,
        store: STORE,
        oldest: SegmentId(1),
        newest: SegmentId(count),
        clean: None,
        replaced: Vec::new(),
    };
    let mut slots = Vec::new();
    for counter in [0, 1] {
        let manifest: Manifest = manifest(counter);
        slots.resize(usize::try_from(manifest.slot_offset()).expect("sound, and in memory"), 0);
        slots.extend(manifest.encode());
    }
    let segments =
        (1..=count).map(|id| (segment_name(SegmentId(id), Generation(0)), header(id).encode().to_vec()));
    let files =
        segments.chain([(MANIFEST.to_owned(), slots), (CHECKPOINT.to_owned(), head(count).encode(&[]))]);
    MemoryDirectory::from_files(files)
}

fn header(id: u64) -> SegmentHeader {
    let previous = (id > 1).then_some(PreviousEnd {
        id: SegmentId(id - 1),
        generation: Generation(0),
        end: END,
        chain: Chain(0),
        mark: Digest::NONE,
    });
    SegmentHeader {
        store: STORE,
        id: SegmentId(id),
        generation: Generation(0),
        salt: Salt(id),
        first_sequence: Sequence(1000 * id),
        recorded: Recorded(0),
        previous,
    }
}

fn head(count: u64) -> CheckpointHead {
    let covered = (1..count).map(|id| CoveredSegment {
        id: SegmentId(id),
        generation: Generation(0),
        first_sequence: Sequence(1000 * id),
        end: END,
        chain: Chain(0),
        len: 0,
    });
    let watermark = Watermark {
        segment: SegmentId(count),
        generation: Generation(0),
        offset: END,
        chain: Chain(0),
        sequence: Sequence(1000 * count - 1),
        recorded: Recorded(0),
        mark: Digest::NONE,
    };
    let (covered, kind_names) = (covered.collect(), Vec::new());
    let (hidden, moves) = (Vec::new(), Vec::new());
    CheckpointHead { store: STORE, watermark, covered, kind_names, hidden, moves, control: Digest::NONE }
}

fn planner(criterion: &mut Criterion) {
    for count in [100, 10_000] {
        let mut group = criterion.benchmark_group(format!("planner/{count} segments"));
        group.throughput(Throughput::Elements(count));
        let directory = directory(count);
        let mut sources = Sources::default();
        sources.checkpoint = find_checkpoint(&directory).expect("sound, and in memory");
        let head = &sources.sound_checkpoint().expect("it was just written").head;
        let mut inventory = Inventory::list(&directory).expect("sound, and in memory");
        group.bench_function("list", |bencher| {
            bencher.iter(|| Inventory::list(&directory).expect("sound, and in memory"))
        });
        group.bench_function("checkpoint's head", |bencher| {
            bencher.iter(|| find_checkpoint(&directory).expect("sound, and in memory"))
        });
        inventory.read_headers(&directory, Some(head), None).expect("sound, and in memory");
        group.bench_function("Layout::decide", |bencher| {
            bencher.iter(|| {
                Layout::decide(black_box(&inventory), Path::new("log"), None).expect("sound, and in memory")
            });
        });
        let layout = Layout::decide(&inventory, Path::new("log"), None).expect("sound, and in memory");
        group.bench_function("Plan::decide", |bencher| {
            bencher.iter(|| {
                Plan::decide(black_box(&layout), &sources, Path::new("log")).expect("sound, and in memory")
            });
        });
        group.finish();
        assert_eq!(layout.sealed.len() as u64 + 1, count, "{}", directory.path().display());
    }
}

criterion_group!(benches, planner);
criterion_main!(benches);
