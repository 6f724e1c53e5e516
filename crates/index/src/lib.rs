//! Annals' index: which events there are in one stretch of the log, and where; in memory and in place.
//!
//! **Owns** the index of a stretch (a segment, a segment's prefix, or its rest) in two forms behind one
//! interface, [`Index`]: [`ActiveIndex`] grows with every append, [`SealedIndex`] uses a footer where it
//! lies. The [`Query`], which is evaluated once over either, lazily, driven by its rarest term. And the
//! [`RunIndex`], which says in which of many stretches it is worth to look.
//!
//! **Does not** find, open or write a file, start a thread, read a clock, or merge stretches: a store holds
//! one index for each and asks them in order. A number that the interner gave out never leaves the process.
//!
//! **Next:** [`Index`] is what can be asked; docs/format.md, "Footer", has the tables behind
//! [`SealedIndex`].

#![forbid(unsafe_code)]

mod index;
mod rows;

mod active;
mod catalogue;
mod ids;
mod interner;
mod lists;
mod sealed;
mod slot;

mod hidden;
mod query;

mod run;

mod error;

pub use active::{ActiveIndex, Entry, Pending};
pub use error::Error;
pub use hidden::Hidden;
pub use index::{IdRows, Index, StreamName, StreamView, Term};
pub use query::{Direction, Known, Query, QueryItem};
pub use rows::Rows;
pub use run::{RunIndex, RunInput, RunMerge, RunSource};
pub use sealed::SealedIndex;
