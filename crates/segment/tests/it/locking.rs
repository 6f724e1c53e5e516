//! One writer at a time, whoever removes what.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use annals_segment::{
    Access, Directory, DirectoryEntry, Error, File, Lock, MemoryDirectory, WriterLock, live_epoch,
};

use crate::user::{Sent, open};

#[test]
fn a_second_opener_is_told_who_holds_the_log() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    assert_eq!(live_epoch(&*directory).unwrap(), None);
    let first = open(&directory).unwrap();
    assert_eq!(live_epoch(&*directory).unwrap(), Some(first.log.epoch()));
    match open(&directory) {
        Err(Error::Locked { path, holder }) => {
            let expected = format!("pid {}, epoch 000000000000e90c", std::process::id());
            assert_eq!((path.file_name().unwrap().to_str(), holder), (Some("LOCK"), expected));
        }
        other => panic!("{other:?}"),
    }
    drop(first);
    assert_eq!(live_epoch(&*directory).unwrap(), None);
    open(&directory).unwrap();
}

#[test]
fn what_stands_in_a_lock_file_locks_nothing() {
    let memory = MemoryDirectory::new();
    memory.write_file("LOCK", vec![0xff; 10_000]);
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    let opened = open(&directory).unwrap();
    assert!(memory.file("LOCK").unwrap().starts_with(b"pid "));
    memory.write_file("LOCK", vec![0xff; 10_000]);
    assert_eq!(live_epoch(&*directory).unwrap(), Some(0), "a writer lives, whatever it is called");
    assert!(matches!(open(&directory), Err(Error::Locked { holder, .. }) if holder.starts_with("unknown")));
    drop(opened);
}

/// A directory whose lock's holder lets go when somebody asks for the third time.
#[derive(Debug)]
struct Patient {
    inner: MemoryDirectory,
    holder: Mutex<(u32, Option<WriterLock>)>,
}

impl Directory for Patient {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        self.inner.open(name, access)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.inner.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.inner.child(name)
    }

    fn create_child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.inner.create_child(name)
    }

    fn remove_child(&self, name: &str) -> io::Result<()> {
        self.inner.remove_child(name)
    }

    fn list(&self) -> io::Result<Vec<DirectoryEntry>> {
        self.inner.list()
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        let mut holder = self.holder.lock().unwrap();
        holder.0 += 1;
        if holder.0 == 3 {
            holder.1 = None;
        }
        self.inner.lock(name)
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        self.inner.is_locked(name)
    }
}

#[test]
fn an_opener_waits_for_its_timeout() {
    let inner = MemoryDirectory::new();
    let holder = WriterLock::acquire(&inner, Duration::ZERO, 1).unwrap();
    let patient = Patient { inner, holder: Mutex::new((0, Some(holder))) };
    let lock = WriterLock::acquire(&patient, Duration::from_secs(60), 2).unwrap();
    assert_eq!((lock.epoch(), patient.holder.lock().unwrap().0), (2, 3));
}

#[cfg(unix)]
#[test]
fn who_removes_the_lock_of_a_live_writer_does_not_get_past_it() {
    let memory = MemoryDirectory::new();
    let directory: Arc<dyn Directory> = Arc::new(memory.clone());
    for life in ["created", "opened"] {
        let (mut log, mut sent) = (open(&directory).unwrap().log, Sent::default());
        sent.stage(&mut log, 1, 100).unwrap();
        sent.flush(&mut log, true).unwrap();
        memory.remove("LOCK").unwrap();
        let files = |memory: &MemoryDirectory| {
            let names = memory.names().into_iter().filter(|name| name != "LOCK");
            names.map(|name| (memory.file(&name), name)).collect::<Vec<_>>()
        };
        let before = files(&memory);
        match open(&directory) {
            Err(Error::Locked { path, holder }) => {
                assert_eq!(path.file_name().unwrap().to_str(), Some("MANIFEST"), "{life}");
                assert!(holder.starts_with("the lock file was replaced under it"), "{life}: {holder}");
            }
            other => panic!("{life}: {other:?}"),
        }
        assert!(before == files(&memory), "{life}: the second writer wrote");
        log.close(annals_segment::Note::default()).unwrap();
    }
}
