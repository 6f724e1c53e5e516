//! Running a workload on a real directory, and saying what is sent and promised.
//!
//! Invariant: nothing is done that was not said before, and nothing promised that the store did not. A store that
//! fails does so with a typed error that fits what was tried; everything else is a flaw.

use std::{fmt, path::Path};

use annals::{Durability, Error, Store};

use super::{
    line::{Level, Line},
    state::State,
    workload::Workload,
};
use crate::{
    flaw::{Flaw, ensure},
    oracle,
    script::{Script, Step},
    workload::{append_sent, check_stopped},
};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// All steps were done.
    Done,
    /// The store stopped, or could not be opened or closed, and said so.
    Failed,
    /// Another writer has the store.
    Locked,
}

/// Where a run speaks.
pub trait Voice {
    /// Says a line, with its end.
    ///
    /// # Errors
    /// Where nobody hears it.
    fn say(&mut self, line: &str) -> Result<(), Flaw>;

    /// What is to be done after the promise with the number `ack`, and before the next step.
    ///
    /// # Errors
    /// Where it was not done.
    fn promised(&mut self, ack: u64) -> Result<(), Flaw>;

    /// Waits before a step.
    fn wait(&mut self);

    /// Waits before the store is closed at the end.
    fn hold(&mut self);
}

/// A run of a workload on a directory.
#[derive(Debug)]
pub struct Subject<'a, V> {
    path: &'a Path,
    workload: &'a Workload,
    /// What outlives the end of the process.
    state: State,
    /// What outlives the power: a store that stopped shows at least this.
    durable: State,
    voice: V,
    store: Option<Store>,
}

/// Why a step ended the run.
enum Stop {
    Store(Error),
    Flaw(Flaw),
}

impl From<Flaw> for Stop {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl<'a, V: Voice> Subject<'a, V> {
    /// A run of `workload` in the directory `path`, after what `state` says was done to it before.
    pub fn new(path: &'a Path, workload: &'a Workload, state: State, voice: V) -> Self {
        Self { path, workload, durable: state.clone(), state, voice, store: None }
    }

    /// Runs all steps, between opening and closing.
    ///
    /// # Errors
    /// A [`Flaw`] where the store did or said what no store may, or where nobody hears what is said.
    pub fn run(&mut self) -> Result<End, Flaw> {
        let Script { name, segment_bytes, checkpoint_bytes, steps } = &self.workload.script;
        let (name, segment_bytes, checkpoint_bytes) = (name.clone(), *segment_bytes, *checkpoint_bytes);
        self.say(&Line::Begun { segment_bytes, checkpoint_bytes, name })?;
        if let Some(end) = self.attempt("open", |subject| subject.open())? {
            return Ok(end);
        }
        for step in steps {
            self.voice.wait();
            let what = word(*step);
            if let Some(end) = self.attempt(what, |subject| subject.step(*step))? {
                return Ok(end);
            }
        }
        self.voice.hold();
        if let Some(end) = self.attempt("close", |subject| subject.close())? {
            return Ok(end);
        }
        self.say(&Line::Done)?;
        Ok(End::Done)
    }

    fn say(&mut self, line: &Line) -> Result<(), Flaw> {
        self.state.apply(line, Level::Kill)?;
        self.durable.apply(line, Level::Power)?;
        if line.is_acknowledgement() {
            let ack = self.state.acks();
            self.voice.say(&format!("{line} ack {ack}\n"))?;
            self.voice.promised(ack)
        } else {
            self.voice.say(&format!("{line}\n"))
        }
    }

    /// Tries a step; says how the run ended where that ended it.
    fn attempt(
        &mut self,
        what: &str,
        step: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<Option<End>, Flaw> {
        match step(self) {
            Ok(()) => Ok(None),
            Err(Stop::Flaw(flaw)) => Err(flaw.within(what)),
            Err(Stop::Store(error)) => self.fail(what, &error).map_err(|flaw| flaw.within(what)),
        }
    }

    fn store(&self) -> Result<Store, Flaw> {
        self.store.clone().ok_or_else(|| Flaw::new("no store is open"))
    }

    fn step(&mut self, step: Step) -> Result<(), Stop> {
        match step {
            Step::Append(durability) => self.append(1, 40, durability),
            Step::Batch(count, durability) => self.append(count, 60, durability),
            Step::Large(durability) => self.append(1, 3000, durability),
            Step::Name => self.name(),
            Step::Sync => {
                let durable = self.store()?.sync()?.0;
                let count = self.state.sent.events.len() as u64;
                ensure(durable == count, || format!("synced up to {durable}, and {count} were sent"))?;
                Ok(self.say(&Line::Synced)?)
            }
            Step::Pump => {
                self.store()?.pump()?;
                Ok(self.say(&Line::Pumped)?)
            }
            Step::Checkpoint => {
                self.store()?.checkpoint()?;
                Ok(self.say(&Line::Checkpointed)?)
            }
            Step::Reopen => {
                self.close()?;
                self.open()
            }
            Step::Drop => {
                self.say(&Line::Dropping)?;
                if let Some(store) = self.store.take() {
                    self.tell_incidents(&store)?;
                }
                self.open()
            }
        }
    }

    fn open(&mut self) -> Result<(), Stop> {
        self.say(&Line::Opening)?;
        let store = self.workload.options().open(self.path)?;
        let (events, names) = (count(store.last_sequence().0), store.kind_names().len());
        if store.report().is_read_only {
            self.say(&Line::Reads { events, names })?;
            oracle::check(&store, &self.state.sent)?;
            return Err(Error::ReadOnly.into());
        }
        let before = self.state.sent.clone();
        self.say(&Line::Opened { events, names })?;
        for rejected in &store.report().rejected {
            self.say(&Line::Told(format!("{}: {}", rejected.file, rejected.why)))?;
        }
        match oracle::check(&store, &before) {
            // What it shows cannot be read for now.
            Err(flaw) if flaw.is_of_disk() => {
                self.tell("read", "Environment", 0, &flaw.to_string())?;
            }
            shown => drop(shown?),
        }
        self.store = Some(store);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Stop> {
        let store = self.store()?;
        self.store = None;
        self.say(&Line::Closing)?;
        let closed = store.clone().close();
        self.tell_incidents(&store)?;
        closed?;
        Ok(self.say(&Line::Closed)?)
    }

    fn append(&mut self, count: u64, len: usize, durability: Durability) -> Result<(), Stop> {
        let store = self.store()?;
        let start = self.state.sent.events.len();
        self.say(&Line::Sending { count, len })?;
        let sent = &self.state.sent.events;
        append_sent(&store, sent.get(start..).unwrap_or_default(), sent.len(), durability)??;
        Ok(self.say(&Line::Appended(durability))?)
    }

    fn name(&mut self) -> Result<(), Stop> {
        self.say(&Line::Naming)?;
        let name = self.state.sent.names.last().map(|name| name.name.clone()).unwrap_or_default();
        let kind = self.store()?.kind(&name)?;
        let is_free = self.state.sent.names.iter().all(|name| name.kind != Some(kind));
        ensure(is_free, || format!("{kind} has two names"))?;
        Ok(self.say(&Line::Named(kind))?)
    }

    /// What must hold when the store says that a step failed, and how the run ended if that ended it. Work on
    /// what is only derived may fail and the store goes on; where there was no room for what was sent, or what it
    /// had to be compared with could not be read, nothing of it was appended; where an append or a sync failed
    /// otherwise, the store has stopped.
    fn fail(&mut self, what: &str, error: &Error) -> Result<Option<End>, Flaw> {
        let variant = variant(error);
        let store = self.store.clone();
        match (error, store) {
            (Error::Environment { .. } | Error::NoSpace { .. }, Some(_)) if is_derived(what) => {
                self.tell(what, &variant, 0, &error.to_string())?;
                Ok(None)
            }
            (Error::NoSpace { .. } | Error::Environment { .. }, Some(store)) if is_sent(what) => {
                self.tell(what, &variant, 0, &error.to_string())?;
                self.say(&Line::Refused)?;
                self.end_refused(store)
            }
            (Error::Stopped { durable, .. }, Some(store)) => {
                let durable = count(durable.0);
                ensure(durable <= self.state.sent.events.len(), || {
                    format!("{durable} are said to be durable")
                })?;
                let shown = check_stopped(&store, &self.durable.sent)?;
                self.tell(what, &variant, durable.max(shown), &error.to_string())?;
                Ok(Some(End::Failed))
            }
            (Error::Locked { .. }, None) => {
                self.tell(what, &variant, 0, &error.to_string())?;
                Ok(Some(End::Locked))
            }
            (
                Error::Environment { .. } | Error::Stopped { .. } | Error::NoSpace { .. } | Error::ReadOnly,
                None,
            ) => {
                self.tell(what, &variant, 0, &error.to_string())?;
                Ok(Some(End::Failed))
            }
            _ => Err(Flaw::new(format!(
                "it failed otherwise than a failing system makes it: {variant}: {error}"
            ))),
        }
    }

    /// A store that refused goes on: what it has can be read, and it can be closed.
    fn end_refused(&mut self, store: Store) -> Result<Option<End>, Flaw> {
        // What is only written need not be visible yet.
        match oracle::check(&store, &self.durable.sent) {
            // What it shows cannot be read for now.
            Err(flaw) if flaw.is_of_disk() => {}
            found => {
                let (found, sent) = (found?, self.state.sent.all());
                ensure(found == sent || self.has_unsynced(), || {
                    format!("{found:?} after a refusal of {sent:?}")
                })?;
            }
        }
        drop(store);
        match self.close() {
            Ok(()) => {}
            Err(Stop::Flaw(flaw)) => return Err(flaw),
            Err(Stop::Store(error)) => {
                self.tell("close", &variant(&error), 0, &error.to_string())?;
            }
        }
        Ok(Some(End::Failed))
    }

    fn tell_incidents(&mut self, store: &Store) -> Result<(), Flaw> {
        store.incidents().into_iter().try_for_each(|what| self.say(&Line::Told(what)))
    }

    /// Whether there is what need not be visible, for it need not be durable.
    fn has_unsynced(&self) -> bool {
        self.durable.sent.durable != self.state.sent.all()
    }

    fn tell(&mut self, what: &str, variant: &str, kept: usize, why: &str) -> Result<(), Flaw> {
        let (what, variant, why) = (what.to_owned(), variant.to_owned(), why.to_owned());
        self.say(&Line::Failed { what, variant, kept, why })
    }
}

fn count(sequence: u64) -> usize {
    usize::try_from(sequence).unwrap_or(usize::MAX)
}

/// Whether something was sent, of which a refusal says that it was not appended.
fn is_sent(what: &str) -> bool {
    matches!(what, "append" | "name")
}

fn is_derived(what: &str) -> bool {
    matches!(what, "pump" | "checkpoint")
}

fn word(step: Step) -> &'static str {
    match step {
        Step::Append(_) | Step::Batch(..) | Step::Large(_) => "append",
        Step::Name => "name",
        Step::Sync => "sync",
        Step::Pump => "pump",
        Step::Checkpoint => "checkpoint",
        Step::Reopen => "reopen",
        Step::Drop => "drop",
    }
}

/// The name of the error's variant.
fn variant(error: &impl fmt::Debug) -> String {
    format!("{error:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_has_its_name() {
        assert_eq!(variant(&Error::ReadOnly), "ReadOnly");
        assert_eq!(variant(&Error::NotFound { path: "x".to_owned() }), "NotFound");
    }
}
