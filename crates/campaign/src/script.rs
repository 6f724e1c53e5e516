//! Workloads as lists of steps: small ones that are tried exhaustively, one with everything, and random ones.
//!
//! Invariant: a script and its options follow from its name or seed alone.

use std::fmt;

use annals::Durability;

use crate::random::Random;

/// A step of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Append(Durability),
    Batch(u64, Durability),
    /// A payload that fills most of a segment.
    Large(Durability),
    Name,
    Sync,
    Pump,
    Checkpoint,
    /// Closes and opens again.
    Reopen,
    /// Drops without closing and opens again.
    Drop,
}

use Durability::{Durable, Queued, Written};
use Step::{Append, Batch, Checkpoint, Drop, Large, Name, Pump, Reopen, Sync};

/// A workload.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) segment_bytes: u64,
    pub(crate) checkpoint_bytes: u64,
}

/// Small workloads, each about one thing, and last the long one.
const SCRIPTS: [(&str, &[Step]); 10] = [
    ("appends", &[Append(Durable), Append(Written), Append(Queued), Sync, Append(Durable)]),
    ("batches", &[Batch(3, Durable), Batch(2, Written), Batch(4, Queued), Batch(2, Durable)]),
    ("names", &[Name, Append(Durable), Name, Append(Queued), Name, Reopen, Name]),
    ("rotations", &[Append(Durable), Large(Durable), Large(Written), Append(Queued), Large(Durable), Pump]),
    (
        "checkpoints",
        &[Batch(2, Durable), Checkpoint, Append(Durable), Large(Durable), Checkpoint, Append(Durable)],
    ),
    ("closes", &[Append(Durable), Reopen, Append(Durable), Reopen, Reopen, Batch(2, Written), Reopen]),
    ("drops", &[Append(Durable), Drop, Append(Written), Drop, Append(Queued), Drop, Drop, Append(Durable)]),
    (
        "drops and checkpoints",
        &[Append(Durable), Checkpoint, Append(Written), Drop, Checkpoint, Drop, Append(Durable)],
    ),
    (
        "drops and rotations",
        &[Large(Durable), Large(Written), Drop, Name, Large(Queued), Append(Written), Drop, Pump],
    ),
    (
        "everything",
        &[
            Append(Durable),
            Name,
            Batch(3, Durable),
            Append(Queued),
            Append(Written),
            Batch(2, Written),
            Sync,
            Large(Durable),
            Batch(4, Queued),
            Append(Durable),
            Checkpoint,
            Append(Written),
            Large(Written),
            Pump,
            Name,
            Batch(3, Durable),
            Reopen,
            Append(Queued),
            Large(Durable),
            Drop,
            Batch(2, Durable),
            Reopen,
        ],
    ),
];

impl Script {
    /// The workloads that are tried at every moment.
    pub(crate) fn fixed() -> Vec<Self> {
        let script = |(name, steps): &(&str, &[Step])| Self {
            name: (*name).to_owned(),
            steps: steps.to_vec(),
            segment_bytes: 4096,
            checkpoint_bytes: 6000,
        };
        SCRIPTS.iter().map(script).collect()
    }

    /// The random workload of `seed`: mostly short, some long.
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let count = if random.below(4) == 0 { 20 + random.below(30) } else { 6 + random.below(10) };
        Self::drawn(seed, &mut random, count)
    }

    /// The random workload of `seed` with so many steps.
    pub(crate) fn long(seed: u64, count: u64) -> Self {
        Self::drawn(seed, &mut Random::new(seed, 2), count)
    }

    fn drawn(seed: u64, random: &mut Random, count: u64) -> Self {
        let steps = (0..count).map(|_| random_step(random)).collect();
        let segment_bytes = 4096 << random.below(3);
        Self {
            name: format!("workload {seed}"),
            steps,
            segment_bytes,
            checkpoint_bytes: 2000 + random.below(9000),
        }
    }
}

fn random_step(random: &mut Random) -> Step {
    let durability = match random.below(3) {
        0 => Durable,
        1 => Written,
        _ => Queued,
    };
    match random.below(16) {
        0..4 => Append(durability),
        4..8 => Batch(1 + random.below(6), durability),
        8..10 => Large(durability),
        10 => Name,
        11 => Sync,
        12 => Pump,
        13 => Checkpoint,
        14 => Reopen,
        _ => Drop,
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.name, self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_script_follows_from_its_seed() {
        assert_eq!(Script::random(7).steps, Script::random(7).steps);
        assert_ne!(Script::random(7).steps, Script::random(8).steps);
    }

    #[test]
    fn the_small_scripts_are_small_and_have_every_step() {
        let scripts = Script::fixed();
        let (everything, small) = scripts.split_last().unwrap();
        assert!(small.iter().all(|script| script.steps.len() <= 8));
        for step in &everything.steps {
            let is_same = |other: &Step| std::mem::discriminant(other) == std::mem::discriminant(step);
            assert!(small.iter().any(|script| script.steps.iter().any(is_same)), "{step:?}");
        }
    }
}
