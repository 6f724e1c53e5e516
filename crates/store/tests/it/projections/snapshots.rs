//! Snapshots: what they have is not folded again; what is not shown to be of this store, this history and this fold is
//! not used, and says why.

use annals_segment::{Errno, Fault, Span};

use super::*;

const FILE: &str = "projections/trails/whole.snap";

/// A disk with a store of `count` events, of whose odd ones a snapshot is saved, and what is on it.
fn saved(seed: u64, count: u64) -> SimulatedDirectory {
    let disk = SimulatedDirectory::new();
    let store = open(disk.clone(), seed);
    fill(&store, 1..=count);
    let projection = project(&store, &Trails::new(tagged("odd")));
    assert_eq!(projection.save().unwrap(), Some(Sequence(count)));
    drop(projection);
    store.close().unwrap();
    disk
}

/// Opens the projection, which must be right, say why what is saved was not used, and be usable when it is saved again.
fn assert_rejected(store: &Store, fold: &Trails, why: &str) {
    fold.given();
    let projection = project(store, fold);
    assert_eq!(fold.given(), projection.read().event_count, "everything is folded anew");
    let info = projection.info().unwrap();
    let reason = info.rebuilt_because.unwrap_or_default();
    assert!(reason.contains(why), "{reason}, and not: {why}");
    assert!(store.incidents().iter().any(|incident| incident.contains(why)), "{:?}", store.incidents());
    projection.save().unwrap();
    drop(projection);
    project(store, fold);
    assert_eq!(fold.given(), 0);
}

#[test]
fn what_a_snapshot_has_is_not_folded_again() {
    let disk = saved(1, 100);
    let store = open(disk.clone(), 2);
    let fold = Trails::new(tagged("odd"));
    project(&store, &fold);
    assert_eq!(fold.given(), 0);
    fill(&store, 101..=110);
    let projection = project(&store, &fold);
    assert_eq!(fold.given(), 5);
    assert!(store.incidents().is_empty());
    // It may be removed at any time.
    store.close().unwrap();
    for name in ["whole.snap", "LOCK"] {
        let outer = disk.child("projections").unwrap().child("trails").unwrap();
        outer.remove(name).unwrap();
    }
    drop(projection);
    let store = open(disk, 3);
    assert_eq!(project(&store, &fold).info().unwrap().rebuilt_because, None);
    assert_eq!(fold.given(), 55);
}

#[test]
fn another_version_or_query_or_name_is_not_used() {
    let store = open(saved(1, 100), 2);
    let fold = Trails::new(tagged("odd"));
    let changed = Trails { version: 2, ..fold.clone() };
    assert_rejected(&store, &changed, "it is of version 1 of the fold, and this is 2");
    assert_rejected(&store, &fold, "it is of version 2 of the fold, and this is 1");
    assert_rejected(&store, &Trails::new(tagged("even")), "another query");
    let own = SimulatedDirectory::new();
    let store = open(SimulatedDirectory::new(), 1);
    fill(&store, 1..=10);
    store.project_in(Notes, own.clone()).unwrap().save().unwrap();
    own.write_file("notes/whole.snap", saved(1, 10).file(FILE).unwrap());
    let projection = store.project_in(Notes, own).unwrap();
    assert_eq!(projection.read().state, 10);
    assert!(projection.info().unwrap().rebuilt_because.unwrap().contains("of the projection trails"));
}

struct Notes;

impl Fold for Notes {
    type State = u64;

    fn name(&self) -> &str {
        "notes"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(&self, count: &mut u64, _: &Event) -> Result<(), Error> {
        *count += 1;
        Ok(())
    }
}

#[test]
fn another_stores_is_not_used() {
    let (one, other) = (saved(1, 100), saved(2, 100));
    one.write_file(FILE, other.file(FILE).unwrap());
    assert_rejected(&open(one, 3), &Trails::new(tagged("odd")), "it is of the store");
}

/// A store that was restored from a backup: the same store, an earlier past, and perhaps another one since.
#[test]
fn a_restored_pasts_is_not_used() {
    let disk = SimulatedDirectory::new();
    let store = open(disk.clone(), 1);
    fill(&store, 1..=50);
    let backup = [(); 2].map(|()| MemoryDirectory::new());
    for target in &backup {
        store.backup_to(target.clone(), &mut |_| {}).unwrap();
    }
    fill(&store, 51..=100);
    let fold = Trails::new(tagged("odd"));
    project(&store, &fold).save().unwrap();
    let bytes = disk.file(FILE).unwrap();
    let place = |directory: &MemoryDirectory| {
        let outer = directory.create_child("projections").unwrap().create_child("trails").unwrap();
        outer.create("whole.snap").unwrap().write_all_at(&bytes, 0).unwrap();
    };
    let [earlier, forked] = backup;
    place(&earlier);
    let store = open(earlier, 2);
    assert_rejected(&store, &fold, "it has events up to 100, and the newest here is 50");
    place(&forked);
    let store = open(forked, 3);
    fill(&store, 51..=120);
    assert_rejected(&store, &fold, "of another history: its event 100 has the hash");
}

#[test]
fn no_changed_byte_gets_through() {
    let disk = saved(1, 20);
    let bytes = disk.file(FILE).unwrap();
    let store = open(disk.clone(), 2);
    let fold = Trails::new(tagged("odd"));
    for (place, bit) in (0..bytes.len()).flat_map(|place| [(place, 1), (place, 0x80)]) {
        let mut changed = bytes.clone();
        changed[place] ^= bit;
        disk.write_file(FILE, &changed);
        fold.given();
        match store.project(fold.clone()) {
            Ok(projection) => {
                assert_right(&store, &fold.query, &projection.read());
                assert_eq!(fold.given(), 10, "byte {place}");
            }
            Err(error) => panic!("byte {place}: {error}"),
        }
    }
    for len in 0..bytes.len() {
        disk.write_file(FILE, &bytes[..len]);
        assert_eq!(project(&store, &fold).info().unwrap().rebuild_count, 1, "{len} bytes");
    }
}

#[test]
fn a_newer_programs_is_left_as_it_is() {
    let disk = saved(1, 20);
    let mut bytes = disk.file(FILE).unwrap();
    bytes[8] = 2;
    let crc = annals_wire::crc(&bytes[..260]).to_le_bytes();
    bytes[260..264].copy_from_slice(&crc);
    disk.write_file(FILE, &bytes);
    let store = open(disk.clone(), 2);
    let refused = store.project(Trails::new(tagged("odd")));
    assert!(matches!(refused, Err(Error::NewerVersion { .. })), "{refused:?}");
    assert_eq!(disk.file(FILE).unwrap(), bytes);
}

#[test]
fn what_was_hidden_since_makes_it_useless_where_it_was_in_it() {
    let disk = saved(1, 100);
    let store = open(disk.clone(), 2);
    let fold = Trails::new(tagged("odd"));
    store.hide(Sequence(50), Sequence(50)).unwrap();
    project(&store, &fold);
    assert_eq!(fold.given(), 0, "an even one, which is not in it");
    store.hide(Sequence(51), Sequence(51)).unwrap();
    assert_rejected(&store, &fold, "an event that is in it was hidden");
    // Saved with what is hidden, it is used while nothing more is, and behind it it does not matter.
    fill(&store, 101..=110);
    store.hide(Sequence(101), Sequence(105)).unwrap();
    project(&store, &fold);
    assert_eq!(fold.given(), 2);
}

#[test]
fn a_store_that_only_reads_uses_snapshots_and_writes_none() {
    let disk = saved(1, 100);
    let reader = options(2).open_read_only_on(disk.clone()).unwrap();
    let fold = Trails::new(tagged("odd"));
    let projection = project(&reader, &fold);
    assert_eq!(fold.given(), 0);
    assert_eq!(projection.save().unwrap(), Some(Sequence(100)), "there it is already");
    let changed = Trails { version: 2, ..fold };
    let (projection, operations) = (project(&reader, &changed), disk.operation_count());
    assert!(matches!(projection.save(), Err(Error::ReadOnly)));
    assert_eq!(disk.operation_count(), operations);
    let own = MemoryDirectory::new();
    let projection = reader.project_in(changed.clone(), own.clone()).unwrap();
    assert_eq!(projection.save().unwrap(), Some(Sequence(100)));
    changed.given();
    assert_right(&reader, &changed.query, &reader.project_in(changed.clone(), own).unwrap().read());
    assert_eq!((changed.given(), disk.operation_count()), (0, operations));
}

/// Where events can be read before they are durable: what is saved is durable all the same.
#[test]
fn what_is_not_durable_is_not_saved() {
    let disk = SimulatedDirectory::new();
    let written = |seed| options(seed).visibility(Durability::Written).durability(Durability::Written);
    let store = written(1).open_on(disk.clone()).unwrap();
    fill(&store, 1..=10);
    let fold = Trails::new(Query::all());
    let projection = project(&store, &fold);
    append(&store, 11, Durability::Written);
    assert_eq!(projection.catch_up().unwrap().sequence, Sequence(11));
    let reader = written(2).open_read_only_on(disk.clone()).unwrap();
    assert_eq!(reader.last_sequence(), Sequence(11), "the writer shows it");
    let own = reader.project_in(fold.clone(), MemoryDirectory::new()).unwrap();
    assert_eq!(own.save().unwrap(), None);
    // The store's own is made durable first.
    assert_eq!(projection.save().unwrap(), Some(Sequence(11)));
    assert_eq!(store.frontiers().durable, Sequence(11));
    let after = open(disk.crash_subset(|_| false), 3);
    fold.given();
    project(&after, &fold);
    assert_eq!(fold.given(), 0);
}

/// At each operation of a save in turn.
#[test]
fn a_save_that_fails_leaves_what_was_saved_or_was_to_be() {
    let fold = Trails::new(tagged("odd"));
    let (mut at, mut kept) = (0, 0);
    loop {
        let disk = saved(1, 100);
        let store = open(disk.clone(), 2);
        let projection = project(&store, &fold);
        fill(&store, 101..=110);
        projection.catch_up().unwrap();
        let before = disk.file(FILE).unwrap();
        let errno = if at % 2 == 0 { Errno::Io } else { Errno::NoSpace };
        disk.inject(disk.operation_count() + at / 2, Fault::Fail(errno), Span::Once);
        let operations = disk.operation_count();
        let saved = projection.save();
        let is_over = disk.operation_count() - operations <= at / 2;
        match saved {
            Ok(saved) => assert_eq!(saved, Some(Sequence(110))),
            Err(_) => {
                assert_eq!(projection.info().unwrap().saved, Some(Sequence(100)));
                kept += u64::from(disk.file(FILE).unwrap() == before);
            }
        }
        fold.given();
        let again = project(&store, &fold);
        assert_eq!(again.info().unwrap().rebuild_count, 0, "the old one or the new one");
        assert_eq!(projection.save().unwrap(), Some(Sequence(110)));
        project(&store, &fold);
        if is_over {
            break;
        }
        at += 1;
    }
    assert!(at > 8 && kept > 3, "{at} faults, {kept} of them before the new one was there");
}
