//! Directories of the system in which something is not what it should be: links, pipes and directories under the
//! store's names, one file under two names, thousands of files of others, a lock that a child could have inherited.
#![cfg(unix)]

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use annals::{Durability, Error, Store, verify};

use crate::{
    history::{Answers, Draft, Image, append, options, segments},
    small_store::small,
};

/// The small store in a directory of the system, without the lock's content.
fn placed(image: &Image) -> tempfile::TempDir {
    let outer = tempfile::tempdir().unwrap();
    for (name, bytes) in image {
        fs::write(outer.path().join(name), bytes).unwrap();
    }
    outer
}

/// Every regular file of a directory, but for the lock.
fn files(path: &Path) -> Image {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    let regular = entries.filter(|entry| entry.file_type().unwrap().is_file() && entry.file_name() != "LOCK");
    regular
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap()))
        .collect()
}

/// What stands in the place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    /// A link to the file itself, elsewhere.
    Link,
    DanglingLink,
    Pipe,
    Directory,
}

const THINGS: [Thing; 4] = [Thing::Link, Thing::DanglingLink, Thing::Pipe, Thing::Directory];

impl Thing {
    fn put(self, path: &Path, elsewhere: &Path) {
        let has_file = path.exists();
        if has_file {
            fs::copy(path, elsewhere).unwrap();
            fs::remove_file(path).unwrap();
        } else {
            fs::write(elsewhere, b"somebody's").unwrap();
        }
        match self {
            Self::Link => symlink(elsewhere, path).unwrap(),
            Self::DanglingLink => symlink("nowhere", path).unwrap(),
            Self::Pipe => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
            Self::Directory => fs::create_dir(path).unwrap(),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Link | Self::DanglingLink => "a symbolic link",
            Self::Pipe => "a pipe",
            Self::Directory => "a directory",
        }
    }
}

/// Does `work` on a thread, which must come back: nothing waits for the other end of a pipe.
fn in_time<T: Send + 'static>(context: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || drop(done.send(work())));
    outcome.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|error| panic!("{context}: {error}"))
}

fn open(path: &Path, is_read_only: bool, context: &str) -> Result<Store, Error> {
    let path = path.to_owned();
    let options = options(3);
    in_time(context, move || if is_read_only { options.open_read_only(path) } else { options.open(path) })
}

/// Each of the store's files in turn is no regular file. Opening for reading and for writing says so or does without
/// it; what a link leads to stays as it is.
fn put_everywhere(name: &str, check: impl Fn(Thing, bool, Result<Store, Error>, &Answers, &str)) {
    let (image, right) = small(true);
    for thing in THINGS {
        for is_read_only in [true, false] {
            let (outer, elsewhere) = (placed(&image), tempfile::tempdir().unwrap());
            let target = elsewhere.path().join("target");
            thing.put(&outer.path().join(name), &target);
            let before = fs::read(&target).unwrap();
            let context = format!("{thing:?} as {name}, read-only {is_read_only}");
            let files_before = files(outer.path());
            let path = outer.path().to_owned();
            let verified = in_time(&context, move || verify(path, &mut |_| {}));
            let is_told = match &verified {
                Ok(report) => !report.is_sound() || ["FRONTIER", "CHECKPOINT.tmp"].contains(&name),
                Err(error) => error.to_string().contains(name),
            };
            assert!(is_told, "{context}: {verified:?}");
            let opened = open(outer.path(), is_read_only, &context);
            if is_read_only || opened.is_err() {
                assert!(files(outer.path()) == files_before, "{context}: something was changed");
            }
            check(thing, is_read_only, opened, &right, &context);
            assert_eq!(fs::read(&target).unwrap(), before, "{context}: the link was followed");
        }
    }
}

#[test]
fn a_segment_that_is_no_regular_file_is_refused() {
    for name in ["000001.seg", "000003.seg"] {
        put_everywhere(name, |_, _, opened, _, context| {
            let error = opened.map(drop).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{context}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("is no regular file"), "{context}: {text}");
        });
    }
}

#[test]
fn a_manifest_or_lock_that_is_no_regular_file_is_refused() {
    for name in ["MANIFEST", "LOCK"] {
        put_everywhere(name, |thing, _, opened, _, context| {
            let error = opened.map(drop).unwrap_err();
            assert!(matches!(error, Error::Environment { .. }), "{context}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(thing.words()), "{context}: {text}");
        });
    }
}

#[test]
fn a_checkpoint_that_is_no_regular_file_is_done_without() {
    put_everywhere("CHECKPOINT", |thing, is_read_only, opened, right, context| {
        let store = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
        right.check(&store, context);
        let [rejected] = &store.report().rejected[..] else { panic!("{context}: {:?}", store.report()) };
        assert!(
            rejected.file == "CHECKPOINT" && rejected.why.contains(thing.words()),
            "{context}: {rejected:?}"
        );
        if !is_read_only {
            // Replaced by its name, whatever has it; but a directory is somebody's.
            assert_eq!(store.checkpoint().is_err(), thing == Thing::Directory, "{context}");
            store.close().unwrap();
        }
    });
}

#[test]
fn what_is_in_the_way_of_a_new_file_is_an_incident_or_an_error_and_not_followed() {
    put_everywhere("FRONTIER", |thing, is_read_only, opened, right, context| {
        let store = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
        right.check(&store, context);
        if !is_read_only {
            append(&store, &[Draft::plain(0, 10)], None, Durability::Durable).unwrap();
            let told = store.incidents().join("\n");
            assert!(told.contains("FRONTIER") && told.contains(thing.words()), "{context}: {told}");
        }
    });
    put_everywhere("CHECKPOINT.tmp", |thing, is_read_only, opened, right, context| {
        let store = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
        right.check(&store, context);
        assert_eq!(store.report().foreign_count, 1, "{context}");
        if !is_read_only {
            assert_eq!(store.checkpoint().is_err(), thing == Thing::Directory, "{context}");
        }
    });
}

/// One file under the names of two segments, or a segment under a second name.
#[test]
fn a_file_with_two_segments_names_is_refused() {
    let (image, _) = small(true);
    for (of, second) in [
        ("000001.seg", "000002.seg"),
        ("000003.seg", "000002.seg"),
        ("000003.seg", "000004.seg"),
        ("000002.seg", "000002-1.seg"),
    ] {
        let outer = placed(&image);
        let second_path = outer.path().join(second);
        drop(fs::remove_file(&second_path));
        fs::hard_link(outer.path().join(of), &second_path).unwrap();
        let before = files(outer.path());
        for is_read_only in [true, false] {
            let context = format!("{of} also as {second}");
            let error = open(outer.path(), is_read_only, &context).map(drop).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{context}: {error:?}");
            assert!(error.to_string().contains(&second[..6]), "{context}: {error}");
        }
        assert!(files(outer.path()) == before, "{of} also as {second}: something was changed");
    }
}

#[test]
fn thousands_of_files_of_others_are_counted_and_left_alone() {
    const COUNT: usize = 10_000;
    let (image, right) = small(true);
    let outer = placed(&image);
    for number in 0..COUNT {
        fs::write(outer.path().join(format!("IMG_{number:05}.jpg")), b"").unwrap();
    }
    for name in [&b"caf\xe9.seg"[..], b"\xff\xfe", b"000001.seg\xff", b"\xf0\x90.tmp"] {
        fs::write(outer.path().join(OsStr::from_bytes(name)), b"not UTF-8").unwrap();
    }
    fs::create_dir(outer.path().join("backup")).unwrap();
    for is_read_only in [true, false] {
        let store = open(outer.path(), is_read_only, "beside others").unwrap();
        assert_eq!(store.report().foreign_count, COUNT as u64 + 5);
        assert!(store.report().is_clean(), "{:?}", store.report());
        right.check(&store, "beside others");
    }
    assert!(files(outer.path()).len() > COUNT + 4);
    let report = verify(outer.path(), &mut |_| {}).unwrap();
    assert!(report.is_sound() && report.notes.iter().any(|note| note.contains("10005 files")), "{report:?}");
}

#[test]
fn where_nothing_is_nothing_is_made_unasked() {
    let outer = tempfile::tempdir().unwrap();
    let missing = outer.path().join("no/such/place");
    for path in [missing.as_path(), outer.path()] {
        assert!(matches!(options(1).open(path), Err(Error::NotFound { .. })));
        assert!(matches!(options(1).open_read_only(path), Err(Error::NotFound { .. })));
        assert!(matches!(verify(path, &mut |_| {}), Err(Error::NotFound { .. })));
    }
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 0);
    options(1).create(true).open(&missing).unwrap().close().unwrap();
    options(1).open(&missing).unwrap();
}

/// A program that was started while the store was open does not keep it locked.
#[test]
fn a_child_process_does_not_inherit_the_lock() {
    let outer = tempfile::tempdir().unwrap();
    let store = options(1).create(true).open(outer.path()).unwrap();
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    assert!(matches!(options(2).open(outer.path()), Err(Error::Locked { .. })), "the first has it");
    drop(store);
    let second = options(2).open(outer.path());
    let is_alive = child.try_wait().unwrap().is_none();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(is_alive && second.is_ok(), "{second:?}");
    assert!(matches!(options(3).open(outer.path()), Err(Error::Locked { .. })), "now the second has it");
    assert_eq!(segments(&files(outer.path())), ["000001.seg"]);
}
