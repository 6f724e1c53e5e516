//! `relay`: producers and workers of a group, as processes over one store, killed at random for a while; the results
//! must be those of a run without kills.
//!
//! The program is `annals-relay`, of the campaign's crate. A store with which it fails is kept.

use std::{env, fs, process};

use crate::{
    command::{self, cargo},
    crash::new_seed,
    failure::Failure,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long they are killed and begun again
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// What the moments and everybody's choices follow from. A new one each time by default
    #[arg(long, default_value_t = new_seed(), hide_default_value = true)]
    seed: u64,
}

/// Runs it.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { seconds, seed } = arguments;
    eprintln!("relay: seed {seed}");
    let store = env::temp_dir().join(format!("annals-relay-{}", process::id()));
    let mut command =
        cargo("run --quiet --release --package annals-campaign --bin annals-relay -- run --store");
    command.arg(&store).args(["--seconds", &seconds.to_string(), "--seed", &seed.to_string()]);
    command::run(&mut command)?;
    fs::remove_dir_all(&store).map_err(|source| Failure::Write { path: store, source })
}
