//! Annals: an embedded, append-only, hash-chained event store in one directory.
//!
//! One process writes a store, any number read it. Events belong to coordinates (an entity within a scope),
//! are appended one at a time or in atomic batches, and are acknowledged as durable as was asked for. There
//! is no server and no async runtime.
//!
//! ```
//! use annals::{Coordinate, Expected, NewEvent, Options, disk::MemoryDirectory};
//!
//! # fn main() -> Result<(), annals::Error> {
//! // `Store::open("path")` is what a program calls; tests need no disk.
//! let store = Options::new().create(true).open_on(MemoryDirectory::new())?;
//! let placed = store.kind("order.placed")?;
//! let order = Coordinate::new("order:42", "shop/eu")?;
//!
//! let first = NewEvent::new(&order, placed, b"two chairs").expected(Expected::None);
//! let receipt = store.append(&first)?;
//! assert_eq!(receipt.revision.0, 1);
//!
//! for event in store.stream(&order) {
//!     let event = event?;
//!     assert_eq!(event.payload(), Some(&b"two chairs"[..]));
//! }
//! store.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! **Owns** the [`Store`]: appends and what they may demand, groups of concurrent callers, reads, what is
//! visible, sealing and checkpoints in the background, verification.
//!
//! **Does not** know the terminal, decode a payload unasked, or promise what the disk under it does not keep.
//!
//! **Next:** [`Options`] and [`Store`]; [`NewEvent`] and [`Receipt`]; [`typed`] for events that are Rust types;
//! [`consume`] for who reads on, [`disk`] for tests without one, [`report`] for what the store says of itself;
//! docs/architecture.md for how an append
//! and an open go through the layers.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide.md")]
mod guide {}

mod options;
mod store;

mod event;
mod extension;
mod new_event;

mod sync;

mod clock;
mod control;
mod hiding;
mod ids;
mod kinds;
mod naming;

mod open;
mod part;
mod view;

pub mod typed;

mod append;
mod condition;
mod decide;
mod group;
mod lanes;
mod stage;
mod ticket;
mod turn;

mod workers;

mod background;
mod backup;
mod checkpoint;
mod runs;
mod seal;

mod causality;
mod consumer;
mod cursor;
mod moment;
mod read;
mod streams;

mod follow;
mod subscription;

mod projection;
mod watch;

mod error;
mod inspect;
mod metrics;
mod stats;
mod verify;

pub use annals_derive::Event;
pub use annals_index::{Query, QueryItem};
pub use annals_wire::{
    Coordinate, Depth, Digest, EventId, Kind, Lane, Occurred, Recorded, Revision, Sequence, StoreId, Tag,
};
pub use backup::restore;
pub use condition::Condition;
pub use error::Error;
pub use event::Event;
pub use inspect::inspect;
pub use new_event::{Expected, NewEvent, Receipt};
pub use options::{Background, Durability, Options};
pub use read::Events;
pub use stage::Stage;
pub use store::Store;
pub use ticket::Ticket;
pub use verify::verify;

/// Who reads on: subscriptions, cursors that remember where they were, groups of workers, projections.
pub mod consume {
    pub use crate::{
        cursor::{Cursor, CursorOptions},
        projection::{Aggregate, Fold, Folded, Projection, Projections},
        subscription::{Ender, Subscription},
        workers::{Delivery, Group, GroupOptions, ParkedStream},
    };
}

/// What a store stands on: directories on disk, in memory and on a simulated disk, clocks and random numbers.
pub mod disk {
    pub use annals_segment::{
        Directory, DiskDirectory, Entropy, MemoryDirectory, SeededEntropy, SimulatedDirectory,
    };

    pub use crate::{
        backup::restore_on,
        clock::{Clock, SystemClock},
        inspect::inspect_on,
        verify::verify_on,
    };
}

/// What a store says of itself: what opening, verifying and backing up found and did, and how far everything is.
pub mod report {
    pub use annals_checkpoint::{OpenReport, Progress};

    pub use crate::{
        backup::{BackupProgress, BackupReport},
        cursor::CursorInfo,
        inspect::{InspectedSegment, Inspection},
        metrics::Tally,
        projection::ProjectionInfo,
        stats::Stats,
        streams::StreamInfo,
        ticket::Frontiers,
        verify::{Damage, VerifyProgress, VerifyReport},
        workers::{GroupInfo, ParkedEvent, TriedEvent},
    };
}
