//! What is staged, flushed, rotated and closed is what is read again, and how the files grow.

use std::sync::Arc;

use annals_segment::{Access, Directory, Inventory, Layout, MemoryDirectory, SimulatedDirectory};

use crate::user::{Sent, open, open_with, options, replay, work};

#[test]
fn what_was_staged_is_replayed_from_any_directory() {
    let outer = tempfile::tempdir().unwrap();
    let disk = annals_segment::DiskDirectory::open(outer.path()).unwrap();
    let directories: [Arc<dyn Directory>; 3] =
        [Arc::new(MemoryDirectory::new()), Arc::new(SimulatedDirectory::new()), Arc::new(disk)];
    for directory in directories {
        let mut sent = Sent::default();
        work(&directory, &mut sent).unwrap();
        let opened = open(&directory).unwrap();
        assert_eq!(opened.bodies, sent.bodies, "{directory:?}");
        assert_eq!(opened.report, annals_segment::LogReport::default(), "{directory:?}");
    }
}

#[test]
fn a_log_that_was_closed_is_opened_without_a_write() {
    let disk = SimulatedDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    work(&directory, &mut Sent::default()).unwrap();
    let manifest_and_segments = |disk: &SimulatedDirectory| {
        let names = disk.names().into_iter().filter(|name| name != "LOCK");
        names.map(|name| (disk.file(&name), name)).collect::<Vec<_>>()
    };
    let before = manifest_and_segments(&disk);
    let opened = open(&directory).unwrap();
    opened.log.close(annals_segment::Note::default()).unwrap();
    assert!(before == manifest_and_segments(&disk), "the log was written");
    assert_eq!(disk.crash_subset(|_| false).names().len(), before.len() + 1, "and what it found was durable");
}

#[test]
fn what_is_only_staged_is_lost_and_what_is_written_stays_with_the_system() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (mut log, mut sent) = (open(&directory).unwrap().log, Sent::default());
    sent.stage(&mut log, 2, 10).unwrap();
    sent.flush(&mut log, false).unwrap();
    assert_eq!((log.synced(), log.written()), (512, log.end()));
    sent.stage(&mut log, 2, 10).unwrap();
    assert!(log.staged_len() > 0 && log.written() < log.end());
    log.abandon().unwrap();
    let opened = open(&directory).unwrap();
    assert_eq!(opened.bodies, sent.bodies[..2]);
    assert!(opened.report.was_unclean && opened.report.rewritten.is_some(), "{:?}", opened.report);
    assert_eq!(opened.log.active().header().id.0, 2, "what a crash cut is not written on");
}

#[test]
fn torn_bytes_are_set_aside_and_cut() {
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    let (mut log, mut sent) = (open(&directory).unwrap().log, Sent::default());
    sent.stage(&mut log, 2, 100).unwrap();
    sent.flush(&mut log, true).unwrap();
    let end = usize::try_from(log.end()).unwrap();
    sent.stage(&mut log, 2, 100).unwrap();
    sent.flush(&mut log, false).unwrap();
    drop(log);
    let mut bytes = memory.file("000001.seg").unwrap();
    bytes[end + 250] ^= 1;
    let torn_end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    memory.write_file("000001.seg", bytes.clone());
    let opened = open(&directory).unwrap();
    assert_eq!(opened.bodies, sent.bodies[..2]);
    let sidecar = format!("000001.seg.torn-{end}");
    let (name, torn) = opened.report.torn.clone().unwrap();
    assert_eq!((name.as_str(), torn.offset, torn.frame_count), ("000001.seg", end as u64, 2));
    assert_eq!(memory.file(&sidecar).unwrap(), bytes[end..torn_end]);
    assert_eq!(memory.file("000001.seg").unwrap(), bytes[..end]);
    assert_eq!(opened.report.sidecar, Some(sidecar));
}

#[test]
fn a_segment_grows_in_steps_and_is_trimmed_at_rotation_and_close() {
    const STEP: usize = 64 << 10;
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    let options = annals_segment::LogOptions { segment_bytes: 1 << 30, ..options() };
    let (mut log, mut sent) = (open_with(&directory, options.clone()).unwrap().log, Sent::default());
    let len = |name| memory.file(name).unwrap().len();
    let mut lens = vec![len("000001.seg")];
    for _ in 0..600 {
        sent.stage(&mut log, 1, 1000).unwrap();
        sent.flush(&mut log, true).unwrap();
        let len = len("000001.seg");
        assert!(len % STEP == 0 && len as u64 >= log.end(), "{len}");
        lens.push(len);
    }
    lens.dedup();
    assert!(lens.is_sorted() && (3..10).contains(&lens.len()), "the more the longer: {lens:?}");
    assert!(lens.windows(2).all(|pair| pair[1] - pair[0] <= (1 << 20) + STEP), "{lens:?}");
    let sealed = sent.rotate(&mut log).unwrap();
    assert_eq!(len("000001.seg") as u64, sealed.end);
    sent.stage(&mut log, 1, 1000).unwrap();
    let end = log.end();
    sent.close(log).unwrap();
    assert_eq!(len("000002.seg") as u64, end);
    let unprepared = annals_segment::LogOptions { prepare: false, ..options };
    let mut log = open_with(&directory, unprepared).unwrap().log;
    sent.stage(&mut log, 1, 1000).unwrap();
    sent.flush(&mut log, true).unwrap();
    assert_eq!(len("000002.seg") as u64, log.end());
}

#[test]
fn a_batch_larger_than_a_segment_gets_its_own() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (mut log, mut sent) = (open(&directory).unwrap().log, Sent::default());
    assert!(!log.needs_rotation(1 << 20).unwrap(), "an empty segment holds whatever comes");
    assert!(matches!(log.needs_rotation(u64::from(u32::MAX)), Err(annals_segment::Error::TooLarge { .. })));
    sent.stage(&mut log, 1, 100).unwrap();
    assert!(sent.stage(&mut log, 3, 5000).unwrap().is_some());
    assert!(sent.stage(&mut log, 1, 100).unwrap().is_some());
    assert!(sent.stage(&mut log, 1, 100).unwrap().is_none());
    sent.close(log).unwrap();
    let layout = Layout::decide(&Inventory::take(&*directory).unwrap(), directory.path(), None).unwrap();
    let firsts: Vec<_> = layout.sealed.iter().map(|place| place.first_sequence.0).collect();
    assert_eq!((firsts, layout.newest.as_ref().unwrap().header.first_sequence.0), (vec![1, 2], 5));
    assert!(layout.sealed[1].end > 15_000);
    assert_eq!(replay(&directory, &layout).unwrap().0, sent.bodies);
}

#[test]
fn a_frame_is_read_where_it_was_staged_before_and_after_sealing() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let (mut log, mut sent) = (open(&directory).unwrap().log, Sent::default());
    let mut places = Vec::new();
    for len in [0, 1, 900, 2000] {
        places.push((log.end(), len));
        assert!(sent.stage(&mut log, 1, len).unwrap().is_none());
    }
    sent.flush(&mut log, false).unwrap();
    let active = Arc::clone(log.active());
    let sealed = sent.rotate(&mut log).unwrap();
    for maps in [false, true] {
        let sealed = annals_segment::SealedSegment::new(Arc::clone(&directory), sealed, maps);
        for ((offset, len), body) in places.iter().zip(&sent.bodies) {
            let frame = sealed.frame(*offset).unwrap();
            assert_eq!((frame.offset(), frame.frame().body), (*offset, body.as_slice()), "{len} bytes");
            assert_eq!(active.frame(*offset).unwrap().as_bytes(), frame.as_bytes(), "{len} bytes");
            for other in [offset + 8, offset - 8] {
                assert!(sealed.frame(other).is_err_and(|error| error.is_damage()), "{len} bytes");
            }
        }
        assert!(sealed.frame(sealed.place().end).is_err_and(|error| error.is_damage()));
        assert!(sealed.frame(1 << 40).is_err_and(|error| error.is_damage()));
    }
    let bytes = directory.open("000001.seg", Access::Read).unwrap().read_all(1 << 20).unwrap();
    assert_eq!(bytes.len() as u64, sealed.end);
}
