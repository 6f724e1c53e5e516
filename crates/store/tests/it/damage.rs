//! Damage: every bit of every file, cuts of every length, and segments that are missing, swapped, foreign or
//! old. The answer is the right one, or an error that says where; and what is refused stays as it is.
//!
//! Told and not refused: damage to what is derived or held twice (footers, the checkpoint, one slot of the
//! manifest). Harmless, and the only bits that are: those of `LOCK` and `FRONTIER` of a store that nobody
//! writes. With a store that was not closed, damage to its last group, or to what was prepared behind it,
//! cannot be told from what a crash leaves, and is cut and told as that.

use annals::{Durability, Error, OpenReport, Store, VerifyReport, verify_on};

use crate::history::{Answers, Draft, History, Image, Step, directory, frame_ends, image, options, segments};

/// A small store: three segments, the newest with a checkpoint in its middle.
fn history() -> History {
    let mut history = History::new();
    let batch = |from: usize, count: usize| {
        let drafts = (from..from + count).map(|number| Draft::rich(number, 20 + number)).collect();
        Step::Batch(drafts, true, Durability::Durable)
    };
    for step in [
        Step::Name,
        batch(0, 2),
        Step::Drop,
        batch(2, 1),
        Step::Name,
        batch(3, 2),
        Step::Pump,
        Step::Drop,
        Step::Name,
        batch(5, 2),
        Step::Checkpoint,
        batch(7, 1),
        Step::Pump,
        Step::Name,
        batch(8, 2),
        batch(10, 1),
    ] {
        history.apply(&step);
    }
    history
}

/// The small store and what it must answer; closed, or just let go of.
fn small(is_closed: bool) -> (Image, Answers) {
    let mut history = history();
    let expected = history.expected().brief();
    if is_closed {
        history.close();
    } else {
        history.leave();
    }
    let mut image = image(&history.directory);
    image.insert("LOCK".to_owned(), history.directory.file("LOCK").unwrap());
    assert_eq!(segments(&image).len(), 3);
    assert!(["CHECKPOINT", "FRONTIER", "MANIFEST"].iter().all(|name| image.contains_key(*name)));
    (image, expected)
}

fn without_lock(image: &Image) -> Image {
    image
        .iter()
        .filter(|(name, _)| *name != "LOCK")
        .map(|(name, bytes)| (name.clone(), bytes.clone()))
        .collect()
}

/// An error about damage says in which file and where.
fn assert_names(error: &Error, file: &str, context: &str) {
    let text = error.to_string();
    assert!(matches!(error, Error::Corrupt { .. }), "{context}: {error:?}");
    assert!(text.contains(&format!("(memory)/{file}")) && text.contains("at offset "), "{context}: {text}");
}

/// Makes sure that `damaged` is refused with an error that names `file` and nothing is changed, or that it
/// answers rightly or with errors that name `file`; and that it is told. `expected` are the right answers, with
/// those that a crash may leave behind them.
fn check(damaged: &Image, file: &str, expected: &[Answers], context: &str) {
    let before = without_lock(damaged);
    for is_read_only in [false, true] {
        let directory = directory(damaged);
        let opened = if is_read_only {
            options(3).open_read_only_on(directory.clone())
        } else {
            options(3).open_on(directory.clone())
        };
        match opened {
            Ok(store) => check_store(&store, file, expected, context),
            Err(error) => {
                assert_names(&error, file, context);
                assert!(image(&directory) == before, "{context}: refused, and something was changed");
            }
        }
        assert!(!is_read_only || image(&directory) == before, "{context}: a reader changed something");
    }
    let report = verify_on(directory(damaged), &mut |_| {}).unwrap();
    check_verified(&report, file, expected.len() > 1, context);
}

fn check_store(store: &Store, file: &str, expected: &[Answers], context: &str) {
    let [right, cut @ ..] = expected else { panic!("there is always a right answer") };
    let count = store.last_sequence().0;
    let answers = if count == right.events.len() as u64 {
        right
    } else {
        assert!(tells_of_a_cut(store.report()), "{context}: a cut that is not told");
        let answers = cut.iter().find(|answers| answers.events.len() as u64 == count);
        answers.unwrap_or_else(|| panic!("{context}: cut to {count} events"))
    };
    for error in answers.check_or_errors(store, context) {
        assert_names(&error, file, context);
    }
}

fn tells_of_a_cut(report: &OpenReport) -> bool {
    report.log.torn.is_some() && !report.is_clean()
}

fn check_verified(report: &VerifyReport, file: &str, may_be_torn: bool, context: &str) {
    let is_told = match file {
        "LOCK" | "FRONTIER" => report.is_sound(),
        "MANIFEST" => report.notes.iter().any(|note| note.contains("MANIFEST has a damaged slot at offset")),
        _ => {
            report.damage.iter().any(|damage| damage.file.ends_with(file))
                || may_be_torn && report.torn.is_some()
        }
    };
    assert!(is_told, "{context}: {report:?}");
}

/// Flips bits of `file` in turn, every `step`th of those in `bytes`.
fn flip(image: &Image, file: &str, bytes: std::ops::Range<usize>, step: usize, expected: &[Answers]) {
    let mut damaged = image.clone();
    for bit in (bytes.start * 8..bytes.end * 8).step_by(step) {
        damaged.get_mut(file).unwrap()[bit / 8] ^= 1 << (bit % 8);
        check(&damaged, file, expected, &format!("bit {} of byte {} of {file}", bit % 8, bit / 8));
        damaged.get_mut(file).unwrap()[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn every_bit_of_a_closed_stores_segments() {
    let (image, expected) = small(true);
    let ends = frame_ends(&image);
    for name in segments(&image) {
        let len = image[&name].len();
        let end = ends.iter().find(|(sealed, _)| *sealed == name).map_or(len, |(_, end)| *end);
        let start = std::time::Instant::now();
        flip(&image, &name, 0..end, 1, std::slice::from_ref(&expected));
        println!("{name} {end} {:?}", start.elapsed());
        let start = std::time::Instant::now();
        flip(&image, &name, end..len, 7, std::slice::from_ref(&expected));
        println!("{name} {len} {:?}", start.elapsed());
    }
}

#[test]
fn every_bit_of_a_closed_stores_other_files() {
    let (image, expected) = small(true);
    for name in ["MANIFEST", "CHECKPOINT", "FRONTIER", "LOCK"] {
        let start = std::time::Instant::now();
        flip(&image, name, 0..image[name].len(), 1, std::slice::from_ref(&expected));
        println!("{name} {} {:?}", image[name].len(), start.elapsed());
    }
}
