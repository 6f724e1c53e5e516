//! What every directory must do alike: one script, run on all three.
//!
//! Invariant: a test here names no implementation but in [`on_all`], and knows nothing of one.

use std::{collections::BTreeMap, fmt::Debug, io::ErrorKind};

use super::{Access, Directory, DiskDirectory, File, MemoryDirectory, SimulatedDirectory, simulated::Random};

/// Runs `script` on each kind of directory, and checks that it says the same of all.
fn on_all<T: Debug + PartialEq>(script: impl Fn(&dyn Directory) -> T) {
    let outer = tempfile::tempdir().unwrap();
    let disk = script(&DiskDirectory::open(outer.path()).unwrap());
    assert_eq!(script(&MemoryDirectory::new()), disk);
    assert_eq!(script(&SimulatedDirectory::new()), disk);
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// All that can be seen of a directory without its files' handles.
fn contents(directory: &dyn Directory) -> BTreeMap<String, Vec<u8>> {
    let entries = directory.list().unwrap().into_iter();
    entries
        .map(|entry| {
            let name = entry.name.into_string().unwrap();
            let bytes = directory.open(&name, Access::Read).unwrap().read_all(1 << 20).unwrap();
            assert!(entry.is_file && entry.len == bytes.len() as u64);
            (name, bytes)
        })
        .collect()
}

#[test]
fn bytes_are_read_as_written_cut_and_lengthened() {
    on_all(|directory| {
        let file = directory.create("a").unwrap();
        assert!(file.is_empty().unwrap());
        file.write_all_at(b"0123456789", 0).unwrap();
        file.set_len(4).unwrap();
        file.write_all_at(b"xy", 6).unwrap();
        assert_eq!(file.read_all(100).unwrap(), b"0123\0\0xy");
        file.write_all_at(&[7; 9000], 5000).unwrap();
        file.set_len(14_500).unwrap();
        assert_eq!(file.write_at(b"", 20_000).unwrap(), 0);
        assert_eq!(file.len().unwrap(), 14_500);
        let mut buffer = [9; 10];
        assert_eq!(file.read_at(&mut buffer, 14_500).unwrap(), 0);
        assert_eq!(file.read_at(&mut buffer, 14_495).unwrap(), 5);
        assert_eq!(buffer, [0, 0, 0, 0, 0, 9, 9, 9, 9, 9]);
        assert_eq!(kind(file.read_exact_at(&mut buffer, 14_495)), Some(ErrorKind::UnexpectedEof));
        file.sync_data().unwrap();
        directory.sync().unwrap();
        contents(directory)
    });
}

#[test]
fn a_map_is_a_part_of_the_file_and_no_longer() {
    on_all(|directory| {
        let file = directory.create("a").unwrap();
        file.write_all_at(&[5; 5000], 0).unwrap();
        assert_eq!(kind(file.map(0..5001)), Some(ErrorKind::UnexpectedEof));
        assert!(file.map(0..0).unwrap().is_empty());
        assert!(file.map(77..77).unwrap().is_empty());
        file.write_all_at(b"here", 4321).unwrap();
        assert_eq!(&*file.map(4320..4326).unwrap(), b"\x05here\x05");
        file.map(0..4999).unwrap().to_vec()
    });
}

#[test]
fn names_that_are_missing_or_taken_are_errors() {
    on_all(|directory| {
        assert_eq!(kind(directory.open("a", Access::Read)), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.open("a", Access::Write)), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.remove("a")), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.rename("a", "b")), Some(ErrorKind::NotFound));
        directory.create("a").unwrap();
        assert_eq!(kind(directory.create("a")), Some(ErrorKind::AlreadyExists));
        contents(directory)
    });
}

#[test]
fn a_file_opened_for_reading_is_not_written() {
    on_all(|directory| {
        directory.create("a").unwrap().write_all_at(b"bytes", 0).unwrap();
        let file = directory.open("a", Access::Read).unwrap();
        file.write_at(b"other", 0).unwrap_err();
        file.set_len(0).unwrap_err();
        contents(directory)
    });
}

#[test]
fn a_file_whose_name_is_gone_stays_with_its_holder() {
    on_all(|directory| {
        let old = directory.create("a").unwrap();
        old.write_all_at(b"old", 0).unwrap();
        directory.create("b").unwrap().write_all_at(b"new", 0).unwrap();
        directory.rename("b", "b").unwrap();
        directory.rename("b", "a").unwrap();
        assert_eq!(old.read_all(10).unwrap(), b"old");
        let removed = directory.open("a", Access::Write).unwrap();
        directory.remove("a").unwrap();
        directory.create("a").unwrap();
        removed.write_all_at(b"er", 3).unwrap();
        assert_eq!(removed.read_all(10).unwrap(), b"newer");
        contents(directory)
    });
}

#[test]
fn one_holds_a_lock_until_it_is_dropped() {
    on_all(|directory| {
        assert!(!directory.is_locked("lock").unwrap());
        assert!(directory.list().unwrap().is_empty());
        let lock = directory.lock("lock").unwrap().unwrap();
        lock.file().write_all_at(b"me", 0).unwrap();
        assert!(directory.is_locked("lock").unwrap());
        assert!(directory.lock("lock").unwrap().is_none());
        assert!(directory.lock("other").unwrap().is_some());
        assert!(!directory.is_locked("other").unwrap());
        drop(lock);
        assert!(!directory.is_locked("lock").unwrap());
        assert!(directory.lock("lock").unwrap().is_some());
        contents(directory)
    });
}

#[test]
fn a_lock_is_on_the_file_and_not_on_its_name() {
    on_all(|directory| {
        let first = directory.lock("lock").unwrap().unwrap();
        directory.remove("lock").unwrap();
        assert!(!directory.is_locked("lock").unwrap());
        let second = directory.lock("lock").unwrap().unwrap();
        drop(first);
        assert!(directory.is_locked("lock").unwrap());
        directory.rename("lock", "renamed").unwrap();
        assert!(directory.is_locked("renamed").unwrap());
        drop(second);
        contents(directory)
    });
}

#[test]
fn a_child_has_files_and_locks_of_its_own() {
    on_all(|directory| {
        assert_eq!(kind(directory.child("c")), Some(ErrorKind::NotFound));
        let child = directory.create_child("c").unwrap();
        assert_eq!(child.path(), directory.path().join("c"));
        child.create("a").unwrap().write_all_at(b"in the child", 0).unwrap();
        assert_eq!(kind(directory.open("a", Access::Read)), Some(ErrorKind::NotFound));
        directory.create("a").unwrap();
        let held = child.lock("lock").unwrap().unwrap();
        assert!(directory.lock("lock").unwrap().is_some());
        let again = directory.create_child("c").unwrap();
        assert!(
            again.lock("lock").unwrap().is_none() && directory.child("c").unwrap().is_locked("lock").unwrap()
        );
        drop(held);
        again.create_child("d").unwrap().create("deep").unwrap();
        directory.sync().unwrap();
        again.sync().unwrap();
        let mut entries = directory.list().unwrap();
        entries.sort_by_key(|entry| entry.name.clone());
        let inner = again.list().unwrap().into_iter().filter(|entry| entry.is_file).count();
        (entries, inner, contents(&*again.child("d").unwrap()))
    });
}

#[test]
fn a_name_is_a_files_or_a_childs() {
    on_all(|directory| {
        directory.create("file").unwrap();
        assert_eq!(kind(directory.child("file")), Some(ErrorKind::NotADirectory));
        assert_eq!(kind(directory.create_child("file")), Some(ErrorKind::NotADirectory));
        assert_eq!(kind(directory.remove_child("file")), Some(ErrorKind::NotADirectory));
        directory.create_child("c").unwrap();
        assert_eq!(kind(directory.create("c")), Some(ErrorKind::AlreadyExists));
        assert_eq!(kind(directory.open("c", Access::Read)), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(directory.lock("c")), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(directory.is_locked("c")), Some(ErrorKind::InvalidInput));
        directory.remove("c").unwrap_err();
        directory.rename("file", "c").unwrap_err();
        directory.list().unwrap().len()
    });
}

#[test]
fn a_child_goes_when_it_is_empty_and_takes_nothing_more() {
    on_all(|directory| {
        assert_eq!(kind(directory.remove_child("c")), Some(ErrorKind::NotFound));
        let child = directory.create_child("c").unwrap();
        child.create("a").unwrap();
        assert_eq!(kind(directory.remove_child("c")), Some(ErrorKind::DirectoryNotEmpty));
        child.remove("a").unwrap();
        child.create_child("d").unwrap();
        assert_eq!(kind(directory.remove_child("c")), Some(ErrorKind::DirectoryNotEmpty));
        child.remove_child("d").unwrap();
        directory.remove_child("c").unwrap();
        assert_eq!(kind(child.create("a")), Some(ErrorKind::NotFound));
        assert_eq!(kind(child.lock("a")), Some(ErrorKind::NotFound));
        assert_eq!(kind(child.create_child("d")), Some(ErrorKind::NotFound));
        assert_eq!(kind(directory.child("c")), Some(ErrorKind::NotFound));
        directory.create_child("c").unwrap();
        contents(&*directory.child("c").unwrap())
    });
}

/// Runs one random operation, and says what came of it.
fn step(directory: &dyn Directory, random: &mut Random) -> String {
    let [name, other] = [0; 2].map(|_| ["a", "b", "c"][random.below(3)]);
    let [offset, len] = [0; 2].map(|_| random.below(10_000));
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    let on_file = |run: &dyn Fn(&dyn File) -> std::io::Result<()>| {
        format!("{:?}", kind(directory.open(name, Access::Write).and_then(|file| run(&*file))))
    };
    match random.below(8) {
        0 => format!("{:?}", kind(directory.create(name))),
        1 => format!("{:?}", kind(directory.rename(name, other))),
        2 => format!("{:?}", kind(directory.remove(name))),
        3 => on_file(&|file| file.set_len(offset as u64)),
        4 => on_file(&|file| file.sync_data()),
        5 => format!("{:?}", kind(directory.sync())),
        _ => on_file(&|file| file.write_all_at(&bytes, offset as u64)),
    }
}

#[test]
fn random_operations_end_alike() {
    for seed in 0..20 {
        on_all(|directory| {
            let mut random = Random::new(seed);
            let said: Vec<String> = (0..100).map(|_| step(directory, &mut random)).collect();
            (said, contents(directory))
        });
    }
}
