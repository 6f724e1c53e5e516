//! What holds of every index and every query: both forms and the events themselves say the same, damage is an
//! error, and a page costs what it yields.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what helpers of tests do is as loud as a test"
)]

mod agreement;
mod answers;
mod bounds;
mod damage;
mod history;
mod pending;
mod runs;
