//! `crash`: the campaign of power losses, kills and faults, for a time and from a seed.
//!
//! The campaign is a program of its own, `annals-campaign`; this verb builds it as users build the store and
//! runs it, with a new seed each time unless one is given.

use std::{
    hash::{BuildHasher as _, RandomState},
    process::Command,
};

use crate::{
    command::{self, cargo},
    failure::Failure,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long to go on; fixed workloads come first, and are tried to their end in any case
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What the random choices follow from: the same seed tries the same. A new one each time by default
    #[arg(long, default_value_t = new_seed(), hide_default_value = true)]
    seed: u64,
    /// Run only the round with this number, as a failure prints it
    #[arg(long)]
    round: Option<u64>,
    /// Only the fixed workloads, in a few seconds
    #[arg(long)]
    quick: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// A campaign of `seconds` from a new seed.
    pub(crate) fn with_seed_of_its_own(seconds: u64) -> Self {
        Self { seconds, seed: new_seed(), round: None, quick: false, json: false }
    }

    /// The command that runs this campaign again.
    pub(crate) fn again(&self) -> String {
        format!("cargo xtask crash --seconds {} --seed {}", self.seconds, self.seed)
    }

    fn command(&self) -> Command {
        let mut command = cargo("run --quiet --release --package annals-campaign --");
        command.arg("--seconds").arg(self.seconds.to_string()).arg("--seed").arg(self.seed.to_string());
        if let Some(round) = self.round {
            command.arg("--round").arg(round.to_string());
        }
        command.args(self.quick.then_some("--quick")).args(self.json.then_some("--json"));
        command
    }
}

/// Runs the campaign.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    eprintln!("crash: seed {}", arguments.seed);
    command::run(&mut arguments.command())
}

/// A seed that no other run has: the keys of the standard hasher are the one randomness in `std`.
pub(crate) fn new_seed() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::shown;

    #[test]
    fn two_campaigns_differ_and_each_can_be_run_again() {
        let (first, second) = (Arguments::with_seed_of_its_own(3), Arguments::with_seed_of_its_own(3));
        assert_ne!(first.seed, second.seed);
        assert_eq!(first.again(), format!("cargo xtask crash --seconds 3 --seed {}", first.seed));
    }

    #[test]
    fn what_is_asked_of_the_campaign_reaches_it() {
        let arguments = Arguments { seconds: 3, seed: 7, round: Some(5), quick: true, json: true };
        assert_eq!(
            shown(&arguments.command()),
            "cargo run --quiet --release --package annals-campaign -- \
             --seconds 3 --seed 7 --round 5 --quick --json"
        );
    }
}
