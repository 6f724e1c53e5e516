//! `crash`: the campaign of power losses, for a time and from a seed.
//!
//! The campaign itself is the test `power_loss` of the store; this verb gives it more time than a test
//! should take, and a new seed each time unless one is given.

use std::hash::{BuildHasher as _, RandomState};

use crate::{
    command::{self, NamedTests},
    failure::Failure,
};

const CAMPAIGN: NamedTests = NamedTests { package: "annals", filter: "power_loss", release: true };

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long to go on
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where to begin: the same seed loses power at the same moments. A new one each time by default
    #[arg(long, default_value_t = new_seed(), hide_default_value = true)]
    seed: u64,
}

impl Arguments {
    /// A campaign of `seconds` from a new seed.
    pub(crate) fn with_seed_of_its_own(seconds: u64) -> Self {
        Self { seconds, seed: new_seed() }
    }

    /// The command that runs this campaign again.
    pub(crate) fn again(&self) -> String {
        format!("cargo xtask crash --seconds {} --seed {}", self.seconds, self.seed)
    }
}

/// Runs the campaign.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    CAMPAIGN.check_present()?;
    eprintln!("crash: seed {}", arguments.seed);
    let mut command = CAMPAIGN.command();
    command
        .arg("--nocapture")
        .env("ANNALS_CRASH_SECONDS", arguments.seconds.to_string())
        .env("ANNALS_CRASH_SEED", arguments.seed.to_string());
    command::run(&mut command)
}

/// A seed that no other run has: the keys of the standard hasher are the one randomness in `std`.
pub(crate) fn new_seed() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_campaigns_differ_and_each_can_be_run_again() {
        let (first, second) = (Arguments::with_seed_of_its_own(3), Arguments::with_seed_of_its_own(3));
        assert_ne!(first.seed, second.seed);
        assert_eq!(first.again(), format!("cargo xtask crash --seconds 3 --seed {}", first.seed));
    }
}
