//! The shelf: where the snapshots of a projection are, one file for each state.
//!
//! Invariant: a snapshot is of durable events. It is written under a temporary name, synced, renamed, and the directory
//! synced: so there is the old or the new one, whole. It is believed where store, name, version of the fold and what was
//! folded are the ones asked for, the event that it ends with is there with its hash, and nothing that is in it was
//! hidden since.

use std::io;

use annals_index::Query;
use annals_segment::{Access, Directory, Error as LogError, PROJECTIONS, TEMPORARY_SUFFIX, WriterLock};
use annals_wire::{
    ConsumerName, Coordinate, Digest, Lane, Sequence, SnapshotHeader, blake3_digest, stream_digest,
};
use serde::Serialize;

use super::{
    Fold, Folded,
    basis::{Basis, digest_upto, first_sequence, hidden_of},
};
use crate::{Error, Store, consumer::child, sync::Arc};

/// Where the snapshots are.
pub(super) struct Shelf {
    /// `None` where they are below the store's own directory.
    own: Option<Arc<dyn Directory>>,
}

/// What was folded.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    Query(&'a Query),
    /// The trunk of a coordinate.
    Stream(&'a Coordinate),
}

/// What was found of a snapshot.
pub(super) enum Loaded<S> {
    Nothing,
    Whole(Box<Folded<S>>),
    /// It is there and cannot be used: why.
    Rejected(String),
}

impl Subject<'_> {
    fn digest(self) -> Digest {
        match self {
            Self::Query(query) => Basis::query_digest(query),
            Self::Stream(coordinate) => stream_digest(coordinate.stream(Lane(0))),
        }
    }

    fn file_name(self) -> String {
        match self {
            Self::Query(_) => "whole.snap".to_owned(),
            Self::Stream(_) => format!("{}.snap", self.digest()),
        }
    }

    /// How many events of it there are up to `sequence`.
    pub(super) fn count_upto(self, store: &Store, sequence: Sequence) -> Result<u64, Error> {
        let events = match self {
            Self::Query(query) => store.query(query.clone()),
            Self::Stream(coordinate) => store.stream(coordinate),
        };
        events.until(sequence).count_events()
    }
}

impl Shelf {
    /// Below the store's own directory.
    pub(super) fn of_store() -> Self {
        Self { own: None }
    }

    /// In `directory`.
    pub(super) fn of_its_own(directory: Arc<dyn Directory>) -> Self {
        Self { own: Some(directory) }
    }

    /// The directory for the projection's snapshots; `None` where there is none and none is to be made.
    fn directory(
        &self,
        store: &Store,
        name: &ConsumerName,
        create: bool,
    ) -> Result<Option<Arc<dyn Directory>>, Error> {
        let outer = match &self.own {
            Some(own) => Some(Arc::clone(own)),
            None => child(&*store.shared.directory, PROJECTIONS, create)?,
        };
        outer.map_or(Ok(None), |outer| child(&*outer, name.as_str(), create))
    }

    /// The state that was saved of `subject`, where it is shown to be what `fold` makes of it.
    ///
    /// # Errors
    /// [`Error::NewerVersion`], [`Error::Corrupt`] and [`Error::Environment`]; the last two are of the store's events,
    /// for a snapshot that cannot be read is rejected.
    pub(super) fn load<F: Fold>(
        &self,
        store: &Store,
        fold: &F,
        name: &ConsumerName,
        subject: Subject<'_>,
    ) -> Result<Loaded<F::State>, Error> {
        let Some(directory) = self.directory(store, name, false)? else { return Ok(Loaded::Nothing) };
        let bytes = match read(&*directory, &subject.file_name()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Nothing),
            Err(error) => return Ok(Loaded::Rejected(error.to_string())),
        };
        let (header, state) = match SnapshotHeader::decode_file(&bytes) {
            Ok(found) => found,
            Err(source) if source.is_newer_version() => {
                let path = directory.path().join(subject.file_name());
                return Err(LogError::Newer { path, source }.into());
            }
            Err(error) => return Ok(Loaded::Rejected(error.to_string())),
        };
        let hidden = hidden_of(store);
        let expected = Expected { store, name, fold_version: fold.version(), subject };
        if let Some(why) = expected.reject(&header, digest_upto(&hidden, header.sequence))? {
            return Ok(Loaded::Rejected(why));
        }
        let query = match subject {
            Subject::Query(query) => Arc::new(query.clone()),
            Subject::Stream(_) => Arc::default(),
        };
        let basis = Basis { fold_version: header.fold_version, query, hidden };
        Ok(match rmp_serde::from_slice(state) {
            Ok(state) => {
                let (sequence, event_count) = (header.sequence, header.event_count);
                Loaded::Whole(Box::new(Folded { state, sequence, event_count, basis }))
            }
            Err(error) => Loaded::Rejected(format!("its state does not decode: {error}")),
        })
    }

    /// Saves `folded`, durably, in place of what was saved of `subject` before. False where a store that only reads
    /// does not know whether all of it is durable.
    pub(super) fn save<S: Serialize>(
        &self,
        store: &Store,
        name: &ConsumerName,
        subject: Subject<'_>,
        folded: &Folded<S>,
    ) -> Result<bool, Error> {
        let (shared, sequence) = (&store.shared, folded.sequence);
        if shared.writer.is_some() {
            store.wait_durable(sequence)?;
        } else if self.own.is_none() {
            return Err(Error::ReadOnly);
        } else if sequence > shared.durable_sequence()? {
            return Ok(false);
        }
        let state = rmp_serde::to_vec_named(&folded.state)
            .map_err(|error| Error::Invalid { what: "projection's state", why: error.to_string() })?;
        let header = SnapshotHeader {
            store: store.id(),
            sequence,
            hash: shared.place(sequence)?.hash,
            event_count: folded.event_count,
            fold_version: folded.basis.fold_version,
            name: name.clone(),
            subject: subject.digest(),
            hidden: digest_upto(&folded.basis.hidden, sequence),
            len: state.len() as u64,
            digest: blake3_digest(&state),
        };
        let bytes = [&header.encode()[..], &state].concat();
        if self.own.is_none() {
            shared.writer()?.space.check_derived(bytes.len() as u64)?;
        }
        let directory = self.directory(store, name, true)?.expect("made where there was none");
        let options = &shared.options;
        let _lock = WriterLock::acquire(&*directory, options.lock_timeout, options.entropy.number())?;
        replace(&*directory, &subject.file_name(), &bytes)?;
        Ok(true)
    }
}

/// What a snapshot has to be of.
struct Expected<'a> {
    store: &'a Store,
    name: &'a ConsumerName,
    fold_version: u32,
    subject: Subject<'a>,
}

impl Expected<'_> {
    /// Why the snapshot with `header` cannot be used; `None` where it can. `hidden` is of what is hidden now.
    fn reject(&self, header: &SnapshotHeader, hidden: Digest) -> Result<Option<String>, Error> {
        let Self { store, name, fold_version, subject } = self;
        let SnapshotHeader { sequence, hash, .. } = header;
        if header.store != store.id() {
            return Ok(Some(format!("it is of the store {}, and this is {}", header.store, store.id())));
        }
        if header.name != **name {
            return Ok(Some(format!("it is of the projection {}", header.name)));
        }
        if header.fold_version != *fold_version {
            let found = header.fold_version;
            return Ok(Some(format!("it is of version {found} of the fold, and this is {fold_version}")));
        }
        if header.subject != subject.digest() {
            return Ok(Some("something else was folded: another query, or another stream".to_owned()));
        }
        match store.shared.event_at(*sequence)? {
            Some(event) if event.hash() == *hash => {}
            Some(event) => {
                let found = event.hash();
                return Ok(Some(format!(
                    "it is of another history: its event {sequence} has the hash {hash}, and here it is {found}"
                )));
            }
            None if *sequence < first_sequence(store) => {
                return Ok(Some(format!(
                    "the events behind its last one, {sequence}, were removed from the log"
                )));
            }
            None => {
                let newest = store.last_sequence();
                return Ok(Some(format!(
                    "it is of another history: it has events up to {sequence}, and the newest here is {newest}"
                )));
            }
        }
        if header.hidden != hidden && subject.count_upto(store, *sequence)? != header.event_count {
            return Ok(Some("an event that is in it was hidden".to_owned()));
        }
        Ok(None)
    }
}

/// All bytes of the file `name`.
fn read(directory: &dyn Directory, name: &str) -> io::Result<Vec<u8>> {
    let file = directory.open(name, Access::Read)?;
    let len = file.len()?;
    file.read_all(len)
}

/// Replaces the file `name` by `bytes`, durably. Whoever calls has the lock.
fn replace(directory: &dyn Directory, name: &str, bytes: &[u8]) -> Result<(), LogError> {
    let temporary = format!("{name}{TEMPORARY_SUFFIX}");
    let path = directory.path().join(&temporary);
    match directory.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(LogError::io("remove", path)(error));
        }
        _ => {}
    }
    let file = directory.create(&temporary).map_err(LogError::io("create", &path))?;
    if let Err(error) = file.write_all_at(bytes, 0) {
        // It may have taken the last bytes that the disk had.
        drop(directory.remove(&temporary));
        return Err(LogError::io("write", &path)(error));
    }
    file.sync_data().map_err(LogError::io("sync", &path))?;
    directory.rename(&temporary, name).map_err(LogError::io("rename", &path))?;
    directory.sync().map_err(LogError::io("sync", directory.path()))
}
