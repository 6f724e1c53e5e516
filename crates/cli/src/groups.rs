//! `groups`: which groups of workers there are, where they are, what they have parked, and what is to be done about it.

use std::{fmt, path::Path};

use annals::{
    Options, Query, Sequence, Store,
    consume::{Group, GroupOptions},
    report::{GroupInfo, ParkedEvent},
};
use clap::{Args, Subcommand};
use indicatif::HumanCount;
use serde_json::json;

use crate::{
    consumer::{self, Target, lag, state},
    failure::Failure,
    opening,
    output::{Console, facts, table},
    time,
};

const EXAMPLES: &str = "\
Examples:
  annals groups
  annals groups show billing
  annals groups replay billing 17 23
  annals groups replay billing --all
  annals groups skip billing 17
  annals groups reset billing --to start
  annals groups delete billing";

/// Show the groups of workers and what they have parked; replay or skip that, reset or delete a group
///
/// A group is a place in the log that several workers share, by name, with what they said of each event. What is shown
/// is as of when it was last saved. Changing a group changes no event. It is refused while a program has the group.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Groups {
    #[command(subcommand)]
    command: Option<GroupCommand>,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// List all groups, with how far behind they are (the default)
    List,
    /// Show one group, with the events that are parked and why
    Show {
        /// Its name
        name: String,
    },
    /// Hand out parked events again, and then those of their streams that waited for them
    Replay(Asked),
    /// Pass over parked events: they count as done, and what waited for them is handed out
    Skip(Asked),
    /// Take a group to another place; what lies behind it is handed out, again where it was before
    Reset {
        /// Its name
        name: String,
        /// Where: "start", "now", or the sequence of the last event that counts as done
        #[arg(long, value_name = "PLACE")]
        to: Target,
    },
    /// Delete a group
    Delete {
        /// Its name
        name: String,
    },
}

/// Parked events.
#[derive(Debug, Args)]
struct Asked {
    /// The group's name
    name: String,
    /// The sequences of parked events
    #[arg(value_name = "SEQUENCE", required_unless_present = "all", conflicts_with = "all")]
    sequences: Vec<u64>,
    /// All that are parked, without those that only wait behind them
    #[arg(long)]
    all: bool,
}

impl Groups {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        match self.command.unwrap_or(GroupCommand::List) {
            GroupCommand::List => list(store, console),
            GroupCommand::Show { name } => show(store, &name, console),
            GroupCommand::Replay(asked) => ask(store, &asked, "replayed", Group::replay, console),
            GroupCommand::Skip(asked) => ask(store, &asked, "skipped", Group::skip, console),
            GroupCommand::Reset { name, to } => reset(store, &name, to, console),
            GroupCommand::Delete { name } => delete(store, &name, console),
        }
    }
}

fn list(store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
    let groups = opening::for_reading(store, console)?.groups()?;
    if console.is_json() {
        return groups.iter().try_for_each(|group| console.json(group));
    }
    let mut rows = table(["group", "position", "behind", "parked", "state"]);
    for group in &groups {
        rows.add_row([
            group.name.clone(),
            group.position.to_string(),
            lag(group.lag_events, group.lag_millis),
            HumanCount(group.parked.len() as u64).to_string(),
            state(group.is_held, group.refused.as_deref()),
        ]);
    }
    console.table(rows)?;
    console.say(format_args!("{} groups", HumanCount(groups.len() as u64)));
    Ok(())
}

fn show(store: &Path, name: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    let group = find(&opening::for_reading(store, console)?, name)?;
    if console.is_json() {
        return console.json(&group);
    }
    let mut facts = facts();
    facts.add_row(["group", &group.name]);
    facts.add_row(["position", &group.position.to_string()]);
    facts.add_row(["hash there", &group.hash.to_string()]);
    facts.add_row(["behind", &lag(group.lag_events, group.lag_millis)]);
    facts.add_row(["done beyond it", &HumanCount(group.done_count).to_string()]);
    facts.add_row(["moved in the log", &format!("{} times", HumanCount(group.move_count))]);
    facts.add_row(["state", &state(group.is_held, group.refused.as_deref())]);
    console.table(facts)?;
    let mut rows = table(["event", "attempts", "since", "what became of it"]);
    for tried in &group.tried {
        let what = if tried.reason.is_empty() { "handed out" } else { &tried.reason };
        rows.add_row([
            tried.sequence.to_string(),
            tried.attempts.to_string(),
            String::new(),
            what.to_owned(),
        ]);
    }
    for parked in &group.parked {
        let since = if parked.at == 0 { String::new() } else { time::for_people(parked.at) };
        rows.add_row([parked.sequence.to_string(), parked.attempts.to_string(), since, what_became(parked)]);
    }
    console.table(rows)
}

fn what_became(parked: &ParkedEvent) -> String {
    match (parked.is_replayed, parked.is_aside) {
        (true, _) => format!("to be handed out again; was parked: {}", parked.reason),
        (false, true) => "waits behind a parked event".to_owned(),
        (false, false) => format!("parked: {}", parked.reason),
    }
}

/// Asks for parked events, one after the other.
fn ask(
    path: &Path,
    asked: &Asked,
    verb: impl fmt::Display,
    ask: fn(&Group, Sequence) -> Result<(), annals::Error>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let store = opening::for_reading(path, console)?;
    let info = find(&store, &asked.name)?;
    let is_meant = |parked: &&ParkedEvent| !parked.is_aside && !parked.is_replayed;
    let all = info.parked.iter().filter(is_meant).map(|parked| parked.sequence);
    let sequences: Vec<_> =
        if asked.all { all.collect() } else { asked.sequences.iter().copied().map(Sequence).collect() };
    // What its programs allow is not known here: nothing is parked, and nothing left waiting, for want of that.
    let options = GroupOptions::new().attempts_max(u32::MAX).parked_max(usize::MAX);
    let group = store.group_with(&asked.name, Query::all(), &options)?;
    for sequence in &sequences {
        ask(&group, *sequence)?;
    }
    group.close()?;
    if console.is_json() {
        return console.json(&json!({ "name": asked.name, "sequences": sequences }));
    }
    console.line(format_args!("{} events of the group {} were {verb}", sequences.len(), asked.name))
}

fn reset(path: &Path, name: &str, to: Target, console: &mut Console<'_>) -> Result<(), Failure> {
    let store = opening::for_reading(path, console)?;
    find(&store, name)?;
    let after = to.after(&store);
    store.reset_group(name, after)?;
    consumer::tell_reset("group", name, after, console)
}

fn delete(path: &Path, name: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut store = opening::for_reading(path, console)?;
    if find(&store, name)?.move_count > 0 {
        drop(store);
        store = opening::for_writing(Options::new(), path, console)?;
    }
    let is_deleted = store.delete_group(name)?;
    store.close()?;
    consumer::tell_deleted("group", name, is_deleted, console)
}

fn find(store: &Store, name: &str) -> Result<GroupInfo, Failure> {
    store.find_group(name)?.ok_or_else(|| Failure::Refused(format!("there is no group {name}")))
}
