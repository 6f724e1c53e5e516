//! How a store is opened and kept. The defaults are safe.

use std::{path::Path, time::Duration};

use annals_checkpoint::{Observer, Progress, SourceOptions};
use annals_segment::{Directory, DiskDirectory, Entropy, OpenFiles, SpaceLimits, SystemEntropy};

use crate::{
    Error, Store,
    disk::{Clock, SystemClock},
    open,
    sync::Arc,
    typed::{EventType, Register, Schema},
};

const SEGMENT_BYTES_MIN: u64 = 4 << 10;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
const CHECKPOINT_BYTES_MAX: u64 = 16 << 20;

/// How durable an append is when its receipt returns.
///
/// ```
/// # use annals::{*, disk::*};
/// # fn main() -> Result<(), Error> {
/// # let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
/// let (sensor, read) = (Coordinate::new("sensor:1", "plant")?, store.kind("read")?);
/// let queued = store.append_with(&NewEvent::new(&sensor, read, b"20.1"), Durability::Queued)?;
/// assert!(queued.durability >= Durability::Queued);
/// assert_eq!(store.sync()?, queued.sequence);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// In the store's own buffer: lost when the process ends before it is written.
    Queued,
    /// With the operating system: survives the end of the process, not of the system.
    Written,
    /// On the disk: survives a power loss, as far as disk and file system keep their word.
    Durable,
}

/// Who does the work behind the appends: syncing what nobody waits for, sealing, checkpoints.
///
/// ```
/// # use annals::{*, disk::*};
/// # fn main() -> Result<(), Error> {
/// let store = Options::new().create(true).background(Background::Manual).open_on(MemoryDirectory::new())?;
/// store.pump()?; // nothing happens behind the test's back
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Background {
    /// A thread of the store's own.
    Thread,
    /// Whoever calls [`Store::pump`]; for tests that want to know what happens when.
    Manual,
}

/// How a store is opened.
///
/// ```
/// # use annals::{*, disk::*};
/// # fn main() -> Result<(), Error> {
/// let options = Options::new().create(true).durability(Durability::Written).segment_bytes(1 << 20);
/// let store = options.open_on(MemoryDirectory::new())?;
/// assert!(store.report().was_created);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) create: bool,
    pub(crate) segment_bytes: u64,
    pub(crate) durability: Durability,
    pub(crate) visibility: Durability,
    pub(crate) lock_timeout: Duration,
    pub(crate) event_bytes_max: u64,
    pub(crate) batch_bytes_max: u64,
    pub(crate) queue_bytes_max: u64,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) space: SpaceLimits,
    pub(crate) sources: SourceOptions,
    pub(crate) open_segments_max: usize,
    event_types: Vec<Schema>,
    pub(crate) observer: Observer,
    pub(crate) background: Background,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: false,
            segment_bytes: 48 << 20,
            durability: Durability::Durable,
            visibility: Durability::Durable,
            lock_timeout: Duration::ZERO,
            event_bytes_max: 16 << 20,
            batch_bytes_max: 256 << 20,
            queue_bytes_max: 4 << 20,
            checkpoint_bytes: CHECKPOINT_BYTES_MAX,
            space: SpaceLimits { budget: None, headroom: 1 << 20 },
            sources: SourceOptions::default(),
            open_segments_max: 128,
            event_types: Vec::new(),
            observer: Observer::default(),
            background: Background::Thread,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::default()),
        }
    }
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a store is made where there is none. Default: no.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// How many bytes a segment has before the next is begun: 4 KiB to 1 GiB, cut to that. Default: 48 MiB.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        self
    }

    /// How durable an append is when its receipt returns, where the append itself does not say. Default:
    /// durable.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How durable an event is before anybody can read it; `Queued` counts as `Written`. Default: durable.
    #[must_use]
    pub fn visibility(mut self, visibility: Durability) -> Self {
        self.visibility = visibility.max(Durability::Written);
        self
    }

    /// How long opening waits for another writer to let go. Default: not at all.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// The most bytes that an event may take: its header, strings, extensions and payload. Default: 16 MiB.
    #[must_use]
    pub fn event_bytes_max(mut self, bytes: u64) -> Self {
        self.event_bytes_max = bytes;
        self
    }

    /// The most bytes that a batch may take. Default: 256 MiB.
    #[must_use]
    pub fn batch_bytes_max(mut self, bytes: u64) -> Self {
        self.batch_bytes_max = bytes;
        self
    }

    /// The most bytes that are on their way to the disk at once: who appends more waits, or is refused by
    /// [`crate::Store::try_submit`]. 4 KiB to 8 MiB, cut to that. Default: 4 MiB.
    #[must_use]
    pub fn queue_bytes_max(mut self, bytes: u64) -> Self {
        self.queue_bytes_max = bytes.clamp(4 << 10, 8 << 20);
        self
    }

    /// After how many bytes of log a checkpoint is written in the background; at most 16 MiB, which is the default:
    /// with the default size of segments, two within each and one behind it. In larger segments each
    /// checkpoint has the index of more, and so they cost more.
    #[must_use]
    pub fn checkpoint_bytes(mut self, bytes: u64) -> Self {
        self.checkpoint_bytes = bytes.min(CHECKPOINT_BYTES_MAX);
        self
    }

    /// The most bytes that all files of the store may have together. An append that would pass it is refused with
    /// [`Error::NoSpace`] before anything is written, and the store goes on; what indexes events is then left
    /// out first. Only what a recovery sets aside is not counted. Default: as many as fit the disk.
    #[must_use]
    pub fn size_budget(mut self, bytes: u64) -> Self {
        self.space.budget = Some(bytes);
        self
    }

    /// The bytes that appends leave unused, of the budget and of the file system: room for the index of what
    /// was appended, and for putting the store in order after a crash. An append that would take them is
    /// refused with [`Error::NoSpace`]; 0 lets the file system say it, which ends the writer. The file system
    /// is asked once in a MiB. Default: 1 MiB.
    #[must_use]
    pub fn headroom(mut self, bytes: u64) -> Self {
        self.space.headroom = bytes;
        self
    }

    /// Whether footers are used; without them, sealed segments are indexed from their frames. Default: yes.
    #[must_use]
    pub fn use_footers(mut self, use_them: bool) -> Self {
        self.sources.footers = use_them;
        self
    }

    /// Whether the checkpoint is used; without it, the newest segment is indexed from its frames. Default: yes.
    #[must_use]
    pub fn use_checkpoint(mut self, use_it: bool) -> Self {
        self.sources.checkpoint = use_it;
        self
    }

    /// Whether index runs are used and made; without them, every segment is asked. Default: yes.
    #[must_use]
    pub fn use_runs(mut self, use_them: bool) -> Self {
        self.sources.runs = use_them;
        self
    }

    /// Whether sealed segments are mapped. Without maps they are read by system calls, and a file that another
    /// program cuts short is an error instead of the end of the process. Default: yes.
    #[must_use]
    pub fn maps(mut self, maps: bool) -> Self {
        self.sources.maps = maps;
        self
    }

    /// How many sealed segments are mapped, or open where they are not mapped, at once: at least one. Those that
    /// nobody asks are given back for others; what a reader holds stays until it lets go. Default: 128.
    #[must_use]
    pub fn open_segments_max(mut self, count: usize) -> Self {
        self.open_segments_max = count;
        self
    }

    /// Who is told how far an open is: when a part of it begins, and about once in each MiB of frames that have to be
    /// walked. Called from the threads that do the work, which wait for it. Default: nobody.
    #[must_use]
    pub fn observer(mut self, tell: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(tell);
        self
    }

    /// That `T`, or each event that the enum `T` is one of, is appended or read. May be called for several types. An
    /// open is then refused where a name stands for two types, or a type has a name or version that no event has; a
    /// type that was not named here is checked when it is first appended. Default: none.
    ///
    /// ```
    /// # use annals::{Error, Event, Options, disk::MemoryDirectory};
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event(name = "order.placed")]
    /// struct Placed { chairs: u32 }
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event(name = "order.placed")]
    /// struct AlsoPlaced { tables: u32 }
    ///
    /// let options = Options::new().create(true).events::<Placed>().events::<AlsoPlaced>();
    /// assert!(matches!(options.open_on(MemoryDirectory::new()), Err(Error::Invalid { .. })));
    /// ```
    #[must_use]
    pub fn events<T: EventType>(mut self) -> Self {
        self.event_types.extend(T::schemas());
        self
    }

    /// Refuses options with which no store opens.
    fn checked(self) -> Result<Self, Error> {
        Register::of(&self.event_types)?;
        Ok(self)
    }

    /// The types that were named.
    pub(crate) fn register(&self) -> Register {
        Register::of(&self.event_types).expect("checked before the store was opened")
    }

    /// Where the sealed segments in `directory` are opened.
    pub(crate) fn open_files(&self, directory: &Arc<dyn Directory>) -> Arc<OpenFiles> {
        OpenFiles::new(Arc::clone(directory), self.sources.maps, self.open_segments_max)
    }

    /// Who does the work behind the appends. Default: a thread.
    #[must_use]
    pub fn background(mut self, background: Background) -> Self {
        self.background = background;
        self
    }

    /// Where the time comes from. Default: the system.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where random numbers come from. Default: the system.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy + 'static) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Opens the store in the directory `path` for writing and reading.
    ///
    /// A process that forks opens it afterwards: a child that runs no other program has the lock too, and holds it
    /// until it ends; what it appends is refused, with [`Error::Stopped`] and a cause that says so.
    ///
    /// # Errors
    /// [`Error::Invalid`] where its types contradict each other, as [`Options::events`] says;
    /// [`Error::NotFound`] where there is none and none is to be made, [`Error::Locked`], [`Error::Corrupt`],
    /// [`Error::NewerVersion`], [`Error::Environment`]. Where a store is refused, none of its files is changed.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store, Error> {
        let (options, path) = (self.checked()?, path.as_ref());
        let opened = if options.create { DiskDirectory::create(path) } else { DiskDirectory::open(path) };
        let directory = opened.map_err(|error| open::directory_error(path, error))?;
        open::open(&options, &(Arc::new(directory) as Arc<dyn Directory>))
    }

    /// Opens the store in `directory`, whatever it is made of.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open_on(self, directory: impl Directory + 'static) -> Result<Store, Error> {
        open::open(&self.checked()?, &(Arc::new(directory) as Arc<dyn Directory>))
    }

    /// Opens the store in the directory `path` for reading only. Nothing is written, and a writer in this or
    /// another process is not disturbed: what it shows at this moment is what is seen.
    ///
    /// # Errors
    /// As [`Options::open`], but for the lock.
    pub fn open_read_only(self, path: impl AsRef<Path>) -> Result<Store, Error> {
        let (options, path) = (self.checked()?, path.as_ref());
        let directory = DiskDirectory::open(path).map_err(|error| open::directory_error(path, error))?;
        open::open_read_only(&options, &(Arc::new(directory) as Arc<dyn Directory>))
    }

    /// Opens the store in `directory` for reading only.
    ///
    /// # Errors
    /// As [`Options::open_read_only`].
    pub fn open_read_only_on(self, directory: impl Directory + 'static) -> Result<Store, Error> {
        open::open_read_only(&self.checked()?, &(Arc::new(directory) as Arc<dyn Directory>))
    }
}
