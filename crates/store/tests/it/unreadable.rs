//! A disk that refuses while a store is opened, verified or read: what cannot be read is never taken for what is
//! not there, nor for a torn end.

use std::{fs, io};

use annals::{
    Error, Store,
    disk::{MemoryDirectory, SimulatedDirectory, verify_on},
    report::VerifyReport,
};
use annals_segment::{Errno, Fault, ReadFault, Span};

use crate::{
    history::{Answers, Image, options, segments},
    small_store::{is_unchanged, small},
};

/// The bytes of `image` on a simulated disk, durable.
fn disk(image: &Image) -> SimulatedDirectory {
    let disk = SimulatedDirectory::new();
    for (name, bytes) in image {
        disk.write_file(name, bytes);
    }
    disk
}

/// The files of `disk`, but for the lock.
fn files(disk: &SimulatedDirectory) -> Image {
    let names = disk.names().into_iter().filter(|name| name != "LOCK");
    names.map(|name| (name.clone(), disk.file(&name).unwrap())).collect()
}

fn without_lock(image: &Image) -> Image {
    image
        .iter()
        .filter(|(name, _)| *name != "LOCK")
        .map(|(name, bytes)| (name.clone(), bytes.clone()))
        .collect()
}

/// An error of the environment, that says what the system said of which file.
fn assert_environment(error: &Error, errno: Errno, context: &str) {
    let Error::Environment { source: annals_segment::Error::Io { path, source, .. } } = error else {
        panic!("{context}: {error:?}")
    };
    assert!(path.starts_with("(simulated)"), "{context}: {error}");
    let said = io::Error::from(errno).to_string();
    assert!(source.to_string().contains(&said), "{context}: {error}");
}

/// Opens a copy of the store for writing (if `is_read_only` is not set) while the read with number `at` fails;
/// whether there was such a read.
fn fail_read_of_open(
    (image, right): &(Image, Answers),
    (is_read_only, maps): (bool, bool),
    errno: Errno,
    at: u64,
) -> bool {
    let disk = disk(image);
    disk.inject_read(at, ReadFault::Fail(errno), Span::Once);
    let options = options(3).maps(maps);
    let opened =
        if is_read_only { options.open_read_only_on(disk.clone()) } else { options.open_on(disk.clone()) };
    let context = format!("{errno:?} at read {at}, read-only {is_read_only}, maps {maps}");
    let is_reached = disk.read_count() > at;
    match opened {
        Ok(_) if !is_reached => return false,
        Ok(store) => {
            // Whether there is a store at all is looked at twice; the frontier may fail, and that is told.
            let is_told = store.incidents().iter().any(|incident| incident.contains("FRONTIER"));
            assert!(is_told || at == 0 && !is_read_only, "{context}: opened without what could not be read");
            right.check(&store, &context);
        }
        Err(error) => {
            assert_environment(&error, errno, &context);
            let is_recovering = disk.operation_count() > 1;
            if is_read_only || !is_recovering {
                assert!(files(&disk) == without_lock(image), "{context}: refused, and something was changed");
            }
            let again = crate::history::options(4).open_on(disk.kill());
            right.check(&again.unwrap_or_else(|error| panic!("{context}, again: {error}")), &context);
        }
    }
    true
}

#[test]
fn what_cannot_be_read_while_opening_is_an_error_and_never_absent() {
    for store in [small(true), small(false)] {
        for is_read_only in [false, true] {
            for maps in [false, true] {
                for errno in [Errno::Io, Errno::TooManyFiles] {
                    let is_reached = |at: &u64| fail_read_of_open(&store, (is_read_only, maps), errno, *at);
                    let count = (0..).take_while(is_reached).count();
                    assert!(count > 15, "{count} reads, read-only {is_read_only}, maps {maps}");
                }
            }
        }
    }
}

#[test]
fn without_descriptors_nothing_is_opened_and_nothing_is_missing() {
    for (image, right) in [small(true), small(false)] {
        let disk = disk(&image);
        disk.inject(0, Fault::Fail(Errno::TooManyFiles), Span::Forever);
        let opened = [options(3).open_on(disk.clone()), options(3).open_read_only_on(disk.clone())];
        let created = options(3).create(true).open_on(disk.clone());
        for error in opened.into_iter().chain([created]).map(Result::unwrap_err) {
            assert_environment(&error, Errno::TooManyFiles, "no descriptor is left");
        }
        assert!(files(&disk) == without_lock(&image));
        right.check(&options(4).open_on(disk.kill()).unwrap(), "with descriptors");
    }
}

fn verify(disk: &SimulatedDirectory) -> Result<VerifyReport, Error> {
    verify_on(disk.clone(), &mut |_| {})
}

#[test]
fn what_cannot_be_read_while_verifying_is_an_error_with_file_and_place_and_no_damage() {
    for (image, _) in [small(true), small(false)] {
        let sound = verify(&disk(&image)).unwrap();
        let mut count = 0;
        for at in 0.. {
            let disk = disk(&image);
            disk.inject_read(at, ReadFault::Fail(Errno::Io), Span::Once);
            let context = format!("read {at}");
            match verify(&disk) {
                Ok(report) if disk.read_count() <= at => {
                    assert_eq!(report, sound, "{context}");
                    break;
                }
                Ok(report) => panic!("{context}: {report:?}"),
                Err(error) => assert_environment(&error, Errno::Io, &context),
            }
            count += 1;
        }
        assert!(count > 15, "{count} reads");
    }
}

/// A sector that cannot be read says which one it is.
#[test]
fn an_error_of_a_read_names_the_offset() {
    let (image, _) = small(true);
    let mut offsets = Vec::new();
    for at in 0.. {
        let disk = disk(&image);
        disk.inject_read(at, ReadFault::Fail(Errno::Io), Span::Once);
        let Err(error) = options(3).maps(false).open_read_only_on(disk) else { break };
        offsets.extend(error.to_string().split_once("offset ").map(|(_, rest)| rest.to_owned()));
    }
    assert!(offsets.iter().any(|rest| !rest.starts_with("0:")) && offsets.len() > 5, "{offsets:?}");
}

/// Nothing is made, locked or repaired on a file system that takes no changes; it is read, as far as a writer would
/// keep it.
#[test]
fn a_read_only_file_system_is_read_and_not_written() {
    for is_closed in [true, false] {
        let (mut image, right) = small(is_closed);
        let name = segments(&image).pop().unwrap();
        if !is_closed {
            // Torn within the last group: shown as a writer would cut it.
            let last = crate::small_store::frames(&image, &name).pop().unwrap().0;
            image.get_mut(&name).unwrap()[last + 70] ^= 1;
        }
        let right = if is_closed { right } else { right.prefix(right.events.len() - 2).brief() };
        let read_only = || {
            let disk = disk(&image);
            disk.inject(0, Fault::Fail(Errno::ReadOnly), Span::Forever);
            disk
        };
        let disk = read_only();
        assert_environment(&options(3).open_on(disk.clone()).unwrap_err(), Errno::ReadOnly, "for writing");
        let create = options(3).create(true).open_on(disk.clone()).unwrap_err();
        assert_environment(&create, Errno::ReadOnly, "to create");
        let store = options(3).open_read_only_on(disk.clone()).unwrap();
        right.check(&store, "read-only");
        assert_eq!(store.report().log.torn.is_some(), !is_closed, "the cut is shown, and not made");
        assert!(verify(&disk).unwrap().is_sound());
        assert_eq!(disk.operation_count(), 0, "something was tried");
        assert!(files(&disk) == without_lock(&image));
    }
    let nothing = SimulatedDirectory::new();
    nothing.inject(0, Fault::Fail(Errno::ReadOnly), Span::Forever);
    assert!(matches!(options(3).open_read_only_on(nothing.clone()), Err(Error::NotFound { .. })));
    assert_environment(
        &options(3).create(true).open_on(nothing).unwrap_err(),
        Errno::ReadOnly,
        "to create on nothing",
    );
}

/// Reads everything of a store whose `name` was cut to `len` under it.
fn read_all_ways(store: &Store, right: &Answers, context: &str) -> Vec<Error> {
    let errors = right.check_or_errors(store, context);
    for error in &errors {
        let is_typed = matches!(error, Error::Corrupt { .. } | Error::Environment { .. });
        assert!(is_typed, "{context}: {error:?}");
    }
    errors
}

/// Without maps a file that somebody else cuts is an error of what lay behind the cut. (With maps it may be the end
/// of the process, as docs/format.md says.)
#[test]
fn a_file_that_shrinks_under_a_reader_without_maps_is_an_error_of_what_is_gone() {
    let (image, right) = small(true);
    let outer = tempfile::tempdir().unwrap();
    for name in segments(&image) {
        let whole = &image[&name];
        for len in (0..whole.len()).step_by(whole.len() / 5) {
            for (name, bytes) in &image {
                fs::write(outer.path().join(name), bytes).unwrap();
            }
            let store = options(3).maps(false).open_read_only(outer.path()).unwrap();
            // Whatever was read before keeps its file open.
            right.check(&store, "before");
            let file = fs::OpenOptions::new().write(true).open(outer.path().join(&name)).unwrap();
            file.set_len(len as u64).unwrap();
            let errors = read_all_ways(&store, &right, &format!("{name} cut to {len}"));
            let frames = crate::small_store::frames(&image, &name);
            let is_cut = frames.iter().any(|(offset, header)| {
                header.sequence.0 > 0 && offset + usize::try_from(header.frame_len()).unwrap() > len
            });
            assert_eq!(errors.is_empty(), !is_cut, "{name} cut to {len}: {errors:?}");
            assert!(errors.iter().all(|error| error.to_string().contains(&name)), "{errors:?}");
        }
    }
}

/// The same in memory, for every length.
#[test]
fn a_file_that_shrinks_to_any_length_is_an_error_and_no_panic() {
    let (image, right) = small(true);
    let name = segments(&image)[1].clone();
    let directory = MemoryDirectory::from_files(image.clone());
    let store = options(3).maps(false).open_read_only_on(directory.clone()).unwrap();
    for len in (0..image[&name].len()).rev().step_by(7) {
        directory.write_file(&name, image[&name][..len].to_vec());
        read_all_ways(&store, &right, &format!("{name} cut to {len}"));
    }
    directory.write_file(&name, image[&name].clone());
    right.check(&store, "whole again");
    assert!(is_unchanged(&directory, &image));
}
