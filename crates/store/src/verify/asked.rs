//! Verification of what is asked for: an event, a stream, or a range of sequences of a store that is open.
//!
//! Invariant: as of the whole store, nothing is changed, and a damaged place does not end it. An event's hash is
//! compared with what it says and with the hash of the one before it in its stream, wherever that lies.

use std::{collections::HashMap, ops::RangeInclusive};

use annals_index::Query;
use annals_wire::{Coordinate, Digest, EventId, Lane, Recorded, Revision, Sequence};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::{
    Damage, VerifyProgress, VerifyReport,
    link::{Break, Previous, broken_link, broken_time},
    verify_in,
};
use crate::{Error, Event, Events, Store, store::Shared, sync::Arc, view::Found};

/// So many events are read and hashed at once.
const BATCH_COUNT: usize = 512;

impl Store {
    /// Verifies everything that is durable, as [`crate::verify`] does, while appends go on. `progress` is told how far
    /// it is.
    ///
    /// # Errors
    /// [`Error::Environment`] where something cannot be read. Damage is no error: it is in the report.
    pub fn verify(&self, progress: &mut dyn FnMut(VerifyProgress)) -> Result<VerifyReport, Error> {
        verify_in(&self.shared.directory, progress)
    }

    /// Verifies the event `id`: its checksums, and that its hash follows from it and from the hash before it in its
    /// stream. [`VerifyReport::event_count`] is 0 where the store does not have it.
    ///
    /// # Errors
    /// As [`Store::verify`].
    pub fn verify_event(&self, id: EventId) -> Result<VerifyReport, Error> {
        let mut walk = Asked::new(self);
        let found = self.shared.ask(|view| view.find_id(id));
        match found {
            Ok(found) => {
                let found = found.filter(|found| found.sequence <= walk.visible);
                let found = Vec::from_iter(found);
                walk.check_all(&found, &read(&found))?;
            }
            // Its bytes had to be read to tell whose they are.
            Err(Error::Corrupt { source }) => walk.report.damaged(&source, None),
            Err(error) => return Err(error),
        }
        Ok(walk.finish())
    }

    /// Verifies a lane of `coordinate`, 0 for the trunk, from its first event on. Its last hash commits to all of it, and
    /// to what it forks from: who kept that of a receipt compares.
    ///
    /// ```
    /// # use annals::{*, consume::*, disk::*, report::*};
    /// # fn main() -> Result<(), Error> {
    /// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
    /// let at = Coordinate::new("account:7", "bank")?;
    /// store.append(&NewEvent::new(&at, store.kind("booked")?, b"70"))?;
    /// let report = store.verify_stream(&at, Lane(0), &mut |progress| println!("{}", progress.done_events))?;
    /// assert!(report.is_sound() && report.event_count == 1);
    /// assert!(store.verify_range(Sequence(1)..=Sequence(1), &mut |_| {})?.is_sound());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Store::verify`].
    pub fn verify_stream(
        &self,
        coordinate: &Coordinate,
        lane: Lane,
        progress: &mut dyn FnMut(VerifyProgress),
    ) -> Result<VerifyReport, Error> {
        let events = || Events::stream(Arc::clone(&self.shared), coordinate, lane).with_hidden();
        Asked::new(self).run(events, progress)
    }

    /// Verifies the events with `sequences`, of which those that cannot be read yet are left out.
    ///
    /// An example is with [`Store::verify_stream`].
    ///
    /// # Errors
    /// As [`Store::verify`].
    pub fn verify_range(
        &self,
        sequences: RangeInclusive<Sequence>,
        progress: &mut dyn FnMut(VerifyProgress),
    ) -> Result<VerifyReport, Error> {
        let after = Sequence(sequences.start().0.saturating_sub(1));
        let events = || self.query(Query::all()).with_hidden().after(after).until(*sequences.end());
        Asked::new(self).run(events, progress)
    }
}

/// An event that was read, and the digest of its payload.
type Read = Result<(Event, Digest), annals_segment::Error>;

fn read_one(found: &Found) -> Read {
    let event = found.read()?;
    let digest = event.view().payload.digest();
    Ok((event, digest))
}

fn read(found: &[Found]) -> Vec<Read> {
    found.iter().map(read_one).collect()
}

/// Threads of this walk's own, which end with it; none where there is little to do, or one core.
fn threads(event_count: u64) -> Option<rayon::ThreadPool> {
    let pool = || rayon::ThreadPoolBuilder::new().build().ok();
    let pool = if event_count >= BATCH_COUNT as u64 { pool() } else { None };
    pool.filter(|pool| pool.current_num_threads() > 1)
}

/// What was seen so far.
struct Asked {
    shared: Arc<Shared>,
    visible: Sequence,
    report: VerifyReport,
    /// The last event of each stream that was seen.
    heads: HashMap<(Coordinate, Lane), Previous>,
    last: Option<(Sequence, Recorded)>,
}

impl Asked {
    fn new(store: &Store) -> Self {
        Self {
            shared: Arc::clone(&store.shared),
            visible: store.last_sequence(),
            report: VerifyReport::default(),
            heads: HashMap::new(),
            last: None,
        }
    }

    fn run(
        mut self,
        events: impl Fn() -> Events,
        progress: &mut dyn FnMut(VerifyProgress),
    ) -> Result<VerifyReport, Error> {
        let total_events = events().until(self.visible).count_events()?;
        let pool = threads(total_events);
        let mut events = events().until(self.visible);
        let mut done_events = 0;
        loop {
            let mut batch = Vec::with_capacity(BATCH_COUNT);
            while batch.len() < BATCH_COUNT
                && let Some(found) = events.next_found()?
            {
                batch.push(found);
            }
            if batch.is_empty() {
                return Ok(self.finish());
            }
            let read = match &pool {
                Some(pool) => pool.install(|| batch.par_iter().map(read_one).collect()),
                None => read(&batch),
            };
            self.check_all(&batch, &read)?;
            done_events += batch.len() as u64;
            let done_bytes = self.report.byte_count;
            progress(VerifyProgress { done_bytes, total_bytes: 0, done_events, total_events });
        }
    }

    fn finish(mut self) -> VerifyReport {
        self.report.stream_count = self.heads.len() as u64;
        self.report
    }

    fn check_all(&mut self, found: &[Found], read: &[Read]) -> Result<(), Error> {
        for (found, read) in found.iter().zip(read) {
            match read {
                Ok((event, payload)) => self.check_event(found, event, *payload)?,
                Err(error) if error.is_damage() => self.report.damaged(error, Some(found.sequence)),
                // Once more, for an error of its own.
                Err(_) => drop(found.read()?),
            }
        }
        Ok(())
    }

    fn check_event(&mut self, found: &Found, event: &Event, payload: Digest) -> Result<(), Error> {
        let view = event.view();
        self.report.event_count += 1;
        self.report.byte_count += event.frame_len();
        let time = self.last.filter(|(sequence, _)| *sequence < view.sequence).map(|(_, time)| time);
        let time = time.and_then(|before| broken_time(&view, before));
        let link = self.head_before(found, event)?.and_then(|head| broken_link(&view, head, payload));
        time.into_iter().chain(link).for_each(|broken| self.broken(found, broken));
        self.last = Some((view.sequence, view.stamp.recorded));
        let head = Previous { revision: view.stamp.revision, hash: view.stamp.hash };
        self.heads.insert((event.coordinate(), view.stream.lane), head);
        Ok(())
    }

    /// What `event` follows; `None` where that cannot be known.
    fn head_before(&mut self, found: &Found, event: &Event) -> Result<Option<Previous>, Error> {
        let before = Revision(event.revision().0 - 1);
        let known = self.heads.get(&(event.coordinate(), event.lane())).copied();
        if let Some(head) = known.filter(|head| head.revision == before) {
            return Ok(Some(head));
        }
        if before == Revision(0) && event.view().fork.is_none() {
            return Ok(Some(Previous { revision: before, hash: Digest::NONE }));
        }
        match self.find_before(event) {
            Ok(Some(previous)) => Ok(Some(Previous { revision: before, hash: previous.hash() })),
            Ok(None) => {
                let (sequence, path) = (event.sequence(), found.part.frames.path().display());
                let what = "is not there, and the hash behind it was not compared";
                self.report.notes.push(format!("{path}: what event {sequence} follows {what}"));
                Ok(None)
            }
            Err(Error::Corrupt { source }) => {
                self.report.damaged_once(&source);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The event before `event` in its stream; for the first of a lane the one that it forks from.
    fn find_before(&self, event: &Event) -> Result<Option<Event>, Error> {
        if let Some(id) = event.view().fork.and_then(|fork| fork.event) {
            return self.shared.ask(|view| Ok(view.find_id(id)?.map(|found| found.read()).transpose()?));
        }
        let before = Revision(event.revision().0 - 1);
        let stream =
            Events::stream(Arc::clone(&self.shared), &event.coordinate(), event.lane()).with_hidden();
        let previous = stream.backwards().from(before).limit(1).next().transpose()?;
        Ok(previous.filter(|previous| previous.revision() == before))
    }

    fn broken(&mut self, found: &Found, broken: Break) {
        self.report.damage.push(Damage {
            sequence: Some(found.sequence),
            expected: broken.expected.map(|hash| hash.to_string()),
            found: broken.found.map(|hash| hash.to_string()),
            ..Damage::new(
                found.part.frames.path().display().to_string(),
                Some(found.offset),
                broken.what,
                false,
            )
        });
    }
}
