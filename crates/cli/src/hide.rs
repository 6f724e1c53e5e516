//! `hide`: events that no read shows again.

use std::path::Path;

use annals::{Options, Sequence};
use clap::Args;
use serde_json::json;

use crate::{failure::Failure, opening, output::Console};

const DETAILS: &str = "\
The events keep their sequences, revisions and hashes, `annals verify` still
checks them, and their bytes stay in the store and in its backups: nothing is
erased. No read, export or condition shows them again, in any program.

Hiding is for ever: no command shows them again. So it is done only with --yes;
without, the command says what would be hidden.

Examples:
  annals hide 17
  annals hide 17 19 --yes";

/// Hide a range of events from every read, for ever
#[derive(Debug, Args)]
#[command(after_long_help = DETAILS)]
pub(crate) struct Hide {
    /// The sequence of the first event
    first: u64,

    /// The sequence of the last event; that of the first where it is not given
    last: Option<u64>,

    /// Do it
    #[arg(long)]
    yes: bool,
}

impl Hide {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        let (first, last) = (Sequence(self.first), Sequence(self.last.unwrap_or(self.first)));
        if !self.yes {
            let store = opening::for_reading(store, console)?;
            let shown = store.all().after(Sequence(first.0.saturating_sub(1))).until(last);
            let count = shown.count_events()?;
            let why = "it is for ever: say --yes";
            return Err(Failure::Refused(format!(
                "{count} events from {first} to {last} would be hidden; {why}"
            )));
        }
        let store = opening::for_writing(Options::new(), store, console)?;
        let outcome = store.hide(first, last);
        // A refusal is no reason to leave the store as a crash would.
        store.close()?;
        outcome?;
        if console.is_json() {
            return console.json(&json!({ "first": first, "last": last }));
        }
        console.line(format_args!("hid the events from {first} to {last}"))
    }
}
