//! The program `annals`: an event store on the command line.
//!
//! It owns what its commands and options are called, the format of what they print, exit codes, and
//! CloudEvents in JSON as the form in which events come and go. It knows nothing of files or frames: all of
//! that is asked of the crate `annals`.
//!
//! Invariant: results go to standard output, words and progress to standard error.
//!
//! Read next: `args.rs` for the commands, `import.rs` for the one with the most to it, `cloudevents.rs` for
//! what becomes of a line.

#![forbid(unsafe_code)]

mod args;
mod failure;
mod output;

mod append;
mod export;
mod import;

mod get;
mod read;
mod streams;
mod tail;

mod consumer;
mod cursors;
mod groups;

mod backup;
mod checkpoint;
mod hide;
mod inspect;
mod stat;
mod verify;

mod demo;

mod cloudevents;
mod opening;
mod show;

mod base64;
mod time;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    args::{Args, Command},
    failure::Failure,
    output::Console,
};

fn main() -> ExitCode {
    let args = Args::parse();
    let mut console = Console::standard(args.json);
    let outcome = run(args, &mut console).and_then(|()| console.flush());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has seen enough: `annals export | head`.
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            // What was found before it went wrong still counts.
            drop(console.flush());
            console.say(format_args!("annals: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Runs one command; `demo` runs several.
fn run(args: Args, console: &mut Console<'_>) -> Result<(), Failure> {
    if let Command::Demo(demo) = args.command {
        return demo.run(console);
    }
    if let Command::Inspect(inspect) = args.command {
        return inspect.run(args.store, console);
    }
    let store = args.store.ok_or(Failure::NoStore)?;
    match args.command {
        Command::Import(import) => import.run(&store, console),
        Command::Export(export) => export.run(&store, console),
        Command::Append(append) => append.run(&store, console),
        Command::Get(get) => get.run(&store, console),
        Command::Read(read) => read.run(&store, console),
        Command::Tail(tail) => tail.run(&store, console),
        Command::Streams(streams) => streams.run(&store, console),
        Command::Cursors(cursors) => cursors.run(&store, console),
        Command::Groups(groups) => groups.run(&store, console),
        Command::Stat => stat::run(&store, console),
        Command::Verify => verify::run(&store, console),
        Command::Backup(backup) => backup.run(&store, console),
        Command::Restore(restore) => restore.run(&store, console),
        Command::Hide(hide) => hide.run(&store, console),
        Command::Checkpoint => checkpoint::run(&store, console),
        Command::Inspect(_) | Command::Demo(_) => Ok(()),
    }
}
