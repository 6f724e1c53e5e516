//! The inputs that fuzzing begins with and those that it found: each is run through its target with every test.
//!
//! `ANNALS_CORPORA=write` writes the inputs that this file makes: words for the targets that take a list of
//! them, see fuzz/src/word.rs, and footers of a real store.

use std::{collections::BTreeMap, fs, path::PathBuf};

use annals::Durability;

use crate::history::{Draft, History, Step, frame_ends, image};

#[expect(unreachable_pub, reason = "the library of the fuzz targets, in place")]
#[path = "../../../../fuzz/src/lib.rs"]
mod targets;

type Target = fn(&[u8]);

/// The targets, by name. xtask's tests make sure that each has its file in fuzz/fuzz_targets.
const TARGETS: [(&str, Target); 11] = [
    ("checkpoint", targets::checkpoint),
    ("control_record", targets::control_record),
    ("event_header", targets::event_header),
    ("footer", targets::footer),
    ("frame_decode", targets::frame_decode),
    ("manifest", targets::manifest),
    ("open_dir", targets::open_dir),
    ("ops", targets::ops),
    ("sealed_index", targets::sealed_index),
    ("segment_scan", targets::segment_scan),
    ("small_files", targets::small_files),
];

/// What to do, with which, where, and how.
type Word = (u8, u8, u16, u32);

fn words(words: &[Word]) -> Vec<u8> {
    let bytes = |(what, which, place, value): &Word| {
        [&[*what, *which][..], &place.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    words.iter().flat_map(bytes).collect()
}

/// Lives of a store, for `ops`. The first word is how it is opened.
const LIVES: [(&str, &[Word]); 8] = [
    (
        "appends",
        &[
            (0, 0, 0, 0),
            (0, 0, 40, 0x0000),
            (1, 3, 60, 0x2625),
            (1, 2, 20, 0x3000),
            (6, 0, 0, 0),
            (0, 0, 10, 0x0500),
            (0, 0, 10, 0x0700),
            (15, 0, 0, 0),
        ],
    ),
    (
        "repeats",
        &[
            (0, 0, 0, 0),
            (1, 4, 50, 0),
            (3, 2, 1, 0),
            (3, 2, 1, 1),
            (3, 2, 1, 2),
            (3, 2, 1, 3),
            (0, 0, 9, 0x3000),
            (3, 0, 5, 0),
        ],
    ),
    (
        "rotations",
        &[
            (0, 0, 0, 0),
            (4, 0, 0, 0),
            (2, 0, 2500, 0),
            (2, 0, 2500, 0x21),
            (7, 0, 0, 0),
            (8, 0, 0, 0),
            (2, 0, 4000, 0x2042),
            (9, 0, 0, 0),
            (5, 0, 0, 0),
            (1, 4, 200, 0x83),
            (10, 0, 0, 0),
        ],
    ),
    (
        "kill",
        &[(0, 0, 0, 0), (1, 3, 40, 0x2000), (0, 0, 40, 0x3000), (11, 0, 0, 0), (0, 0, 7, 0), (11, 0, 0, 0)],
    ),
    (
        "power-loss",
        &[
            (0, 0, 0, 2),
            (1, 3, 250, 0),
            (4, 0, 0, 0),
            (1, 4, 250, 0x2000),
            (12, 0, 7, 1),
            (0, 0, 7, 0x3000),
            (12, 0, 9, 3),
        ],
    ),
    (
        "power-loss-in-recovery",
        &[
            (0, 0, 0, 0),
            (1, 3, 250, 0),
            (1, 4, 250, 0x2000),
            (11, 7, 0, 0x0421_0000),
            (2, 0, 3000, 0x2000),
            (12, 13, 5, 0x0530_0003),
            (9, 5, 0, 0x0120_0000),
        ],
    ),
    (
        "faults",
        &[
            (0, 0, 0, 0),
            (0, 0, 40, 0),
            (13, 0, 1, 0),
            (1, 3, 60, 0),
            (2, 0, 2500, 0),
            (13, 0, 4, 1 | 1 << 10),
            (2, 0, 2500, 0),
            (13, 3, 0, 3 << 8),
            (0, 0, 40, 0),
            (13, 0, 5, 3 | 1 << 10),
            (9, 0, 0, 0),
        ],
    ),
    (
        "read-faults",
        &[
            (0, 0, 0, 0x40),
            (1, 4, 60, 0),
            (2, 0, 2500, 0),
            (2, 0, 2500, 0),
            (7, 0, 0, 0),
            (14, 0, 1, 0),
            (15, 0, 0, 0),
            (14, 0, 2, 4),
            (3, 1, 0, 0),
            (14, 0, 0, 0),
            (8, 0, 0, 0),
        ],
    ),
];

/// What happens to the files of a store, for `open_dir`. The first word is the moment, and how it is opened. The
/// files are counted in the order of their names: segments, then CHECKPOINT, FRONTIER, LOCK, MANIFEST.
const MUTATIONS: [(&str, &[Word]); 16] = [
    ("closed", &[(0, 23, 0, 0)]),
    ("dropped", &[(0, 16, 0, 0)]),
    ("torn", &[(0, 17, 0, 0)]),
    ("flips", &[(0, 23, 0, 0), (0, 1, 700, 1), (0, 6, 100, 8), (0, 9, 20, 1)]),
    ("cuts", &[(0, 16, 0, 0), (1, 2, 3600, 0), (1, 3, 40, 0)]),
    ("zeros-and-garbage", &[(0, 16, 0, 1), (3, 2, 3700, 100), (2, 2, 0, 0xa700_0300), (3, 3, 0, 32)]),
    ("garbage-behind-a-close", &[(0, 23, 0, 0), (2, 5, 0, 0x0100_0003)]),
    ("derived-files-gone", &[(0, 23, 0, 0), (7, 6, 0, 0), (7, 6, 0, 0)]),
    ("segment-gone", &[(0, 23, 0, 0), (7, 1, 0, 0)]),
    ("files-swapped", &[(0, 20, 0, 0), (6, 0, 0, 4), (8, 4, 0, 4), (11, 0, 300, 0x0100_000f)]),
    ("older-files", &[(0, 23, 0, 0), (9, 5, 0, 22), (9, 6, 0, 19), (9, 9, 0, 20)]),
    ("older-slot", &[(0, 23, 0, 0), (0x95, 9, 0, 0x0009_1000)]),
    ("strangers", &[(0, 23, 0, 0), (10, 5, 0, 23), (10, 6, 0, 20)]),
    ("forged-length", &[(0, 16, 0, 0), (13, 2, 520, 7), (13, 1, 520, 8)]),
    ("forged-frames", &[(0, 16, 0, 2), (12, 2, 640, 1), (12, 1, 572, 4), (15, 0, 0, 0)]),
    ("forged-files", &[(0, 23, 0, 0), (13, 9, 56, 13), (13, 6, 300, 9), (13, 5, 88, 5), (13, 7, 20, 15)]),
];

/// The footers of a small store.
fn footers() -> Vec<Vec<u8>> {
    let mut history = History::new();
    for round in 0..3 {
        let drafts: Vec<_> = (round * 9..round * 9 + 9).map(|number| Draft::rich(number, 20)).collect();
        history.apply(&Step::Batch(drafts, true, Durability::Durable));
        history.apply(&Step::Name);
    }
    history.close();
    let image = image(&history.directory);
    frame_ends(&image).into_iter().map(|(name, end)| image[&name][end..].to_vec()).collect()
}

/// The inputs that are made here, by name: the target, and what they are.
fn seeds() -> BTreeMap<String, Vec<u8>> {
    let lives = LIVES.iter().map(|(name, life)| (format!("ops/{name}"), words(life)));
    let mutations = MUTATIONS.iter().map(|(name, list)| (format!("open_dir/{name}"), words(list)));
    let footers = footers().into_iter().enumerate();
    let footers =
        footers.map(|(number, footer)| (format!("sealed_index/footer-of-segment-{}", number + 1), footer));
    lives.chain(mutations).chain(footers).collect()
}

fn corpora() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

#[test]
fn corpora_hold_what_this_file_makes() {
    let is_writing = std::env::var_os("ANNALS_CORPORA").is_some_and(|value| value == "write");
    for (name, bytes) in seeds() {
        let path = corpora().join(&name);
        if is_writing {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        assert!(
            fs::read(&path).is_ok_and(|found| found == bytes),
            "fuzz/corpus/{name} is not what the code makes: ANNALS_CORPORA=write cargo test -p annals corpora"
        );
    }
}

#[test]
fn every_input_that_is_kept_passes_its_target() {
    let mut folders: Vec<_> = fs::read_dir(corpora())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, TARGETS.map(|(name, _)| name));
    for (name, target) in TARGETS {
        let files: Vec<_> =
            fs::read_dir(corpora().join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "fuzz/corpus/{name} is empty");
        for path in files {
            // Shown where the target fails.
            println!("cargo xtask fuzz {name}: {}", path.display());
            target(&fs::read(&path).unwrap());
        }
    }
}
