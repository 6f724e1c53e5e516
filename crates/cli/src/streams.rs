//! `streams`: which streams there are.

use std::path::Path;

use clap::Args;
use indicatif::HumanCount;

use crate::{
    failure::Failure,
    opening,
    output::{Console, table},
};

/// List the streams, with their revisions
#[derive(Debug, Args)]
pub(crate) struct Streams {
    /// Only those of this scope
    #[arg(long)]
    scope: Option<String>,
}

impl Streams {
    pub(crate) fn run(self, store: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        let mut streams = opening::for_reading(store, console)?.streams()?;
        streams.retain(|stream| self.scope.as_ref().is_none_or(|scope| stream.scope == *scope));
        if console.is_json() {
            return streams.iter().try_for_each(|stream| console.json(stream));
        }
        let mut rows = table(["scope", "entity", "lane", "events", "revision"]);
        for stream in &streams {
            rows.add_row([
                stream.scope.clone(),
                stream.entity.clone(),
                stream.lane.to_string(),
                HumanCount(stream.count).to_string(),
                stream.revision.to_string(),
            ]);
        }
        console.table(rows)?;
        console.say(format_args!("{} streams", HumanCount(streams.len() as u64)));
        Ok(())
    }
}
