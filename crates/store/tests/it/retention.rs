//! What a store must bear that lost its beginning, payloads and whole segments by intent. Nothing in the store does
//! that yet; the test does it to a closed store's files, with the layer crates, as docs/format.md ("Manifest") says.

use std::sync::Arc;

use annals::{
    Digest, Durability, EventId, Options, Query, QueryItem, Sequence, Store,
    disk::{MemoryDirectory, verify_on},
};
use annals_checkpoint::{encode_index, index_segment};
use annals_segment::{Directory, SealedPlace, SealedSegment};
use annals_wire::{
    Batch, Chain, Control, ControlStamp, Event, Frame, FrameType, Generation, KindName, MANIFEST_SLOT_LEN,
    Manifest, NewFrame, Replaced, SEGMENT_HEADER_LEN, Salt, SegmentHeader, SegmentId, crc,
};

use crate::history::{Draft, Facts, History, Image, Step, append, directory, id, image, options, segments};

/// The oldest segment that is left, and the one that is replaced.
const OLDEST: u64 = 3;
const REPLACED: u64 = 4;

/// A closed store of many segments: names, tags, lanes and links between them, names again at the end.
fn history() -> History {
    let mut history = History::new();
    history.apply(&Step::Name);
    for number in 0..120 {
        let mut draft = Draft::rich(number, 150);
        draft.lane = u32::from(number % 7 == 3);
        history.apply(&Step::Batch(vec![draft], true, Durability::Durable));
        if number % 30 == 0 {
            history.apply(&Step::Checkpoint);
        }
    }
    history.apply(&Step::Name);
    history.leave();
    record_again(&history);
    history.open();
    history.close();
    history
}

/// Binds the first name once more, behind the last record of the log, as whoever removes its segment has to before.
fn record_again(history: &History) {
    let directory = &history.directory;
    let newest = segments(&image(directory)).pop().unwrap();
    let mut bytes = directory.file(&newest).unwrap();
    let header = SegmentHeader::decode(&bytes).unwrap();
    let (mut end, mut last) = (SEGMENT_HEADER_LEN, None);
    while let Ok(frame) = Frame::decode(&bytes[end..], header.seed(), end as u64) {
        end += usize::try_from(frame.header.frame_len()).unwrap();
        last = Control::decode(&frame).ok();
    }
    let (last, _) = last.expect("the log ends with a name");
    let (kind, name) = history.names.iter().find(|(_, name)| *name == "name 0").unwrap();
    let control = Control::KindName(KindName::new(*kind, name).unwrap());
    let mut body = Vec::new();
    control.encode(&mut body);
    let stamp = ControlStamp::new(&control, last.recorded, Batch::SINGLE, last.hash, &body);
    let frame = NewFrame {
        frame_type: FrameType::CONTROL,
        skippable: false,
        sequence: Sequence(0),
        batch: Batch::SINGLE,
        synced_len: 0,
        stamp: &stamp.encode(),
        body: &body,
        body_crc: crc(&body),
    };
    bytes.truncate(end);
    frame.encode(header.seed(), end as u64, &mut bytes);
    directory.write_file(&newest, bytes);
}

fn name(id: u64, generation: u32) -> String {
    if generation == 0 { format!("{id:06}.seg") } else { format!("{id:06}-{generation}.seg") }
}

/// `frame` without its payload: the digest in its place.
fn erase(frame: &Frame<'_>) -> (Vec<u8>, Vec<u8>) {
    let event = Event::decode(frame).unwrap();
    let mut stamp = frame.stamp.to_vec();
    stamp[18] |= 1 << 7;
    (stamp, [event.head(), &event.payload.digest().0].concat())
}

/// Writes the next generation of the segment `REPLACED`, in which `erased` has no payload.
fn replace(directory: &MemoryDirectory, erased: EventId, old_end: usize) -> Replaced {
    let bytes = directory.file(&name(REPLACED, 0)).unwrap();
    let old = SegmentHeader::decode(&bytes).unwrap();
    let header = SegmentHeader { generation: Generation(1), salt: Salt(0x5eed), ..old };
    let (mut made, mut chain, mut offset) = (header.encode().to_vec(), Chain::default(), SEGMENT_HEADER_LEN);
    while offset < old_end {
        let frame = Frame::decode(&bytes[offset..], old.seed(), offset as u64).unwrap();
        let is_erased =
            frame.header.frame_type == FrameType::EVENT && Event::decode(&frame).unwrap().id == erased;
        let (stamp, body) =
            if is_erased { erase(&frame) } else { (frame.stamp.to_vec(), frame.body.to_vec()) };
        let again = NewFrame {
            frame_type: frame.header.frame_type,
            skippable: false,
            sequence: frame.header.sequence,
            batch: frame.header.batch,
            synced_len: 0,
            stamp: &stamp,
            body: &body,
            body_crc: crc(&body),
        };
        let place = made.len() as u64;
        chain = chain.then(again.encode(header.seed(), place, &mut made));
        offset += usize::try_from(frame.header.frame_len()).unwrap();
    }
    let end = made.len() as u64;
    directory.write_file(&name(REPLACED, 1), made);
    let (id, generation) = (SegmentId(REPLACED), Generation(1));
    let (store, first_sequence) = (header.store, header.first_sequence);
    let place = SealedPlace { store, id, generation, first_sequence, end, chain };
    let segment = SealedSegment::new(Arc::new(directory.clone()) as Arc<dyn Directory>, place, false);
    let (index, _) = index_segment(&segment).unwrap();
    segment.write_footer(&encode_index(&index, &place, segment.digest().unwrap())).unwrap();
    Replaced { id, generation, chain, end }
}

/// Both slots as `change` has them.
pub(crate) fn change_manifest(directory: &MemoryDirectory, change: impl Fn(&mut Manifest)) {
    let mut bytes = directory.file("MANIFEST").unwrap();
    let slots = [0, 1].map(|slot| Manifest::decode(&bytes[slot * MANIFEST_SLOT_LEN..]));
    let mut manifest = slots.into_iter().flatten().max_by_key(|slot| slot.counter).unwrap();
    change(&mut manifest);
    for _ in 0..2 {
        manifest.counter += 1;
        let offset = usize::try_from(manifest.slot_offset()).unwrap();
        bytes[offset..offset + MANIFEST_SLOT_LEN].copy_from_slice(&manifest.encode());
    }
    directory.write_file("MANIFEST", bytes);
}

/// A store whose first segments are gone and in which `erased` has no payload; with the file that was replaced still
/// there.
fn reduced(history: &History, erased: &Facts) -> MemoryDirectory {
    let directory = directory(&image(&history.directory));
    let (_, end) = crate::history::frame_ends(&image(&directory))
        .into_iter()
        .find(|(found, _)| *found == name(REPLACED, 0))
        .unwrap();
    let replaced = replace(&directory, erased.id, end);
    change_manifest(&directory, |manifest| {
        manifest.oldest = SegmentId(OLDEST);
        manifest.replaced = vec![replaced];
    });
    (1..OLDEST).for_each(|id| directory.remove(&name(id, 0)).unwrap());
    directory
}

/// A reduced store, without the file that was replaced.
pub(crate) fn small() -> MemoryDirectory {
    let history = history();
    let within = first_sequence(&history.directory, REPLACED);
    let erased = history.events.iter().find(|event| event.sequence == Sequence(within.0 + 2)).unwrap();
    let directory = reduced(&history, erased);
    directory.remove(&name(REPLACED, 0)).unwrap();
    directory
}

fn first_sequence(directory: &MemoryDirectory, id: u64) -> Sequence {
    SegmentHeader::decode(&directory.file(&name(id, 0)).unwrap()).unwrap().first_sequence
}

/// Makes sure that `store` has `events`, in every order, and the payload of all but `erased`.
fn check(store: &Store, events: &[Facts], erased: EventId, context: &str) {
    let found: Vec<_> = store.all().map(Result::unwrap).collect();
    let hashes = |events: &[annals::Event]| events.iter().map(annals::Event::hash).collect::<Vec<Digest>>();
    let expected: Vec<Digest> = events.iter().map(|event| event.hash).collect();
    assert_eq!(hashes(&found), expected, "{context}");
    let backwards: Vec<_> = store.all().backwards().map(Result::unwrap).collect();
    assert!(hashes(&backwards).into_iter().rev().eq(expected), "{context}");
    for event in events {
        let found = store.get(event.id).unwrap().unwrap();
        let payload = Some(&event.payload[..]).filter(|_| event.id != erased);
        assert_eq!((found.hash(), found.payload()), (event.hash, payload), "{context}: {}", event.id);
        let coordinate = annals::Coordinate::new(&event.entity, &event.scope).unwrap();
        let is_of_stream = |other: &&Facts| {
            (&other.entity, &other.scope, other.lane) == (&event.entity, &event.scope, event.lane)
        };
        let of_stream = events.iter().filter(is_of_stream).map(|event| event.hash);
        let stream = store.lane(&coordinate, event.lane).map(|event| event.unwrap().hash());
        assert!(stream.eq(of_stream), "{context}: the stream of {}", event.id);
        assert!(store.verify_event(event.id).unwrap().is_sound(), "{context}: {}", event.id);
    }
    let verified = store.verify(&mut |_| {}).unwrap();
    assert!(verified.is_sound(), "{context}: {:?}", verified.damage);
}

fn without(image: &Image, is_gone: impl Fn(&str) -> bool) -> MemoryDirectory {
    directory(&image.iter().filter(|(name, _)| !is_gone(name)).map(|(n, b)| (n.clone(), b.clone())).collect())
}

#[test]
fn a_store_without_its_beginning_a_payload_and_a_segment_is_whole_for_what_it_has() {
    let history = history();
    let first = first_sequence(&history.directory, OLDEST);
    let events: Vec<_> = history.events.iter().filter(|event| event.sequence >= first).cloned().collect();
    let within = first_sequence(&history.directory, REPLACED);
    let erased = events.iter().find(|event| event.sequence == Sequence(within.0 + 2)).unwrap();
    let gone = history.events.iter().find(|event| event.sequence < first).unwrap();
    let reduced = image(&reduced(&history, erased));

    type Gone = fn(&str) -> bool;
    let sources: [(&str, Gone); 4] = [
        ("all files", |_| false),
        ("without its checkpoint", |name| name == "CHECKPOINT"),
        ("without runs", |name| name.ends_with(".run")),
        ("without what was replaced", |name| name == "000004.seg"),
    ];
    let ways: [fn(Options) -> Options; 3] =
        [|options| options, |options| options.use_footers(false), |options| options.use_checkpoint(false)];
    for (files, is_gone) in sources {
        for (number, way) in ways.iter().enumerate() {
            let directory = without(&reduced, is_gone);
            let context = format!("{files}, way {number}");
            let before = image(&directory);
            let reader = way(options(7)).open_read_only_on(directory.clone()).unwrap();
            check(&reader, &events, erased.id, &format!("{context}, read-only"));
            assert!(image(&directory) == before, "{context}: reading writes nothing");
            assert!(verify_on(directory.clone(), &mut |_| {}).unwrap().is_sound(), "{context}");

            let store = way(options(8)).open_on(directory.clone()).unwrap();
            check(&store, &events, erased.id, &context);
            assert!(store.get(gone.id).unwrap().is_none());
            // Every stream goes on where it was, and the events that are gone are no obstacle.
            for number in 0..8 {
                let drafts = [Draft::rich(number, 40)];
                let ids = [id(10_000 + number as u64)].to_vec();
                let receipt = append(&store, &drafts, Some(&ids), Durability::Durable).unwrap().remove(0);
                let event = store.get(receipt.id).unwrap().unwrap();
                let own = |other: &&Facts| {
                    (other.entity.as_str(), other.scope.as_str(), other.lane)
                        == (event.entity(), event.scope(), event.lane())
                };
                let last = history.events.iter().rfind(own).map_or(0, |event| event.revision.0);
                assert!(receipt.revision.0 > last, "{context}: {receipt:?}");
            }
            assert!(["name 0", "name 1"].iter().all(|name| store.find_kind(name).is_some()), "{context}");
            store.close().unwrap();
            assert_eq!(directory.file(&name(REPLACED, 0)), None, "{context}: what was replaced is removed");
            assert!(verify_on(directory.clone(), &mut |_| {}).unwrap().is_sound(), "{context}");
            let store = options(9).open_on(directory).unwrap();
            // The old checkpoint stays where nobody makes a new one.
            assert!(store.report().is_clean() || number == 2, "{context}: {:?}", store.report());
            assert_eq!(store.all().count(), events.len() + 8, "{context}");
        }
    }
}

#[test]
fn a_replacement_that_was_not_finished_changes_nothing() {
    let history = history();
    let directory = directory(&image(&history.directory));
    let (_, end) = crate::history::frame_ends(&image(&directory))
        .into_iter()
        .find(|(found, _)| *found == name(REPLACED, 0))
        .unwrap();
    let within = first_sequence(&directory, REPLACED);
    let erased = history.events.iter().find(|event| event.sequence == within).unwrap();
    replace(&directory, erased.id, end);
    let expected = history.expected();
    let reader = options(7).open_read_only_on(directory.clone()).unwrap();
    expected.check(&reader, "read-only");
    let store = options(8).open_on(directory.clone()).unwrap();
    expected.check(&store, "for writing");
    store.close().unwrap();
    assert_eq!(directory.file(&name(REPLACED, 1)), None, "it is removed");
}

#[test]
fn whoever_would_miss_what_is_gone_is_told() {
    let store = options(7).open_on(small()).unwrap();
    let first = store.all().next().unwrap().unwrap().sequence();
    let is_named = |error: annals::Error| {
        let said = error.to_string();
        assert!(said.contains("were removed from the log") && said.contains(&first.to_string()), "{said}");
    };
    let mut subscription = store.subscribe(Query::all());
    is_named(subscription.try_next().unwrap_err());
    assert!(subscription.next().is_none(), "it has ended");
    is_named(store.cursor("c", Query::all()).unwrap().try_next().unwrap_err());
    let group = store.group("g", Query::all()).unwrap();
    (0..2).for_each(|_| is_named(group.try_next().unwrap_err()));
    let behind = Sequence(first.0 - 1);
    let mut subscription = store.subscribe(Query::all()).after(behind);
    assert_eq!(subscription.try_next().unwrap().unwrap().sequence(), first);
    let left = Query::of(QueryItem::new().after(behind));
    assert_eq!(store.subscribe(left).try_next().unwrap().unwrap().sequence(), first);
}
