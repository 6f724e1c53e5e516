//! Everything that an index says, in a form that does not depend on the places it gave to streams.

use annals_index::{Error, IdRows, Index, Rows, Term};
use annals_wire::{EventId, Kind, Lane, StreamKey};

use crate::history::{ENTITIES, FOREIGN, KINDS, SCOPES, TAGS, id, kind};

const LANES: [u32; 4] = [0, 1, 2, u32::MAX];

/// Asks every method for everything that a random history can hold, and for what it cannot.
pub(crate) fn answers(index: &dyn Index) -> Result<Vec<String>, Error> {
    let mut answers = vec![format!("{} {}", index.first_sequence(), index.row_count())];
    for row in 0..index.row_count() {
        let found = index.row(row)?.expect("a row below the count");
        let stream = index.stream(found.stream)?.expect("the stream of a row");
        assert_eq!(stream.place, found.stream);
        assert!(stream.rows.contains(row)?);
        answers.push(format!("{} {} {} {}", found.offset, found.kind, found.is_root, stream.name.key()));
    }
    assert_eq!(index.row(index.row_count())?, None);
    assert!(index.stream(index.stream_count())?.is_none());
    for id in ids(index) {
        answers.push(format!("{id}: {:?}", possible(&index.find_id(id)?)?));
    }
    answer_streams(index, &mut answers)?;
    for term in terms(index) {
        answers.push(format!("{term:?}: {:?}", listed(&index.rows_of(&term)?)?));
    }
    answers.push(format!("{:?} {:?}", index.control_offsets()?, index.kinds()?));
    Ok(answers)
}

fn answer_streams(index: &dyn Index, answers: &mut Vec<String>) -> Result<(), Error> {
    let mut streams = Vec::new();
    for place in 0..index.stream_count() {
        let stream = index.stream(place)?.expect("a stream below the count");
        assert_eq!(index.find_stream(stream.name.key())?.expect("the stream by its key").place, place);
        let parts = (stream.first_revision, stream.last_revision(), stream.fork_depth);
        streams.push(format!("{}: {parts:?} {:?}", stream.name.key(), listed(&stream.rows)?));
    }
    streams.sort();
    answers.append(&mut streams);
    for (scope, entity) in
        SCOPES.iter().chain(&["none"]).flat_map(|scope| ENTITIES.map(|entity| (scope, entity)))
    {
        let places = index.find_coordinate(scope, entity)?;
        let mut lanes = Vec::new();
        for place in places {
            lanes.push(index.stream(place)?.expect("a stream of the coordinate").name);
        }
        let keys = LANES.map(|lane| StreamKey { scope, entity, lane: Lane(lane) });
        let mut found = Vec::new();
        for key in keys {
            found.extend(index.find_stream(key)?.map(|stream| stream.name));
        }
        assert_eq!(lanes, found, "a coordinate's streams are those of its lanes");
        answers.push(format!("{lanes:?}"));
    }
    Ok(())
}

fn ids(index: &dyn Index) -> impl Iterator<Item = EventId> + use<> {
    (0..index.row_count() as usize + 1).chain(FOREIGN).map(id)
}

pub(crate) fn terms(index: &dyn Index) -> Vec<Term<'static>> {
    let mut terms: Vec<Term<'static>> = (0..KINDS.len()).map(|at| Term::Kind(kind(at))).collect();
    terms.push(Term::Kind(Kind::new(0x1fff).unwrap()));
    terms.extend(SCOPES.iter().chain(&["none", ""]).map(|scope| Term::Scope(scope)));
    terms.extend(TAGS.iter().chain(&["none", ""]).map(|tag| Term::Tag(tag)));
    terms.extend(ids(index).flat_map(|id| [Term::Correlation(id), Term::Causation(id)]));
    terms
}

pub(crate) fn listed(rows: &Rows<'_>) -> Result<Vec<u32>, Error> {
    assert_eq!(rows.is_empty(), rows.at(0)?.is_none());
    (0..rows.len()).map(|place| rows.at(place).map(|row| row.expect("a row below the count"))).collect()
}

/// The rows where an id may be.
pub(crate) fn possible(found: &IdRows<'_>) -> Result<Vec<u32>, Error> {
    let mut rows = Vec::new();
    while let Some((row, is_known)) = found.at(rows.len())? {
        assert_eq!(is_known, matches!(found, IdRows::Known(_)));
        rows.push(row);
    }
    Ok(rows)
}
