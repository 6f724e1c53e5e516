//! Stages: nothing before the commit, all of it with the commit, and nothing lost by a commit that is refused.

use annals::{
    Background, Condition, Coordinate, Durability, Error, Expected, Kind, NewEvent, Options, Query,
    QueryItem, Sequence, Store,
    disk::{SeededEntropy, SimulatedDirectory},
};

fn store(disk: &SimulatedDirectory) -> Store {
    let options = Options::new().create(true).event_bytes_max(2_000).background(Background::Manual);
    options.entropy(SeededEntropy::new(1)).open_on(disk.clone()).unwrap()
}

fn kind() -> Kind {
    Kind::new(0x2001).unwrap()
}

#[test]
fn nothing_of_a_stage_is_in_the_log_before_it_is_committed() {
    let disk = SimulatedDirectory::new();
    let store = store(&disk);
    let at = ["a", "b"].map(|entity| Coordinate::new(entity, "s").unwrap());
    let before = disk.digest();
    let mut stage = store.stage();
    for place in 0..6 {
        assert_eq!(stage.append(NewEvent::new(&at[place % 2], kind(), b"x")).unwrap(), place);
    }
    stage.cancel();
    let mut stage = store.stage();
    stage.append(NewEvent::new(&at[0], kind(), b"x")).unwrap();
    drop(stage);
    assert_eq!(disk.digest(), before, "nothing was written");
    assert_eq!(store.frontiers().appended, Sequence(0));
}

#[test]
fn a_commit_is_one_batch_through_a_loss_of_power_at_any_operation() {
    let mut committed = 0;
    for stop in 0.. {
        let disk = SimulatedDirectory::new();
        let store = store(&disk);
        let at = Coordinate::new("a", "s").unwrap();
        store.append(&NewEvent::new(&at, kind(), b"before")).unwrap();
        let mut stage = store.stage();
        for _ in 0..5 {
            stage.append(NewEvent::new(&at, kind(), &[7; 900])).unwrap();
        }
        disk.stop_before(disk.operation_count() + stop);
        let receipts = stage.commit_with(Durability::Durable);
        for kept in [0, 1, 2] {
            let image = disk.crash_subset(|place| place % 3 < kept);
            let count = Options::new().open_on(image).unwrap().all().map(Result::unwrap).count();
            assert!(count == 6 || count == 1 && receipts.is_err(), "{count} events, stopped before {stop}");
        }
        committed += u32::from(receipts.is_ok());
        if !disk.is_stopped() {
            break;
        }
    }
    assert!(committed > 0, "the last one is not stopped");
}

#[test]
fn a_commit_that_is_refused_loses_nothing() {
    let store = store(&SimulatedDirectory::new());
    let at = Coordinate::new("a", "s").unwrap();
    store.append(&NewEvent::new(&at, kind(), b"first")).unwrap();
    let mut stage = store.stage();
    let large = stage.append(NewEvent::new(&at, kind(), &[7; 3_000])).unwrap_err();
    assert!(matches!(large, Error::TooLarge { max: 2_000, .. }));
    stage.append(NewEvent::new(&at, kind(), b"second").expected(Expected::Exists)).unwrap();
    stage.demand(Condition::new().no_event(Query::of(QueryItem::new().kind(kind())), Sequence(0)));
    assert!(stage.commit().unwrap_err().is_conflict());
    assert_eq!((stage.events().len(), store.all().count()), (1, 1));
    stage.demand(Condition::new().no_event(Query::of(QueryItem::new().kind(kind())), Sequence(1)));
    assert_eq!(stage.commit().unwrap()[0].sequence, Sequence(2));
    assert!(stage.events().is_empty() && stage.commit().unwrap().is_empty(), "and is empty afterwards");
}
