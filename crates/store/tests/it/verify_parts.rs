//! Verification of what is asked for: a sound store is found sound by every way that asks, and one changed byte is
//! found and named by each that covers it, and by no other.

use std::thread;

use annals::{
    Background, Coordinate, Durability, Error, Kind, Lane, NewEvent, Options, Sequence, Store,
    disk::MemoryDirectory,
    report::{Damage, VerifyReport},
};
use annals_wire::{Event, Frame, FrameType, NewFrame, SEGMENT_HEADER_LEN, SegmentHeader, crc};
use proptest::{prelude::*, sample::Index};

use crate::{
    history::{Facts, History, Image, Step, directory, frame_ends, image, options, steps},
    small_store::frames,
};

fn all(store: &Store) -> VerifyReport {
    store.verify_range(Sequence(0)..=Sequence(u64::MAX), &mut |_| {}).unwrap()
}

fn stream(store: &Store, event: &Facts) -> VerifyReport {
    let coordinate = Coordinate::new(&event.entity, &event.scope).unwrap();
    store.verify_stream(&coordinate, event.lane, &mut |_| {}).unwrap()
}

fn is_of_stream(of: &Facts, event: &Facts) -> bool {
    (&event.entity, &event.scope, event.lane) == (&of.entity, &of.scope, of.lane)
}

/// The frames of events in sealed segments: file, offset, length and sequence of each.
fn sealed_events(image: &Image) -> Vec<(String, usize, usize, Sequence)> {
    let of_segment = |(name, end): (String, usize)| {
        let events = frames(image, &name)
            .into_iter()
            .filter(move |(offset, header)| *offset < end && header.frame_type == FrameType::EVENT);
        let place = |(offset, header): (usize, annals_wire::FrameHeader)| {
            (name.clone(), offset, usize::try_from(header.frame_len()).unwrap(), header.sequence)
        };
        events.map(place).collect::<Vec<_>>()
    };
    frame_ends(image).into_iter().flat_map(of_segment).collect()
}

/// What is told of the event with `sequence`, whose frame begins at `offset` of `name`.
fn assert_named(damage: &[Damage], name: &str, offset: usize, sequence: Sequence) {
    let [damage] = damage else { panic!("{damage:?}") };
    assert!(damage.file.ends_with(name), "{damage:?}");
    assert_eq!((damage.offset, damage.sequence), (Some(offset as u64), Some(sequence)), "{damage:?}");
    assert!(damage.expected.is_some() && damage.expected != damage.found, "{damage:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_sound_is_found_sound(steps in steps(), first in 0..60_u64, last in 0..60_u64) {
        let mut history = History::of(&steps);
        history.apply(&Step::Sync);
        let (store, events) = (history.store(), &history.events);
        let (mut seen, mut known) = (Vec::new(), None);
        let report = store.verify_range(Sequence(first)..=Sequence(last), &mut |progress| {
            seen.push(progress.done_events);
            known = Some(progress.total_events);
        }).unwrap();
        let count = events.iter().filter(|event| (first..=last).contains(&event.sequence.0)).count() as u64;
        prop_assert!(report.is_sound() && report.notes.is_empty(), "{:?}", report);
        prop_assert_eq!((report.event_count, known.unwrap_or(0)), (count, count));
        prop_assert_eq!(seen.last().copied().unwrap_or(0), count);
        prop_assert_eq!(all(store).event_count, events.len() as u64);
        for event in events {
            let report = stream(store, event);
            let count = events.iter().filter(|other| is_of_stream(event, other)).count() as u64;
            prop_assert_eq!((report.is_sound(), report.event_count, report.stream_count), (true, count, 1));
            let report = store.verify_event(event.id).unwrap();
            prop_assert_eq!((report.is_sound(), report.event_count), (true, 1));
        }
        let report = store.verify(&mut |_| {}).unwrap();
        prop_assert!(report.is_sound(), "{:?}", report);
        prop_assert_eq!(report.event_count, events.len() as u64);
    }

    /// Over footers, and whatever else the history left.
    #[test]
    fn a_changed_byte_is_found_and_named(steps in steps(), which in any::<Index>(), byte in any::<Index>()) {
        let mut history = History::of(&steps);
        history.close();
        let mut image = image(&history.directory);
        let events = sealed_events(&image);
        prop_assume!(!events.is_empty());
        let (name, offset, len, sequence) = &events[which.index(events.len())];
        let start = frames(&image, name).iter().find(|(place, _)| place == offset).unwrap().1.body_start();
        let start = usize::try_from(start).unwrap();
        // Behind the body there are up to seven bytes of padding.
        image.get_mut(name).unwrap()[offset + start + byte.index(len - start - 8)] ^= 0x40;
        let store = match options(9).open_read_only_on(directory(&image)) {
            Ok(store) => store,
            // What nobody vouches for is looked at when the store is opened.
            Err(error) => {
                prop_assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains(name), "{}", error);
                return Ok(());
            }
        };
        let broken = &history.events[usize::try_from(sequence.0).unwrap() - 1];
        let at = |report: VerifyReport| report.damage;
        assert_named(&at(all(&store)), name, *offset, *sequence);
        assert_named(&at(stream(&store, broken)), name, *offset, *sequence);
        assert_named(&at(store.verify_range(*sequence..=*sequence, &mut |_| {}).unwrap()), name, *offset, *sequence);
        prop_assert_eq!(store.verify_event(broken.id).unwrap().damage.len(), 1);
        let whole = store.verify(&mut |_| {}).unwrap();
        let named: Vec<_> = whole.damage.into_iter().filter(|damage| damage.offset == Some(*offset as u64)).collect();
        assert_named(&named, name, *offset, *sequence);
        let before = store.verify_range(Sequence(1)..=Sequence(sequence.0 - 1), &mut |_| {}).unwrap();
        prop_assert_eq!((before.is_sound(), before.event_count), (true, sequence.0 - 1));
        // A lane stands on what it forks from.
        let stands_apart = |other: &&Facts| (&other.entity, &other.scope) != (&broken.entity, &broken.scope);
        for other in history.events.iter().filter(stands_apart) {
            prop_assert!(store.verify_event(other.id).unwrap().is_sound(), "{}", other.sequence);
            prop_assert!(stream(&store, other).is_sound(), "{}", other.sequence);
        }
    }
}

/// Three events of one stream in a sealed segment, of which `change` changes the stamp and the body of one; the
/// checksums are right. What is found: the events verified, and the sequences of those that are damaged.
fn forged(number: usize, change: impl Fn(&mut [u8], &mut [u8])) -> (Store, Vec<(u64, bool)>) {
    let directory = MemoryDirectory::new();
    let options = || Options::new().create(true).segment_bytes(4096).background(Background::Manual);
    let store = options().open_on(directory.clone()).unwrap();
    let (at, kind) = (Coordinate::new("a", "s").unwrap(), Kind::new(0x1001).unwrap());
    for _ in 0..7 {
        store.append(&NewEvent::new(&at, kind, &[7; 900])).unwrap();
    }
    store.pump().unwrap();
    store.close().unwrap();
    let mut files = image(&directory);
    let (name, offset, len, _) = sealed_events(&files)[number].clone();
    let bytes = files.get_mut(&name).unwrap();
    let seed = SegmentHeader::decode(&bytes[..SEGMENT_HEADER_LEN]).unwrap().seed();
    let frame = Frame::decode(&bytes[offset..], seed, offset as u64).unwrap();
    let (header, mut stamp, mut body) = (frame.header, frame.stamp.to_vec(), frame.body.to_vec());
    change(&mut stamp, &mut body);
    let frame = NewFrame {
        frame_type: header.frame_type,
        skippable: false,
        sequence: header.sequence,
        batch: header.batch,
        synced_len: header.synced_len,
        stamp: &stamp,
        body: &body,
        body_crc: crc(&body),
    };
    let mut written = Vec::new();
    frame.encode(seed, offset as u64, &mut written);
    assert_eq!(written.len(), len);
    bytes[offset..offset + len].copy_from_slice(&written);
    let hash =
        Event::decode(&Frame::decode(&bytes[offset..], seed, offset as u64).unwrap()).unwrap().stamp.hash;
    let store = options().open_read_only_on(crate::history::directory(&files)).unwrap();
    let damage = store.verify_stream(&at, Lane(0), &mut |_| {}).unwrap().damage;
    let named = damage.iter().map(|damage| {
        assert!(damage.file.ends_with(&name) && damage.expected.is_some() && damage.expected != damage.found);
        (damage.sequence.unwrap().0, damage.expected == Some(hash.to_string()))
    });
    (store, named.collect())
}

#[test]
fn what_was_changed_with_its_checksums_is_found_by_its_hash() {
    let (store, damage) = forged(1, |_, body| body[300] ^= 1);
    assert_eq!(damage, [(2, true)], "the payload");
    let id = |sequence: u64| store.all().after(Sequence(sequence - 1)).next().unwrap().unwrap().id();
    let sound: Vec<_> =
        (1..=4).map(|sequence| store.verify_event(id(sequence)).unwrap().is_sound()).collect();
    assert_eq!(sound, [true, false, true, true]);
    // Eight bytes of revision and eight of time come before the kind in a stamp, and then flags and hash.
    let (_, damage) = forged(1, |stamp, _| stamp[16] ^= 1);
    assert_eq!(damage, [(2, true)], "the kind");
    let (store, damage) = forged(1, |stamp, _| stamp[30] ^= 1);
    assert_eq!(damage, [(2, true), (3, false)], "the hash, from which the next one follows");
    let alone = store.verify_range(Sequence(3)..=Sequence(3), &mut |_| {}).unwrap();
    assert_eq!(alone.damage.len(), 1, "the one before a range is looked at: {alone:?}");
    assert!(store.verify_range(Sequence(4)..=Sequence(7), &mut |_| {}).unwrap().is_sound());
}

#[test]
fn a_checkpoint_behind_a_name_is_no_loss_beside_the_writer() {
    let directory = MemoryDirectory::new();
    let store =
        Options::new().create(true).background(Background::Manual).open_on(directory.clone()).unwrap();
    let at = Coordinate::new("a", "s").unwrap();
    store.append(&NewEvent::new(&at, Kind::new(0x1001).unwrap(), b"1")).unwrap();
    store.kind("a name").unwrap();
    store.checkpoint().unwrap();
    let report = store.verify(&mut |_| {}).unwrap();
    assert!(report.is_sound(), "{report:?}");
    let reader = Options::new().open_read_only_on(directory).unwrap();
    assert_eq!((reader.last_sequence(), reader.kind_names().len()), (Sequence(1), 1));
}

#[test]
fn a_store_is_verified_while_it_is_written() {
    let options = Options::new().create(true).segment_bytes(8192).background(Background::Thread);
    let store = options.open_on(MemoryDirectory::new()).unwrap();
    let at = |number: u64| Coordinate::new(&format!("e:{}", number % 5), "s").unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..1500 {
                let durability = if number % 50 == 0 { Durability::Durable } else { Durability::Queued };
                let at = at(number);
                store
                    .append_with(&NewEvent::new(&at, Kind::new(0x1001).unwrap(), &[7; 50]), durability)
                    .unwrap();
            }
        });
        while !writer.is_finished() {
            let visible = store.last_sequence().0;
            let report = all(&store);
            assert!(report.is_sound() && report.event_count >= visible, "{report:?}");
            let report = store.verify_stream(&at(3), Lane(0), &mut |_| {}).unwrap();
            assert!(report.is_sound(), "{report:?}");
            let report = store.verify(&mut |_| {}).unwrap();
            assert!(report.is_sound(), "{report:?}");
        }
    });
    store.sync().unwrap();
    assert_eq!(all(&store).event_count, 1500);
}
