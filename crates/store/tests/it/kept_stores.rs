//! Stores that version 1 wrote, kept in the tree: they are opened for ever.
//!
//! Each lies in `tests/stores` with all its files, and beside them in `holds.txt` what it holds, as the program said
//! that wrote it. They are never written again; what a later version writes otherwise is another version's, with
//! stores of its own. New ones of this version are made with `ANNALS_STORES=write cargo test -p annals kept_stores`,
//! which leaves those alone that are there.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use annals::{
    Background, Condition, Coordinate, Error, Event, Kind, NewEvent, Options, Query, QueryItem, Store, Tag,
    consume::Fold,
    disk::{Clock, SeededEntropy},
    verify,
};
use tempfile::TempDir;

use crate::{
    history::{Draft, History, Step, image},
    retention,
};

const HOLDS: &str = "holds.txt";

fn stores() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores")
}

/// Everything that a store says it holds.
fn holds(store: &Store) -> String {
    let mut text = String::new();
    for event in store.all() {
        let event = event.unwrap();
        writeln!(text, "{}", line(&event)).unwrap();
    }
    for (kind, name) in store.kind_names() {
        writeln!(text, "{kind} is {name}").unwrap();
    }
    for (first, last) in store.hidden() {
        writeln!(text, "hidden: {first} to {last}").unwrap();
    }
    for stream in store.streams().unwrap() {
        writeln!(text, "stream {} {} {}: {}", stream.scope, stream.entity, stream.lane, stream.revision)
            .unwrap();
    }
    for cursor in store.cursors().unwrap() {
        writeln!(text, "cursor {}: {} {}", cursor.name, cursor.position, cursor.move_count).unwrap();
    }
    for group in store.groups().unwrap() {
        let parked: Vec<_> = group.parked.iter().map(|parked| (parked.sequence, &parked.reason)).collect();
        writeln!(text, "group {}: {} {} {parked:?}", group.name, group.position, group.done_count).unwrap();
    }
    text
}

fn line(event: &Event) -> String {
    let tags: Vec<_> = event.tags().collect();
    let extensions: Vec<_> = event.extensions().collect();
    let payload = event.payload().map(|payload| blake3::hash(payload).to_hex()[..16].to_owned());
    format!(
        "{} {} {} {} {} {} {} {} {:?} {} {:?} {} {:?} {tags:?} {extensions:?} {payload:?}",
        event.sequence(),
        event.id(),
        event.hash(),
        event.scope(),
        event.entity(),
        event.lane(),
        event.revision(),
        event.recorded(),
        event.occurred(),
        event.correlation(),
        event.causation(),
        event.kind(),
        event.depth(),
    )
}

/// A store of many segments, with runs over them, hidden events, lanes, names and everything that an event can have.
fn history() -> History {
    let mut history = History::of_seed(11);
    history.apply(&Step::Name);
    for number in 0..90 {
        let mut draft = Draft::rich(number, 60);
        draft.lane = u32::from(number % 9 == 4);
        history.apply(&Step::Batch(
            vec![draft; 1 + number % 2],
            number % 5 != 0,
            annals::Durability::Durable,
        ));
        if number % 12 == 0 {
            history.apply(&Step::Hide(number * 3, 2));
            history.apply(&Step::Pump);
        }
    }
    history.apply(&Step::Name);
    history
}

fn write(directory: &Path, files: &crate::history::Image) {
    fs::create_dir_all(directory).unwrap();
    for (name, bytes) in files {
        fs::write(directory.join(name), bytes).unwrap();
    }
}

/// Closed, with everything that is derived.
fn make_closed(directory: &Path) {
    let mut history = history();
    history.apply(&Step::Checkpoint);
    history.apply(&Step::Pump);
    history.close();
    write(directory, &image(&history.directory));
}

/// Left as a crash leaves it: no checkpoint of the last events, and half a frame at the end.
fn make_crashed(directory: &Path) {
    let mut history = history();
    history.leave();
    let mut files = image(&history.directory);
    let newest = crate::history::segments(&files).pop().unwrap();
    let bytes = files.get_mut(&newest).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes.truncate(end.next_multiple_of(8));
    let frame = bytes[512..560].to_vec();
    bytes.extend(frame);
    write(directory, &files);
}

/// Without its beginning, with a replaced segment and an erased payload.
fn make_reduced(directory: &Path) {
    write(directory, &image(&retention::small()));
}

/// With cursors, saved and moved in the log, a group with a parked event, and a projection's snapshot.
fn make_consumed(directory: &Path) {
    let store = options(5).create(true).open(directory).unwrap();
    let kind = Kind::new(0x2001).unwrap();
    let at = |entity: &str| Coordinate::new(entity, "work").unwrap();
    for number in 0..24_u8 {
        store.append(&NewEvent::new(&at(&format!("w{}", number % 3)), kind, &[number])).unwrap();
    }
    let work = || Query::of(QueryItem::new().scope("work"));
    let mut saved = store.cursor("saved", work()).unwrap();
    let mut moved = store.cursor("moved", work()).unwrap();
    for _ in 0..7 {
        assert!(saved.try_next().unwrap().is_some() && moved.try_next().unwrap().is_some());
    }
    saved.save().unwrap();
    moved.append(&[NewEvent::new(&at("out"), kind, b"what came of seven")]).unwrap();
    let group = store.group("group", work()).unwrap();
    group.try_next().unwrap().unwrap().park("for later").unwrap();
    for _ in 0..5 {
        group.try_next().unwrap().unwrap().done_with(&[NewEvent::new(&at("out"), kind, b"done")]).unwrap();
    }
    group.save().unwrap();
    let sum = store.project(Sum).unwrap();
    sum.save().unwrap();
    drop(sum);
    saved.close().unwrap();
    moved.close().unwrap();
    group.close().unwrap();
    store.close().unwrap();
}

/// What the first bytes of the payloads come to.
struct Sum;

impl Fold for Sum {
    type State = u64;

    fn name(&self) -> &str {
        "sum"
    }

    fn version(&self) -> u32 {
        1
    }

    fn query(&self, _store: &Store) -> Query {
        Query::of(QueryItem::new().scope("work"))
    }

    fn apply(&self, sum: &mut u64, event: &Event) -> Result<(), Error> {
        *sum += event.payload().and_then(|payload| payload.first()).map_or(0, |byte| u64::from(*byte));
        Ok(())
    }
}

type Make = fn(&Path);

const STORES: [(&str, Make); 4] = [
    ("v1-closed", make_closed),
    ("v1-crashed", make_crashed),
    ("v1-reduced", make_reduced),
    ("v1-consumed", make_consumed),
];

#[test]
fn kept_consumers_go_on_where_they_were() {
    let (_place, store) = open_copy(&stores().join("v1-consumed"), &options(3), false);
    let work = || Query::of(QueryItem::new().scope("work"));
    for name in ["saved", "moved"] {
        let next = store.cursor(name, work()).unwrap().try_next().unwrap().unwrap();
        assert_eq!(next.sequence().0, 8, "{name}");
    }
    let group = store.group("group", work()).unwrap();
    assert_eq!(group.parked().unwrap().len(), 3, "one is parked, and two of its stream wait behind it");
    let delivery = group.try_next().unwrap().unwrap();
    assert_eq!(delivery.event().sequence().0, 9, "of the eight before, five are done");
    drop(delivery);
    let sum = store.project(Sum).unwrap();
    let info = sum.info().unwrap();
    assert_eq!((info.rebuild_count, info.rebuilt_because), (0, None), "its snapshot is used");
    let expected: u64 = store.all().map(|event| u64::from(event.unwrap().payload().unwrap()[0])).sum();
    assert_eq!(sum.read().state, expected);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&from, &to);
        } else if entry.file_name() != HOLDS {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Whose process held them is nobody's business.
fn remove_locks(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            remove_locks(&entry.path());
        } else if entry.file_name() == "LOCK" {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

/// A clock behind all that was recorded: what is appended goes on from there.
#[derive(Debug)]
struct EarlyClock;

impl Clock for EarlyClock {
    fn now_millis(&self) -> u64 {
        1
    }
}

fn options(seed: u64) -> Options {
    let options = Options::new().background(Background::Manual).clock(EarlyClock);
    options.entropy(SeededEntropy::new(seed)).segment_bytes(4096)
}

fn open_copy(kept: &Path, options: &Options, is_read_only: bool) -> (TempDir, Store) {
    let place = TempDir::new().unwrap();
    copy(kept, place.path());
    let store = if is_read_only {
        options.clone().open_read_only(place.path()).unwrap()
    } else {
        options.clone().open(place.path()).unwrap()
    };
    (place, store)
}

#[test]
fn kept_stores_are_opened_from_every_source_and_written_on() {
    for (name, make) in STORES {
        let kept = stores().join(name);
        if std::env::var_os("ANNALS_STORES").is_some_and(|value| value == "write") && !kept.exists() {
            make(&kept);
            remove_locks(&kept);
            let (_place, store) = open_copy(&kept, &options(1), true);
            fs::write(kept.join(HOLDS), holds(&store)).unwrap();
        }
        let expected = fs::read_to_string(kept.join(HOLDS)).unwrap();
        assert!(expected.lines().count() > 20, "{name}: it holds something");
        for bits in 0..16_u8 {
            let is_on = |bit: u8| bits & bit == 0;
            let options = options(2).use_footers(is_on(1)).use_checkpoint(is_on(2)).use_runs(is_on(4));
            let options = options.maps(is_on(8));
            for is_read_only in [true, false] {
                let (place, store) = open_copy(&kept, &options, is_read_only);
                let context = format!("{name}, without sources {bits:04b}, read-only {is_read_only}");
                assert_eq!(holds(&store), expected, "{context}");
                if !is_read_only {
                    go_on(&store, &context);
                    store.close().unwrap();
                    let verified = verify(place.path(), &mut |_| {}).unwrap();
                    assert!(verified.is_sound(), "{context}: {:?}", verified.damage);
                }
            }
        }
    }
}

/// Appends to every stream that is there, and to a new one.
fn go_on(store: &Store, context: &str) {
    let kind = Kind::new(0x2001).unwrap();
    let tag = Tag::new("later").unwrap();
    for stream in store.streams().unwrap() {
        let at = Coordinate::new(&stream.entity, &stream.scope).unwrap();
        let event = NewEvent::new(&at, kind, b"later").lane(stream.lane).tag(tag.clone());
        let receipt = store.append_if(&[event], &Condition::new()).unwrap().remove(0);
        assert_eq!(receipt.revision.0, stream.revision.0 + 1, "{context}");
    }
    let last = store.all().backwards().next().unwrap().unwrap();
    assert_eq!(last.payload(), Some(&b"later"[..]), "{context}");
}
