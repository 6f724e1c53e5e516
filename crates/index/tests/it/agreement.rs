//! Both forms of an index and the events themselves say the same.

use annals_index::{ActiveIndex, Direction, Entry, Index, Known, Query, Term};
use annals_wire::{Depth, Event, Recorded, Sequence};
use proptest::{collection::vec, prelude::*};

use crate::{
    answers::{answers, possible},
    history::{History, histories, queries, seal, steps},
};

/// What a query means: the events that match, in order, as many as are wanted.
fn expected(
    events: &[Event<'_>],
    query: &Query,
    rows: std::ops::Range<u32>,
    direction: Direction,
    limit: usize,
) -> Vec<u32> {
    let numbered = (0_u32..).zip(events);
    let matching = numbered.filter(|(row, event)| rows.contains(row) && query.matches(event));
    let mut found: Vec<u32> = matching.map(|(row, _)| row).collect();
    if direction == Direction::Backward {
        found.reverse();
    }
    found.truncate(limit);
    found
}

fn select(
    index: &dyn Index,
    known: &Known,
    query: &Query,
    rows: std::ops::Range<u32>,
    direction: Direction,
    limit: usize,
) -> Vec<u32> {
    let mut found = vec![77];
    query.select(index, known, rows.clone(), direction, limit, &mut found).unwrap();
    assert_eq!(found.remove(0), 77, "what was there stays");
    if limit == usize::MAX {
        assert_eq!(query.count(index, known, rows), Ok(found.len() as u64), "{query}");
    }
    found
}

/// Where the conversations of `query` began, and where its times lie: ids of the histories never have equal hashes.
fn known(index: &dyn Index, events: &[Event<'_>], query: &Query) -> Known {
    let rows = |id| possible(&index.find_id(id).unwrap()).unwrap().into_iter().map(move |row| (id, row));
    let place = |time| events.partition_point(|event| event.stamp.recorded <= time) as u64;
    let times = query.times().map(|time| (time, Sequence(index.first_sequence().0 + place(time))));
    Known { begun: query.correlations().flat_map(rows).collect(), times: times.collect() }
}

/// Every event is where the index says, and the index knows of it what the event says.
fn check_events(index: &dyn Index, events: &[Event<'_>]) {
    assert_eq!(index.row_count() as usize, events.len());
    for time in (0..2 * events.len() as u64 + 3).chain([u64::MAX]).map(Recorded) {
        let row = u32::try_from(events.partition_point(|event| event.stamp.recorded < time)).unwrap();
        let rows = index.rows_at(time).unwrap();
        assert!((rows.start..=rows.end).contains(&row) && rows.len() < 256, "{time}: {row} in {rows:?}");
    }
    for (number, event) in (0..).zip(events) {
        let row = index.row(number).unwrap().unwrap();
        assert_eq!((row.kind, row.is_root), (event.stamp.kind, event.correlation.is_none()));
        assert_eq!(possible(&index.find_id(event.id).unwrap()).unwrap(), [number]);
        assert_eq!(index.first_sequence().0 + u64::from(number), event.sequence.0);
        let stream = index.find_stream(event.stream).unwrap().unwrap();
        assert_eq!((stream.place, stream.name.key()), (row.stream, event.stream));
        assert_eq!(stream.fork_depth, event.fork.map_or(Depth(0), |fork| fork.depth));
        let place = event.stamp.revision.0 - stream.first_revision.0;
        assert_eq!(stream.rows.at(usize::try_from(place).unwrap()), Ok(Some(number)));
        let last = events.iter().rfind(|other| other.stream == event.stream).unwrap();
        assert_eq!(stream.last_revision(), last.stamp.revision);
        assert!(stream.head.is_none_or(|head| head == last.stamp.hash));
        let terms = [Term::Kind(event.stamp.kind), Term::Scope(event.stream.scope)].into_iter();
        let terms = terms.chain(event.tags.iter().map(Term::Tag));
        let terms = terms.chain(event.correlation.map(Term::Correlation));
        for term in terms.chain(event.causation.map(Term::Causation)) {
            assert!(index.rows_of(&term).unwrap().contains(number).unwrap(), "{term:?}");
        }
    }
}

proptest! {
    #[test]
    fn both_forms_select_the_events_that_match(
        history in histories(),
        queries in vec(queries(), 1..12),
        (start, end) in prop_oneof![Just((0, u32::MAX)), (0..60_u32, 0..70_u32)],
        limit in prop_oneof![Just(usize::MAX), 0..5_usize],
    ) {
        let (events, active) = (history.events(), history.scan());
        let sealed = seal(&active.encode(&history.trailer())).unwrap();
        for query in &queries {
            for direction in [Direction::Forward, Direction::Backward] {
                let expected = expected(&events, query, start..end, direction, limit);
                for index in [&active as &dyn Index, &sealed] {
                    let known = known(index, &events, query);
                    let found = select(index, &known, query, start..end, direction, limit);
                    prop_assert_eq!(&found, &expected, "{}", query);
                }
            }
        }
    }

    #[test]
    fn a_query_that_may_not_match_matches_nothing(history in histories(), query in queries()) {
        let events = history.events();
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            let any = events.iter().any(|event| query.matches(event));
            prop_assert!(!any || query.may_match(&(first.sequence..=last.sequence)));
            let within = query.sequences(&known(&history.scan(), &events, &query).times);
            let mut matching = events.iter().filter(|event| query.matches(event));
            prop_assert!(matching.all(|event| within.contains(&event.sequence.0)), "{}", query);
        }
    }

    #[test]
    fn both_forms_answer_alike(history in histories()) {
        let active = history.scan();
        let sealed = seal(&active.encode(&history.trailer())).unwrap();
        sealed.check_all().unwrap();
        prop_assert_eq!(answers(&active).unwrap(), answers(&sealed).unwrap());
        prop_assert_eq!(sealed.trailer(), &history.trailer());
        for (sealed_place, place) in (0..).zip(active.sorted_streams()) {
            let key = |index: &dyn Index, place| index.stream(place).unwrap().unwrap().name.key().to_string();
            prop_assert_eq!(key(&sealed, sealed_place), key(&active, place));
        }
    }

    #[test]
    fn both_forms_say_what_the_events_say(history in histories()) {
        let (events, active) = (history.events(), history.scan());
        let sealed = seal(&active.encode(&history.trailer())).unwrap();
        check_events(&active, &events);
        check_events(&sealed, &events);
    }

    #[test]
    fn a_footer_depends_on_the_events_alone(history in histories()) {
        let bytes = history.scan().encode(&history.trailer());
        let mut again = ActiveIndex::new(history.first_sequence);
        let (events, sealed) = (history.events(), seal(&bytes).unwrap());
        let mut controls = sealed.control_offsets().unwrap().into_iter().peekable();
        for (row, event) in (0..).zip(&events) {
            let offset = sealed.row(row).unwrap().unwrap().offset;
            while let Some(control) = controls.next_if(|control| *control < offset) {
                again.insert_control(control);
            }
            let mut entry = Entry::of(event, offset);
            entry.correlation = Some(event.correlation_or_id());
            let tags: Vec<&str> = event.tags.iter().collect();
            again.insert(&entry, tags.iter().rev().chain(tags.first()).copied());
            _ = answers(&again).unwrap();
        }
        controls.for_each(|control| again.insert_control(control));
        prop_assert_eq!(again.encode(&history.trailer()), bytes);
    }

    #[test]
    fn a_footer_is_found_behind_frames(steps in vec(steps(), 0..20), before in vec(any::<u8>(), 0..9)) {
        let history = History::new(1, &steps);
        let active = history.scan();
        let mut file = vec![0xa7; before.len() * 8];
        file.extend(active.encode(&history.trailer()));
        let sealed = seal(&file).unwrap();
        prop_assert_eq!(sealed.start(), before.len() as u64 * 8);
        prop_assert_eq!(answers(&active).unwrap(), answers(&sealed).unwrap());
    }
}

#[test]
fn an_index_without_events_says_so() {
    let history = History::new(9, &[]);
    let active = history.scan();
    let sealed = seal(&active.encode(&history.trailer())).unwrap();
    for index in [&active as &dyn Index, &sealed] {
        assert_eq!((index.first_sequence(), index.row_count(), index.stream_count()), (Sequence(9), 0, 0));
        assert_eq!(select(index, &Known::default(), &Query::all(), 0..u32::MAX, Direction::Backward, 1), []);
    }
}
