//! Damage: every bit of every file, cuts of every length, and segments that are missing, swapped, foreign or
//! old. The answer is the right one, or an error that says where; and what is refused stays as it is.
//!
//! Told and not refused: damage to what is derived or held twice (footers, the checkpoint, one slot of the
//! manifest). Harmless, and the only bits that are: those of `LOCK` and `FRONTIER` of a store that nobody
//! writes. With a store that was not closed, damage to its last group, or to what was prepared behind it,
//! cannot be told from what a crash leaves, and is cut and told as that.

use std::ops::Range;

use annals::{Durability, Error, Store, disk::verify_on, report::VerifyReport};
use annals_wire::{CheckpointHead, SEGMENT_HEADER_LEN};

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{
    history::{
        Answers, Draft, History, Image, Step, append, directory, frame_ends, id, image, options, segments,
        steps,
    },
    small_store::{
        assert_names, batch, count_at, dropped, frames, frames_end, is_unchanged, moments, names_the_loss,
        open, refused, small, touch,
    },
};

/// A reader is tried, beside the writer, for one flip in this many.
const READER_STEP: usize = 5;

/// What damage may leave: the right answers, and those that are right where the end was cut as torn.
struct Outcomes {
    right: Answers,
    cut: Vec<Answers>,
}

impl Outcomes {
    fn check(&self, store: &Store, file: &str, context: &str) {
        let count = store.last_sequence().0;
        let answers = if count == self.right.events.len() as u64 {
            &self.right
        } else {
            let report = store.report();
            assert!(report.log.torn.is_some() && !report.is_clean(), "{context}: a cut that is not told");
            let cut = self.cut.iter().find(|answers| answers.events.len() as u64 == count);
            cut.unwrap_or_else(|| panic!("{context}: cut to {count} events"))
        };
        for error in answers.check_or_errors(store, context) {
            assert_names(&error, file, context);
        }
    }

    fn check_verified(&self, report: &VerifyReport, file: &str, context: &str) {
        let is_torn = !self.cut.is_empty() && report.torn.is_some();
        let is_told = match file {
            "LOCK" | "FRONTIER" => report.is_sound(),
            "MANIFEST" => report.notes.iter().any(|note| note.contains("damaged slot at offset")),
            _ => is_torn || report.damage.iter().any(|damage| damage.file.ends_with(file)),
        };
        assert!(is_told, "{context}: {report:?}");
    }

    /// Makes sure that `damaged` is refused with an error that names `file` and nothing is changed, or that it
    /// answers rightly or with errors that name `file`; and that verification tells it.
    fn check_opens(&self, damaged: &Image, file: &str, with_reader: bool, context: &str) {
        for is_read_only in [false, true] {
            if is_read_only && !with_reader {
                continue;
            }
            let (directory, opened) = open(damaged, is_read_only);
            let is_refused = opened.is_err();
            match opened {
                Ok(store) => self.check(&store, file, context),
                Err(error) => assert_names(&error, file, context),
            }
            let must_be_unchanged = is_refused || is_read_only;
            assert!(
                !must_be_unchanged || is_unchanged(&directory, damaged),
                "{context}: something was changed"
            );
        }
        let report = verify_on(directory(damaged), &mut |_| {}).unwrap();
        self.check_verified(&report, file, context);
    }

    /// Flips every `step`th bit of the bytes `range` of `file` in turn.
    fn flip(&self, image: &Image, file: &str, range: Range<usize>, step: usize) {
        let mut damaged = image.clone();
        for bit in (range.start * 8..range.end * 8).step_by(step) {
            damaged.get_mut(file).unwrap()[bit / 8] ^= 1 << (bit % 8);
            let context = format!("bit {} of byte {} of {file}", bit % 8, bit / 8);
            self.check_opens(&damaged, file, (bit / step).is_multiple_of(READER_STEP), &context);
            damaged.get_mut(file).unwrap()[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_bit_of_a_closed_stores_segments() {
    let (image, right) = small(true);
    let outcomes = Outcomes { right, cut: Vec::new() };
    for name in segments(&image) {
        let (end, len) = (frames_end(&image, &name), image[&name].len());
        outcomes.flip(&image, &name, 0..end, 1);
        outcomes.flip(&image, &name, end..len, 7);
    }
}

#[test]
fn every_bit_of_a_closed_stores_small_files() {
    let (image, right) = small(true);
    let outcomes = Outcomes { right, cut: Vec::new() };
    for name in ["CHECKPOINT", "FRONTIER", "LOCK"] {
        outcomes.flip(&image, name, 0..image[name].len(), 1);
    }
}

/// Either slot of the manifest may be damaged anywhere; the other one and the segments say enough.
#[test]
fn every_bit_of_a_closed_stores_manifest() {
    let (image, right) = small(true);
    let hashes: Vec<_> = right.events.iter().map(|event| event.hash).collect();
    let mut damaged = image.clone();
    for bit in 0..image["MANIFEST"].len() * 8 {
        damaged.get_mut("MANIFEST").unwrap()[bit / 8] ^= 1 << (bit % 8);
        let (_, opened) = open(&damaged, true);
        let store = opened.unwrap();
        assert!(store.all().map(|event| event.unwrap().hash()).eq(hashes.iter().copied()), "bit {bit}");
        assert!(store.report().oddities[0].contains("MANIFEST has a damaged slot"), "bit {bit}");
        damaged.get_mut("MANIFEST").unwrap()[bit / 8] ^= 1 << (bit % 8);
    }
    Outcomes { right, cut: Vec::new() }.flip(&image, "MANIFEST", 0..image["MANIFEST"].len(), 47);
}

/// What is derived, or held twice, is answered for from what it comes from; and once the store met the damage, it
/// is gone.
#[test]
fn what_is_derived_is_built_again() {
    let (image, right) = small(true);
    let footers = frame_ends(&image).into_iter().map(|(name, end)| (end..image[&name].len(), name));
    let small_files = ["CHECKPOINT", "MANIFEST"].map(|name| (0..image[name].len(), name.to_owned()));
    for (range, name) in footers.chain(small_files) {
        let step = if name == "MANIFEST" { 1201 } else { 101 };
        for bit in (range.start * 8..range.end * 8).step_by(step) {
            let context = format!("bit {} of byte {} of {name}", bit % 8, bit / 8);
            let mut damaged = image.clone();
            damaged.get_mut(&name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            let (directory, store) = open(&damaged, false);
            let store = store.unwrap_or_else(|error| panic!("{context}: {error}"));
            right.check(&store, &context);
            let is_met = !store.report().is_clean() || !store.incidents().is_empty();
            store.pump().unwrap();
            store.checkpoint().unwrap();
            right.check(&store, &context);
            store.close().unwrap();
            let report = verify_on(directory.clone(), &mut |_| {}).unwrap();
            assert!(report.is_sound() || !is_met, "{context}: {:?}", report.damage);
            assert!(report.damage.iter().all(|damage| damage.is_derived), "{context}: {:?}", report.damage);
            assert!(
                !report.notes.iter().any(|note| note.contains("damaged")),
                "{context}: {:?}",
                report.notes
            );
            let store = options(4).open_on(directory).unwrap();
            assert!(store.report().is_clean(), "{context}: {:?}", store.report());
            right.check(&store, &context);
        }
    }
}

#[test]
fn every_bit_of_a_dropped_stores_newest_segment() {
    let (image, right, name, proven, end) = dropped();
    let all = right.events.len();
    let counts = [proven, end - 8].map(|len| count_at(&image, &name, all, len));
    assert_eq!(counts, [all - 3, all - 2]);
    let cut = counts.map(|count| right.prefix(count).brief()).into();
    let outcomes = Outcomes { right, cut };
    outcomes.flip(&image, &name, 0..end, 1);
    outcomes.flip(&image, &name, end..image[&name].len(), 4001);
}

/// Opens `image`, whose end was cut off, and goes on with it.
fn check_cut(image: &Image, expected: &Answers, context: &str) {
    for is_read_only in [true, false] {
        let (directory, opened) = open(image, is_read_only);
        let store = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
        expected.check(&store, context);
        assert!(store.report().log.was_unclean && !store.report().is_clean(), "{context}");
        if is_read_only {
            assert!(is_unchanged(&directory, image), "{context}: a reader changed something");
            continue;
        }
        store.close().unwrap();
        let report = verify_on(directory.clone(), &mut |_| {}).unwrap();
        assert!(report.is_sound() && report.torn.is_none(), "{context}: {:?}", report.damage);
        let store = options(4).open_on(directory).unwrap();
        assert!(store.report().is_clean(), "{context}: {:?}", store.report());
        expected.check(&store, context);
    }
}

#[test]
fn an_unsynced_group_is_cut_at_any_length() {
    let (image, right, name, proven, end) = dropped();
    let (whole, all) = (&image[&name], right.events.len());
    for len in proven..=end {
        let expected = |len| right.prefix(count_at(&image, &name, all, len)).brief();
        let mut cut = image.clone();
        cut.get_mut(&name).unwrap().truncate(len);
        check_cut(&cut, &expected(len), &format!("cut at {len}"));
        cut.get_mut(&name).unwrap().extend(whole[len..].iter().map(|byte| byte ^ 0x55));
        check_cut(&cut, &expected(len), &format!("garbage from {len} on"));
        cut.get_mut(&name).unwrap()[len..].fill(0);
        // Padding was zero anyway.
        let lost = whole[len..].iter().position(|byte| *byte != 0).map_or(end, |place| len + place);
        check_cut(&cut, &expected(lost), &format!("zeros from {len} on"));
    }
}

/// Where the frames are that prove it, no one else needs to: a clean close, or a checkpoint, is remembered
/// elsewhere. (Frames that are cut with what they prove are missed by nobody.)
#[test]
fn what_others_saw_durable_is_not_cut() {
    let (closed, _) = small(true);
    let name = segments(&closed).pop().unwrap();
    let end = closed[&name].len();
    let (dropped, ..) = dropped();
    let watermark = CheckpointHead::decode(&dropped["CHECKPOINT"]).unwrap().watermark.offset;
    for (image, proven) in [(closed, end), (dropped, usize::try_from(watermark).unwrap())] {
        for len in 0..proven {
            let mut cut = image.clone();
            cut.get_mut(&name).unwrap().truncate(len);
            let context = format!("{name} cut at {len} of {proven}");
            refused(&cut, &name, &context, |text| names_the_loss(text) || len < SEGMENT_HEADER_LEN);
        }
    }
}

/// File systems leave holes: later frames are there and earlier ones are not.
#[test]
fn a_hole_is_damage_where_a_later_frame_proves_it_and_a_torn_end_elsewhere() {
    for is_closed in [true, false] {
        let (image, right) = small(is_closed);
        let all = right.events.len();
        let cut = [all - 3, all - 2].map(|count| right.prefix(count).brief()).into();
        let outcomes = Outcomes { right, cut: if is_closed { Vec::new() } else { cut } };
        for name in segments(&image) {
            let places: Vec<_> = frames(&image, &name).iter().map(|(offset, _)| *offset).collect();
            for (index, from) in places.iter().enumerate() {
                for to in &places[index + 1..] {
                    let mut holed = image.clone();
                    holed.get_mut(&name).unwrap()[*from..*to].fill(0);
                    outcomes.check_opens(
                        &holed,
                        &name,
                        true,
                        &format!("a hole in {name} from {from} to {to}"),
                    );
                }
            }
        }
    }
}

#[test]
fn a_sealed_segment_may_lose_its_footer_and_no_more() {
    let (image, right) = small(true);
    for (name, end) in frame_ends(&image) {
        for len in 0..end {
            let mut cut = image.clone();
            cut.get_mut(&name).unwrap().truncate(len);
            let context = format!("{name} cut at {len} of {end}");
            refused(&cut, &name, &context, |text| names_the_loss(text) || len < SEGMENT_HEADER_LEN);
        }
        for len in end..image[&name].len() {
            let mut cut = image.clone();
            cut.get_mut(&name).unwrap().truncate(len);
            let (directory, store) = open(&cut, false);
            let store = store.unwrap();
            right.check(&store, &format!("{name} cut at {len} in its footer"));
            assert_eq!(store.report().rebuilt, [name.as_str()]);
            assert!(!store.report().is_clean());
            store.pump().unwrap();
            assert_eq!(directory.file(&name).as_ref(), Some(&image[&name]), "the footer is the same again");
        }
    }
}

/// Segments are indexed at the same time, on as many cores as there are.
#[test]
fn of_damage_in_several_segments_the_oldest_is_told() {
    let (image, _) = small(true);
    let names = segments(&image);
    for (place, first) in names.iter().enumerate() {
        let mut damaged = image.clone();
        for name in &names[place..] {
            let (offset, header) = frames(&image, name)[0];
            let at = offset + usize::try_from(header.body_start()).unwrap();
            damaged.get_mut(name).unwrap()[at] ^= 1;
        }
        let options = options(3).use_footers(false).use_checkpoint(false);
        let error = options.open_read_only_on(directory(&damaged)).map(drop).unwrap_err();
        assert_names(&error, first, &format!("{first} and all behind it"));
    }
}

#[test]
fn a_segment_that_is_missing_is_missed() {
    for is_closed in [true, false] {
        let (image, _) = small(is_closed);
        for name in segments(&image) {
            let mut without = image.clone();
            without.remove(&name);
            refused(&without, &name, &format!("without {name}"), |text| text.contains("is missing"));
        }
    }
}

#[test]
fn segments_are_known_by_their_headers_not_by_their_names() {
    let mut other = History::of_seed(77);
    for step in [batch(0, 2, Durability::Durable), Step::Drop, batch(2, 1, Durability::Durable), Step::Drop] {
        other.apply(&step);
    }
    other.close();
    let other = image(&other.directory);
    for (image, _) in [small(true), small(false)] {
        let names = segments(&image);
        for name in &names {
            let mut foreign = image.clone();
            foreign.insert(name.clone(), other[name].clone());
            refused(&foreign, name, &format!("another store's {name}"), |text| {
                text.contains("of another log") || text.contains("the store's id should be")
            });
            for second in ["000004.seg", "000005.seg", "000099.seg", "000001-1.seg", "000002-7.seg"] {
                let mut copied = image.clone();
                copied.insert(second.to_owned(), image[name].clone());
                refused(&copied, &second[..6], &format!("{name} also as {second}"), |_| true);
            }
            for with in names.iter().filter(|with| *with > name) {
                let mut swapped = image.clone();
                swapped.insert(name.clone(), image[with].clone());
                swapped.insert(with.clone(), image[name].clone());
                refused(&swapped, "0000", &format!("{name} and {with} swapped"), |text| {
                    text.contains(name) || text.contains(with)
                });
            }
        }
    }
}

#[test]
fn an_older_checkpoint_of_the_same_store_is_as_good() {
    let moments = moments();
    for (now, (image, expected)) in moments.iter().enumerate() {
        for (then, (earlier, _)) in moments[..now].iter().enumerate() {
            let mut mixed = image.clone();
            mixed.insert("CHECKPOINT".to_owned(), earlier["CHECKPOINT"].clone());
            for is_read_only in [true, false] {
                let context = format!("moment {now} with the checkpoint of {then}");
                let (_, store) = open(&mixed, is_read_only);
                let store = store.unwrap_or_else(|error| panic!("{context}: {error}"));
                expected.check(&store, &context);
                let rejected = &store.report().rejected;
                assert!(
                    rejected.iter().all(|rejected| rejected.file != "CHECKPOINT"),
                    "{context}: {rejected:?}"
                );
            }
        }
    }
}

#[test]
fn a_log_that_is_older_than_its_checkpoint_has_lost_something() {
    let moments = moments();
    for (now, (image, expected)) in moments.iter().enumerate() {
        for (then, (earlier, _)) in moments[..now].iter().enumerate() {
            // All of it restored from an older copy, but for the checkpoint.
            let mut older = earlier.clone();
            older.insert("CHECKPOINT".to_owned(), image["CHECKPOINT"].clone());
            check_older(&older, expected, &format!("moment {then} with the checkpoint of {now}"));
            // One segment restored from an older copy.
            for name in segments(earlier) {
                let mut older = image.clone();
                older.insert(name.clone(), earlier[&name].clone());
                check_older(&older, expected, &format!("moment {now} with {name} of {then}"));
            }
        }
    }
}

/// What a checkpoint saw must be there, or it is refused: at the open, or by whoever reads it.
fn check_older(image: &Image, expected: &Answers, context: &str) {
    let head = CheckpointHead::decode(&image["CHECKPOINT"]).unwrap();
    let seen = usize::try_from(head.watermark.sequence.0).unwrap();
    for is_read_only in [true, false] {
        let (directory, opened) = open(image, is_read_only);
        let must_be_unchanged = is_read_only || opened.is_err();
        match opened.and_then(touch) {
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. }), "{context}: {error:?}");
                assert!(error.to_string().contains(".seg"), "{context}: {error}");
                let is_unchanged = !must_be_unchanged || is_unchanged(&directory, image);
                assert!(is_unchanged, "{context}: refused, and something was changed");
                let verified = verify_on(self::directory(image), &mut |_| {}).unwrap();
                assert!(!verified.is_sound(), "{context}: refused, and verified");
            }
            Ok(store) => {
                let count = usize::try_from(store.last_sequence().0).unwrap();
                assert!(count >= seen, "{context}: {count} events, and the checkpoint saw {seen}");
                let names = store.kind_names();
                assert!(head.kind_names.iter().all(|name| names.contains(name)), "{context}: names are gone");
                let hash = |event: Result<annals::Event, Error>| event.map(|event| event.hash());
                let hashes = store.all().map(hash).collect::<Result<Vec<_>, _>>();
                let hashes = hashes.unwrap_or_else(|error| panic!("{context}: {error}"));
                let right = expected.events.iter().map(|event| event.hash);
                assert!(right.take(count).eq(hashes), "{context}: other events");
                if !is_read_only {
                    store.close().unwrap();
                    let report = verify_on(directory, &mut |_| {}).unwrap();
                    assert!(report.is_sound(), "{context}: {:?}", report.damage);
                }
            }
        }
    }
}

/// Something that happens to a file behind the store's back.
#[derive(Debug, Clone)]
enum Accident {
    /// Bits of one byte.
    Flip(Index, u8),
    /// A stretch of zeros, or of some other byte.
    Fill(Index, usize, u8),
    Cut(Index),
    /// Bytes behind the end.
    Append(usize, u8),
    Remove,
}

fn accidents() -> impl Strategy<Value = Vec<(Index, Accident)>> {
    let place = any::<Index>;
    let accident = prop_oneof![
        4 => (place(), 1..=255_u8).prop_map(|(place, bits)| Accident::Flip(place, bits)),
        3 => (place(), 1..2000_usize, prop_oneof![3 => Just(0), 1 => any::<u8>()])
            .prop_map(|(place, len, byte)| Accident::Fill(place, len, byte)),
        2 => place().prop_map(Accident::Cut),
        1 => (1..900_usize, any::<u8>()).prop_map(|(len, byte)| Accident::Append(len, byte)),
        1 => Just(Accident::Remove),
    ];
    vec((place(), accident), 1..4)
}

/// Lets accidents happen to the segments and the checkpoint.
fn damage(image: &Image, accidents: &[(Index, Accident)]) -> Image {
    let mut image = image.clone();
    for (file, accident) in accidents {
        let names: Vec<_> = image.keys().filter(|name| is_damageable(name)).cloned().collect();
        let Some(name) = names.get(file.index(names.len().max(1))) else { continue };
        let bytes = image.get_mut(name).unwrap();
        match accident {
            Accident::Flip(place, bits) if !bytes.is_empty() => {
                let place = place.index(bytes.len());
                bytes[place] ^= bits;
            }
            Accident::Fill(place, len, byte) if !bytes.is_empty() => {
                let from = place.index(bytes.len());
                let to = bytes.len().min(from + len);
                bytes[from..to].fill(*byte);
            }
            Accident::Cut(place) if !bytes.is_empty() => bytes.truncate(place.index(bytes.len())),
            Accident::Append(len, byte) => bytes.resize(bytes.len() + len, *byte),
            Accident::Remove => drop(image.remove(name)),
            _ => {}
        }
    }
    image
}

fn is_damageable(name: &str) -> bool {
    name.ends_with(".seg") || name == "CHECKPOINT"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever happens to a closed store's segments and checkpoint: it is refused, or answers rightly as far as it
    /// answers; and going on with it makes nothing worse.
    #[test]
    fn accidents_make_errors_and_no_other_answers(steps in steps(), accidents in accidents()) {
        let mut history = History::of(&steps);
        history.close();
        let image = damage(&image(&history.directory), &accidents);
        let expected = history.expected().brief();
        let (directory, opened) = open(&image, true);
        if let Ok(store) = opened {
            expected.check_or_errors(&store, "read-only");
        }
        prop_assert!(is_unchanged(&directory, &image));
        let (directory, opened) = open(&image, false);
        let Ok(store) = opened else {
            prop_assert!(is_unchanged(&directory, &image));
            return Ok(());
        };
        expected.check_or_errors(&store, "for writing");
        // Each may find the damage, or go on; and what follows is no worse for it.
        let drafts = [0, 1].map(|number| Draft::rich(number, 1500));
        let ids = |time: u64| vec![id(1_000_000 + 2 * time), id(1_000_001 + 2 * time)];
        let appended = (0..4).map(|time| append(&store, &drafts, Some(&ids(time)), Durability::Durable));
        let appended = appended.filter(Result::is_ok).count();
        drop((store.pump(), store.checkpoint(), store.close()));
        let (_, opened) = open(&crate::history::image(&directory), true);
        if let Ok(store) = opened {
            let whole = expected.events.len() + 2 * appended;
            prop_assert_eq!(store.last_sequence().0, whole as u64);
            for event in &expected.events {
                let found = store.get(event.id);
                let found = found.map(|found| found.map(|found| found.hash()));
                prop_assert!(found.is_err() || found.unwrap() == Some(event.hash).filter(|_| !event.is_hidden), "{}", event.id);
            }
            let all: Result<Vec<_>, _> = store.all().collect();
            let hidden = expected.events.iter().filter(|event| event.is_hidden).count();
            prop_assert!(all.is_err() || all.unwrap().len() == whole - hidden);
        }
    }
}
