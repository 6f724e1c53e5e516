//! Files that are not those of this store at this moment: each of them cut at every length, gone, in the place of
//! another, older, of another store, or of a copy that went its own way. (`damage.rs` has the flipped bits, and
//! older segments and checkpoints.)
//!
//! Whatever it is, both ways of opening come to the same: the right answers, with a report or an incident that tells
//! what was not used; or an error that names the file, at the open with nothing changed, or by whoever first reads
//! what the checkpoint vouched for. Never other answers, never fewer in silence; and the next open has nothing to tell.
//!
//! `ANNALS_TWINS_STEP=1` tries every length instead of a sample.

use annals::{Durability, Error, Store, disk::verify_on, report::OpenReport};
use annals_wire::{CheckpointHead, FrameHeader, SEGMENT_HEADER_LEN};

use crate::{
    history::{Answers, Draft, History, Image, Step, directory, frame_ends, options, segments},
    small_store::{
        batch, count_at, frames, is_unchanged, moments, open, open_and_touch, small, small_of_seed, touch,
    },
};

/// Every how manyth length is tried.
pub(crate) fn step() -> usize {
    let step = std::env::var("ANNALS_TWINS_STEP").ok().and_then(|step| step.parse().ok());
    step.unwrap_or(37)
}

/// Every [`step`]th number below `len`, and those within eight of an edge.
pub(crate) fn sampled(len: usize, edges: &[usize]) -> impl Iterator<Item = usize> {
    let step = step();
    let is_edge = move |number: usize, edges: &[usize]| edges.iter().any(|edge| edge.abs_diff(number) <= 8);
    let edges = [edges, &[0, len]].concat();
    (0..len).filter(move |number| number % step == 0 || is_edge(*number, &edges))
}

/// What came of opening an image.
#[derive(Debug)]
enum Outcome {
    Refused,
    /// It has the answers with this place in the list of those that are right, and this is what was told.
    Opened(usize, Box<OpenReport>),
}

impl Outcome {
    fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }

    /// Whether it has the first of the right answers, and tells so where `is_told`; and only then.
    fn is_right(&self, is_told: bool) -> bool {
        matches!(self, Self::Opened(0, report) if report.is_clean() != is_told)
    }
}

/// Which of `right` a store answers.
fn place_of(right: &[&Answers], store: &Store, context: &str) -> usize {
    let last = store.last_sequence().0;
    let hash =
        store.all().last().map(|event| event.unwrap_or_else(|error| panic!("{context}: {error}")).hash());
    let is_it = |answers: &&Answers| {
        answers.events.len() as u64 == last && answers.events.last().map(|event| event.hash) == hash
    };
    let place = right.iter().position(is_it);
    let place =
        place.unwrap_or_else(|| panic!("{context}: {last} events, and the last is none of the right"));
    right[place].check(store, context);
    place
}

/// Opens `image` for reading and for writing, reads all, and opens it again. It is refused with an error that names one
/// of `files`, or has one of the answers in `right`.
fn outcome(image: &Image, right: &[&Answers], files: &[&str], context: &str) -> Outcome {
    let (read, reader) = open_and_touch(image, true);
    let (written, writer) = open(image, false);
    let is_refused_at_once = writer.is_err();
    let writer = writer.and_then(touch);
    let sound = verify_on(directory(image), &mut |_| {}).unwrap().is_sound();
    assert!(is_unchanged(&read, image), "{context}: a reader changed something");
    let (reader, writer) = match (reader, writer) {
        (Ok(reader), Ok(writer)) => (reader, writer),
        (Err(reader), Err(writer)) => {
            let text = writer.to_string();
            assert_eq!(
                reader.to_string(),
                text,
                "{context}: reader and writer are refused for other reasons"
            );
            assert!(matches!(writer, Error::Corrupt { .. }), "{context}: {writer:?}");
            let is_named = files.iter().any(|file| text.contains(&format!("(memory)/{file}")));
            assert!(is_named, "{context}: {text}");
            let is_unchanged = !is_refused_at_once || is_unchanged(&written, image);
            assert!(is_unchanged, "{context}: refused, and something was changed");
            assert!(!sound, "{context}: refused, and verified: {text}");
            return Outcome::Refused;
        }
        (reader, writer) => panic!("{context}: {:?} and {:?}", reader.map(drop), writer.map(drop)),
    };
    let place = place_of(right, &writer, context);
    assert_eq!(place_of(right, &reader, context), place, "{context}: the reader sees something else");
    let report = writer.report().clone();
    // A reader finds no footer and has none to write: that is nothing to tell.
    let tells_the_same = report.is_clean() == reader.report().is_clean() || !report.rebuilt.is_empty();
    assert!(tells_the_same, "{context}: {report:?} {:?}", reader.report());
    writer.pump().unwrap_or_else(|error| panic!("{context}: {error}: {report:?}"));
    writer.close().unwrap();
    let again = options(4).open_on(written.clone()).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(again.report().is_clean(), "{context}, again: {:?}", again.report());
    assert_eq!(place_of(right, &again, context), place, "{context}: opened again, it is something else");
    drop(again);
    let report_again = verify_on(written, &mut |_| {}).unwrap();
    assert!(report_again.is_sound(), "{context}, again: {:?}", report_again.damage);
    Outcome::Opened(place, Box::new(report))
}

/// The small store, closed and just let go of: its files and their lock, and what it answers.
fn both() -> impl Iterator<Item = (bool, Image, Answers)> {
    [true, false].into_iter().map(|is_closed| {
        let (image, right) = small(is_closed);
        (is_closed, image, right)
    })
}

/// Where what a cut may take begins, and what has no meaning behind it.
fn edges(image: &Image, name: &str) -> Vec<usize> {
    match name {
        "MANIFEST" => vec![4096],
        "CHECKPOINT" => vec![32],
        _ if name.ends_with(".seg") => {
            let mut edges = vec![SEGMENT_HEADER_LEN];
            let frames = frames(image, name);
            edges.extend(frames.iter().map(|(offset, _)| *offset));
            let last = frames.last().unwrap();
            edges.push(last.0 + usize::try_from(last.1.frame_len()).unwrap());
            edges
        }
        _ => Vec::new(),
    }
}

/// What must come of a file that was cut at `len`, by the fault table.
fn check_cut(is_closed: bool, image: &Image, right: &Answers, name: &str, len: usize) {
    let mut cut = image.clone();
    cut.get_mut(name).unwrap().truncate(len);
    let context = format!("{name} cut at {len}, closed {is_closed}");
    let count = right.events.len();
    let sealed_end = frame_ends(image).into_iter().find(|(sealed, _)| sealed == name).map(|(_, end)| end);
    let is_newest = name.ends_with(".seg") && sealed_end.is_none();
    let prefix = if is_newest {
        let is_lost_name = |(offset, header): &(usize, FrameHeader)| {
            header.sequence.0 == 0 && offset + usize::try_from(header.frame_len()).unwrap() > len
        };
        let names_lost = frames(image, name).into_iter().filter(is_lost_name).count();
        right.prefix(count_at(image, name, count, len)).without_last_names(names_lost).brief()
    } else {
        right.clone()
    };
    let outcome = outcome(&cut, &[&prefix], &[name], &context);
    let watermark = CheckpointHead::decode(&image["CHECKPOINT"]).unwrap().watermark.offset;
    let is_as_it_should = match name {
        "LOCK" | "FRONTIER" => outcome.is_right(!is_closed),
        "CHECKPOINT" => outcome.is_right(true),
        "MANIFEST" if len < 4096 => outcome.is_refused(),
        "MANIFEST" => outcome.is_right(true),
        _ if sealed_end.is_some_and(|end| len < end) => outcome.is_refused(),
        _ if sealed_end.is_some() => outcome.is_right(true),
        _ if is_closed || len < usize::try_from(watermark).unwrap() => outcome.is_refused(),
        _ => outcome.is_right(true),
    };
    assert!(is_as_it_should, "{context}: {outcome:?}");
    if let (Outcome::Opened(_, report), "CHECKPOINT") = (&outcome, name) {
        assert!(report.rejected.iter().any(|rejected| rejected.file == name), "{context}: {report:?}");
    }
}

#[test]
fn every_file_cut_at_every_length() {
    for (is_closed, image, right) in both() {
        for (name, bytes) in &image {
            // Behind that there is prepared space, of which one length is like another.
            for len in sampled(bytes.len().min(9000), &edges(&image, name)) {
                check_cut(is_closed, &image, &right, name, len);
            }
        }
    }
}

#[test]
fn every_file_removed() {
    for (is_closed, image, right) in both() {
        for name in image.keys() {
            let mut without = image.clone();
            without.remove(name);
            let context = format!("without {name}, closed {is_closed}");
            let outcome = outcome(&without, &[&right], &[name], &context);
            let is_needed = name == "MANIFEST" || name.ends_with(".seg");
            let is_as_it_should = if is_needed { outcome.is_refused() } else { outcome.is_right(!is_closed) };
            assert!(is_as_it_should, "{context}: {outcome:?}");
        }
    }
}

#[test]
fn every_file_swapped_with_every_other() {
    for (is_closed, image, right) in both() {
        for (one, one_bytes) in &image {
            for (other, other_bytes) in image.iter().filter(|(other, _)| *other > one) {
                let mut swapped = image.clone();
                swapped.insert(one.clone(), other_bytes.clone());
                swapped.insert(other.clone(), one_bytes.clone());
                let context = format!("{one} and {other} swapped, closed {is_closed}");
                let outcome = outcome(&swapped, &[&right], &[one, other], &context);
                let has = |name: &str| one == name || other == name;
                let is_needed = has("MANIFEST") || one.ends_with(".seg") || other.ends_with(".seg");
                let is_as_it_should = if is_needed {
                    outcome.is_refused()
                } else {
                    outcome.is_right(has("CHECKPOINT") || !is_closed)
                };
                assert!(is_as_it_should, "{context}: {outcome:?}");
            }
        }
    }
}

/// An older manifest names fewer segments, which then say themselves that they continue the log; one that records
/// where the log was closed contradicts what came behind.
#[test]
fn every_older_manifest_and_frontier() {
    let moments: Vec<_> = moments().into_iter().map(|(image, right)| (image, right.brief())).collect();
    let (mut refused, mut told, mut untold) = (0, 0, 0);
    for (now, (image, right)) in moments.iter().enumerate() {
        for (then, (earlier, _)) in moments[..now].iter().enumerate() {
            for name in ["MANIFEST", "FRONTIER"] {
                let Some(bytes) = earlier.get(name).filter(|bytes| image.get(name) != Some(bytes)) else {
                    continue;
                };
                let mut mixed = image.clone();
                mixed.insert(name.to_owned(), bytes.clone());
                let context = format!("moment {now} with the {name} of {then}");
                let newest = segments(image).pop().unwrap();
                match outcome(&mixed, &[right], &["MANIFEST", &newest], &context) {
                    Outcome::Refused => refused += 1,
                    Outcome::Opened(_, report) if report.is_clean() => untold += 1,
                    Outcome::Opened(..) => told += 1,
                }
            }
        }
    }
    assert!(refused > 5 && told > 100 && untold > 5, "{refused} refused, {told} told, {untold} untold");
}

#[test]
fn every_file_of_another_store() {
    for (is_closed, image, right) in both() {
        for other_is_closed in [true, false] {
            let (other, _) = small_of_seed(77, other_is_closed);
            for (name, bytes) in &other {
                let mut mixed = image.clone();
                mixed.insert(name.clone(), bytes.clone());
                let context = format!("another store's {name}, closed {is_closed} and {other_is_closed}");
                let files: Vec<_> = if name == "MANIFEST" { vec!["0000"] } else { vec![name.as_str()] };
                let outcome = outcome(&mixed, &[&right], &files, &context);
                let is_as_it_should = match name.as_str() {
                    "LOCK" | "FRONTIER" => outcome.is_right(!is_closed),
                    "CHECKPOINT" => outcome.is_right(true),
                    _ => outcome.is_refused(),
                };
                assert!(is_as_it_should, "{context}: {outcome:?}");
            }
        }
    }
}

/// A batch whose frames have the same lengths whatever its kind, so that places do not tell two copies apart. Its
/// scope keeps two copies from appending the very same event at the very same time, which no two do.
fn even_batch(scope: usize, kind: usize, count: usize) -> Step {
    let drafts = (0..count).map(|_| Draft { scope, kind, ..Draft::plain(0, 60) }).collect();
    Step::Batch(drafts, true, Durability::Durable)
}

/// What two copies of a store may do after they parted.
fn ways() -> Vec<Vec<Step>> {
    use Durability::Durable;
    let even = (0..2).flat_map(|kind| {
        let batch = |scope, count| even_batch(scope, kind, count);
        [
            vec![batch(0, 2), Step::Checkpoint, batch(0, 1)],
            vec![batch(1, 2), Step::Drop, batch(1, 1), Step::Pump, Step::Checkpoint, batch(1, 2)],
            vec![batch(2, 2), Step::Drop, batch(2, 2), Step::Drop, batch(2, 1)],
        ]
    });
    let uneven = vec![
        vec![batch(20, 1, Durable)],
        vec![batch(30, 2, Durable), Step::Checkpoint],
        vec![Step::Name, batch(40, 2, Durable), Step::Drop, batch(44, 1, Durable), Step::Pump],
        vec![batch(50, 1, Durable), Step::Close, batch(51, 2, Durable), Step::Checkpoint],
        vec![batch(60, 3, Durable), Step::Drop, batch(63, 3, Durable), Step::Drop, batch(66, 1, Durable)],
    ];
    uneven.into_iter().chain(even).collect()
}

/// The copies of a base that went each of the [`ways`], closed and not.
fn forks(base: &History) -> Vec<(Image, Answers)> {
    let mut forks = Vec::new();
    for (lives, steps) in (1..).zip(ways()) {
        for is_closed in [true, false] {
            let mut fork = base.fork(1000 * lives);
            steps.iter().for_each(|step| fork.apply(step));
            let right = fork.expected().brief();
            if is_closed {
                fork.close();
            } else {
                fork.leave();
            }
            forks.push((crate::history::image(&fork.directory), right));
        }
    }
    forks
}

/// The answers of a fork, and of every beginning of it.
fn beginnings(right: &Answers) -> Vec<Answers> {
    (0..=right.events.len()).rev().map(|count| right.prefix(count).brief()).collect()
}

/// One file of a copy that parted from this store and went its own way: this store's answers, or the other's as far
/// as they go (where the file is all that tells them apart), or refused; never some of the one and some of the
/// other, and never a cut that is not told.
#[test]
fn every_file_of_a_fork() {
    let (mut refused, mut ours, mut theirs, mut cut) = (0, 0, 0, 0);
    for is_closed in [true, false] {
        let steps = [batch(0, 2, Durability::Durable), Step::Drop, batch(2, 2, Durability::Durable)];
        let mut base = History::of(&steps);
        if is_closed {
            base.close();
        } else {
            base.leave();
        }
        let forks = forks(&base);
        let pairs = (0..forks.len()).flat_map(|our| (0..forks.len()).map(move |their| (our, their)));
        for (our, their) in pairs.filter(|(our, their)| our / 2 != their / 2) {
            let [(image, our_right), (other, their_right)] = [&forks[our], &forks[their]];
            let [ours_all, theirs_all] = [our_right, their_right].map(beginnings);
            let right: Vec<_> = ours_all.iter().chain(&theirs_all).collect();
            for (name, bytes) in other.iter().filter(|(name, bytes)| image.get(*name) != Some(bytes)) {
                let mut mixed = image.clone();
                mixed.insert(name.clone(), bytes.clone());
                let context = format!("fork {our} with the {name} of {their}, parted closed {is_closed}");
                match outcome(&mixed, &right, &["0000", "MANIFEST"], &context) {
                    Outcome::Refused => refused += 1,
                    Outcome::Opened(0, _) => ours += 1,
                    Outcome::Opened(place, _) if place == ours_all.len() => theirs += 1,
                    Outcome::Opened(_, report) => {
                        assert!(report.log.was_unclean, "{context}: {report:?}");
                        cut += 1;
                    }
                }
            }
        }
    }
    let counts = format!("{refused} refused, {ours} ours, {theirs} theirs, {cut} theirs and cut");
    assert!(refused > 100 && ours > 50 && theirs + cut < refused, "{counts}");
}
