//! `cargo xtask`: the checks of this repository, one verb a file.
//!
//! It owns the order and the words of the checks, and the rules that no compiler holds (`tidy`). It tests
//! nothing of the store itself: that is each crate's own `tests/it`, which the verbs call.
//!
//! Invariant: results go to standard output, progress and failures to standard error, and whatever fails
//! says how to run it alone.
//!
//! Read next: `verify.rs`, then `tidy.rs`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program speaks to a terminal")]

mod command;
mod copy;
mod failure;

mod verify;

mod tidy;

mod bench;
mod crash;
mod format;
mod fuzz;
mod kill;
mod mutants;
mod powercut;
mod relay;
mod sanitize;
mod schedules;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The checks of the Annals repository. `verify` is the one to run before a change is handed in; the others
/// are its parts and the longer campaigns.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run everything that must hold: format, tidy, lints, tests, documentation, a short crash run
    ///
    /// Stops at the first step that fails and prints the command that runs it again. CI calls the same.
    Verify,
    /// Check the rules that no compiler holds: layers, pure code, unsafe code, names, links
    ///
    /// Prints every violation as `path:line: what`. The rules are tables at the top of xtask/src/tidy.rs.
    Tidy,
    /// Fuzz the decoders, whole directories and a store's life: one target, or all one after another
    Fuzz(fuzz::Arguments),
    /// Make a store of N events over S streams; the same arguments make the same events
    #[command(disable_help_flag = true)]
    Generate(bench::Words),
    /// Run the benchmarks: one, or all one after another; or measure whole stores, with open, get or ingest
    Bench(bench::Arguments),
    /// Lose power at random moments on the simulated disk, and check what a store holds afterwards
    Crash(crash::Arguments),
    /// Kill an import at many moments, and compare what its store holds afterwards with the input
    ///
    /// Every event that was acknowledged must be there, of the input a prefix in whole batches, and a further
    /// import must complete it. Stops at the first moment that fails, and keeps its store.
    Kill(kill::Arguments),
    /// Switch off every write, sync and comparison of evidence, one at a time: something must fail
    ///
    /// Builds an instrumented copy once and runs the crash campaign and the tests against every site. A survivor
    /// is a missing test or a needless call.
    Mutants(mutants::Arguments),
    /// Kill producers and workers of a group, processes over one store, at random: each event has one result, in order
    ///
    /// Three processes append, two are workers that append results with the group's move, and all of them are killed
    /// and begun again until the time is over. The results must be those of a run without kills.
    Relay(relay::Arguments),
    /// Run the models of threads under many schedules, each from a seed; or break what each protects, and see it fail
    ///
    /// The store is built with a scheduler's locks and threads in place of the system's, over the simulated disk.
    /// A schedule in which a model does not hold says how to run it again.
    Schedules(schedules::Arguments),
    /// Cut the power of a virtual machine while it writes to ext4, XFS and btrfs, and check what its disk holds
    ///
    /// Needs Linux, root and some packages; what is not there is said and skipped. Everything that a store may find
    /// after the power was lost is made from the writes that reached the disk.
    Powercut(powercut::Arguments),
    /// Kill a real program at its system calls, fail them, fill its disk, lose its syncs: nothing promised is lost
    ///
    /// Runs what the machine can, and says what it skipped and how to get it. Keeps every store in which a promise
    /// was not kept, and prints the command that runs that point again.
    Torture(torture::Arguments),
    /// Run the tests under Miri and the sanitizers: undefined behaviour, data races, leaks
    ///
    /// Needs a nightly compiler and some of its components; what is not there is said and skipped.
    Sanitize(sanitize::Arguments),
    /// Check the golden bytes of docs/format.md against the code
    Format,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Verify => verify::run(),
        Verb::Tidy => tidy::run(),
        Verb::Fuzz(arguments) => fuzz::run(&arguments),
        Verb::Generate(words) => bench::generate(&words),
        Verb::Bench(arguments) => bench::run(&arguments),
        Verb::Crash(arguments) => crash::run(&arguments),
        Verb::Kill(arguments) => kill::run(&arguments),
        Verb::Mutants(arguments) => mutants::run(&arguments),
        Verb::Relay(arguments) => relay::run(&arguments),
        Verb::Schedules(arguments) => schedules::run(&arguments),
        Verb::Powercut(arguments) => powercut::run(&arguments),
        Verb::Torture(arguments) => torture::run(&arguments),
        Verb::Sanitize(arguments) => sanitize::run(&arguments),
        Verb::Format => format::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
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
