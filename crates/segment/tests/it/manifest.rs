//! A manifest's slot that is torn anywhere, while it is written or ever after, costs nothing.

use std::{collections::HashSet, sync::Arc};

use annals_segment::{Directory, Error, MANIFEST, MemoryDirectory};
use annals_wire::MANIFEST_SLOT_LEN;

use crate::user::{Sent, open};

/// All files but the lock.
fn files(memory: &MemoryDirectory) -> Vec<(String, Vec<u8>)> {
    let names = memory.names().into_iter().filter(|name| name != "LOCK");
    names.map(|name| (name.clone(), memory.file(&name).unwrap())).collect()
}

/// Opens `files` with `manifest`, and expects all that was sent.
fn expect_all(files: &[(String, Vec<u8>)], manifest: Vec<u8>, sent: &Sent, row: &str) {
    let memory = MemoryDirectory::from_files(files.iter().cloned());
    memory.write_file(MANIFEST, manifest);
    let directory: Arc<dyn Directory> = Arc::new(memory);
    let opened = open(&directory).unwrap_or_else(|error| panic!("{row}: {error}"));
    assert_eq!(opened.bodies, sent.bodies, "{row}");
    let mut after = Sent { bodies: opened.bodies, ..Sent::default() };
    let mut log = opened.log;
    after.stage(&mut log, 1, 10).unwrap();
    after.close(log).unwrap();
    let again = open(&directory).unwrap_or_else(|error| panic!("{row}, again: {error}"));
    assert_eq!(again.bodies, after.bodies, "{row}, again");
    assert_eq!(again.oddities, Vec::<String>::new(), "{row}, again");
}

/// Tears the slot that made `after` of `before` at every length, in the moment of its writing and, where more was
/// sent since, `later`.
fn tear(
    before: &[u8],
    memory: &MemoryDirectory,
    moment: &[(String, Vec<u8>)],
    now: &Sent,
    later: &Sent,
    row: &str,
) {
    let after = &moment.iter().find(|(name, _)| name == MANIFEST).unwrap().1;
    let slot = usize::from(before[..MANIFEST_SLOT_LEN] == after[..MANIFEST_SLOT_LEN]) * MANIFEST_SLOT_LEN;
    let mut seen = HashSet::new();
    for len in 0..=MANIFEST_SLOT_LEN {
        let mut torn = before.to_vec();
        torn[slot..slot + len].copy_from_slice(&after[slot..slot + len]);
        if seen.insert(torn.clone()) {
            expect_all(moment, torn.clone(), now, &format!("{row}, torn at {len}"));
        }
    }
    let later_files = files(memory);
    let manifest = memory.file(MANIFEST).unwrap();
    for slot in [0, MANIFEST_SLOT_LEN] {
        for byte in [0, 12, 24, 60, 140, MANIFEST_SLOT_LEN - 1] {
            let mut damaged = manifest.clone();
            damaged[slot + byte] ^= 0x40;
            expect_all(
                &later_files,
                damaged,
                later,
                &format!("{row}, later, byte {byte} of the slot at {slot}"),
            );
        }
    }
}

#[test]
fn a_torn_or_damaged_slot_costs_nothing() {
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    let (mut log, mut sent) = (open(&directory).unwrap().log, Sent::default());
    let manifest = || memory.file(MANIFEST).unwrap();
    let mut created = manifest();
    let (one, other) = created.split_at_mut(MANIFEST_SLOT_LEN);
    let mut before = annals_wire::Manifest::decode(other).unwrap();
    before.counter -= 1;
    one.copy_from_slice(&before.encode());
    let (moment, now) = (files(&memory), sent.clone());
    sent.stage(&mut log, 2, 100).unwrap();
    sent.flush(&mut log, true).unwrap();
    tear(&created, &memory, &moment, &now, &sent, "naming the first segment");

    let before = manifest();
    sent.rotate(&mut log).unwrap();
    let (moment, now) = (files(&memory), sent.clone());
    sent.stage(&mut log, 2, 100).unwrap();
    sent.flush(&mut log, true).unwrap();
    tear(&before, &memory, &moment, &now, &sent, "naming the next segment");

    let before = manifest();
    sent.close(log).unwrap();
    tear(&before, &memory, &files(&memory), &sent, &sent, "closing");

    let mut log = open(&directory).unwrap().log;
    let before = manifest();
    let now = sent.clone();
    sent.stage(&mut log, 2, 100).unwrap();
    let moment = files(&memory);
    sent.flush(&mut log, true).unwrap();
    tear(&before, &memory, &moment, &now, &sent, "clearing the close");
}

#[test]
fn a_log_without_a_whole_slot_is_refused_and_left_as_it_is() {
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    let (mut log, mut sent) = (open(&directory).unwrap().log, Sent::default());
    sent.stage(&mut log, 2, 100).unwrap();
    sent.close(log).unwrap();
    let manifest = memory.file(MANIFEST).unwrap();
    let swapped = [&manifest[MANIFEST_SLOT_LEN..], &manifest[..MANIFEST_SLOT_LEN]].concat();
    for (row, bytes) in
        [("empty", Vec::new()), ("zeros", vec![0; 2 * MANIFEST_SLOT_LEN]), ("swapped", swapped)]
    {
        memory.write_file(MANIFEST, bytes);
        let before = files(&memory);
        assert!(matches!(open(&directory), Err(Error::ManifestLost { .. })), "{row}");
        assert!(before == files(&memory), "{row}");
    }
    memory.remove(MANIFEST).unwrap();
    assert!(matches!(open(&directory), Err(Error::ManifestLost { .. })), "missing");
    let newer = |slot: usize| {
        let mut bytes = manifest.clone();
        bytes[slot + 8] = 2;
        let crc = annals_wire::crc(&bytes[slot..slot + MANIFEST_SLOT_LEN - 4]);
        bytes[slot + MANIFEST_SLOT_LEN - 4..slot + MANIFEST_SLOT_LEN].copy_from_slice(&crc.to_le_bytes());
        bytes
    };
    for slot in [0, MANIFEST_SLOT_LEN] {
        memory.write_file(MANIFEST, newer(slot));
        assert!(matches!(open(&directory), Err(Error::Newer { .. })), "the slot at {slot} is newer");
    }
}
