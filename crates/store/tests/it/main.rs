//! The store's tests.
//!
//! Each module is one promise: what an append demands and gives, how reads agree, what opening finds, what a
//! crash leaves, which damage is told.

#![cfg(test)]

mod allocations;
mod appending;
mod damage;
mod edges;
mod faults;
mod groups;
mod history;
mod leftovers;
mod misplaced;
mod opening;
mod power_loss;
mod reading;
mod small_store;
mod space;
mod twins;
mod unlucky;
mod unreadable;
