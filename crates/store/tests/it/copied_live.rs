//! A copy of a live directory that was made file by file, as `cp` makes it: refused or a prefix, never wrong.
//!
//! The store is written between the copies of any two files, so that no two of them are of one moment. Everything
//! that was durable when the copy began is in what opens, or the open is refused. A copy that opens shows a prefix
//! of the history, which every way to ask it agrees on.

use annals::{Durability, Error, disk::MemoryDirectory};

use crate::{
    backup::{grow, history},
    history::{Draft, History, Image, Step, directory, image, options},
};

/// In which order files are copied.
const ORDERS: [&str; 6] =
    ["by name", "by name backwards", "manifest first", "manifest last", "checkpoint last", "newest first"];

/// What the store does between the copies of two files.
const DEEDS: [&str; 7] = ["nothing", "a batch", "segments", "a checkpoint", "a close", "a crash", "all"];

/// The files of `names` in the order `order`.
fn ordered(mut names: Vec<String>, order: &str) -> Vec<String> {
    let first = |name: &String, what: &str| name != what;
    match order {
        "by name backwards" => names.reverse(),
        "manifest first" => names.sort_by_key(|name| first(name, "MANIFEST")),
        "manifest last" => names.sort_by_key(|name| !first(name, "MANIFEST")),
        "checkpoint last" => names.sort_by_key(|name| !first(name, "CHECKPOINT")),
        "newest first" => {
            names.reverse();
            names.sort_by_key(|name| !name.ends_with(".seg"));
        }
        _ => {}
    }
    names
}

fn happen(history: &mut History, deed: &str, place: usize) {
    match deed {
        "a batch" => {
            history.apply(&Step::Batch(vec![Draft::rich(place, 200); 2], false, Durability::Durable));
        }
        "segments" => (0..4).for_each(|_| grow(history)),
        "a checkpoint" => {
            grow(history);
            history.apply(&Step::Checkpoint);
        }
        "a close" => {
            grow(history);
            history.apply(&Step::Close);
        }
        "a crash" => {
            history.apply(&Step::Batch(vec![Draft::rich(place, 200)], true, Durability::Durable));
            history.apply(&Step::Drop);
        }
        "all" => happen(history, DEEDS[1 + place % 5], place),
        _ => {}
    }
}

/// A copy of the live directory, with a deed behind each file or behind each half of it.
fn copy(history: &mut History, order: &str, deed: &str, halves: bool) -> Image {
    let mut copy = Image::new();
    let names = image(&history.directory).into_keys().collect();
    for (place, name) in ordered(names, order).into_iter().enumerate() {
        // A file that is gone when its turn comes is one that `cp` passes over, and tells.
        let Some(mut bytes) = history.directory.file(&name) else { continue };
        if halves {
            bytes.truncate(bytes.len() / 2);
            happen(history, deed, place);
            let now = history.directory.file(&name).unwrap_or_default();
            bytes.extend(now.get(bytes.len()..).unwrap_or_default());
        }
        copy.insert(name, bytes);
        happen(history, deed, place);
    }
    copy
}

/// Checks what opens of `copy`, made when `durable` events were; says whether anything does.
fn check(history: &History, copy: &Image, durable: usize, what: &str) -> bool {
    let answers = |count: usize| history.expected().prefix(count);
    let mut shown = Vec::new();
    for is_written in [false, true] {
        let files = directory(copy);
        let opened = if is_written { options(9).open_on(files) } else { options(9).open_read_only_on(files) };
        match opened {
            Ok(store) => {
                let count = usize::try_from(store.last_sequence().0).unwrap();
                assert!(count >= durable, "{what}: {count} of {durable} that were durable");
                let names = history.names.len() - store.kind_names().len();
                answers(count).without_last_names(names).check(&store, what);
                let is_whole = count == history.events.len();
                assert!(is_whole || !store.report().is_clean(), "{what}: shorter, and does not say so");
                shown.push(Some(count));
            }
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error}");
                shown.push(None);
            }
        }
    }
    assert_eq!(shown[0], shown[1], "{what}: for reading and for writing");
    shown[0].is_some()
}

#[test]
fn a_copy_made_file_by_file_is_refused_or_a_prefix_with_all_that_was_durable() {
    let mut opened = 0;
    let mut refused = 0;
    for order in ORDERS {
        for deed in DEEDS {
            for (halves, segments) in [(false, 3), (true, 3), (false, 9)] {
                let what = format!("{order}, {deed} in between, halves {halves}, {segments} segments");
                let mut history = history(segments);
                let durable = history.events.len();
                let copy = copy(&mut history, order, deed, halves);
                if check(&history, &copy, durable, &what) { opened += 1 } else { refused += 1 }
            }
        }
    }
    assert!(opened > 20 && refused > 20, "{opened} opened, {refused} were refused: both must be seen");
}

#[test]
fn a_clean_close_that_is_copied_with_a_shorter_log_does_not_pass() {
    let mut history = history(3);
    let before = image(&history.directory);
    history.apply(&Step::Batch(vec![Draft::rich(1, 50)], true, Durability::Durable));
    history.close();
    let after = image(&history.directory);
    let newest = after.keys().rfind(|name| name.ends_with(".seg")).unwrap();
    for old in [before.get(newest).cloned(), Some(before[newest][..512].to_vec())] {
        let mut mixed = after.clone();
        mixed.remove("CHECKPOINT");
        mixed.insert(newest.clone(), old.unwrap());
        for files in [directory(&mixed), directory(&mixed)] {
            let error = options(9).open_read_only_on(files.clone()).unwrap_err();
            assert!(error.to_string().contains("the clean close that the manifest records"), "{error}");
            options(9).open_on(files).unwrap_err();
        }
    }
    let copy: MemoryDirectory = directory(&after);
    assert!(options(9).open_read_only_on(copy).unwrap().report().is_clean());
}
