//! Walking all frames of a sealed segment of 64 MiB, from the page cache: what an index is built from where there
//! is no footer. Beside it its yardstick, reading and checksumming the same file.

#![expect(clippy::indexing_slicing, reason = "a benchmark may panic")]

use std::{hint::black_box, path::Path, sync::Arc, time::Duration};

use annals_segment::{
    Access, Directory, DiskDirectory, Entropy, Entry, Log, LogOptions, Note, SealedPlace, SealedSegment,
    SeededEntropy, SpaceLimits, WriterLock, segment_name,
};
use annals_wire::{Batch, EVENT_STAMP_LEN, FrameType, crc};
use criterion::{Criterion, SamplingMode, Throughput};
use tempfile::TempDir;

const SEGMENT_BYTES: u64 = 64 << 20;
const TYPES: &[FrameType] = &[FrameType::EVENT];
const WINDOW_LEN: usize = 1 << 20;

/// As much as an event of a store takes with a payload of 256 bytes and short names.
const BODY_LEN: usize = 320;

/// Fills one segment and seals it.
fn sealed(path: &Path) -> (Arc<dyn Directory>, SealedPlace) {
    let directory: Arc<dyn Directory> = Arc::new(DiskDirectory::open(path).expect("it was just made"));
    let space = SpaceLimits { budget: None, headroom: 0 };
    let options = LogOptions {
        segment_bytes: SEGMENT_BYTES,
        prepare: false,
        frame_types: TYPES,
        lock_timeout: Duration::ZERO,
        space,
    };
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
    let lock = WriterLock::acquire(&*directory, Duration::ZERO, 1).expect("nobody else has it");
    let created = Log::create(Arc::clone(&directory), lock, options, Arc::clone(&entropy), Note::default());
    let mut log = created.expect("there is space");
    let mut body = [0; BODY_LEN];
    while log.end() < SEGMENT_BYTES {
        entropy.fill(&mut body);
        let stamp = [7; EVENT_STAMP_LEN];
        let entry = Entry {
            frame_type: FrameType::EVENT,
            is_numbered: true,
            stamp: &stamp,
            body: &body,
            body_crc: crc(&body),
        };
        log.stage(&entry, Batch::SINGLE).expect("it is small");
        if log.staged_len() > WINDOW_LEN {
            log.flush(false).expect("there is space");
        }
    }
    log.flush(true).expect("there is space");
    let place = log.rotate(Note::default()).expect("there is space");
    (directory, place)
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args().without_plots();
    let made = TempDir::new().expect("there is space");
    let (directory, place) = sealed(made.path());
    let mut group = criterion.benchmark_group("frame_scan");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(place.end));
    group.bench_function("scan", |bencher| {
        bencher.iter(|| {
            let segment = SealedSegment::new(Arc::clone(&directory), place, false);
            let mut count = 0_u64;
            let visit = &mut |_, frame: &annals_wire::Frame<'_>| {
                black_box(frame);
                count += 1;
                Ok(())
            };
            segment.scan(TYPES, visit).expect("it is whole");
            count
        });
    });
    group.bench_function("read and checksum", |bencher| {
        let file = directory.open(&segment_name(place.id, place.generation), Access::Read);
        let file = file.expect("it was just written");
        let mut window = vec![0; WINDOW_LEN];
        bencher.iter(|| {
            let (mut offset, mut sum) = (0, 0);
            while offset < place.end {
                let read = file.read_full_at(&mut window, offset).expect("it can be read");
                sum ^= crc(&window[..read]);
                offset += read as u64;
            }
            sum
        });
    });
    group.finish();
    criterion.final_summary();
}
