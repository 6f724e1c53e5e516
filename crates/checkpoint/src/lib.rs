//! Checkpoints: what it takes to open a log without reading its history again.
//!
//! For any program with a [`WriteAheadLog`](annals_segment::WriteAheadLog) and a state that serde can encode:
//! [`publish`] writes the state durably, records it in the log, and then drops the part of the log that it
//! covers; [`recover`] finds the newest state that connects to the log without a gap, and replays what follows.
//! `examples/counter.rs` is such a program, with a thousand crashes.
//!
//! For an Annals store: **owns** the checkpoint's file, what can be opened from ([`Sources`]), the [`Plan`]
//! (pure: what is there goes in, what to use comes out), its execution, and the [`OpenReport`] that says what
//! was used, rejected and mended. And the runs: which there should be ([`Runs`], pure), their files.
//!
//! **Does not** append, hand out events or know of subscribers. What a store loads is derived from its log: with
//! every source switched off it comes to the same from the frames alone, only later.
//!
//! **Next:** [`publish`] and [`recover`]; or [`Sources::look`], [`Plan::decide`], [`Load::run`], in that
//! order; docs/architecture.md draws the flow of an open.

#![forbid(unsafe_code)]

mod error;
mod observer;
mod report;

mod file;
mod fold;
mod indexing;
mod lazy;
mod mark;

mod merge;
mod run;

mod load;
mod newest;
mod plan;
mod rebuild;
mod sources;

mod publish;
mod recover;
mod state;

pub use error::Error;
pub use file::{FoundCheckpoint, find_checkpoint, write_checkpoint};
pub use fold::{ConsumerMoves, FRAME_TYPES, Fold, note_move};
pub use indexing::{encode_index, index_frame, index_segment, index_segment_while};
pub use lazy::{LazyIndex, OpenedIndex, Unopened};
pub use load::{Load, Loaded, Part, PartIndex};
pub use merge::{Merge, RunRange, Runs};
pub use observer::{Observer, Progress};
pub use plan::{ControlSource, Plan, SegmentSource, TailSource};
pub use publish::{Published, publish};
pub use rebuild::Built;
pub use recover::{Applied, Recovered, RecoveryReport, peek, recover};
pub use report::{EventCounts, OpenReport, Phase, Rejected};
pub use run::{LazyRun, RunWriter, open_run, remove_run};
pub use sources::{SourceOptions, Sources};
