//! Choices that follow from a seed.
//!
//! Invariant: equal seeds give equal choices, so that a failure is had again from what it prints.

use annals::disk::{Entropy, SeededEntropy};

/// A source of choices.
#[derive(Debug)]
pub(crate) struct Random(SeededEntropy);

impl Random {
    /// The choices of `seed` for the purpose `what`.
    pub(crate) fn new(seed: u64, what: u64) -> Self {
        Self(SeededEntropy::new(mix(seed ^ what.rotate_left(32))))
    }

    pub(crate) fn next(&mut self) -> u64 {
        let entropy: &dyn Entropy = &self.0;
        entropy.number()
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A number that looks nothing like `number`, and is always the same for it.
pub(crate) fn mix(number: u64) -> u64 {
    let entropy = SeededEntropy::new(number);
    (&entropy as &dyn Entropy).number()
}
