//! Whether a real directory keeps what a transcript promises.
//!
//! Invariant: the directory is opened for reading first, which must change nothing. Its files go through the
//! trials of the simulated disk as well, as an image that a power loss or a kill left.

use std::path::Path;

use annals::{Background, Durability, Error, Options, Store, disk::SimulatedDirectory, verify};
use serde::Serialize;

use super::{load::load, state::State, workload::options};
use crate::{
    flaw::{Flaw, caught, ensure},
    images::PASSING,
    oracle,
    script::Script,
    sent::{Found, Sent},
    tally::Tally,
    trial::{Bench, Depth},
    workload::{append, open_on},
};

/// What opening for writing must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// It opens, and takes more.
    Writes,
    /// It is refused with an error of the environment, or reads only for want of space.
    Refuses,
    /// One or the other.
    Either,
    /// It is not tried.
    Reads,
}

/// What is checked, and for what.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever checks: every field must be given")]
pub struct Check<'a> {
    /// The store's directory.
    pub path: &'a Path,
    /// What was sent and promised.
    pub state: &'a State,
    /// What opening for writing must come to.
    pub expect: Expect,
    /// Whether its recovery is cut short at every operation too, on the simulated disk.
    pub is_deep: bool,
}

/// What a check found.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Whether everything was as promised.
    pub is_kept: bool,
    /// How many events and names were promised.
    pub promised: [usize; 2],
    /// How many were sent.
    pub sent: [usize; 2],
    /// How many are there; nothing where there is no store.
    pub found: Option<[usize; 2]>,
    /// How many torn bytes were cut off and set aside.
    pub torn_bytes: u64,
    /// Whether the store had not been closed.
    pub was_unclean: bool,
    /// With which words opening for writing was refused.
    pub refused: Option<String>,
    /// Which promise was not kept.
    pub flaw: Option<String>,
    /// How many of the promised events are not shown, where a promise was not kept.
    pub lost: u64,
    /// Whether it opened as it was to, for reading and for writing.
    pub is_open: bool,
}

impl Verdict {
    fn new(sent: &Sent) -> Self {
        Self { promised: pair(sent.durable), sent: pair(sent.all()), ..Self::default() }
    }

    /// In one line of words.
    #[must_use]
    pub fn words(&self) -> String {
        let of = |[events, names]: [usize; 2]| format!("{events} events and {names} names");
        let found = self.found.map_or_else(|| "no store".to_owned(), of);
        let flaw = self.flaw.as_ref().map_or_else(String::new, |flaw| format!(": {flaw}"));
        let refused = self.refused.as_ref().map_or_else(String::new, |why| format!(", refused: {why}"));
        let (promised, sent, torn) = (of(self.promised), of(self.sent), self.torn_bytes);
        let kept = if self.is_kept { "kept" } else { "NOT KEPT" };
        format!("{kept}: {found} of {sent} sent, {promised} promised, {torn} torn bytes{refused}{flaw}")
    }
}

fn pair(found: Found) -> [usize; 2] {
    [found.events, found.names]
}

/// Checks a directory: what it finds is in the verdict, a promise that was not kept among it.
#[must_use]
pub fn check(check: &Check<'_>) -> Verdict {
    let mut verdict = Verdict::new(&check.state.sent);
    let outcome = caught(|| check.run(&mut verdict));
    verdict.is_kept = outcome.is_ok();
    if outcome.is_err() {
        let shown = check.options().open_read_only(check.path).map_or(0, |store| store.last_sequence().0);
        verdict.lost = (check.state.sent.durable.events as u64).saturating_sub(shown);
    }
    verdict.flaw = outcome.err().map(|flaw| flaw.to_string().replace('\n', " "));
    verdict
}

impl Check<'_> {
    fn run(&self, verdict: &mut Verdict) -> Result<(), Flaw> {
        let sent = &self.state.sent;
        let before = load(self.path)?;
        let seen = self.look(&before)?;
        verdict.found = seen.map(pair);
        if self.expect == Expect::Writes {
            self.try_image(&before).map_err(|flaw| flaw.within("its files on the simulated disk"))?;
        }
        if self.expect == Expect::Reads {
            verdict.is_open = true;
            return Ok(());
        }
        let store = match self.options().open(self.path) {
            Ok(store) if !store.report().is_read_only => store,
            Ok(store) => {
                oracle::check(&store, sent)?;
                return self.refuse(verdict, store.report().no_space.clone().unwrap_or_default());
            }
            Err(error @ (Error::Environment { .. } | Error::NoSpace { .. })) => {
                return self.refuse(verdict, error.to_string());
            }
            Err(error) => return Err(Flaw::new(format!("it does not open: {error}"))),
        };
        verdict.is_open = true;
        ensure(self.expect != Expect::Refuses, || "it opens, and was to be refused".to_owned())?;
        let found = oracle::check(&store, sent)?;
        verdict.found = Some(pair(found));
        let log = &store.report().log;
        verdict.was_unclean = log.was_unclean;
        verdict.torn_bytes = log.torn.as_ref().map_or(0, |(_, torn)| torn.len);
        oracle::check_report(store.report(), sent, &before, &load(self.path)?)?;
        ensure(seen.is_none_or(|seen| seen == found), || {
            format!("a reader saw {seen:?}, and the writer found {found:?}")
        })?;
        let mut after = sent.clone();
        after.settle(found);
        self.go_on(store, after).map_err(|flaw| flaw.within("going on"))
    }

    fn options(&self) -> Options {
        let (segment_bytes, checkpoint_bytes) = self.state.options().unwrap_or((4096, 6000));
        options(segment_bytes, checkpoint_bytes).headroom(0).background(Background::Manual)
    }

    fn refuse(&self, verdict: &mut Verdict, why: String) -> Result<(), Flaw> {
        ensure(self.expect != Expect::Writes, || format!("it does not open: {why}"))?;
        (verdict.refused, verdict.is_open) = (Some(why), true);
        Ok(())
    }

    /// Opens for reading only, which changes nothing; `None` where there is no store yet.
    fn look(&self, before: &SimulatedDirectory) -> Result<Option<Found>, Flaw> {
        let sent = &self.state.sent;
        let place = |flaw: Flaw| flaw.within("opened for reading only");
        let found = match self.options().open_read_only(self.path) {
            Ok(store) => Some(oracle::check(&store, sent).map_err(place)?),
            Err(Error::NotFound { .. }) if !sent.is_made => None,
            Err(error) => return Err(place(Flaw::new(error.to_string()))),
        };
        let is_same = load(self.path)?.digest() == before.digest();
        ensure(is_same, || place(Flaw::new("a reader changed something")).to_string())?;
        Ok(found)
    }

    /// What the campaign does with an image.
    fn try_image(&self, image: &SimulatedDirectory) -> Result<(), Flaw> {
        let (segment_bytes, checkpoint_bytes) = self.state.options().unwrap_or((4096, 6000));
        let script = Script { name: String::new(), steps: Vec::new(), segment_bytes, checkpoint_bytes };
        let every = u64::from(self.is_deep);
        let depth = Depth {
            first_every: every,
            second_every: 0,
            kills_every: if self.is_deep { 1 } else { 1 << 32 },
            drawn: 1,
        };
        let (tally, seed) = (Tally::default(), image.digest_without(&PASSING));
        let bench = Bench { script: &script, opening: open_on, tally: &tally, depth, seed };
        bench.try_left(image, &self.state.sent)
    }

    /// Appends durably, closes and opens again.
    fn go_on(&self, store: Store, mut sent: Sent) -> Result<(), Flaw> {
        let refused = |error: Error| Flaw::new(error.to_string());
        append(&store, &mut sent, 2, 50, Durability::Durable, &mut |_| {})?.map_err(refused)?;
        store.close().map_err(refused)?;
        let store = self.options().open(self.path).map_err(refused)?;
        ensure(store.report().is_clean(), || {
            format!("after a close there is to tell: {:?}", store.report())
        })?;
        oracle::check(&store, &sent)?;
        store.close().map_err(refused)?;
        let report = verify(self.path, &mut |_| {}).map_err(refused)?;
        // A page of a footer that was torn is found when it is first asked for, and built again.
        let is_sound = report.damage.iter().all(|damage| damage.is_derived);
        ensure(is_sound, || format!("verify finds {:?}", report.damage))
    }
}
