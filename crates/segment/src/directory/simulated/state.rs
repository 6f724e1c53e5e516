//! The state of a simulated disk, and the one place that every operation passes.
//!
//! Invariant: what can be read is what is durable with all pending units applied, in the order of issue.
//! Only a sync moves units from pending to durable, and only its own file's or, for the directory's, names.

use std::{collections::BTreeSet, io, mem, sync::Arc};

use super::{
    content::{Content, PAGE_LEN, pieces},
    image::{Image, Inode, Unit},
};

/// What is asked of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Open,
    Create,
    Rename,
    Remove,
    List,
    Sync,
    Lock,
    IsLocked,
    Len,
    Read,
    Write,
    SetLen,
    SyncData,
    Map,
}

impl Operation {
    /// Whether it changes the disk, or what of it is durable, and so is one to stop before.
    fn changes(self) -> bool {
        match self {
            Self::Create | Self::Rename | Self::Remove | Self::Sync => true,
            Self::Write | Self::SetLen | Self::SyncData => true,
            Self::Open | Self::List | Self::Lock | Self::IsLocked => false,
            Self::Len | Self::Read | Self::Map => false,
        }
    }
}

#[derive(Default)]
pub(super) struct State {
    /// What no power loss takes.
    pub(super) durable: Image,
    /// What is read: the page cache.
    pub(super) cached: Image,
    /// What leads from durable to cached, in the order of issue.
    pub(super) pending: Vec<Unit>,
    pub(super) locked: BTreeSet<Inode>,
    pub(super) operation_count: u64,
    pub(super) stop_before: Option<u64>,
    pub(super) is_stopped: bool,
    inode_next: u64,
}

impl State {
    /// Every operation passes here first, and goes no further where this is an error.
    pub(super) fn begin(&mut self, operation: Operation) -> io::Result<()> {
        let changes = operation.changes();
        self.is_stopped |= changes && self.stop_before.is_some_and(|stop| self.operation_count >= stop);
        if self.is_stopped {
            return Err(io::Error::other("simulated power loss"));
        }
        self.operation_count += u64::from(changes);
        Ok(())
    }

    /// The disk after a power loss that just `units` of the pending ones outlived.
    pub(super) fn after_power_loss(&self, units: &[Unit]) -> Self {
        let durable = self.durable.after(units);
        Self { cached: durable.clone(), durable, inode_next: self.inode_next, ..Self::default() }
    }

    /// The disk after the process died and the system did not.
    pub(super) fn after_kill(&self) -> Self {
        Self {
            durable: self.durable.clone(),
            cached: self.cached.clone(),
            pending: self.pending.clone(),
            inode_next: self.inode_next,
            ..Self::default()
        }
    }

    pub(super) fn create(&mut self, name: &str) -> Inode {
        let inode = Inode(self.inode_next);
        self.inode_next += 1;
        self.issue(Unit::Link { name: name.into(), inode });
        inode
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inode = self.cached.find(from)?;
        // Two names of one file stay as they are: POSIX says so.
        if self.cached.find(to).ok() != Some(inode) {
            self.issue(Unit::Rename { from: from.into(), to: to.into(), inode });
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.cached.find(name)?;
        self.issue(Unit::Unlink { name: name.into() });
        Ok(())
    }

    /// Writes the pages first and the length last: a length ahead of its data is for the profiles to make.
    pub(super) fn write(&mut self, inode: Inode, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        for (offset, piece) in pieces(offset, bytes, PAGE_LEN) {
            if !self.holds(inode, offset, piece) {
                self.issue(Unit::Write { inode, offset, bytes: piece.into() });
            }
        }
        if !bytes.is_empty() && end > self.cached.content(inode).len() {
            self.issue(Unit::Grow { inode, len: end });
        }
        Ok(bytes.len())
    }

    /// Whether the disk holds these very bytes there already, and nothing else is under way to them: writing
    /// them again then endangers nothing, as every mix of what is there and what is written is the same.
    fn holds(&self, inode: Inode, offset: u64, bytes: &[u8]) -> bool {
        let end = offset + bytes.len() as u64;
        let touches = |unit: &Unit| match unit {
            Unit::Write { inode: written, offset: start, bytes } => {
                *written == inode && *start < end && offset < start + bytes.len() as u64
            }
            Unit::SetLen { inode: cut, len } => *cut == inode && *len < end,
            _ => false,
        };
        !self.pending.iter().any(touches) && self.durable.holds(inode, offset, bytes)
    }

    pub(super) fn set_len(&mut self, inode: Inode, len: u64) {
        if len != self.cached.content(inode).len() {
            self.issue(Unit::SetLen { inode, len });
        }
    }

    /// Makes the bytes and the length of `inode` durable.
    pub(super) fn sync_data(&mut self, inode: Inode) {
        self.settle(|unit| unit.content_of() == Some(inode));
    }

    /// Makes all names durable.
    pub(super) fn sync_names(&mut self) {
        self.settle(|unit| unit.content_of().is_none());
    }

    /// Puts a file there as if it had always been: see `SimulatedDirectory::write_file`.
    pub(super) fn place(&mut self, name: &str, bytes: &[u8]) {
        let inode = self.cached.find(name).unwrap_or_else(|_| self.create(name));
        self.sync_names();
        self.pending.retain(|unit| unit.content_of() != Some(inode));
        let content = Arc::new(Content::new(bytes));
        self.durable.replace(inode, Arc::clone(&content));
        self.cached.replace(inode, content);
    }

    fn issue(&mut self, unit: Unit) {
        self.cached.apply(&unit);
        self.pending.push(unit);
    }

    /// Moves the pending units that `is_synced` picks to what is durable.
    fn settle(&mut self, is_synced: impl Fn(&Unit) -> bool) {
        for unit in mem::take(&mut self.pending) {
            if is_synced(&unit) {
                self.durable.apply(&unit);
            } else {
                self.pending.push(unit);
            }
        }
    }
}
