//! One store in which imports are killed: what must hold after each kill, and at the end.
//!
//! Invariant: a trial that fails leaves its directory: the store, and the ids that the last import had
//! acknowledged.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Campaign, flaw::Flaw, history::Difference, plan::Moment, program::Program, summary::Found};
use crate::failure::Failure;

/// What went wrong in a trial, and where it is to be seen.
#[derive(Debug)]
pub(crate) struct Left {
    trial: String,
    stage: &'static str,
    flaw: Flaw,
    directory: PathBuf,
    again: String,
}

/// A directory with a store, and the campaign that it is part of.
pub(super) struct Trial<'a> {
    campaign: &'a Campaign,
    name: String,
    directory: PathBuf,
    store: PathBuf,
}

impl<'a> Trial<'a> {
    /// A trial with an empty directory.
    pub(super) fn new(campaign: &'a Campaign, name: String) -> Result<Self, Failure> {
        let directory = campaign.directory.clone();
        let trial = Self { campaign, name, store: directory.join("store"), directory };
        let made = fs::create_dir(&trial.directory).map_err(file("make", &trial.directory));
        made.map_err(trial.failed("before it began"))?;
        Ok(trial)
    }

    /// Imports undisturbed, checks the store, and says how long the import took.
    pub(super) fn measure(&self) -> Result<Duration, Failure> {
        let failed = self.failed("after it");
        let import = self.campaign.program.import(&self.store, None).map_err(&failed)?;
        let total = self.campaign.history.event_count();
        self.keep(&import.acknowledged).map_err(&failed)?;
        self.check_acknowledged(&import.acknowledged, total).map_err(&failed)?;
        let count = import.acknowledged.len();
        if count != total {
            return Err(failed(Difference::Unacknowledged { count, expected: total }.into()));
        }
        self.check_complete().map_err(&failed)?;
        Ok(import.duration)
    }

    /// Kills an import, and for some moments the next one; then imports to the end, and once more.
    pub(super) fn run(&self, moment: Moment) -> Result<(Found, Option<Found>), Failure> {
        let first = self.kill(moment.first, 0).map_err(self.failed("after the kill"))?;
        let mut there = first.event_count;
        let second = moment.second.map(|second| self.kill(second, there)).transpose();
        let second = second.map_err(self.failed("after the second kill"))?;
        there = second.map_or(there, |second| second.event_count);
        self.complete(there).map_err(self.failed("after the import to the end"))?;
        self.complete(self.campaign.history.event_count()).map_err(self.failed("after a further import"))?;
        Ok((first, second))
    }

    /// Removes the directory.
    pub(super) fn end(self) -> Result<(), Failure> {
        let removed = fs::remove_dir_all(&self.directory).map_err(file("remove", &self.directory));
        removed.map_err(self.failed("when all was right"))
    }

    /// Kills an import into a store that has `before` events, and checks what it leaves.
    fn kill(&self, moment: Duration, before: usize) -> Result<Found, Flaw> {
        let import = self.campaign.program.import(&self.store, Some(moment))?;
        self.keep(&import.acknowledged)?;
        let has_store = Program::has_store(&self.store);
        let (event_count, is_torn) = if has_store { self.count()? } else { self.none()? };
        self.check_acknowledged(&import.acknowledged, event_count)?;
        if event_count < before {
            return Err(Difference::Fewer { count: event_count, before }.into());
        }
        let acknowledged_count = import.acknowledged.len();
        Ok(Found { has_landed: import.was_killed, acknowledged_count, event_count, has_store, is_torn })
    }

    /// How many events the store has, and whether its end is torn.
    fn count(&self) -> Result<(usize, bool), Flaw> {
        let Campaign { program, history, .. } = self.campaign;
        let count = history.prefix_count(&program.export(&self.store)?)?;
        Ok((count, program.verify(&self.store)?))
    }

    /// No events and no torn end, which is what no store has.
    fn none(&self) -> Result<(usize, bool), Flaw> {
        self.campaign.program.check_refused(&self.store)?;
        Ok((0, false))
    }

    /// Imports what is missing where `there` events are there, and checks the whole.
    fn complete(&self, there: usize) -> Result<(), Flaw> {
        let Campaign { program, history, .. } = self.campaign;
        program.import_rest(&self.store, history.event_count() - there, there)?;
        self.check_complete()
    }

    /// Whether the store has the whole input, and is sound.
    fn check_complete(&self) -> Result<(), Flaw> {
        let Campaign { program, history, .. } = self.campaign;
        history.check_whole(&program.export(&self.store)?)?;
        let is_torn = program.verify(&self.store)?;
        if is_torn { Err(Flaw::TornAfterClose) } else { Ok(()) }
    }

    fn check_acknowledged(&self, ids: &[String], count: usize) -> Result<(), Flaw> {
        Ok(self.campaign.history.check_acknowledged(ids, count)?)
    }

    /// Keeps the acknowledged ids beside the store.
    fn keep(&self, ids: &[String]) -> Result<(), Flaw> {
        let path = self.directory.join("acknowledged");
        fs::write(&path, ids.join("\n")).map_err(file("write", &path))
    }

    /// What becomes of a flaw that is found at `stage`.
    fn failed(&self, stage: &'static str) -> impl Fn(Flaw) -> Failure {
        let (trial, directory, again) =
            (self.name.clone(), self.directory.clone(), self.campaign.again.clone());
        move |flaw| {
            let (trial, directory, again) = (trial.clone(), directory.clone(), again.clone());
            Failure::Left(Box::new(Left { trial, stage, flaw, directory, again }))
        }
    }
}

fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Flaw {
    let path = path.to_owned();
    move |source| Flaw::File { operation, path, source }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trial, stage, flaw, directory, again } = self;
        writeln!(f, "kill: {trial}: {stage}: {flaw}")?;
        writeln!(f, "its store, and the ids last acknowledged, are kept in {}", directory.display())?;
        write!(f, "to run it again, as closely as time allows: {again}")
    }
}
