//! `get`: one event by its id.

use std::path::Path;

use clap::Args;

use crate::{
    cloudevents,
    failure::Failure,
    opening,
    output::Console,
    show::{EventJson, KindNames, event_facts},
};

const EXAMPLES: &str = "\
Examples:
  annals get a07d7a6d-be3e-57fd-9a74-91b1331e74c6
  annals get evt-1 --source shop/eu";

/// Show the event with an id
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// The id: a UUID, or with --source any id of an imported event
    id: String,

    /// The source that gave the event its id, which is its scope; needed for an id that is no UUID
    #[arg(long, value_name = "SCOPE")]
    source: Option<String>,
}

impl Get {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        let id = match &self.source {
            Some(source) => cloudevents::event_id(source, &self.id),
            None => self.id.parse().map_err(|_| {
                Failure::Refused(format!(
                    "{} is no UUID; --source says who gave an event such an id",
                    self.id
                ))
            })?,
        };
        let store = opening::for_reading(store, console)?;
        let event = store.get(id)?;
        let event = event.ok_or_else(|| Failure::Refused(format!("no event has the id {}", self.id)))?;
        let names = KindNames::of(&store);
        if console.is_json() {
            console.json(&EventJson::new(&event, &names))
        } else {
            console.table(event_facts(&event, &names))
        }
    }
}
