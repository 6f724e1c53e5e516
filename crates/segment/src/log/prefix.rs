//! Dropping the oldest segments of a log.
//!
//! Invariant: the manifest says so in both of its slots, durably, before the first file goes: neither slot alone
//! ever names a segment that is gone.

use annals_wire::{Manifest, SegmentId};

use super::Log;
use crate::{Error, SealedPlace, name};

impl Log {
    /// Removes the segments at `places`, which are the log's oldest; `oldest` is the one behind them.
    ///
    /// # Errors
    /// [`Error::Stopped`] with the first failure: what is left of these segments is removed when the log is
    /// opened again.
    pub(crate) fn drop_prefix(&mut self, places: &[SealedPlace], oldest: SegmentId) -> Result<(), Error> {
        self.check()?;
        self.check_process()?;
        let dropped = self.remove(places, oldest);
        self.stop_on_error(dropped)
    }

    fn remove(&mut self, places: &[SealedPlace], oldest: SegmentId) -> Result<(), Error> {
        for _slot in 0..2 {
            self.manifest.write(Manifest { oldest, ..self.manifest.current().clone() })?;
        }
        for place in places {
            let name = name::segment_name(place.id, place.generation);
            let path = self.directory.path().join(&name);
            self.directory.remove(&name).map_err(Error::io("remove", path))?;
        }
        self.directory.sync().map_err(Error::io("sync", self.directory.path()))
    }
}
