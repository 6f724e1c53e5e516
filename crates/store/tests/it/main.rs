//! The store's tests.
//!
//! Each module is one promise: what an append demands and gives, how reads agree, what opening finds,
//! which damage is told, what fuzzing found. What a crash leaves is the campaign's business: crates/campaign.

#![cfg(test)]

mod allocations;
mod appending;
mod backup;
mod backup_moments;
mod causality;
mod checkpoint_moments;
mod conditions;
mod consumers;
mod copied_live;
mod corpora;
mod cursor_crashes;
mod cursors;
mod damage;
mod edges;
mod expected_revisions;
mod faults;
mod following;
mod forged;
mod forged_checkpoint;
mod forged_tables;
mod groups;
mod hiding;
mod history;
mod kept_stores;
mod lanes;
mod lazily;
mod leftovers;
mod letting_go;
mod losses;
mod metadata;
mod metrics;
mod misplaced;
mod opening;
mod panics;
mod projections;
mod races;
mod reading;
mod reading_as_of;
mod recoveries;
mod retention;
mod runs;
mod small_store;
mod space;
mod stages;
mod subscriptions;
mod tickets;
mod twins;
mod typed;
mod unlucky;
mod unreadable;
mod verify_parts;
mod workers;
mod workers_crashed;
mod workers_faults;
