//! What the crate promises of its bytes: they are those of docs/format.md, what is encoded is decoded, and
//! whatever else is decoded is an error, without a panic and without memory for what is not there.

#![cfg(test)]

mod bit_flips;
mod canonical;
#[cfg(not(miri))]
mod corpora;
mod document;
mod encoded_again;
mod event_hash;
mod examples;
mod golden;
mod hostile;
#[cfg(not(miri))]
mod leaves;
mod new_control;
mod new_event;
mod new_run;
mod new_tables;
mod reading;
mod resealed;
mod round_trip;
mod strategies;
mod structure;
