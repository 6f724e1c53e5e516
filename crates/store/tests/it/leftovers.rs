//! What a crash, a rotation, a removal or a replacement that was cut short leaves behind: it is removed, passed over
//! or built again, and told; and what only looks like that is refused.

use annals::{
    Durability,
    disk::{SimulatedDirectory, verify_on},
};
use annals_segment::CrashProfile;
use annals_wire::{Chain, Digest, Manifest, PreviousEnd, SEGMENT_HEADER_LEN, Salt, SegmentHeader, SegmentId};

use crate::{
    history::{Answers, History, Image, Step, frame_ends, options, segments},
    small_store::{batch, frames_end, open, refused, small},
};

/// Makes sure that `image` opens with the right answers, that `told` is true of the writer's report, and that the
/// second open has nothing to tell.
fn opens(
    image: &Image,
    right: &Answers,
    context: &str,
    told: impl Fn(&annals::report::OpenReport) -> bool,
) -> Image {
    let (_, reader) = open(image, true);
    right.check(&reader.unwrap_or_else(|error| panic!("{context}: {error}")), context);
    let (directory, store) = open(image, false);
    let store = store.unwrap_or_else(|error| panic!("{context}: {error}"));
    right.check(&store, context);
    assert!(told(store.report()) && !store.report().is_clean(), "{context}: {:?}", store.report());
    store.pump().unwrap();
    store.close().unwrap();
    let after = crate::history::image(&directory);
    let store = options(4).open_on(directory.clone()).unwrap();
    assert!(store.report().is_clean(), "{context}, again: {:?}", store.report());
    right.check(&store, &format!("{context}, again"));
    drop(store);
    let report = verify_on(directory, &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{context}: {:?}", report.damage);
    after
}

/// Rewrites both slots of the manifest.
fn set_manifest(image: &mut Image, change: impl Fn(&mut Manifest)) {
    let bytes = image.get_mut("MANIFEST").unwrap();
    for slot in bytes.chunks_mut(4096) {
        let mut manifest = Manifest::decode(slot).unwrap();
        change(&mut manifest);
        slot.copy_from_slice(&manifest.encode());
    }
}

fn header_of(image: &Image, name: &str) -> SegmentHeader {
    SegmentHeader::decode(&image[name]).unwrap()
}

/// Whatever a rotation that was cut short leaves of the next segment: its name, a part of its header, or another
/// header, of which the manifest knows nothing.
#[test]
fn a_segment_of_an_unfinished_rotation_is_removed_and_told() {
    for is_closed in [true, false] {
        let (image, right) = small(is_closed);
        let newest = header_of(&image, "000003.seg");
        let previous = PreviousEnd {
            id: newest.id,
            generation: newest.generation,
            end: 512,
            chain: Chain(7),
            mark: Digest::NONE,
        };
        let next = SegmentHeader { id: SegmentId(4), salt: Salt(9), previous: Some(previous), ..newest };
        let elsewhere = SegmentHeader { store: annals::StoreId([9; 16]), ..next };
        let lens = (0..SEGMENT_HEADER_LEN).step_by(37);
        let cuts = lens.map(|len| next.encode()[..len].to_vec());
        let zeros = [vec![0; SEGMENT_HEADER_LEN], vec![0; 70_000]];
        for left in cuts.chain(zeros).chain([elsewhere.encode().to_vec()]) {
            let mut image = image.clone();
            let context = format!("{} bytes left of the next segment", left.len());
            image.insert("000004.seg".to_owned(), left);
            let after = opens(&image, &right, &context, |report| report.log.removed == ["000004.seg"]);
            let is_made_anew = after.contains_key("000004.seg");
            assert_eq!(is_made_anew, !is_closed, "{context}: an unclean stop begins a new segment");
        }
    }
}

#[test]
fn a_segment_with_frames_that_does_not_continue_the_newest_is_refused() {
    for is_closed in [true, false] {
        let (image, _) = small(is_closed);
        for name in segments(&image) {
            let mut header = header_of(&image, &name);
            header.id = SegmentId(4);
            let mut bytes = header.encode().to_vec();
            bytes.extend_from_slice(&image[&name][SEGMENT_HEADER_LEN..]);
            let mut image = image.clone();
            image.insert("000004.seg".to_owned(), bytes);
            refused(&image, "000004.seg", &name, |text| text.contains("does not continue the newest"));
        }
    }
}

/// A store whose oldest segments were given up: their names may come back, all or some.
#[test]
fn a_segment_below_the_oldest_is_passed_over_removed_again_and_told() {
    let mut history = History::new();
    for number in 0..5 {
        history.apply(&batch(number, 1, Durability::Durable));
        history.apply(&Step::Drop);
    }
    history.close();
    let image = crate::history::image(&history.directory);
    let last: Vec<_> = history.events[2..].iter().map(|event| event.hash).collect();
    for kept in 0..4_u8 {
        let mut image = image.clone();
        set_manifest(&mut image, |manifest| manifest.oldest = SegmentId(3));
        image.retain(|name, _| name != "CHECKPOINT");
        let back: Vec<_> = ["000001.seg", "000002.seg"]
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| kept & (1 << bit) != 0)
            .map(|(_, name)| name.to_owned())
            .collect();
        image.retain(|name, _| !["000001.seg", "000002.seg"].contains(&name.as_str()) || back.contains(name));
        for is_read_only in [true, false] {
            let (directory, store) = open(&image, is_read_only);
            let store = store.unwrap();
            let hashes: Vec<_> = store.all().map(|event| event.unwrap().hash()).collect();
            assert_eq!(hashes, last, "{back:?} came back");
            if !is_read_only {
                assert_eq!(store.report().log.removed, back);
                assert!(back.iter().all(|name| directory.file(name).is_none()), "{back:?} are there still");
                store.close().unwrap();
                let report = options(4).open_on(directory).unwrap().report().clone();
                assert!(report.is_clean(), "{report:?}");
            }
        }
    }
}

/// Space that was prepared comes back as zeros of any length, also behind a sealed segment and a clean close.
#[test]
fn zeros_behind_any_segment_are_nothing() {
    for (image, right) in [small(true), small(false)] {
        for name in segments(&image) {
            for has_footer in [true, false] {
                let end = frames_end(&image, &name);
                let is_sealed = frame_ends(&image).iter().any(|(sealed, _)| *sealed == name);
                for len in [1, 7, 8, 511, 4096, 70_000] {
                    let whole = &image[&name];
                    let mut image = image.clone();
                    let bytes = image.get_mut(&name).unwrap();
                    bytes.truncate(if has_footer || !is_sealed { bytes.len() } else { end });
                    bytes.resize(bytes.len() + len, 0);
                    let context = format!("{len} zeros behind {name}, footer {has_footer}");
                    if is_sealed {
                        let after = opens(&image, &right, &context, |report| report.rebuilt.contains(&name));
                        assert!(after[&name] == *whole, "{context}: the footer is not the same again");
                    } else {
                        for is_read_only in [true, false] {
                            let (_, store) = open(&image, is_read_only);
                            let store = store.unwrap_or_else(|error| panic!("{context}: {error}"));
                            right.check(&store, &context);
                            assert!(store.report().log.torn.is_none(), "{context}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn garbage_behind_a_segment_is_torn_refused_or_a_bad_footer_as_its_place_says() {
    for is_closed in [true, false] {
        let (image, right) = small(is_closed);
        let newest = segments(&image).pop().unwrap();
        for name in segments(&image) {
            for len in [1, 8, 300, 5000] {
                let mut image = image.clone();
                let bytes = image.get_mut(&name).unwrap();
                let start = bytes.len();
                bytes.extend((1..=255_u8).cycle().take(len));
                let context = format!("{len} bytes of garbage behind {name}, closed {is_closed}");
                if name != newest {
                    opens(&image, &right, &context, |report| {
                        report.rebuilt.contains(&name)
                            && report.rejected.iter().any(|rejected| rejected.file.contains(&name))
                    });
                } else if is_closed {
                    refused(&image, &name, &context, |text| text.contains("the end of a cleanly closed log"));
                } else {
                    let after = opens(&image, &right, &context, |report| {
                        let (segment, torn) = report.log.torn.as_ref().unwrap();
                        *segment == name && torn.offset + torn.len == (start + len) as u64
                    });
                    assert!(after.keys().any(|name| name.contains(".torn-")), "{context}: set aside");
                }
            }
        }
    }
}

/// A checkpoint's replacement that was cut short anywhere, by a kill or with the power: the old one or the new one
/// is used, or none; its leftover goes.
#[test]
fn a_replacement_of_the_checkpoint_leaves_the_old_or_the_new() {
    let base = SimulatedDirectory::new();
    let (image, right) = small(true);
    for (name, bytes) in &image {
        base.write_file(name, bytes);
    }
    let disk = base.kill();
    let store = options(3).open_on(disk.clone()).unwrap();
    let start = disk.operation_count();
    store.checkpoint().unwrap();
    let count = disk.operation_count() - start;
    assert!(count >= 5, "create, write, sync, rename, sync of the directory: {count}");
    drop(store);
    for stop in 0..=count {
        let disk = base.kill();
        let store = options(3).open_on(disk.clone()).unwrap();
        disk.stop_before(start + stop);
        assert_eq!(store.checkpoint().is_ok(), stop == count);
        drop(store);
        let pending = disk.pending_count();
        let subsets = (0..1_u32 << pending).map(|subset| disk.crash_subset(|unit| subset >> unit & 1 == 1));
        let torn =
            (0..4).map(|seed| disk.crash(CrashProfile::ALL[seed % CrashProfile::ALL.len()], seed as u64));
        for left in subsets.chain(torn).chain([disk.kill()]) {
            let context = format!("stopped before operation {stop} of a checkpoint");
            let had_temporary = left.names().contains(&"CHECKPOINT.tmp".to_owned());
            let store = options(4).open_on(left.clone()).unwrap_or_else(|error| panic!("{context}: {error}"));
            right.check(&store, &context);
            let removed = &store.report().log.removed;
            assert_eq!(removed.contains(&"CHECKPOINT.tmp".to_owned()), had_temporary, "{context}");
            assert!(!left.names().contains(&"CHECKPOINT.tmp".to_owned()), "{context}: it is there still");
        }
    }
}

/// A file system may make a rename durable before the bytes.
#[test]
fn a_checkpoint_without_its_bytes_is_rejected_and_built_again() {
    for (image, right) in [small(true), small(false)] {
        let len = image["CHECKPOINT"].len();
        for bytes in [Vec::new(), vec![0; len], vec![0; 1], vec![0xff; len]] {
            let mut image = image.clone();
            let context = format!("{} bytes, {:?}", bytes.len(), bytes.first());
            image.insert("CHECKPOINT".to_owned(), bytes);
            let after = opens(&image, &right, &context, |report| {
                report.rejected.iter().any(|rejected| rejected.file == "CHECKPOINT")
            });
            assert!(after["CHECKPOINT"].len() > 32, "{context}: built again");
        }
    }
}

/// Shorter than its header, a segment that the manifest names is damage, however short.
#[test]
fn a_named_segment_cut_within_its_header_is_refused() {
    for (image, _) in [small(true), small(false)] {
        for name in segments(&image) {
            for len in (0..SEGMENT_HEADER_LEN).step_by(13) {
                let mut image = image.clone();
                image.get_mut(&name).unwrap().truncate(len);
                refused(&image, &name, &format!("{name} cut to {len}"), |text| text.contains("at offset 0"));
            }
        }
    }
}
