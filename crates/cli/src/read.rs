//! `read`: the events of a stream, of a scope, or all.

use std::path::Path;

use annals::{Coordinate, Error, Events, Query, QueryItem, Revision, Sequence, Store};
use clap::Args;

use crate::{
    failure::Failure,
    output::{Console, table},
    show::{EventJson, HEADINGS, KindNames, row},
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
/// A stream that has no event is refused, so that a name that is spelled wrong does not look like an answer.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Read {
    /// The scope
    #[arg(long, required_unless_present = "all", conflicts_with = "all")]
    scope: Option<String>,

    /// The entity: with its scope, a stream
    #[arg(long, requires = "scope")]
    entity: Option<String>,

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
        let store = Store::open_read_only(store)?;
        let events = self.events(&store)?;
        let names = KindNames::of(&store);
        if console.is_json() {
            for event in events {
                console.json(&EventJson::new(&event?, &names))?;
            }
            return Ok(());
        }
        show_tables(events, &names, console)
    }

    fn events(&self, store: &Store) -> Result<Events, Failure> {
        let mut events = match (&self.scope, &self.entity) {
            (Some(scope), Some(entity)) => {
                let coordinate = Coordinate::new(entity, scope).map_err(Error::from)?;
                if store.stream(&coordinate).limit(1).next().transpose()?.is_none() {
                    return Err(Failure::Refused(format!("there is no event of {coordinate}")));
                }
                store.stream(&coordinate)
            }
            (Some(scope), None) => store.query(Query::of(QueryItem::new().scope(scope))),
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

fn show_tables(events: Events, names: &KindNames, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut rows = table(HEADINGS);
    for event in events {
        rows.add_row(row(&event?, names));
        if rows.row_count() == TABLE_ROWS {
            console.table(std::mem::replace(&mut rows, table(HEADINGS)))?;
        }
    }
    if rows.is_empty() { Ok(()) } else { console.table(rows) }
}
