//! A workload, run on a simulated disk, with a note of what was promised at each moment.
//!
//! Invariant: an event is noted as sent before the store gets it, and as promised when the store says so and
//! not earlier. An error that no fault explains is a flaw.

use annals::{
    Background, Coordinate, Durability, Error, Kind, NewEvent, Options, Store,
    disk::{Clock, SeededEntropy, SimulatedDirectory},
};

use annals_segment::Span;

use crate::{
    flaw::{Flaw, ensure},
    oracle,
    script::{Script, Step},
    sent::{Closed, ENTITIES, Sent, SentEvent},
};

/// How a store is opened on a disk; another than [`open_on`] puts something between them.
pub type Opening = fn(Options, SimulatedDirectory) -> Result<Store, Error>;

/// Opens the store in the directory itself.
///
/// # Errors
/// As [`Options::open_on`].
pub fn open_on(options: Options, disk: SimulatedDirectory) -> Result<Store, Error> {
    options.open_on(disk)
}

/// A clock that stands still: recorded times then come from the store's own counter.
#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now_millis(&self) -> u64 {
        1_700_000_000_000
    }
}

/// Options for the life of a store with the number `life`; no two lives on one disk may have the same.
pub(crate) fn options(script: &Script, life: u64) -> Options {
    Options::new()
        .create(true)
        .segment_bytes(script.segment_bytes)
        .checkpoint_bytes(script.checkpoint_bytes)
        .background(Background::Manual)
        .clock(StoppedClock)
        .entropy(SeededEntropy::new(life))
}

/// A run of a workload.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    script: &'a Script,
    opening: Opening,
    disk: SimulatedDirectory,
    pub(crate) sent: Sent,
    /// What was promised from which operation of the disk on.
    noted: Vec<(u64, Sent)>,
    lives: u64,
    store: Option<Store>,
    /// The span of the disk's fault, if it is to have one.
    fault: Option<Span>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum End {
    /// All steps were done.
    Whole,
    /// The store failed at a step and stopped, or could not be opened or closed.
    Failed,
}

impl<'a> Run<'a> {
    pub(crate) fn new(script: &'a Script, opening: Opening, disk: SimulatedDirectory) -> Self {
        let sent = Sent::default();
        Self {
            script,
            opening,
            disk,
            noted: vec![(0, sent.clone())],
            sent,
            lives: 0,
            store: None,
            fault: None,
        }
    }

    /// The same on a disk that is to have a fault. Without one, nothing may fail.
    pub(crate) fn with_fault(self, span: Span) -> Self {
        Self { fault: Some(span), ..self }
    }

    /// Runs all steps, as far as faults of the disk let it, between opening and closing.
    pub(crate) fn go(&mut self) -> Result<End, Flaw> {
        let first = [Step::Drop].into_iter();
        let steps = first.chain(self.script.steps.iter().copied()).chain([Step::Reopen]);
        for (number, step) in steps.enumerate() {
            let within = |flaw: Flaw| flaw.within(format_args!("step {number}, {step:?}"));
            if let Err(error) = self.step(step).map_err(within)?
                && let End::Failed = self.fail(step, &error).map_err(within)?
            {
                return Ok(End::Failed);
            }
        }
        Ok(End::Whole)
    }

    /// The disk before each operation and at last, with what was promised then.
    pub(crate) fn moments(self) -> Vec<(SimulatedDirectory, Sent)> {
        let mut noted = self.noted.into_iter().peekable();
        let mut now = Sent::default();
        let at = |(operation, disk): (u64, SimulatedDirectory)| {
            while let Some((_, sent)) = noted.next_if(|(from, _)| *from <= operation) {
                now = sent;
            }
            (disk, now.clone())
        };
        (0..).zip(self.disk.moments()).map(at).collect()
    }

    fn note(&mut self) {
        self.noted.push((self.disk.operation_count(), self.sent.clone()));
    }

    fn step(&mut self, step: Step) -> Result<Result<(), Error>, Flaw> {
        match step {
            Step::Append(durability) => self.append(1, 40, durability),
            Step::Batch(count, durability) => self.append(count, 60, durability),
            Step::Large(durability) => self.append(1, 3000, durability),
            Step::Name => self.name(),
            Step::Sync => self.sync(),
            Step::Pump => Ok(self.store()?.pump()),
            Step::Checkpoint => Ok(self.store()?.checkpoint().map(|()| {
                self.sent.has_checkpoint = true;
                self.promise_all();
            })),
            Step::Reopen => match self.close()? {
                Ok(()) => self.open(),
                Err(error) => Ok(Err(error)),
            },
            Step::Drop => {
                drop(self.store.take());
                self.open()
            }
        }
    }

    fn store(&self) -> Result<Store, Flaw> {
        self.store.clone().ok_or_else(|| Flaw::new("no store is open"))
    }

    fn open(&mut self) -> Result<Result<(), Error>, Flaw> {
        self.lives += 1;
        let store = match (self.opening)(options(self.script, self.lives), self.disk.clone()) {
            Ok(store) => store,
            Err(error) => return Ok(Err(error)),
        };
        let found = oracle::check(&store, &self.sent);
        if store.report().is_read_only {
            // Put in order it could not be, for want of space; what it shows need not be durable.
            return found.map(|_| Err(Error::ReadOnly));
        }
        match found {
            Ok(found) => self.sent.settle(found),
            // What it shows cannot be read.
            Err(flaw) if flaw.is_of_disk() && self.fault == Some(Span::Forever) => {
                return Ok(Err(Error::ReadOnly));
            }
            Err(flaw) => return Err(flaw),
        }
        self.sent.is_made = true;
        self.store = Some(store);
        self.note();
        Ok(Ok(()))
    }

    fn close(&mut self) -> Result<Result<(), Error>, Flaw> {
        if self.sent.closed == Closed::No {
            self.sent.closed = Closed::Unknown;
            self.note();
        }
        let Some(store) = self.store.take() else { return Err(Flaw::new("no store is open")) };
        if let Err(error) = store.close() {
            return Ok(Err(error));
        }
        self.sent.closed = Closed::Yes;
        self.promise_all();
        Ok(Ok(()))
    }

    fn append(&mut self, count: u64, len: usize, durability: Durability) -> Result<Result<(), Error>, Flaw> {
        let outcome = append(&self.store()?, &mut self.sent, count, len, durability, &mut |sent| {
            self.noted.push((self.disk.operation_count(), sent.clone()));
        });
        self.note();
        outcome
    }

    fn name(&mut self) -> Result<Result<(), Error>, Flaw> {
        let name = self.sent.send_name();
        self.sent.closed = Closed::Unknown;
        self.note();
        let kind = match self.store()?.kind(&name) {
            Ok(kind) => kind,
            Err(error) => return Ok(Err(error)),
        };
        let is_free = self.sent.names.iter().all(|name| name.kind != Some(kind));
        ensure(is_free, || format!("{kind} has two names"))?;
        if let Some(last) = self.sent.names.last_mut() {
            last.kind = Some(kind);
        }
        self.sent.closed = Closed::No;
        self.sent.durable.names = self.sent.names.len();
        self.note();
        Ok(Ok(()))
    }

    fn sync(&mut self) -> Result<Result<(), Error>, Flaw> {
        let durable = match self.store()?.sync() {
            Ok(sequence) => usize::try_from(sequence.0).unwrap_or(usize::MAX),
            Err(error) => return Ok(Err(error)),
        };
        let count = self.sent.events.len();
        ensure(durable == count, || format!("synced up to {durable}, and {count} were sent"))?;
        self.promise_all();
        Ok(Ok(()))
    }

    fn promise_all(&mut self) {
        self.sent.promise_all();
        self.note();
    }

    /// What must hold when the store says that a step failed. Work on what is only derived may fail and the
    /// store goes on, and so may an append that cannot look up what it depends on; where a write or a sync failed, it
    /// has stopped.
    fn fail(&mut self, step: Step, error: &Error) -> Result<End, Flaw> {
        ensure(self.fault.is_some(), || format!("it failed without a fault: {error}"))?;
        let is_derived = matches!(step, Step::Pump | Step::Checkpoint);
        let is_append = matches!(step, Step::Append(_) | Step::Batch(..) | Step::Large(_));
        match (error, &self.store) {
            (Error::Environment { .. }, Some(_)) if is_derived => Ok(End::Whole),
            (Error::Environment { source }, Some(store)) if is_append && is_refused_open(source) => {
                // What it depends on lies in a segment that could not be opened. Nothing of it was appended, and
                // what came before can still be made durable.
                if let Ok(durable) = store.sync() {
                    let durable = usize::try_from(durable.0).unwrap_or(usize::MAX);
                    ensure(durable < self.sent.events.len(), || {
                        format!("{durable} are there, one was refused")
                    })?;
                    self.sent.promise_events(durable);
                }
                self.note();
                Ok(End::Failed)
            }
            (Error::Stopped { durable, .. }, Some(store)) => {
                let durable = usize::try_from(durable.0).unwrap_or(usize::MAX);
                ensure(durable <= self.sent.events.len(), || format!("{durable} are said to be durable"))?;
                let shown = check_stopped(store, &self.sent)?;
                self.sent.promise_events(durable.max(shown));
                self.sent.closed = Closed::Unknown;
                self.note();
                Ok(End::Failed)
            }
            (Error::Environment { .. } | Error::Stopped { .. }, None) => Ok(End::Failed),
            (Error::NoSpace { .. } | Error::ReadOnly, None) => Ok(End::Failed),
            _ => Err(Flaw::new(format!("it failed otherwise than a failing disk makes it: {error}"))),
        }
    }
}

/// Whether a file could not be opened to read it: all that an append may fail on without an end to writing.
fn is_refused_open(error: &annals_segment::Error) -> bool {
    matches!(error, annals_segment::Error::Io { operation: "open", .. })
}

/// A store that stopped takes nothing more, and shows what it showed; returns how many events.
pub(crate) fn check_stopped(store: &Store, sent: &Sent) -> Result<usize, Flaw> {
    let mut unsent = sent.clone();
    let again = append(store, &mut unsent, 1, 40, Durability::Queued, &mut |_| {})?;
    ensure(matches!(again, Err(Error::Stopped { .. })), || format!("an append after a failure: {again:?}"))?;
    let synced = store.sync();
    ensure(matches!(synced, Err(Error::Stopped { .. })), || format!("a sync after a failure: {synced:?}"))?;
    let shown = usize::try_from(store.last_sequence().0).unwrap_or(usize::MAX);
    ensure(shown >= sent.durable.events && shown <= sent.events.len(), || {
        format!("{shown} events are shown after a failure, and {} were durable", sent.durable.events)
    })?;
    for event in store.all() {
        // What takes a descriptor may fail on; whatever is read is right.
        let Ok(event) = event else { break };
        let expected = usize::try_from(event.sequence().0 - 1).ok().and_then(|at| sent.events.get(at));
        let is_right = expected
            .is_some_and(|sent| sent.event_id() == event.id() && Some(&*sent.payload()) == event.payload());
        ensure(is_right, || format!("event {} is another after a failure", event.sequence()))?;
    }
    Ok(shown)
}

/// Appends a batch over the streams; notes it as sent before, and as promised where it was asked to be durable.
pub(crate) fn append(
    store: &Store,
    sent: &mut Sent,
    count: u64,
    len: usize,
    durability: Durability,
    note: &mut dyn FnMut(&Sent),
) -> Result<Result<(), Error>, Flaw> {
    let batch = sent.send(count, len);
    sent.closed = Closed::Unknown;
    note(sent);
    let outcome = append_sent(store, &batch, sent.events.len(), durability)?;
    if outcome.is_ok() {
        sent.closed = Closed::No;
        if durability == Durability::Durable {
            sent.promise_events(sent.events.len());
        }
    }
    Ok(outcome)
}

/// Appends `batch`, the last of `sent_count` events that were sent.
pub(crate) fn append_sent(
    store: &Store,
    batch: &[SentEvent],
    sent_count: usize,
    durability: Durability,
) -> Result<Result<(), Error>, Flaw> {
    let kind = Kind::new(0x2001).map_err(|error| Flaw::new(format!("a kind was refused: {error}")))?;
    let payloads: Vec<_> = batch.iter().map(|event| event.payload()).collect();
    let mut coordinates = Vec::new();
    for entity in ENTITIES {
        let coordinate = Coordinate::new(entity, "scope");
        coordinates
            .push(coordinate.map_err(|error| Flaw::new(format!("a coordinate was refused: {error}")))?);
    }
    let events = batch.iter().zip(&payloads).filter_map(|(event, payload)| {
        let coordinate = coordinates.get(event.stream())?;
        Some(NewEvent::new(coordinate, kind, payload).id(event.event_id()))
    });
    let events: Vec<_> = events.collect();
    let receipts = match store.append_batch_with(&events, durability) {
        Ok(receipts) => receipts,
        Err(error) => return Ok(Err(error)),
    };
    let (last, expected) = (receipts.last().map(|receipt| receipt.sequence.0), sent_count as u64);
    ensure(last == Some(expected), || format!("the receipt says {last:?} and not {expected}"))?;
    Ok(Ok(()))
}
