//! The catalogue of streams: which there are, and where each ends.

use std::collections::BTreeMap;

use annals_wire::{Lane, Revision};
use serde::Serialize;

use crate::{Error, Store, view::Trouble};

/// A stream, as far as it is visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StreamInfo {
    /// The scope.
    pub scope: String,
    /// The entity.
    pub entity: String,
    /// The lane.
    pub lane: Lane,
    /// How many events it has.
    pub count: u64,
    /// The revision of its last event.
    pub revision: Revision,
}

impl Store {
    /// Every stream, sorted by scope, entity and lane. The answer is held in memory.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Environment`].
    pub fn streams(&self) -> Result<Vec<StreamInfo>, Error> {
        let visible = self.last_sequence();
        let streams = self.shared.ask(|view| {
            let mut streams = BTreeMap::new();
            for part in &view.parts {
                let rows = part.visible_rows(visible);
                part.try_ask(|index| {
                    for place in 0..index.stream_count() {
                        let Some(stream) = index.stream(place)? else { continue };
                        let count = stream.rows.lower_bound(rows)? as u64;
                        if count > 0 {
                            let key = stream.name.key();
                            let key = (key.scope.to_owned(), key.entity.to_owned(), key.lane);
                            let seen = streams.entry(key).or_insert((0, Revision(0)));
                            *seen = (seen.0 + count, Revision(stream.first_revision.0 + count - 1));
                        }
                    }
                    Ok(())
                })?;
            }
            Ok::<_, Trouble>(streams)
        })?;
        let info =
            |((scope, entity, lane), (count, revision))| StreamInfo { scope, entity, lane, count, revision };
        Ok(streams.into_iter().map(info).collect())
    }
}
