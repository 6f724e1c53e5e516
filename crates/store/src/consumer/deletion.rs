//! Deleting a consumer: its position in the log, and its directory.
//!
//! Invariant: a file says that the directory is being removed before anything else of it goes. From then on nothing in
//! it counts; whoever holds the name next finishes, and begins with nothing.

use std::{io, time::Duration};

use annals_segment::{Access, Directory, LOCK, WriterLock};
use annals_wire::{Consumer, ConsumerMove, ConsumerName, Digest, Sequence};

use super::{NewMove, child, outer_name};
use crate::{Condition, Durability, Error, append::Stay, store::Shared, sync::Arc};

impl Shared {
    /// The directory of a consumer that is to be held, made where there is none. A deletion that was cut short is
    /// finished first.
    pub(crate) fn hold_directory(
        &self,
        consumer: Consumer,
        name: &ConsumerName,
    ) -> Result<Arc<dyn Directory>, Error> {
        loop {
            let directory = self.consumer_directory(consumer, name, true)?;
            let directory = directory.expect("made where there was none");
            if !is_deleted(&*directory)? {
                return Ok(directory);
            }
            self.delete_consumer(consumer, name)?;
        }
    }

    /// Whether the consumer is being deleted, or was until that was cut short.
    pub(crate) fn is_deletion_begun(&self, consumer: Consumer, name: &ConsumerName) -> Result<bool, Error> {
        let directory = self.consumer_directory(consumer, name, false)?;
        directory.map_or(Ok(false), |directory| is_deleted(&*directory))
    }

    /// Deletes a consumer: first it is marked as deleted, then its position in the log goes, then its files.
    pub(crate) fn delete_consumer(&self, consumer: Consumer, name: &ConsumerName) -> Result<(), Error> {
        let directory = self.consumer_directory(consumer, name, true)?.expect("made where there was none");
        let lock = WriterLock::acquire(&*directory, Duration::ZERO, self.options.entropy.number())?;
        // Whoever had it until now may have moved it.
        self.refresh()?;
        let last = self.last_move(consumer, name);
        if last.is_some() {
            self.writer()?;
        }
        mark_deleted(&*directory)?;
        if let Some(last) = last {
            self.append_end(last)?;
        }
        remove_files(&*directory)?;
        drop(lock);
        let outer = child(&*self.directory, outer_name(consumer), true)?.expect("made where there was none");
        match outer.remove_child(name.as_str()) {
            // Somebody has made it anew.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => {}
            other => other.map_err(annals_segment::Error::io("remove", directory.path()))?,
        }
        Ok(outer.sync().map_err(annals_segment::Error::io("sync", outer.path()))?)
    }

    /// Writes into the log that the consumer of `last` is gone, durably.
    fn append_end(&self, last: ConsumerMove) -> Result<(), Error> {
        let end = ConsumerMove {
            number: last.number + 1,
            sequence: Sequence(0),
            hash: Digest::NONE,
            done: Vec::new(),
            is_deleted: true,
            ..last
        };
        let stay = Stay::Until(Durability::Durable);
        self.append_moving(&[], &Condition::new(), Some(&NewMove::new(end)), stay).map(drop)
    }
}

/// The file that says of a consumer's directory that it is being removed: nothing in it counts any more.
const DELETED: &str = "DELETED";

/// Whether the consumer in `directory` is being deleted.
pub(crate) fn is_deleted(directory: &dyn Directory) -> Result<bool, Error> {
    match directory.open(DELETED, Access::Read) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(annals_segment::Error::io("open", directory.path().join(DELETED))(error).into()),
    }
}

fn mark_deleted(directory: &dyn Directory) -> Result<(), annals_segment::Error> {
    match directory.create(DELETED) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(annals_segment::Error::io("create", directory.path().join(DELETED))(error))
        }
        _ => directory.sync().map_err(annals_segment::Error::io("sync", directory.path())),
    }
}

/// Removes all files, and durably before the one that says so, and the lock.
fn remove_files(directory: &dyn Directory) -> Result<(), annals_segment::Error> {
    let failed = |operation| annals_segment::Error::io(operation, directory.path());
    for entry in directory.list().map_err(failed("list"))? {
        let name = entry.name.to_str().filter(|name| entry.is_file && ![DELETED, LOCK].contains(name));
        if let Some(name) = name {
            directory.remove(name).map_err(failed("remove a file of"))?;
        }
    }
    directory.sync().map_err(failed("sync"))?;
    directory.remove(DELETED).map_err(failed("remove a file of"))?;
    if let Err(error) = directory.remove(LOCK) {
        tracing::debug!(%error, "the lock stays, and is nobody's");
    }
    directory.sync().map_err(failed("sync"))
}
