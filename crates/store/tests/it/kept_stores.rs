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
    Background, Clock, Condition, Coordinate, Event, Kind, NewEvent, Options, SeededEntropy, Store, Tag,
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

type Make = fn(&Path);

const STORES: [(&str, Make); 3] =
    [("v1-closed", make_closed), ("v1-crashed", make_crashed), ("v1-reduced", make_reduced)];

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
