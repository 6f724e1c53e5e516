//! Annals' files: a segmented log in one directory that survives crashes and shows damage.
//!
//! **Owns** the files: the [`Directory`] they lie in (the system's, one in memory, or a simulated disk that
//! loses what was not synced), segments and their rotation, the manifest, the lock, the frontier, what a torn
//! end is and how it is cut, and the log's one writer, [`Log`].
//!
//! **Does not** know what an entry means: it numbers them, cuts their batches and checks their checksums.
//! It acknowledges nothing and starts no thread.
//!
//! **Next:** [`Log`] for writing, [`Inventory`], [`Layout`], [`Tail`] and [`Recovery`] for opening, in that
//! order; docs/format.md for the bytes.

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
mod frame_bytes;
mod scan;
mod sealed;

mod inventory;
mod layout;
mod log;
mod tail;

pub use active::ActiveSegment;
pub use directory::{
    Access, CrashProfile, Directory, DiskDirectory, Entry as DirectoryEntry, Errno, Fault, File, Lock,
    MemoryDirectory, ReadFault, SimulatedDirectory, Span,
};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use error::Error;
pub use frame_bytes::FrameBytes;
pub use frontier::{FrontierFile, read_frontier};
pub use inventory::{Inventory, SegmentFile};
pub use layout::{Layout, Newest};
pub use lock::{WriterLock, live_epoch};
pub use log::{Entry, Flight, Log, LogOptions, LogReport, Note, Recovery};
pub use manifest::FoundManifest;
pub use map::Region;
pub use name::{CHECKPOINT, FRONTIER, LOCK, MANIFEST, TEMPORARY_SUFFIX, segment_name};
pub use scan::{Position, Remains, Scan, Scanned, Stop, search};
pub use sealed::{FoundFooter, SealedPlace, SealedSegment, read_frame};
pub use space::{Space, SpaceLimits};
pub use tail::{Outside, Tail, TornTail};
