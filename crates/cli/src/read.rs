//! `read`: the events of a stream, of a scope, or all.

use std::{fmt, path::Path};

use annals::{Coordinate, Error, Events, Lane, Revision, Sequence, Store};
use clap::Args;
use comfy_table::ColumnConstraint;

use crate::{
    failure::Failure,
    opening,
    output::{Console, table},
    show::{EventJson, HEADINGS, KindNames, STREAM_COLUMN, row, stream},
};

/// How many events stand in one table: a table is held in memory, its columns as wide as its widest.
const TABLE_ROWS: usize = 1000;

const EXAMPLES: &str = "\
Examples:
  annals read --scope shop/eu --entity order:42
  annals read --scope shop/eu --entity order:42 --backwards --limit 1
  annals read --all --after 1000 --json";

/// Show the events of a stream, of a scope, or all
///
/// A stream or scope without events is refused, so that a name that is spelled wrong does not look like an answer.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Read {
    /// The scope
    #[arg(long, required_unless_present = "all", conflicts_with = "all")]
    scope: Option<String>,

    /// The entity: with its scope, a stream
    #[arg(long, requires = "scope")]
    entity: Option<String>,

    /// In a stream: this lane instead of the trunk
    #[arg(long, value_name = "N", requires = "entity", default_value_t = 0, hide_default_value = true)]
    lane: u32,

    /// All events of the store
    #[arg(long)]
    all: bool,

    /// The newest first
    #[arg(long)]
    backwards: bool,

    /// At most so many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// In a stream: begin at this revision
    #[arg(long, value_name = "REVISION", requires = "entity", conflicts_with = "after")]
    from: Option<u64>,

    /// Only events after this sequence, which is not included
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "entity")]
    after: Option<u64>,
}

impl Read {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        let store = opening::for_reading(store, console)?;
        let events = self.events(&store)?;
        let names = KindNames::of(&store);
        if console.is_json() {
            for event in events {
                console.json(&EventJson::new(&event?, &names))?;
            }
            return Ok(());
        }
        show(events, &names, self.entity.is_some(), console)
    }

    fn events(&self, store: &Store) -> Result<Events, Failure> {
        let mut events = match (&self.scope, &self.entity) {
            (Some(scope), Some(entity)) => {
                let coordinate = Coordinate::new(entity, scope).map_err(Error::from)?;
                let lane = Lane(self.lane);
                let what = stream(&coordinate, self.lane);
                check_some(store.lane(&coordinate, lane), format_args!("of {what}"))?;
                store.lane(&coordinate, lane)
            }
            (Some(scope), None) => {
                check_some(store.scope(scope), format_args!("in {scope}"))?;
                store.scope(scope)
            }
            (None, _) => store.all(),
        };
        if self.backwards {
            events = events.backwards();
        }
        if let Some(revision) = self.from {
            events = events.from(Revision(revision));
        }
        if let Some(sequence) = self.after {
            events = events.after(Sequence(sequence));
        }
        Ok(events.limit(self.limit.unwrap_or(u64::MAX)))
    }
}

/// Refuses what has no event.
fn check_some(events: Events, what: fmt::Arguments<'_>) -> Result<(), Failure> {
    match events.limit(1).next().transpose()? {
        Some(_) => Ok(()),
        None => Err(Failure::Refused(format!("there is no event {what}"))),
    }
}

/// Shows events in tables; the column that names their stream is left out where there is only one.
fn show(
    events: Events,
    names: &KindNames,
    is_one_stream: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let empty = || {
        let mut rows = table(HEADINGS);
        if let (true, Some(column)) = (is_one_stream, rows.column_mut(STREAM_COLUMN)) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
        rows
    };
    let mut rows = empty();
    for event in events {
        rows.add_row(row(&event?, names));
        if rows.row_count() == TABLE_ROWS {
            console.table(std::mem::replace(&mut rows, empty()))?;
        }
    }
    if rows.is_empty() { Ok(()) } else { console.table(rows) }
}
