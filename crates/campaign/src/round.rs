//! Rounds: the campaign cut into pieces that each follow from a seed and a number.
//!
//! Invariant: a round does the same whoever runs it and whatever ran before, but for images that were tried
//! already. So its number is all it takes to see its failure again.

use annals::disk::SimulatedDirectory;

use crate::{
    faults::faults,
    flaw::{Flaw, caught},
    images::{self, Width},
    random::mix,
    script::Script,
    sent::Sent,
    tally::{Sort, Tally},
    trial::{Bench, Depth, Nest},
    workload::{Opening, Run},
};

/// How much is done at each moment of a workload.
#[derive(Debug, Clone, Copy)]
struct Effort {
    width: Width,
    depth: Depth,
    /// One moment in so many has its process killed.
    kills_every: u64,
    /// One fault in so many at each operation, and one moment in so many for faults of recoveries and reads.
    faults_every: u64,
    recoveries_every: u64,
    reads_every: u64,
}

/// A few seconds in all: every moment, and of the rest some.
const QUICK: Effort = Effort {
    width: Width { units_max: 6, drawn: 4, seeds: 2 },
    depth: Depth { first_every: 8, second_every: 16, kills_every: 1, drawn: 2 },
    kills_every: 1,
    faults_every: 4,
    recoveries_every: 48,
    reads_every: 48,
};

/// Every moment, all subsets, every fault.
const WIDE: Effort = Effort {
    width: Width { units_max: 10, drawn: 64, seeds: 4 },
    depth: Depth { first_every: 40, second_every: 16, kills_every: 8, drawn: 1 },
    kills_every: 1,
    faults_every: 6,
    recoveries_every: 96,
    reads_every: 64,
};

/// The recovery of every image cut short everywhere.
const DEEP: Effort = Effort {
    width: Width { units_max: 10, drawn: 64, seeds: 16 },
    depth: Depth { first_every: 1, second_every: 4, kills_every: 1, drawn: 2 },
    kills_every: 1,
    faults_every: 1,
    recoveries_every: 32,
    reads_every: 64,
};

/// A random workload: some moments of it.
const RANDOM: Effort = Effort {
    width: Width { units_max: 6, drawn: 8, seeds: 3 },
    depth: Depth { first_every: 8, second_every: 12, kills_every: 8, drawn: 1 },
    kills_every: 3,
    faults_every: 96,
    recoveries_every: 256,
    reads_every: 256,
};

/// Into how many rounds a fixed workload is cut.
const WIDE_PARTS: u64 = 8;
const DEEP_PARTS: u64 = 64;
/// Of how many parts of a random workload one is tried.
const RANDOM_PARTS: u64 = 6;

/// A piece of the campaign.
#[derive(Debug)]
pub(crate) struct Round {
    script: Script,
    effort: Effort,
    /// Of the moments those with this remainder by that number.
    part: (u64, u64),
    seed: u64,
}

/// How many rounds a quick campaign has: every fixed workload.
pub(crate) fn quick_count() -> u64 {
    Script::fixed().len() as u64 * WIDE_PARTS
}

/// The round with that number of a quick campaign, or of one that goes on for ever: first every fixed workload,
/// then the same deeper and random ones in turn, and at last random ones.
pub(crate) fn round(seed: u64, number: u64, is_quick: bool) -> Round {
    let wide = quick_count();
    let deep = Script::fixed().len() as u64 * DEEP_PARTS;
    let of_seed = mix(seed ^ mix(number));
    let fixed = |number, parts, effort| {
        let mut scripts = Script::fixed();
        let at = usize::try_from(number / parts).unwrap_or_default();
        Round { script: scripts.swap_remove(at), effort, part: (number % parts, parts), seed }
    };
    match number.checked_sub(wide) {
        None => fixed(number, WIDE_PARTS, if is_quick { QUICK } else { WIDE }),
        // One deep part of each workload after the other.
        Some(behind) if behind % 2 == 0 && behind / 2 < deep => {
            let (part, script) = (behind / 2 / (deep / DEEP_PARTS), behind / 2 % (deep / DEEP_PARTS));
            fixed(script * DEEP_PARTS + part, DEEP_PARTS, DEEP)
        }
        Some(_) => {
            let part = (of_seed % RANDOM_PARTS, RANDOM_PARTS);
            Round { script: Script::random(of_seed), effort: RANDOM, part, seed: of_seed }
        }
    }
}

impl Round {
    /// Does all of the round.
    pub(crate) fn run(&self, opening: Opening, tally: &Tally) -> Result<(), Flaw> {
        self.try_all(opening, tally).map_err(|flaw| flaw.within(&self.script))
    }

    fn try_all(&self, opening: Opening, tally: &Tally) -> Result<(), Flaw> {
        let disk = SimulatedDirectory::new();
        disk.remember();
        let mut run = Run::new(&self.script, opening, disk);
        caught(|| run.go())?;
        let (part, parts) = self.part;
        for (stop, (disk, sent)) in (0_u64..).zip(run.moments()).filter(|(stop, _)| stop % parts == part) {
            let seed = mix(self.seed ^ mix(stop));
            let bench = Bench { script: &self.script, opening, tally, depth: self.effort.depth, seed };
            self.try_moment(&bench, &disk, &sent)
                .map_err(|flaw| flaw.within(format_args!("before operation {stop}")))?;
            self.fail_at(&bench, stop)?;
        }
        Ok(())
    }

    /// The power goes or the process is killed now, and what is left meets faults.
    fn try_moment(&self, bench: &Bench<'_>, disk: &SimulatedDirectory, sent: &Sent) -> Result<(), Flaw> {
        let is_due = |every: u64, what: u64| mix(bench.seed ^ what).is_multiple_of(every);
        bench.lose_power(disk, sent, self.effort.width)?;
        if is_due(self.effort.kills_every, 1) {
            bench.kill(disk, sent, Sort::Kill, &Nest::default())?;
        }
        let image = disk.crash(images::profile(bench.seed), bench.seed >> 8 & 7);
        if is_due(self.effort.recoveries_every, 2) {
            let every = self.effort.faults_every;
            let is_chosen = |number| mix(bench.seed ^ number).is_multiple_of(every);
            bench.recover_with_faults(&image, sent, &is_chosen)?;
        }
        if is_due(self.effort.reads_every, 3) {
            bench.open_with_read_faults(&image, sent)?;
        }
        Ok(())
    }

    /// The workload meets faults at its operation `at`.
    fn fail_at(&self, bench: &Bench<'_>, at: u64) -> Result<(), Flaw> {
        for (number, fault) in (0_u64..).zip(faults()) {
            if mix(bench.seed ^ number).is_multiple_of(self.effort.faults_every) {
                let place = |flaw: Flaw| flaw.within(format_args!("{fault:?} at operation {at}"));
                bench.run_with_fault(at, fault).map_err(place)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_part_of_every_fixed_workload_has_its_round_wide_and_deep() {
        let fixed = |parts: u64| Script::fixed().len() as u64 * parts;
        let all = quick_count() + 2 * fixed(DEEP_PARTS);
        let rounds: Vec<_> = (0..all).map(|number| round(1, number, false)).collect();
        let parts = |of: u64| {
            let of_these = rounds.iter().filter(|round| round.part.1 == of);
            of_these.map(|round| (round.script.name.clone(), round.part.0)).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(parts(WIDE_PARTS) as u64, fixed(WIDE_PARTS));
        assert_eq!(parts(DEEP_PARTS) as u64, fixed(DEEP_PARTS));
        assert_eq!(parts(RANDOM_PARTS) as u64, fixed(DEEP_PARTS));
        assert_eq!(round(1, all + 4, false).part.1, RANDOM_PARTS);
        assert_ne!(round(1, all, false).script.name, round(2, all, false).script.name);
    }
}
