//! A real program over a real directory: it runs a workload and says outside of itself what it sent and what it
//! was promised, so that others may end it, fail its system calls or cut its power, and check what it left.
//!
//! `line` is what it says, `state` what follows from that, `write` runs a `workload`, `check` says whether a
//! directory keeps what a transcript promises, `follow` reads beside a writer.
//!
//! Invariant: all that is known of a run stands in its transcript. A line about something to come is out before
//! it begins; a line about a promise is out after the store made it.

mod line;
mod state;
mod workload;

mod check;
mod follow;
mod load;
mod write;

pub use check::{Check, Expect, Verdict, check};
pub use follow::follow;
pub use line::{Level, Line};
pub use state::{State, read_transcript};
pub use workload::Workload;
pub use write::{End, Subject, Voice};
