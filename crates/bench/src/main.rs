//! `annals-bench`: makes stores of any size, and measures what it takes to open, ask and fill them.
//!
//! **Owns** the generator, the rivals (SQLite and a file of records), and what is measured of each: time to the
//! first answers in a fresh process, memory, bytes; look-ups; what an ingest writes and how long appends take.
//!
//! **Does not** judge: it says which of the promised figures hold on this machine, and ends well where they do
//! not. It uses what users of the store have, and the directory that can be put under it.
//!
//! Invariant: what is compared is measured in turns, one of each after the other, so that a loaded machine slows
//! all alike. Results go to standard output, all else to standard error.
//!
//! **Next:** `content.rs` for what is in a store, `probe.rs` for what a fresh process is asked, then one file for
//! each verb.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program speaks to a terminal")]

mod failure;
mod figures;
mod progress;

mod content;

mod disk;
mod memory;

mod raw;
mod sqlite;

mod generate;
mod kept;

mod appender;
mod probe;

mod conditions;
mod delivery;
mod get;
mod ingest;
mod open;
mod projection;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes stores of any size, and measures what it takes to open, ask and fill them.
#[derive(Debug, Parser)]
#[command(name = "annals-bench")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a store of N events over S streams; the same arguments make the same events
    Generate(generate::Arguments),
    /// Measure the time to the first answers in a fresh process, beside SQLite and a plain file
    ///
    /// As it was closed, with caches dropped, without what is derived, and after being killed while it appended.
    /// Ends with the figures that are promised, and whether they hold here.
    Open(open::Arguments),
    /// Measure look-ups by random ids in a large store and in one of a single segment
    Get(get::Arguments),
    /// Measure what an ingest writes beside the log, and durable appends while that is written
    Ingest(ingest::Arguments),
    /// Measure what conditions add to durable appends, tickets, and queries for few events among many
    Conditions(conditions::Arguments),
    /// Measure the way from an append to a subscriber in the same process, and what idle subscriptions cost
    Delivery(delivery::Arguments),
    /// Measure folding a store's events, opening from a snapshot, following, and what readers see of a rebuild
    Projection(projection::Arguments),
    /// One measurement of `open`, in a process of its own
    #[command(hide = true)]
    Probe(probe::Arguments),
    /// Append until killed
    #[command(hide = true)]
    Append(appender::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Generate(arguments) => generate::run(&arguments),
        Verb::Open(arguments) => open::run(&arguments),
        Verb::Get(arguments) => get::run(&arguments),
        Verb::Ingest(arguments) => ingest::run(&arguments),
        Verb::Conditions(arguments) => conditions::run(&arguments),
        Verb::Delivery(arguments) => delivery::run(&arguments),
        Verb::Projection(arguments) => projection::run(&arguments),
        Verb::Probe(arguments) => probe::run(&arguments),
        Verb::Append(arguments) => appender::run(&arguments),
    };
    match outcome {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
