//! What each fuzz target does with an input, and what must hold.
//!
//! One function a target, with its name, so that the workspace's tests run the inputs that are kept in
//! fuzz/corpus through the same functions (crates/store/tests/it/corpora.rs includes this file): what fuzzing
//! found once is looked for with every test.
//!
//! Invariant: a function says the same of the same input, and nothing of it is left behind.

#![forbid(unsafe_code)]

mod decoders;
mod files;
mod sealed_index;
mod segment_scan;

mod word;

mod open_dir;
mod ops;

#[path = "../../crates/wire/tests/it/encoded_again.rs"]
mod encoded_again;
#[path = "../../crates/wire/tests/it/reading.rs"]
mod reading;
#[path = "../../crates/wire/tests/it/resealed.rs"]
mod resealed;

pub use self::{
    decoders::{checkpoint, control_record, event_header, footer, frame_decode, manifest},
    files::small_files,
    open_dir::open_dir,
    ops::ops,
    sealed_index::sealed_index,
    segment_scan::segment_scan,
};
