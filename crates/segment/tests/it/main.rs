//! The log as somebody uses it who never heard of events: frames of type 16 in batches, written, lost, cut,
//! and read again by looking, deciding, walking and recovering.
//!
//! The oracle is the list of what was staged, where its batches end, and how much of it was synced.

#![cfg(test)]

mod failing;
mod failures;
mod frontier;
mod holder;
mod keeping;
mod locking;
mod manifest;
mod positions;
mod sealed;
mod stopped;
mod user;
mod vouched;
mod write_ahead;
