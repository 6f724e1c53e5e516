//! A segmented log in one directory that survives crashes and shows damage: a write-ahead log for anyone, and
//! the files of an Annals store.
//!
//! Who wants a log for a program of their own starts at [`WriteAheadLog`]: append a record or an atomic batch,
//! sync, replay from a position, follow from another process, drop the prefix that is covered elsewhere. It
//! tells a torn end, which a crash leaves, from damage, which is refused; it knows what was durable; and it can
//! be tried on a [`SimulatedDirectory`], which loses what was not synced.
//!
//! **Owns** the files: the [`Directory`] they lie in (the system's, one in memory, or a simulated disk), segments
//! and their rotation, the manifest, the lock, the frontier, what a torn end is and how it is cut, the space that
//! may be taken, and the log's one writer, [`Log`].
//!
//! **Does not** know what an entry means: it numbers them, cuts their batches and checks their checksums.
//! It starts no thread.
//!
//! **Next:** [`WriteAheadOptions`]; below it [`Log`] for writing frames of any type, and [`Inventory`],
//! [`Layout`], [`Tail`] and [`Recovery`] for opening, in that order; docs/format.md for the bytes.

#![deny(unsafe_code)]

mod directory;
mod map;
mod platform;

mod error;
mod name;

mod entropy;
mod frontier;
mod lock;
mod manifest;
mod space;

mod active;
mod buffers;
mod file_part;
mod frame_bytes;
mod open_files;
mod scan;
mod sealed;

mod inventory;
mod layout;
mod log;
mod tail;

mod write_ahead;

pub use active::ActiveSegment;
pub use directory::{
    Access, CrashProfile, Directory, DiskDirectory, Entry as DirectoryEntry, Errno, Fault, File, Lock,
    MemoryDirectory, ReadFault, SimulatedDirectory, Span,
};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use error::Error;
pub use file_part::FilePart;
pub use frame_bytes::FrameBytes;
pub use frontier::{FrontierFile, find_frontier, read_frontier};
pub use inventory::{Inventory, RunFile, SegmentFile};
pub use layout::{Layout, Newest};
pub use lock::{WriterLock, live_epoch};
pub use log::{Entry, Flight, Log, LogOptions, LogReport, Note, Recovery};
pub use manifest::{FoundManifest, write_manifest};
pub use map::Region;
pub use name::{
    CHECKPOINT, CURSORS, FRONTIER, GROUPS, LOCK, MANIFEST, PROJECTIONS, TEMPORARY_SUFFIX, UNFINISHED,
    run_name, segment_name,
};
pub use open_files::{MadeFooter, OpenFiles};
pub use scan::{Position, Remains, Scan, Scanned, Stop, search};
pub use sealed::{FoundFooter, SealedPlace, SealedSegment, find_sequence, read_frame};
pub use space::{Space, SpaceLimits};
pub use tail::{Outside, Tail, TornTail};
pub use write_ahead::{Follower, Replayed, TornEnd, WriteAheadLog, WriteAheadOptions};
