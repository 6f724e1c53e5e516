//! What one look-up takes in the footer of a segment of 130,000 events over 100,000 streams; and what it takes to
//! fill an index with them, and to encode it.

use std::{hint::black_box, sync::Arc};

use annals_index::{ActiveIndex, Entry, Index, SealedIndex, Term};
use annals_wire::{
    Chain, Depth, Digest, EventId, FooterTrailer, Generation, Kind, Lane, Recorded, Revision, SegmentId,
    Sequence, StoreId, StreamKey,
};
use criterion::{BatchSize, Criterion, Throughput};

const EVENT_COUNT: u32 = 130_000;
const STREAM_COUNT: u64 = 100_000;

/// A number that looks like chance: SplitMix64, Steele, Lea and Flood, 2014.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn id(number: u64) -> EventId {
    EventId((u128::from(mixed(number)) << 64 | u128::from(mixed(number ^ 1 << 40))).to_le_bytes())
}

fn entity(number: u64) -> String {
    format!("order:{:010}", mixed(number) % STREAM_COUNT)
}

fn kind(number: u64) -> Kind {
    Kind::new(0x1000 + u16::try_from(number % 8).expect("below 8")).expect("of category 1")
}

/// Its entity, and all else that an index takes of the event with `number`.
fn events() -> Vec<(String, Entry<'static>)> {
    let mut revisions = std::collections::HashMap::new();
    let events = (0..EVENT_COUNT).map(|number| {
        let entity = entity(number.into());
        let revision = revisions.entry(entity.clone()).or_insert(0);
        *revision += 1;
        let entry = Entry {
            offset: 512 + number * 400,
            id: id(number.into()),
            correlation: None,
            causation: None,
            stream: StreamKey { scope: "tenant:01", entity: "", lane: Lane(0) },
            kind: kind(number.into()),
            revision: Revision(*revision),
            fork_depth: Depth(0),
            recorded: Recorded(number.into()),
            hash: Digest::NONE,
        };
        (entity, entry)
    });
    events.collect()
}

fn index(events: &[(String, Entry<'_>)]) -> ActiveIndex {
    let mut index = ActiveIndex::new(Sequence(1));
    for (entity, entry) in events {
        index.insert(&Entry { stream: StreamKey { entity, ..entry.stream }, ..*entry }, []);
    }
    index
}

fn encode(index: &ActiveIndex) -> Vec<u8> {
    index.encode(&FooterTrailer {
        store: StoreId([1; 16]),
        segment: SegmentId(1),
        generation: Generation(0),
        chain: Chain(1),
        frames_end: 1 << 26,
        first_sequence: Sequence(1),
        row_count: EVENT_COUNT,
        digest: Digest([1; 32]),
    })
}

fn look_up(criterion: &mut Criterion, sealed: &SealedIndex) {
    let mut group = criterion.benchmark_group("footer_look_up");
    let mut number = 0_u64;
    let mut next = move || {
        number += 1;
        mixed(number) % u64::from(EVENT_COUNT)
    };
    group.bench_function("an id that is there", |bencher| {
        bencher.iter_batched(
            &mut next,
            |at| black_box(sealed.find_id(id(at)).is_ok()),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("an id that is not there", |bencher| {
        let other = || id(next() + (1 << 30));
        bencher.iter_batched(other, |id| black_box(sealed.find_id(id).is_ok()), BatchSize::SmallInput);
    });
    group.bench_function("a stream", |bencher| {
        bencher.iter_batched_ref(
            || entity(next()),
            |entity| {
                let key = StreamKey { scope: "tenant:01", entity, lane: Lane(0) };
                black_box(sealed.find_stream(key).is_ok_and(|found| found.is_some()))
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("a kind", |bencher| {
        let look = |at| black_box(sealed.rows_of(&Term::Kind(kind(at))).is_ok_and(|rows| !rows.is_empty()));
        bencher.iter_batched(&mut next, look, BatchSize::SmallInput);
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let events = events();
    let active = index(&events);
    let footer = encode(&active);
    let sealed = SealedIndex::new(Arc::new(footer)).expect("it was just encoded");
    sealed.check_all().expect("it was just encoded");
    look_up(&mut criterion, &sealed);
    let mut group = criterion.benchmark_group("footer");
    group.throughput(Throughput::Elements(EVENT_COUNT.into())).sample_size(10);
    group.bench_function("fill an index", |bencher| bencher.iter(|| index(&events)));
    group.bench_function("encode it", |bencher| bencher.iter(|| encode(&active)));
    let store = StoreId([1; 16]);
    group.bench_function("hash its keys", |bencher| {
        bencher.iter(|| sealed.key_hashes(store).map(|keys| keys.len()))
    });
    group.finish();
    criterion.final_summary();
}
