//! Events that are taken in some at a time give the index that they give one by one.

use annals_index::{ActiveIndex, Entry, Index, Pending};
use annals_wire::{Event, FrameType};
use proptest::{collection::vec, prelude::*};

use crate::history::{History, steps};

/// The index of `history`, taken in whenever `count` events are there.
fn by(history: &History, count: usize) -> ActiveIndex {
    let (mut index, mut pending) = (ActiveIndex::new(history.first_sequence), Pending::default());
    for (number, (offset, frame)) in history.frames().enumerate() {
        if frame.header.frame_type == FrameType::CONTROL {
            index.try_insert_all(&mut pending).unwrap();
            index.insert_control(offset);
            continue;
        }
        let event = Event::decode(&frame).unwrap();
        pending.push(&Entry::of(&event, offset), event.tags.iter());
        if number % count == 0 {
            index.try_insert_all(&mut pending).unwrap();
        }
    }
    index.try_insert_all(&mut pending).unwrap();
    index
}

/// The entries of the events, some of them not as they were appended.
fn entries<'a>(events: &[(u32, Event<'a>)], change: impl Fn(usize, &mut Entry<'a>)) -> Vec<Entry<'a>> {
    let numbered = events.iter().enumerate();
    let changed = numbered.map(|(number, (offset, event))| {
        let mut entry = Entry::of(event, *offset);
        change(number, &mut entry);
        entry
    });
    changed.collect()
}

/// Which of the entries cannot come next: what is taken in some at a time says so, and what is taken in one by one.
fn refused(entries: &[Entry<'_>], count: usize) -> [Option<u32>; 2] {
    let mut one_by_one = ActiveIndex::new(annals_wire::Sequence(1));
    let first = entries.iter().find(|entry| !one_by_one.try_insert(entry, []));
    let (mut index, mut pending) = (ActiveIndex::new(annals_wire::Sequence(1)), Pending::default());
    let taken = entries.chunks(count).try_for_each(|some| {
        some.iter().for_each(|entry| pending.push(entry, []));
        let taken = index.try_insert_all(&mut pending);
        assert!(pending.is_empty(), "whatever came of it");
        taken
    });
    [first.map(|entry| entry.offset), taken.err()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn however_many_are_taken_in_at_once(steps in vec(steps(), 0..200), count in 1_usize..80) {
        let history = History::new(5, &steps);
        let expected = history.scan();
        let index = by(&history, count);
        let encoded = |index: &ActiveIndex| index.encode(&history.trailer());
        prop_assert_eq!(index.row_count(), expected.row_count());
        prop_assert!(encoded(&index) == encoded(&expected));
        for event in history.events() {
            let view = |index: &ActiveIndex| format!("{:?}", index.find_stream(event.stream));
            prop_assert_eq!(view(&index), view(&expected));
        }
    }

    #[test]
    fn the_first_that_cannot_come_next_is_named(
        steps in vec(steps(), 1..120),
        count in 1_usize..80,
        wrong in any::<prop::sample::Index>(),
        how in 0..3,
    ) {
        let history = History::new(1, &steps);
        let events: Vec<_> = history.frames().filter(|(_, frame)| frame.header.frame_type == FrameType::EVENT)
            .map(|(offset, frame)| (offset, Event::decode(&frame).unwrap())).collect();
        if events.is_empty() {
            return Ok(());
        }
        let wrong = wrong.index(events.len());
        let entries = entries(&events, |number, entry| if number == wrong {
            match how {
                0 => entry.id = events[wrong / 2].1.id,
                1 => entry.revision.0 += 1,
                _ => entry.revision.0 = 0,
            }
        });
        let [expected, found] = refused(&entries, count);
        prop_assert_eq!(found, expected);
        // The first of a stream may have any revision but 0.
        prop_assert!(how != 2 || expected == Some(entries[wrong].offset));
    }
}
