//! The ledger: what a group knows of its events for good, as its small log tells it record by record.
//!
//! Invariant: a function of the records alone, so that it is the same whether they are read again or were written
//! just now. Every event up to the position is done, parked, waits behind a parked one, or is none of the group's.

use std::collections::{BTreeMap, BTreeSet};

use annals_wire::{Digest, EventId, GroupRecord, Sequence, StoreId};
use serde::{Deserialize, Serialize};

/// What is kept of a group. Also the state that is published beside its log: docs/format.md, "Group record".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// Whose events they are; `None` before the first record.
    pub(crate) store: Option<StoreId>,
    /// How many moves of the group the store's log has.
    pub(crate) number: u64,
    pub(crate) position: Sequence,
    pub(crate) hash: Digest,
    /// The newest event that was handed out.
    pub(crate) reach: Sequence,
    pub(crate) reach_hash: Digest,
    /// Beyond the position.
    pub(crate) done: BTreeSet<Sequence>,
    pub(crate) tried: BTreeMap<Sequence, Tried>,
    pub(crate) parked: BTreeMap<Sequence, Parked>,
}

/// An event that was handed out and is not done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tried {
    pub(crate) attempts: u32,
    /// In Unix milliseconds.
    pub(crate) not_before: u64,
    /// Why the last attempt failed; empty where it did not yet.
    pub(crate) reason: Box<str>,
}

/// An event that is not handed out until somebody asks for it, or for the one of its stream that it waits behind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parked {
    pub(crate) attempts: u32,
    /// When, in Unix milliseconds.
    pub(crate) at: u64,
    pub(crate) reason: Box<str>,
    /// Whether nothing is wrong with it but that it waits behind another.
    pub(crate) is_aside: bool,
    /// Whether somebody asked for it.
    pub(crate) is_replayed: bool,
    /// The first event that is there once it is done.
    pub(crate) meant: Option<EventId>,
}

impl Ledger {
    /// Takes in one record.
    ///
    /// # Errors
    /// What no group writes.
    pub(crate) fn apply(&mut self, record: &GroupRecord) -> Result<(), &'static str> {
        match record {
            GroupRecord::Bound { store } if self.store.is_none_or(|bound| bound == *store) => {
                self.store = Some(*store);
            }
            GroupRecord::Bound { .. } => return Err("the group is bound to two stores"),
            GroupRecord::Begun { sequence, attempt, hash } => {
                self.tried.entry(*sequence).or_default().attempts = *attempt;
                if *sequence >= self.reach {
                    (self.reach, self.reach_hash) = (*sequence, *hash);
                }
            }
            GroupRecord::Done { sequence } => self.note_done(*sequence),
            GroupRecord::Failed { sequence, not_before, reason } => {
                let tried = self.tried.entry(*sequence).or_default();
                (tried.not_before, tried.reason) = (*not_before, reason.clone());
            }
            GroupRecord::Parked { sequence, attempt, at, reason } => {
                self.tried.remove(sequence);
                let parked =
                    Parked { attempts: *attempt, at: *at, reason: reason.clone(), ..Parked::default() };
                self.parked.insert(*sequence, parked);
            }
            GroupRecord::Aside { sequence } => {
                self.parked.insert(*sequence, Parked { is_aside: true, ..Parked::default() });
            }
            GroupRecord::Replayed { sequence } => {
                self.tried.remove(sequence);
                let parked = self.parked.get_mut(sequence).ok_or("what is replayed was not parked")?;
                parked.is_replayed = true;
            }
            GroupRecord::Meant { sequence, id } => {
                let parked =
                    self.parked.get_mut(sequence).ok_or("what was meant to be done was not parked")?;
                parked.meant = Some(*id);
            }
            GroupRecord::Position { number, sequence, hash } => {
                if *sequence < self.position || *number < self.number {
                    return Err("the position or the number of moves goes back");
                }
                self.number = *number;
                self.advance(*sequence, *hash);
            }
            GroupRecord::Reset { number, sequence, hash } => {
                // Whose events they are is said again: it may be another store's from here on.
                let (number, position, hash) = (*number, *sequence, *hash);
                *self = Self { number, position, hash, ..Self::default() };
            }
        }
        Ok(())
    }

    /// The newest event that it speaks of.
    pub(crate) fn newest(&self) -> Sequence {
        let done = self.done.last().copied().unwrap_or_default();
        let parked = self.parked.last_key_value().map_or(Sequence(0), |(sequence, _)| *sequence);
        self.position.max(self.reach).max(done).max(parked)
    }

    fn note_done(&mut self, sequence: Sequence) {
        self.tried.remove(&sequence);
        self.parked.remove(&sequence);
        if sequence > self.position {
            self.done.insert(sequence);
        }
    }

    fn advance(&mut self, position: Sequence, hash: Digest) {
        (self.position, self.hash) = (position, hash);
        self.done.retain(|sequence| *sequence > position);
        let parked = &self.parked;
        self.tried.retain(|sequence, _| *sequence > position || parked.contains_key(sequence));
    }
}
