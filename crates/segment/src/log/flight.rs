//! A flight: staged bytes on their way to the disk, while the next ones are staged.

use std::sync::Arc;

use crate::{ActiveSegment, Error};

/// Bytes that are being written, and perhaps synced.
#[derive(Debug)]
pub struct Flight {
    segment: Arc<ActiveSegment>,
    offset: u64,
    bytes: Vec<u8>,
    sync: bool,
    /// How many bytes may be prepared behind them; 0 for none.
    prepare: u64,
}

impl Flight {
    pub(super) fn new(
        segment: Arc<ActiveSegment>,
        offset: u64,
        bytes: Vec<u8>,
        sync: bool,
        prepare: u64,
    ) -> Self {
        Self { segment, offset, bytes, sync, prepare }
    }

    /// Writes the bytes, and makes them durable where the flight is one that syncs.
    ///
    /// # Errors
    /// [`Error::Io`]; what became of the bytes is then unknown.
    pub fn fly(&self) -> Result<(), Error> {
        if !self.bytes.is_empty() {
            self.segment.write(&self.bytes, self.offset)?;
        }
        if self.prepare > 0 {
            self.segment.prepare(self.end(), self.prepare)?;
        }
        if self.sync { self.segment.sync() } else { Ok(()) }
    }

    /// How many bytes are written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is written, and only synced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the flight makes what it writes durable.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.sync
    }

    /// Where its bytes end in the segment.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    pub(super) fn into_buffer(mut self) -> Vec<u8> {
        self.bytes.clear();
        self.bytes
    }
}
