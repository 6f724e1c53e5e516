//! `annals-relay`: producers and workers as processes over one store, which are killed, and what they come to.
//! `cargo xtask relay` runs it.

#![forbid(unsafe_code)]

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use annals_campaign::Relay;
use clap::Parser as _;

fn main() -> ExitCode {
    match Relay::parse().run() {
        Ok(found) => match writeln!(io::stdout(), "{found}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(flaw) => {
            drop(writeln!(io::stderr(), "annals-relay: {flaw}"));
            ExitCode::FAILURE
        }
    }
}
