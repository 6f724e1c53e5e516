//! Power losses while snapshots are saved: afterwards the projection is the naive fold, whatever of it there is.

use annals_segment::CrashProfile;

use super::*;

/// Appends, folds, saves, hides and closes, in three lives; stops at the first failure. What is saved replaces what was,
/// by another version at the end.
fn live(disk: &SimulatedDirectory) -> Result<(), Error> {
    for life in 1..=3_u64 {
        let store = options(life).open_on(disk.clone())?;
        let fold = Trails { version: u32::try_from(life / 3).unwrap() + 1, ..Trails::new(tagged("odd")) };
        let projection = store.project(fold.clone())?;
        for round in 0..2 {
            for number in 1..=9 {
                let at = Coordinate::new("entity:1", "scope").unwrap();
                let payload = format!("{life} {round} {number}");
                let event = NewEvent::new(&at, Kind::new(KIND).unwrap(), payload.as_bytes());
                let event = event.tag(Tag::new(if number % 2 == 1 { "odd" } else { "even" }).unwrap());
                store.append_with(&event, Durability::Written)?;
            }
            store.sync()?;
            projection.catch_up()?;
            projection.save()?;
            let aggregate = store.fold_stream(&fold, &Coordinate::new("entity:1", "scope").unwrap())?;
            store.save_stream(&fold, &Coordinate::new("entity:1", "scope").unwrap(), &aggregate)?;
        }
        store.hide(Sequence(3 * life), Sequence(3 * life + 1))?;
        projection.catch_up()?;
        projection.save()?;
        drop(projection);
        store.close()?;
    }
    Ok(())
}

#[test]
fn after_a_power_loss_at_any_moment_it_is_the_naive_fold() {
    let whole = SimulatedDirectory::new();
    live(&whole).unwrap();
    let count = whole.operation_count();
    assert!(count > 100, "{count} operations");
    let (mut used, mut begun) = (0, 0);
    for stop in 0..=count {
        let disk = SimulatedDirectory::new();
        disk.stop_before(stop);
        assert!(live(&disk).is_err() || stop == count);
        let crashes = CrashProfile::ALL.iter().map(|profile| disk.crash(*profile, stop));
        let images = crashes.chain([disk.crash_subset(|_| false), disk.crash_subset(|_| true)]);
        for (image, disk) in images.enumerate() {
            let what = format!("before operation {stop}, image {image}");
            let store = options(9).open_on(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            for version in [1, 2] {
                let fold = Trails { version, ..Trails::new(tagged("odd")) };
                let projection = store.project(fold.clone()).unwrap();
                assert_right(&store, &fold.query, &projection.read());
                let is_used = projection.info().unwrap().rebuild_count == 0;
                (used, begun) = (used + u64::from(is_used), begun + u64::from(!is_used));
            }
            let fold = Trails::new(tagged("odd"));
            let at = Coordinate::new("entity:1", "scope").unwrap();
            let mut trail = Trail::default();
            store.stream(&at).for_each(|event| trail.add(&event.unwrap()));
            assert_eq!(store.fold_stream(&fold, &at).unwrap().folded.state, trail, "{what}");
            // What was left does not stand in the way of the next one.
            fill(&store, 1..=3);
            let projection = project(&store, &fold);
            projection.save().unwrap();
            fold.given();
            project(&store, &fold);
            assert_eq!(fold.given(), 0, "{what}");
        }
    }
    assert!(used > count && begun > count, "both happen: {used} times and {begun} times");
}
