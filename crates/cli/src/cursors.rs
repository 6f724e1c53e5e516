//! `cursors`: which durable cursors there are, where they are, and taking them elsewhere or away.

use std::path::Path;

use annals::{Options, Store, report::CursorInfo};
use clap::{Args, Subcommand};
use indicatif::HumanCount;

use crate::{
    consumer::{self, Target, lag, state},
    failure::Failure,
    opening,
    output::{Console, facts, table},
};

const EXAMPLES: &str = "\
Examples:
  annals cursors
  annals cursors show mail
  annals cursors reset mail --to start
  annals cursors reset mail --to 1000
  annals cursors delete mail";

/// Show the durable cursors, reset or delete one
///
/// A cursor is a program's place in the log, by name. Resetting or deleting one changes no event. It is refused while
/// a program holds the cursor; and while another process writes the store, for a cursor that is moved in the log.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cursors {
    #[command(subcommand)]
    command: Option<CursorCommand>,
}

#[derive(Debug, Subcommand)]
enum CursorCommand {
    /// List all cursors, with how far behind they are (the default)
    List,
    /// Show one cursor
    Show {
        /// Its name
        name: String,
    },
    /// Take a cursor to another place; what lies behind it is delivered, again where it was before
    Reset {
        /// Its name
        name: String,
        /// Where: "start", "now", or the sequence of the last event that counts as processed
        #[arg(long, value_name = "PLACE")]
        to: Target,
    },
    /// Delete a cursor
    Delete {
        /// Its name
        name: String,
    },
}

impl Cursors {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        match self.command.unwrap_or(CursorCommand::List) {
            CursorCommand::List => list(store, console),
            CursorCommand::Show { name } => show(store, &name, console),
            CursorCommand::Reset { name, to } => reset(store, &name, to, console),
            CursorCommand::Delete { name } => delete(store, &name, console),
        }
    }
}

fn list(store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
    let cursors = opening::for_reading(store, console)?.cursors()?;
    if console.is_json() {
        return cursors.iter().try_for_each(|cursor| console.json(cursor));
    }
    let mut rows = table(["cursor", "position", "behind", "state"]);
    for cursor in &cursors {
        rows.add_row([
            cursor.name.clone(),
            cursor.position.to_string(),
            lag(cursor.lag_events, cursor.lag_millis),
            state(cursor.is_held, cursor.refused.as_deref()),
        ]);
    }
    console.table(rows)?;
    console.say(format_args!("{} cursors", HumanCount(cursors.len() as u64)));
    Ok(())
}

fn show(store: &Path, name: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    let cursor = find(&opening::for_reading(store, console)?, name)?;
    if console.is_json() {
        return console.json(&cursor);
    }
    let mut table = facts();
    table.add_row(["cursor", &cursor.name]);
    table.add_row(["position", &cursor.position.to_string()]);
    table.add_row(["hash there", &cursor.hash.to_string()]);
    table.add_row(["behind", &lag(cursor.lag_events, cursor.lag_millis)]);
    table.add_row(["moved", &format!("{} times", HumanCount(cursor.move_count))]);
    table.add_row([
        "kept",
        if cursor.is_in_log { "in the log, with what came of the events" } else { "beside it" },
    ]);
    table.add_row(["state", &state(cursor.is_held, cursor.refused.as_deref())]);
    console.table(table)
}

fn reset(path: &Path, name: &str, to: Target, console: &mut Console<'_>) -> Result<(), Failure> {
    let store = open_to_change(path, name, console)?;
    let after = to.after(&store);
    store.reset_cursor(name, after)?;
    store.close()?;
    consumer::tell_reset("cursor", name, after, console)
}

fn delete(path: &Path, name: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    let store = open_to_change(path, name, console)?;
    let is_deleted = store.delete_cursor(name)?;
    store.close()?;
    consumer::tell_deleted("cursor", name, is_deleted, console)
}

/// The store, opened for writing only where the cursor has its position in the log: a store that another process
/// writes can be read all the same.
fn open_to_change(path: &Path, name: &str, console: &mut Console<'_>) -> Result<Store, Failure> {
    let store = opening::for_reading(path, console)?;
    if !find(&store, name)?.is_in_log {
        return Ok(store);
    }
    drop(store);
    opening::for_writing(Options::new(), path, console)
}

fn find(store: &Store, name: &str) -> Result<CursorInfo, Failure> {
    store.find_cursor(name)?.ok_or_else(|| Failure::Refused(format!("there is no cursor {name}")))
}
