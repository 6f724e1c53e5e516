//! How a write-ahead log is opened. The defaults are safe.

use std::{io, path::Path, sync::Arc, time::Duration};

use annals_wire::LogPosition;

use super::{WriteAheadLog, open};
use crate::{Directory, DiskDirectory, Entropy, Error, SpaceLimits, SystemEntropy};

/// What is done about bytes behind the last whole batch that nothing proves to have been durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TornEnd {
    /// They are set aside in a file, cut off, and reported: what a crash leaves.
    Cut,
    /// The log is refused, and left as it is.
    Refuse,
}

/// How a write-ahead log is opened.
#[derive(Debug, Clone)]
pub struct WriteAheadOptions {
    pub(super) create: bool,
    pub(super) segment_bytes: u64,
    pub(super) record_bytes_max: usize,
    pub(super) prepare: bool,
    pub(super) torn_end: TornEnd,
    pub(super) space: SpaceLimits,
    pub(super) lock_timeout: Duration,
    pub(super) witness: Option<LogPosition>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl Default for WriteAheadOptions {
    fn default() -> Self {
        Self {
            create: false,
            segment_bytes: 64 << 20,
            record_bytes_max: 16 << 20,
            prepare: true,
            torn_end: TornEnd::Cut,
            space: SpaceLimits { budget: None, headroom: 1 << 20 },
            lock_timeout: Duration::ZERO,
            witness: None,
            entropy: Arc::new(SystemEntropy::default()),
        }
    }
}

impl WriteAheadOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a log is made where there is none. Default: no.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// How many bytes a segment has before the next is begun. A batch that is longer gets one of its own. What
    /// can be dropped is dropped in segments. Default: 64 MiB.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// The most bytes of a record. Default: 16 MiB.
    #[must_use]
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes;
        self
    }

    /// Whether zeros are written ahead of records that are to be synced: a sync then has no length to record.
    /// Default: yes.
    #[must_use]
    pub fn prepare(mut self, prepare: bool) -> Self {
        self.prepare = prepare;
        self
    }

    /// What is done about a torn end. Default: it is cut.
    #[must_use]
    pub fn torn_end(mut self, torn_end: TornEnd) -> Self {
        self.torn_end = torn_end;
        self
    }

    /// How much space the log may take. Default: no budget, 1 MiB of headroom.
    #[must_use]
    pub fn space(mut self, space: SpaceLimits) -> Self {
        self.space = space;
        self
    }

    /// How long opening waits for another writer to let go. Default: not at all.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// A position that the owner knows to have been durable, from a file of its own: a log that ends before it
    /// has lost something, and is refused. Default: none.
    #[must_use]
    pub fn witness(mut self, position: LogPosition) -> Self {
        self.witness = Some(position);
        self
    }

    /// Where random numbers come from. Default: the system.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy + 'static) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Opens the log in the directory `path`, and puts in order what a crash left.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none and none is to be made; [`Error::Locked`]; [`Error::Corrupt`],
    /// [`Error::Mismatch`], [`Error::Lost`], [`Error::MissingSegment`], [`Error::Misplaced`] or
    /// [`Error::ManifestLost`] where something that was durable is damaged or gone; [`Error::Newer`];
    /// [`Error::Io`]. A log that is refused is left as it is.
    pub fn open(self, path: impl AsRef<Path>) -> Result<WriteAheadLog, Error> {
        let path = path.as_ref();
        let opened = if self.create { DiskDirectory::create(path) } else { DiskDirectory::open(path) };
        match opened {
            Ok(directory) => self.open_on(directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::NotFound { path: path.to_owned() })
            }
            Err(error) => Err(Error::io("open", path)(error)),
        }
    }

    /// Opens the log in `directory`, whatever it is made of.
    ///
    /// # Errors
    /// As [`WriteAheadOptions::open`].
    pub fn open_on(self, directory: impl Directory + 'static) -> Result<WriteAheadLog, Error> {
        open::open(self, Arc::new(directory))
    }

    /// Opens the log in a directory that others hold too.
    ///
    /// # Errors
    /// As [`WriteAheadOptions::open`].
    pub fn open_shared(self, directory: Arc<dyn Directory>) -> Result<WriteAheadLog, Error> {
        open::open(self, directory)
    }
}
