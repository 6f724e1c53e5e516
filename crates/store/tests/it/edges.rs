//! The edges of what can be counted, and bytes that would like to take more than they are.

use annals::{
    Coordinate, Error, Kind, NewEvent, Options, Query, Revision, Sequence, disk::MemoryDirectory,
    typed::DecodeError,
};
use annals_wire::{
    CheckpointHead, Generation, MANIFEST_SLOT_LEN, Manifest, Recorded, Salt, SegmentHeader, SegmentId,
    StoreId,
};

use crate::{
    history::{Draft, Image, append, directory, image as image_of, options},
    small_store::{open, small},
};

/// A store of one empty segment: the `id`th, whose first event will have the sequence `first`.
fn store_at(id: u64, first: u64, recorded: u64) -> Image {
    let manifest = |counter| Manifest {
        counter,
        store: StoreId([7; 16]),
        oldest: SegmentId(id),
        newest: SegmentId(id),
        clean: None,
        replaced: Vec::new(),
    };
    let header = SegmentHeader {
        store: StoreId([7; 16]),
        id: SegmentId(id),
        generation: Generation(0),
        salt: Salt(3),
        first_sequence: Sequence(first),
        recorded: Recorded(recorded),
        previous: None,
    };
    let slots = [manifest(0).encode(), manifest(1).encode()].concat();
    assert_eq!(slots.len(), 2 * MANIFEST_SLOT_LEN);
    let files = [("MANIFEST".to_owned(), slots), (format!("{id:06}.seg"), header.encode().to_vec())];
    files.into_iter().collect()
}

fn event(store: &annals::Store, count: usize) -> Result<u64, Error> {
    let drafts = vec![Draft::plain(0, 2500); count];
    append(store, &drafts, None, annals::Durability::Durable)
        .map(|receipts| receipts.last().unwrap().sequence.0)
}

fn is_exhausted(error: &Error) -> bool {
    let (Error::Environment { source } | Error::Stopped { source, .. }) = error else { return false };
    source.to_string().contains("cannot grow any further")
}

/// Appends until there is no number left; what was appended is there, then and when it is opened again.
fn exhaust(image: &Image, batch: usize, sequences: &[u64], context: &str) {
    let directory = directory(image);
    let store = options(1).open_on(directory.clone()).unwrap();
    let mut given = Vec::new();
    let error = loop {
        match event(&store, batch) {
            Ok(last) => given.push(last),
            Err(error) => break error,
        }
    };
    assert!(is_exhausted(&error), "{context}: {error:?}");
    assert_eq!(given, sequences, "{context}");
    let before = image_of(&directory);
    assert!(is_exhausted(&event(&store, batch).unwrap_err()), "{context}: again");
    assert!(image_of(&directory) == before, "{context}: something was written all the same");
    let expected: Vec<_> = store.all().map(|event| event.unwrap().hash()).collect();
    drop(store);
    for life in 2..5 {
        let store = options(life).open_on(directory.clone());
        let store = store.unwrap_or_else(|error| panic!("{context}, life {life}: {error}"));
        let hashes: Vec<_> = store.all().map(|event| event.unwrap().hash()).collect();
        assert_eq!(hashes, expected, "{context}, life {life}");
        assert_eq!(store.stream(&Coordinate::new("order:1", "shop/eu").unwrap()).count(), expected.len());
        if life > 2 {
            store.close().unwrap();
        }
    }
}

#[test]
fn a_sequence_has_no_successor_at_the_end_and_says_so_before_anything_is_written() {
    for left in 1..4 {
        let first = u64::MAX - left;
        let sequences: Vec<_> = (first..u64::MAX).collect();
        exhaust(&store_at(1, first, 0), 1, &sequences, &format!("{left} sequences left"));
        let pairs: Vec<_> = sequences.iter().copied().skip(1).step_by(2).collect();
        exhaust(&store_at(1, first, 0), 2, &pairs, &format!("{left} sequences left, in batches of two"));
    }
    exhaust(&store_at(1, u64::MAX, 0), 1, &[], "no sequence left");
}

#[test]
fn the_clock_has_no_successor_at_the_end_and_says_so_before_anything_is_written() {
    exhaust(&store_at(1, 1, u64::MAX - 2), 1, &[1, 2], "two readings of the clock left");
    exhaust(&store_at(1, 1, u64::MAX), 2, &[], "none left");
}

/// Every event here takes a segment, and so does an unclean stop: who reads goes on, who writes is refused.
#[test]
fn a_segments_id_has_no_successor_at_the_end_and_says_so_before_anything_is_written() {
    for left in 1..5 {
        let image = store_at(u64::MAX - left, 1, 0);
        let sequences: Vec<_> = (1..=left + 1).collect();
        let directory = directory(&image);
        let store = options(1).open_on(directory.clone()).unwrap();
        let given: Vec<_> = std::iter::from_fn(|| event(&store, 1).ok()).collect();
        assert_eq!(given, sequences, "{left} ids left");
        let error = event(&store, 1).unwrap_err();
        assert!(is_exhausted(&error), "{error:?}");
        assert_eq!(store.all().map(Result::unwrap).count() as u64, left + 1);
        drop(store.close());
        for is_read_only in [true, false] {
            let (_, store) = open(&image_of(&directory), is_read_only);
            match store {
                Ok(store) => assert_eq!(store.all().map(Result::unwrap).count() as u64, left + 1),
                Err(error) => assert!(!is_read_only && is_exhausted(&error), "{error:?}"),
            }
        }
    }
}

/// Places that are not there yet have nothing, wherever they are: nothing moves on to them.
#[test]
fn a_place_in_the_future_is_empty() {
    let store = Options::new().create(true).open_on(MemoryDirectory::new()).unwrap();
    let at = Coordinate::new("entity", "scope").unwrap();
    store.append(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"x")).unwrap();
    for far in [2, 3, u64::MAX - 1, u64::MAX] {
        assert_eq!(store.all().after(Sequence(far)).count(), 0);
        assert_eq!(store.query(Query::all()).until(Sequence(far)).backwards().count(), 1);
        assert_eq!(store.stream(&at).from(Revision(far)).count(), 0);
        assert_eq!(store.stream(&at).backwards().from(Revision(far)).count(), 1);
        let expected = annals::Expected::Exactly(Revision(far));
        let event = NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"x").expected(expected);
        assert!(matches!(store.append(&event), Err(Error::Conflict { .. })), "{far}");
    }
    assert_eq!(store.last_sequence(), Sequence(1));
}

/// Arrays in arrays, each of one element: a payload that would need a stack of its own to be decoded.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = vec![0x91; depth];
    bytes.push(0x90);
    bytes
}

#[derive(Debug, annals::Event, serde::Serialize, serde::Deserialize)]
#[event(name = "nested")]
struct Nested(Vec<Self>);

/// A payload is bytes, whatever it would decode to; decoding it is asked for, and ends in an error.
#[test]
fn a_payload_is_not_decoded_unasked() {
    let store = Options::new().create(true).open_on(MemoryDirectory::new()).unwrap();
    let at = Coordinate::new("entity", "scope").unwrap();
    let bombs = [nested(1_000_000), vec![0xdd, 0xff, 0xff, 0xff, 0xff], vec![0xc6, 0xff, 0xff, 0xff, 0xff]];
    for bomb in bombs {
        let receipt = store.append(&NewEvent::new(&at, store.kind("nested").unwrap(), &bomb)).unwrap();
        let event = store.get(receipt.id).unwrap().unwrap();
        assert_eq!(event.payload(), Some(&bomb[..]));
        let decoded = event.decode::<Nested>();
        let is_told = matches!(decoded, Err(Error::Decode { source: DecodeError::Payload { .. }, .. }));
        assert!(is_told, "{decoded:?}");
    }
    assert_eq!(store.all().map(Result::unwrap).count(), 3);
    store.close().unwrap();
}

/// The one thing of the store's own that is MessagePack has a form of its own, in which nothing is nested.
#[test]
fn a_checkpoint_whose_head_is_a_bomb_is_rejected() {
    let (image, right) = small(true);
    let whole = &image["CHECKPOINT"];
    let head_len = u32::from_le_bytes(whole[12..16].try_into().unwrap()) as usize;
    assert!(CheckpointHead::decode(whole).is_ok());
    let lists = [vec![0xdd, 0xff, 0xff, 0xff, 0xff], vec![0xdf, 0xff, 0xff, 0xff, 0xff], vec![0xc1]];
    for bomb in [nested(100_000), vec![0x81; 100_000]].into_iter().chain(lists) {
        let mut bytes = whole[..32].to_vec();
        bytes.extend_from_slice(&bomb);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend_from_slice(&whole[(32 + head_len).next_multiple_of(8)..]);
        bytes[12..16].copy_from_slice(&u32::try_from(bomb.len()).unwrap().to_le_bytes());
        let crc = annals_wire::crc(&bomb);
        bytes[24..28].copy_from_slice(&crc.to_le_bytes());
        let crc = annals_wire::crc(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        let mut image = image.clone();
        image.insert("CHECKPOINT".to_owned(), bytes);
        for is_read_only in [true, false] {
            let (_, store) = open(&image, is_read_only);
            let store = store.unwrap();
            right.check(&store, "beside a bomb");
            let rejected = &store.report().rejected;
            assert!(matches!(&rejected[..], [one] if one.file == "CHECKPOINT"), "{rejected:?}");
        }
    }
}
