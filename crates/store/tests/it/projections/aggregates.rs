//! Aggregates: the fold of one stream, with and without a snapshot.

use super::*;

fn at(number: u64) -> Coordinate {
    Coordinate::new(&format!("entity:{number}"), "scope").unwrap()
}

/// The aggregate, which must be what a list of its events says.
fn fold_stream(store: &Store, fold: &Trails, number: u64) -> annals::consume::Aggregate<Trail> {
    let aggregate = store.fold_stream(fold, &at(number)).unwrap();
    let mut trail = Trail::default();
    let mut last = Sequence(0);
    for event in store.stream(&at(number)) {
        let event = event.unwrap();
        trail.add(&event);
        last = event.sequence();
    }
    assert_eq!(aggregate.folded.state, trail);
    assert_eq!((aggregate.folded.sequence, aggregate.folded.event_count), (last, trail.count));
    aggregate
}

#[test]
fn what_its_snapshot_has_is_not_folded_again() {
    let disk = SimulatedDirectory::new();
    let store = open(disk.clone(), 1);
    fill(&store, 1..=300);
    let fold = Trails::new(tagged("nothing"));
    for number in 0..3 {
        let aggregate = fold_stream(&store, &fold, number);
        assert_eq!(aggregate.new_count, 100, "its query does not matter");
        store.save_stream(&fold, &at(number), &aggregate).unwrap();
    }
    fill(&store, 301..=306);
    drop(store);
    let store = open(disk, 2);
    for number in 0..3 {
        let aggregate = fold_stream(&store, &fold, number);
        assert_eq!((aggregate.new_count, aggregate.rejected), (2, None));
    }
    let nobody = fold_stream(&store, &fold, 7);
    store.save_stream(&fold, &at(7), &nobody).unwrap();
    assert_eq!(fold_stream(&store, &fold, 7).new_count, 0);
    let changed = Trails { version: 2, ..fold.clone() };
    let aggregate = fold_stream(&store, &changed, 1);
    assert_eq!(aggregate.new_count, 102);
    assert!(aggregate.rejected.as_ref().unwrap().contains("of version 1 of the fold"));
    let mixed = store.save_stream(&fold, &at(1), &aggregate).unwrap_err();
    assert!(matches!(mixed, Error::Invalid { what: "fold", .. }), "{mixed}");
    // It takes the place of the old one's, and of no other stream's.
    store.save_stream(&changed, &at(1), &aggregate).unwrap();
    assert!(fold_stream(&store, &fold, 1).rejected.unwrap().contains("of version 2 of the fold"));
    assert_eq!(fold_stream(&store, &changed, 1).new_count, 0);
    assert_eq!(fold_stream(&store, &fold, 2).new_count, 2);
}

#[test]
fn what_is_hidden_of_the_stream_makes_it_useless_and_nothing_else() {
    let store = open(MemoryDirectory::new(), 1);
    fill(&store, 1..=90);
    let fold = Trails::new(Query::all());
    let aggregate = fold_stream(&store, &fold, 1);
    store.save_stream(&fold, &at(1), &aggregate).unwrap();
    store.hide(Sequence(50), Sequence(51)).unwrap();
    assert_eq!(fold_stream(&store, &fold, 1).new_count, 0, "two of other streams");
    // Its last event, too.
    for sequence in [88, 4] {
        store.hide(Sequence(sequence), Sequence(sequence)).unwrap();
        let aggregate = fold_stream(&store, &fold, 1);
        assert!(aggregate.rejected.as_ref().unwrap().contains("was hidden"), "{:?}", aggregate.rejected);
        store.save_stream(&fold, &at(1), &aggregate).unwrap();
        assert_eq!(fold_stream(&store, &fold, 1).new_count, 0);
    }
}

#[test]
fn one_streams_snapshot_in_anothers_place_is_not_used() {
    let disk = SimulatedDirectory::new();
    let store = open(disk.clone(), 1);
    fill(&store, 1..=30);
    let fold = Trails::new(Query::all());
    let name = |number| {
        let before = disk.names();
        let aggregate = fold_stream(&store, &fold, number);
        store.save_stream(&fold, &at(number), &aggregate).unwrap();
        let new = disk.names().into_iter().find(|name| name.ends_with(".snap") && !before.contains(name));
        new.unwrap()
    };
    let (one, other) = (name(0), name(1));
    disk.write_file(&one, disk.file(&other).unwrap());
    assert!(fold_stream(&store, &fold, 0).rejected.unwrap().contains("another stream"));
    assert_eq!(fold_stream(&store, &fold, 1).new_count, 0);
}

#[test]
fn an_aggregate_is_saved_as_that_of_its_own_stream_and_of_no_other() {
    let store = open(SimulatedDirectory::new(), 1);
    fill(&store, 1..=9);
    let fold = Trails::new(Query::all());
    let aggregate = fold_stream(&store, &fold, 1);
    let refused = store.save_stream(&fold, &at(2), &aggregate).unwrap_err();
    assert!(
        matches!(refused, Error::Invalid { .. }) && refused.to_string().contains("entity:2"),
        "{refused}"
    );
    assert_eq!(fold_stream(&store, &fold, 2).new_count, 3);
}
