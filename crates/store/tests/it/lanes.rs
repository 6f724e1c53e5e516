//! Lanes: forks, what their events stand on, and that they are the same from every source.

use std::thread;

use annals::{
    Background, Coordinate, Depth, Digest, Error, Event, EventId, Expected, Kind, Lane, NewEvent, Options,
    Query, QueryItem, Revision, Store,
    disk::{MemoryDirectory, SeededEntropy, verify_on},
};

fn options() -> Options {
    let options = Options::new().create(true).segment_bytes(4096);
    options.background(Background::Manual).entropy(SeededEntropy::new(1))
}

fn kind() -> Kind {
    Kind::new(0x2001).unwrap()
}

fn at(entity: &str) -> Coordinate {
    Coordinate::new(entity, "s").unwrap()
}

fn on<'a>(coordinate: &'a Coordinate, lane: u32) -> NewEvent<'a> {
    NewEvent::new(coordinate, kind(), &[7; 300]).lane(Lane(lane))
}

fn events(store: &Store, coordinate: &Coordinate, lane: u32) -> Vec<Event> {
    store.lane(coordinate, Lane(lane)).map(Result::unwrap).collect()
}

/// Trunk of ten, lane 1 from its third, lane 2 from the second of lane 1, each of ten, spread over many segments.
fn forked(store: &Store) -> Coordinate {
    let run = at("run:1");
    let trunk: Vec<_> = (0..10).map(|_| store.append(&on(&run, 0)).unwrap()).collect();
    let first = store.append(&on(&run, 0).fork(Lane(1), trunk[2].id)).unwrap();
    assert_eq!(first.revision, Revision(1));
    let lane: Vec<_> = (0..9).map(|_| store.append(&on(&run, 1)).unwrap()).collect();
    store.append(&on(&run, 0).fork(Lane(2), lane[0].id)).unwrap();
    for _ in 0..9 {
        store.append(&on(&run, 2)).unwrap();
        store.append(&on(&at("other"), 0)).unwrap();
        store.pump().unwrap();
    }
    run
}

fn check(store: &Store, run: &Coordinate) {
    let [trunk, one, two] = [0, 1, 2].map(|lane| events(store, run, lane));
    let depths = |events: &[Event]| events.iter().map(|event| event.depth().0).collect::<Vec<_>>();
    assert_eq!(depths(&trunk), (0..10).collect::<Vec<_>>());
    assert_eq!(depths(&one), (3..13).collect::<Vec<_>>());
    assert_eq!(depths(&two), (5..15).collect::<Vec<_>>());
    for (lane, from) in [(&one, &trunk[2]), (&two, &one[1])] {
        let fork = lane[0].view().fork.unwrap();
        assert_eq!((fork.event, fork.depth), (Some(from.id()), from.depth()));
        let mut previous = from.hash();
        for event in lane {
            assert_eq!(event.view().expected_hash(previous), event.hash(), "{:?}", event.revision());
            previous = event.hash();
        }
    }
    assert_eq!(trunk[0].view().expected_hash(Digest::NONE), trunk[0].hash());
    let lanes = store.lanes(run).unwrap();
    let lanes: Vec<_> = lanes.iter().map(|lane| (lane.lane.0, lane.count, lane.revision.0)).collect();
    assert_eq!(lanes, [(0, 10, 10), (1, 10, 10), (2, 10, 10)]);
    assert_eq!(store.free_lane(run).unwrap(), Lane(3));
    let item = QueryItem::new().scope("s").entity("run:1");
    assert_eq!(store.query(Query::of(item.clone().lane(Lane(1)))).count(), 10);
    assert_eq!(store.query(Query::of(item)).count(), 30);
    let back: Vec<_> = store.lane(run, Lane(2)).backwards().map(|event| event.unwrap().id()).collect();
    assert_eq!(back, two.iter().rev().map(Event::id).collect::<Vec<_>>());
}

#[test]
fn a_lane_goes_on_from_its_fork_and_is_the_same_from_every_source() {
    let directory = MemoryDirectory::new();
    let store = options().open_on(directory.clone()).unwrap();
    let run = forked(&store);
    check(&store, &run);
    store.close().unwrap();
    assert!(verify_on(directory.clone(), &mut |_| {}).unwrap().is_sound());
    for sources in 0..8 {
        let is_used = |bit: u32| sources & (1 << bit) != 0;
        let options = options().use_footers(is_used(0)).use_checkpoint(is_used(1)).use_runs(is_used(2));
        check(&options.open_read_only_on(directory.clone()).unwrap(), &run);
    }
    let store = options().open_on(directory).unwrap();
    let next = store.append(&on(&run, 2).expected(Expected::Exactly(Revision(10)))).unwrap();
    assert_eq!(store.get(next.id).unwrap().unwrap().depth(), Depth(15));
}

#[test]
fn a_batch_forks_and_goes_on() {
    let store = options().open_on(MemoryDirectory::new()).unwrap();
    let run = at("run:1");
    let first = store.append(&on(&run, 0)).unwrap();
    let batch = [on(&run, 0).fork(Lane(4), first.id), on(&run, 4), on(&run, 0), on(&run, 4)];
    let receipts = store.append_batch(&batch).unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.revision.0).collect::<Vec<_>>(), [1, 2, 2, 3]);
    assert_eq!(events(&store, &run, 4).iter().map(|event| event.depth().0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(store.free_lane(&run).unwrap(), Lane(1), "the smallest");
}

#[test]
fn what_no_lane_can_be_is_refused() {
    let store = options().open_on(MemoryDirectory::new()).unwrap();
    let (run, other) = (at("run:1"), at("run:2"));
    let first = store.append(&on(&run, 0)).unwrap().id;
    store.append(&on(&run, 0).fork(Lane(1), first)).unwrap();
    let refusals: [(&[NewEvent<'_>], &str); 6] = [
        (&[on(&run, 2)], "its first one says where it forks"),
        (&[on(&run, 0).fork(Lane(0), first)], "the trunk, which forks from nothing"),
        (&[on(&run, 0).fork(Lane(2), EventId([9; 16]))], "no event has the id"),
        (&[on(&other, 0).fork(Lane(1), first)], "is an event of"),
        (&[on(&run, 0).fork(Lane(2), first), on(&run, 0).fork(Lane(2), first)], "behind another event of it"),
        (&[on(&run, 0).fork(Lane(1), first)], "was expected to have no event"),
    ];
    for (batch, why) in refusals {
        let error = store.append_batch(batch).unwrap_err();
        assert!(error.to_string().contains(why), "{error}, not: {why}");
        assert_eq!(error.is_conflict(), why.starts_with("was expected"));
    }
    assert_eq!(store.all().count(), 2);
}

#[test]
fn a_fork_that_is_repeated_is_one() {
    let store = options().open_on(MemoryDirectory::new()).unwrap();
    let run = at("run:1");
    let first = store.append(&on(&run, 0)).unwrap().id;
    let fork = on(&run, 0).fork(Lane(1), first).id(EventId([0x71; 16]));
    let receipt = store.append(&fork).unwrap();
    store.append(&on(&run, 1)).unwrap();
    let again = store.append(&fork).unwrap();
    assert!(again.is_repeat && again.hash == receipt.hash);
    let elsewhere = store.append(&on(&run, 1).id(EventId([0x71; 16])));
    assert!(matches!(elsewhere, Err(Error::IdTaken { .. })));
}

#[test]
fn of_many_who_fork_a_lane_one_does() {
    let store = options().background(Background::Thread).open_on(MemoryDirectory::new()).unwrap();
    let run = at("run:1");
    let first = store.append(&on(&run, 0)).unwrap().id;
    for round in 1..20 {
        assert_eq!(store.free_lane(&run).unwrap(), Lane(round));
        let forks = thread::scope(|scope| {
            let threads = [(); 3].map(|()| {
                scope.spawn(|| match store.append(&on(&run, 0).fork(Lane(round), first)) {
                    Ok(_) => 1,
                    Err(Error::Conflict { actual: Some(Revision(1)), .. }) => 0,
                    Err(error) => panic!("{error}"),
                })
            });
            threads.map(|thread| thread.join().unwrap()).iter().sum::<u32>()
        });
        assert_eq!(forks, 1);
    }
}
