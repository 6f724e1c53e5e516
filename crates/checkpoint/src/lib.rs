//! Annals' checkpoints and cold start: what it takes to open a store without reading its history again.
//!
//! **Owns** the checkpoint's file, the [`Inventory`](Sources) of what can be opened from, the [`Plan`] (pure:
//! what is there goes in, what to use comes out), its execution, and the [`OpenReport`] that says what was
//! used, rejected and mended.
//!
//! **Does not** append, hand out events or know of subscribers. What it loads is derived from the log: with
//! every source switched off it comes to the same from the frames alone, only later.
//!
//! **Next:** [`Sources::look`], [`Plan::decide`], [`Loaded::load`], in that order; docs/architecture.md draws
//! the flow of an open.

#![forbid(unsafe_code)]

mod error;
mod report;

mod file;
mod fold;

mod load;
mod plan;
mod sources;

pub use error::Error;
pub use file::{find_checkpoint, write_checkpoint};
pub use fold::{FRAME_TYPES, Fold, index_frame, index_segment};
pub use load::{Loaded, Part, PartIndex};
pub use plan::{Plan, SegmentSource, TailSource};
pub use report::{EventCounts, OpenReport, Phase, Rejected};
pub use sources::{FoundCheckpoint, SourceOptions, Sources};
