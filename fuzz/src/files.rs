//! The small files, and the names of all.

use annals_segment::{Directory, Inventory, MemoryDirectory, live_epoch, read_frontier, segment_name};
use annals_wire::{
    FRONTIER_LEN, Frontier, Generation, Publication, SEGMENT_HEADER_LEN, SNAPSHOT_HEADER_LEN,
    STATE_HEADER_LEN, SegmentHeader, SnapshotHeader, StateHeader,
};

use super::resealed;

/// The input as a segment's header, as FRONTIER, as a published state and the mark that it leaves, as a snapshot,
/// as LOCK and as a file's name.
///
/// Must hold: no panic; a structure that is accepted encodes to the bytes that it was decoded from, its
/// checksum as it is or set right; a file has one role, and is a segment only under the one name that it can
/// have; the epoch that a lock names is read back.
pub fn small_files(input: &[u8]) {
    for is_resealed in [false, true] {
        let with_len = |len: usize| {
            let mut bytes = input.to_vec();
            if let Some(structure) = bytes.get_mut(..len).filter(|_| is_resealed) {
                resealed::reseal_end(structure);
            }
            bytes
        };
        read_header(&with_len(SEGMENT_HEADER_LEN));
        read_frontier_file(&with_len(FRONTIER_LEN));
        read_state(&with_len(STATE_HEADER_LEN));
        read_snapshot(&with_len(SNAPSHOT_HEADER_LEN));
    }
    if let Ok(publication) = Publication::decode(input) {
        assert_eq!(publication.encode(), input);
    }
    read_lock(input);
    if let Ok(name) = std::str::from_utf8(input) {
        read_name(name);
    }
}

fn read_header(bytes: &[u8]) {
    if let Ok(header) = SegmentHeader::decode(bytes) {
        assert_eq!(header.encode(), bytes[..SEGMENT_HEADER_LEN]);
    }
}

fn read_state(bytes: &[u8]) {
    let Ok(header) = StateHeader::decode(bytes) else { return };
    assert_eq!(header.encode(), bytes[..STATE_HEADER_LEN]);
    if let Ok((again, state)) = StateHeader::decode_file(bytes) {
        assert_eq!((again, state), (header, &bytes[STATE_HEADER_LEN..]));
        assert_eq!(StateHeader::new(header.store, header.position, state), header);
    }
}

fn read_snapshot(bytes: &[u8]) {
    let Ok(header) = SnapshotHeader::decode(bytes) else { return };
    assert_eq!(header.encode(), bytes[..SNAPSHOT_HEADER_LEN]);
    if let Ok((again, state)) = SnapshotHeader::decode_file(bytes) {
        assert_eq!((again, state), (header, &bytes[SNAPSHOT_HEADER_LEN..]));
    }
}

/// Only the writer that a frontier names may be believed.
fn read_frontier_file(bytes: &[u8]) {
    let decoded = Frontier::decode(bytes).ok();
    if let Some(frontier) = decoded {
        assert_eq!(frontier.encode(), bytes[..FRONTIER_LEN]);
    }
    let directory = MemoryDirectory::from_files([("FRONTIER".to_owned(), bytes.to_vec())]);
    for epoch in [0, decoded.map_or(1, |frontier| frontier.epoch)] {
        let found = read_frontier(&directory, epoch);
        let expected = decoded.filter(|frontier| frontier.epoch == epoch);
        assert!(found.as_ref().map_or(decoded.is_none(), |found| *found == expected), "{found:?}");
    }
}

fn read_lock(text: &[u8]) {
    let directory = MemoryDirectory::from_files([("LOCK".to_owned(), text.to_vec())]);
    let lock = directory.lock("LOCK").expect("memory can be locked");
    assert!(lock.is_some() && live_epoch(&directory).is_ok_and(|epoch| epoch.is_some()));
    if let Some(number) = text.first_chunk() {
        let epoch = u64::from_le_bytes(*number);
        directory.write_file("LOCK", format!("pid 1\nepoch {epoch:016x}\n").into_bytes());
        assert_eq!(live_epoch(&directory).ok(), Some(Some(epoch)));
    }
}

fn read_name(name: &str) {
    let directory = MemoryDirectory::from_files([(name.to_owned(), Vec::new())]);
    let Ok(inventory) = Inventory::take(&directory) else {
        let looks_like_one = name.to_ascii_lowercase().contains(".seg") || name == "MANIFEST";
        assert!(looks_like_one, "{name:?} is refused");
        return;
    };
    let is_segment = inventory.segments.iter().any(|(id, file)| segment_name(*id, file.generation) == name);
    assert_eq!(inventory.segments.len(), usize::from(is_segment), "{name:?}");
    let is_other = inventory.temporary.len() + inventory.torn.len();
    let foreign = usize::try_from(inventory.foreign_count).expect("there is one file");
    assert!(inventory.segments.len() + is_other + foreign <= 1, "{name:?}");
    if let Some((number, generation)) = plain_name(name) {
        let is_there =
            inventory.segments.iter().any(|(id, file)| (id.0, file.generation) == (number, generation));
        assert!(is_there, "{name:?}");
    }
}

/// What docs/format.md says of a name that is six digits, and a generation of one: read here once more.
fn plain_name(name: &str) -> Option<(u64, Generation)> {
    let stem = name.strip_suffix(".seg")?;
    let (id, generation) = stem.split_once('-').map_or((stem, None), |(id, rest)| (id, Some(rest)));
    let is_plain = id.len() == 6 && id.bytes().all(|digit| digit.is_ascii_digit()) && id != "000000";
    let generation = match generation.map(str::as_bytes) {
        None => 0,
        Some([digit @ b'1'..=b'9']) => u32::from(digit - b'0'),
        Some(_) => return None,
    };
    Some((id.parse().ok().filter(|_| is_plain)?, Generation(generation)))
}
