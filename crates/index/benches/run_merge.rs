//! Merging eight segments' keys into a run, and what one look-up takes in it.

use std::{hint::black_box, sync::Arc};

use annals_index::{Direction, RunIndex, RunInput, RunMerge, RunSource};
use annals_wire::{
    Chain, Generation, RUN_ENTRIES_PER_PAGE, RUN_LINES_PER_PAGE, RunEntry, RunHeader, RunPage, RunSegment,
    SIEVE_LINE_LEN, SegmentId, SieveBuilder, StoreId,
};
use criterion::{BatchSize, Criterion, Throughput};

/// As many as a segment of 48 MiB has with 256 bytes of payload and a stream for nearly each event.
const KEYS_PER_SEGMENT: u64 = 240_000;
const SEGMENT_COUNT: u16 = 8;

/// Hashes that look like chance, sorted: a linear congruential generator, Knuth's constants for MMIX.
fn keys(segment: u16) -> Vec<u32> {
    let mut state = u64::from(segment) + 1;
    let keys = (0..KEYS_PER_SEGMENT).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 32).expect("half of a number")
    });
    let mut keys: Vec<u32> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn merge(inputs: &[(RunInput<'_>, u16)]) -> Vec<u8> {
    let segment = RunSegment { generation: Generation(0), chain: Chain(7) };
    let header = RunHeader {
        store: StoreId([1; 16]),
        first: SegmentId(1),
        segments: vec![segment; usize::from(SEGMENT_COUNT)],
        entry_count: inputs.iter().map(|(input, _)| input.entry_count()).sum(),
    };
    let (mut bytes, seed) = header.encode();
    let (mut sieve, mut lines) = (SieveBuilder::new(header.entry_count), Vec::new());
    let mut merge = RunMerge::new(inputs, None).expect("keys in memory");
    let mut page = Vec::with_capacity(RUN_ENTRIES_PER_PAGE);
    for number in 0..header.page_count() {
        page.clear();
        while page.len() < RUN_ENTRIES_PER_PAGE
            && let Some(entry) = merge.next_entry().expect("keys in order")
        {
            sieve.push(entry.hash, &mut lines);
            page.push(entry);
        }
        RunPage::encode(&page, seed, number, &mut bytes);
    }
    sieve.finish(&mut lines);
    for (number, lines) in (header.page_count()..).zip(lines.chunks(RUN_LINES_PER_PAGE * SIEVE_LINE_LEN)) {
        RunPage::encode_lines(lines, seed, number, &mut bytes);
    }
    bytes
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let inputs: Vec<(RunInput<'_>, u16)> =
        (0..SEGMENT_COUNT).map(|place| (RunInput::Keys(keys(place)), place)).collect();
    let bytes = merge(&inputs);
    let len = bytes.len() as u64;
    let run = RunIndex::new(&bytes.clone(), RunSource::Whole(Arc::new(bytes)), len).expect("just merged");
    let entries: Vec<RunEntry> = run.entries().collect::<Result<_, _>>().expect("just merged");
    let mut group = criterion.benchmark_group("run_merge");
    group.throughput(Throughput::Elements(entries.len() as u64)).sample_size(10);
    group.bench_function("eight segments", |bencher| bencher.iter(|| merge(&inputs)));
    let inputs = [(RunInput::Run(&run), 0)];
    group.bench_function("a run", |bencher| bencher.iter(|| merge(&inputs)));
    group.finish();
    let mut group = criterion.benchmark_group("run_look_up");
    let mut at = 0_usize;
    let mut next = || {
        at = (at + 7_919 * 31) % entries.len();
        entries.get(at).map_or(0, |entry| entry.hash)
    };
    group.bench_function("a key that is there", |bencher| {
        let look = |hash| black_box(run.next(hash, u16::MAX, Direction::Backward).is_ok());
        bencher.iter_batched(&mut next, look, BatchSize::SmallInput);
    });
    group.bench_function("a key that is not there", |bencher| {
        let look = |hash: u32| black_box(run.next(hash ^ 1, u16::MAX, Direction::Backward).is_ok());
        bencher.iter_batched(&mut next, look, BatchSize::SmallInput);
    });
    group.finish();
    criterion.final_summary();
}
