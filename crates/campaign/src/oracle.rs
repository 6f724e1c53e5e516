//! The oracle: what a store may hold after whatever happened to it, and what its report must say of it.
//!
//! Invariant: it goes by what was sent and by the files before and after, and never by how the store works.
//! What was acknowledged is there, what is not promised is there as whole batches in the order sent, and not
//! a byte was invented; nothing left the files but what the report tells.

use annals::{Event, Store, disk::SimulatedDirectory, report::OpenReport};
use annals_segment::{CHECKPOINT, CrashProfile};

use crate::{
    flaw::{Flaw, ensure},
    sent::{Closed, ENTITIES, Found, STREAM_COUNT, Sent, SentEvent},
};

/// Checks all that `store` shows, and returns how much it is.
pub(crate) fn check(store: &Store, sent: &Sent) -> Result<Found, Flaw> {
    let found = Found { events: check_events(store, sent)?, names: check_names(store, sent)? };
    ensure(found.events >= sent.durable.events, || {
        format!("{} events, and {} were durable", found.events, sent.durable.events)
    })?;
    ensure(found.names >= sent.durable.names, || {
        format!("{} names of kinds, and {} were durable", found.names, sent.durable.names)
    })?;
    // Names and events are in one log: of what came first nothing may be missing.
    let (there, missing) = sent.names.split_at(found.names);
    ensure(there.last().is_none_or(|last| last.after <= found.events), || {
        format!("{} names, and only {} of the events before them", found.names, found.events)
    })?;
    ensure(missing.first().is_none_or(|first| first.after >= found.events), || {
        format!("{} events, and only {} of the names before them", found.events, found.names)
    })?;
    check_look_ups(store, sent, found)?;
    Ok(found)
}

fn check_events(store: &Store, sent: &Sent) -> Result<usize, Flaw> {
    let mut revisions = [0; STREAM_COUNT];
    let mut last = None;
    let mut count = 0;
    for event in store.all() {
        let event = event.map_err(|error| Flaw::refused(&format!("event {count} cannot be read"), &error))?;
        let Some(expected) = sent.events.get(count) else {
            return Err(Flaw::new(format!(
                "invented: event {count} of {} that were sent",
                sent.events.len()
            )));
        };
        count += 1;
        let revision = revisions.get_mut(expected.stream()).ok_or_else(|| Flaw::new("no such stream"))?;
        *revision += 1;
        check_event(&event, *expected, count as u64, *revision)?;
        last = Some(*expected);
    }
    ensure(last.is_none_or(|last| last.ends_batch), || format!("{count} events end within a batch"))?;
    let shown = store.last_sequence().0;
    ensure(shown == count as u64, || format!("{count} events, and the last sequence is {shown}"))?;
    Ok(count)
}

fn check_event(event: &Event, expected: SentEvent, sequence: u64, revision: u64) -> Result<(), Flaw> {
    let of = |what: &str| format!("event {sequence} has another {what} than it was sent with");
    ensure(event.sequence().0 == sequence, || of("sequence"))?;
    ensure(event.id() == expected.event_id(), || of("id"))?;
    ensure(event.revision().0 == revision, || of("revision"))?;
    ensure(ENTITIES.get(expected.stream()) == Some(&event.entity()), || of("coordinate"))?;
    ensure(event.payload() == Some(&expected.payload()), || of("payload"))
}

fn check_names(store: &Store, sent: &Sent) -> Result<usize, Flaw> {
    let names = store.kind_names();
    ensure(names.len() <= sent.names.len(), || "an invented name of a kind".to_owned())?;
    for expected in sent.names.iter().take(names.len()) {
        let found = store.find_kind(&expected.name);
        let is_right = found.is_some() && (expected.kind.is_none() || expected.kind == found);
        ensure(is_right, || {
            format!("`{}` names {found:?}, and was bound to {:?}", expected.name, expected.kind)
        })?;
    }
    Ok(names.len())
}

/// The last event that is there and the first that is not, asked for by their ids; and the last of its stream.
fn check_look_ups(store: &Store, sent: &Sent, found: Found) -> Result<(), Flaw> {
    let get = |event: &SentEvent| {
        store.get(event.event_id()).map_err(|error| Flaw::refused("a look-up by id", &error))
    };
    let (there, missing) = sent.events.split_at(found.events);
    if let Some(last) = there.last() {
        let got = get(last)?.map(|event| event.sequence().0);
        ensure(got == Some(there.len() as u64), || format!("the last event is found at {got:?} by its id"))?;
    }
    if let Some(first) = missing.first() {
        ensure(get(first)?.is_none(), || "an event that is not there is found by its id".to_owned())?;
    }
    Ok(())
}

/// Bytes that a recovery cuts off.
#[derive(Debug, Clone)]
pub(crate) struct Torn {
    segment: String,
    offset: u64,
    bytes: Vec<u8>,
}

impl Torn {
    /// What `report` says that was cut off the files of `before`.
    pub(crate) fn of(report: &OpenReport, before: &SimulatedDirectory) -> Result<Option<Self>, Flaw> {
        let Some((segment, torn)) = &report.log.torn else { return Ok(None) };
        let bytes = before.file(segment).unwrap_or_default();
        let range = usize::try_from(torn.offset).ok().zip(usize::try_from(torn.offset + torn.len).ok());
        let bytes = range.and_then(|(start, end)| bytes.get(start..end));
        let bytes = bytes.filter(|bytes| bytes.last().is_some_and(|last| *last != 0));
        let bytes = bytes.ok_or_else(|| {
            Flaw::new(format!("the report tells of {} torn bytes at {} of {segment}", torn.len, torn.offset))
        })?;
        Ok(Some(Self { segment: segment.clone(), offset: torn.offset, bytes: bytes.to_vec() }))
    }

    fn sidecar(&self) -> String {
        format!("{}.torn-{}", self.segment, self.offset)
    }

    /// Fails unless they are where they were, or set aside.
    pub(crate) fn check_kept(&self, disk: &SimulatedDirectory) -> Result<(), Flaw> {
        let start = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let aside = || disk.file(&self.sidecar()).is_some_and(|bytes| bytes == self.bytes);
        let in_place = || {
            disk.file(&self.segment)
                .is_some_and(|bytes| bytes.get(start..).is_some_and(|b| b.starts_with(&self.bytes)))
        };
        ensure(aside() || in_place(), || {
            format!("{} torn bytes of {} are neither in place nor set aside", self.bytes.len(), self.segment)
        })
    }
}

/// Checks what opening for writing says that it did against the files `before` and `after` it.
pub(crate) fn check_report(
    report: &OpenReport,
    sent: &Sent,
    before: &SimulatedDirectory,
    after: &SimulatedDirectory,
) -> Result<Option<Torn>, Flaw> {
    let log = &report.log;
    let is_made = report.was_created;
    ensure(!is_made || !sent.is_made, || "the store was made anew".to_owned())?;
    match sent.closed {
        Closed::Yes => ensure(!log.was_unclean && log.torn.is_none() && log.rewritten.is_none(), || {
            format!("it was closed, and the report says otherwise: {log:?}")
        })?,
        Closed::No => ensure(log.was_unclean, || "it was not closed, and the report says it was".to_owned())?,
        Closed::Unknown => {}
    }
    let torn = Torn::of(report, before)?;
    ensure(torn.is_some() == log.sidecar.is_some(), || {
        format!("a cut without its bytes set aside: {log:?}")
    })?;
    ensure(torn.is_none() || !report.is_clean(), || "torn bytes, and the report is clean".to_owned())?;
    if let Some(torn) = &torn {
        ensure(log.sidecar == Some(torn.sidecar()), || format!("the sidecar has another name: {log:?}"))?;
        ensure(after.file(&torn.sidecar()).as_ref() == Some(&torn.bytes), || {
            "the sidecar does not have the bytes that were cut off".to_owned()
        })?;
        let len = after.file(&torn.segment).map(|bytes| bytes.len() as u64);
        ensure(len == Some(torn.offset), || "the torn bytes are still there".to_owned())?;
    }
    // It is replaced as a whole, so that there is always the old or the new.
    let is_rejected = || report.rejected.iter().any(|rejected| rejected.file == CHECKPOINT);
    let has_checkpoint = || before.names().iter().any(|name| name == CHECKPOINT) && !is_rejected();
    ensure(!sent.has_checkpoint || has_checkpoint(), || {
        format!("there was a checkpoint, and now: {:?}", report.rejected)
    })?;
    check_files(report, torn.as_ref(), before, after)?;
    check_removed(report, after)?;
    Ok(torn)
}

/// What the report says was removed does not come back with the next power loss.
fn check_removed(report: &OpenReport, after: &SimulatedDirectory) -> Result<(), Flaw> {
    if report.log.removed.is_empty() {
        return Ok(());
    }
    let (now, lost) = (after.names(), after.crash(CrashProfile::StrictPosix, 0).names());
    let back = report.log.removed.iter().find(|name| !now.contains(name) && lost.contains(name));
    ensure(back.is_none(), || format!("{} was removed, and not durably", back.cloned().unwrap_or_default()))
}

/// Files whose bytes are rewritten in place, or mean nothing once their process is gone.
const REWRITTEN: [&str; 3] = ["MANIFEST", "LOCK", "FRONTIER"];

/// Nothing that was there is changed or gone but what the report tells.
fn check_files(
    report: &OpenReport,
    torn: Option<&Torn>,
    before: &SimulatedDirectory,
    after: &SimulatedDirectory,
) -> Result<(), Flaw> {
    for name in before.differing(after).iter().filter(|name| !REWRITTEN.contains(&name.as_str())) {
        let Some(old) = before.file(name) else { continue };
        let (removed, new) = (report.log.removed.contains(name), after.file(name));
        let Some(new) = new.filter(|_| !removed) else {
            let is_told = removed && after.file(name).is_none_or(|new| new.len() != old.len() || new != old);
            // Making a store removes what an earlier attempt at it left.
            ensure(is_told || report.was_created, || {
                format!("{name} is gone, and the report: {:?}", report.log)
            })?;
            continue;
        };
        let is_sidecar = torn.is_some_and(|torn| torn.sidecar() == *name);
        let end = match torn {
            Some(torn) if torn.segment == *name => usize::try_from(torn.offset).unwrap_or(usize::MAX),
            _ => old.len().min(new.len()),
        };
        // What was prepared may go; what is cut off is the torn bytes, which the report tells.
        let is_torn = torn.is_some_and(|torn| torn.segment == *name);
        let is_kept = old.get(..end) == new.get(..end) && (is_torn || is_zero(old.get(end..)));
        ensure(is_sidecar || is_kept, || format!("{name} was changed, and the report: {:?}", report.log))?;
    }
    Ok(())
}

fn is_zero(bytes: Option<&[u8]>) -> bool {
    bytes
        .is_some_and(|bytes| bytes.chunks(256).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0))
}
