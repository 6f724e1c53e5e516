//! The campaign, run: rounds on all cores until the time is over or one of them finds a flaw.
//!
//! Invariant: rounds are handed out in order, so that a campaign of a seed tries the same, as far as it comes.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    flaw::Flaw,
    round,
    tally::Tally,
    workload::{Opening, open_on},
};

/// What is to be tried.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "plain settings of a program and of tests")]
pub struct Campaign {
    /// What random choices follow from.
    pub seed: u64,
    /// How long to go on. Every fixed workload is tried in any case.
    pub time: Duration,
    /// Only the fixed workloads, and those quickly.
    pub is_quick: bool,
    /// Only the round with this number.
    pub round: Option<u64>,
    /// How many threads run rounds.
    pub threads: usize,
    /// How the store is opened.
    pub opening: Opening,
}

/// A flaw, and in which round.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// The number of the round.
    pub round: u64,
    /// What was found there.
    pub flaw: Flaw,
}

impl Campaign {
    /// The quick campaign.
    #[must_use]
    pub fn quick() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self { seed: 1, time: Duration::ZERO, is_quick: true, round: None, threads, opening: open_on }
    }

    /// Runs it, counts into `tally`, and calls `watch` about ten times a second. Returns the first flaw.
    ///
    /// # Errors
    /// The flaw that was found first; the rounds that were under way are given up.
    pub fn run(&self, tally: &Tally, watch: &mut dyn FnMut()) -> Result<(), Found> {
        let hands = Hands {
            campaign: self,
            start: Instant::now(),
            next: AtomicU64::new(self.round.unwrap_or_default()),
            is_over: AtomicBool::new(false),
            found: Mutex::default(),
        };
        thread::scope(|scope| {
            let threads = if self.round.is_some() { 1 } else { self.threads.max(1) };
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| hands.work(tally))).collect();
            while workers.iter().any(|worker| !worker.is_finished()) {
                watch();
                thread::park_timeout(Duration::from_millis(100));
            }
        });
        let found = hands.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.map_or(Ok(()), Err)
    }

    /// How many rounds there are in any case.
    fn rounds_min(&self) -> u64 {
        self.round.map_or_else(round::quick_count, |round| round + 1)
    }
}

/// What the threads share.
struct Hands<'a> {
    campaign: &'a Campaign,
    start: Instant,
    next: AtomicU64,
    is_over: AtomicBool,
    found: Mutex<Option<Found>>,
}

impl Hands<'_> {
    fn work(&self, tally: &Tally) {
        let campaign = self.campaign;
        let is_unbounded = campaign.round.is_none() && !campaign.is_quick;
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let is_late = !is_unbounded || self.start.elapsed() >= campaign.time;
            if number >= campaign.rounds_min() && is_late {
                return;
            }
            let round = round::round(campaign.seed, number, campaign.is_quick);
            let outcome = round.run(campaign.opening, tally);
            tally.rounds.fetch_add(1, Ordering::Relaxed);
            if let Err(flaw) = outcome {
                self.is_over.store(true, Ordering::Relaxed);
                let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                found.get_or_insert(Found { round: number, flaw });
            }
        }
    }
}
