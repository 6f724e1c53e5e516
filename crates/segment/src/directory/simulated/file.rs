//! An open file of a simulated disk, and a lock held on one.
//!
//! Invariant: neither holds bytes; both know their file by its inode, whatever becomes of its names.

use std::{fmt, io, ops::Range, sync::Arc};

use super::{Disk, image::Inode, operation::Operation, state::State};
use crate::{
    directory::{Access, File},
    map::Region,
};

pub(super) struct SimulatedFile {
    pub(super) disk: Arc<Disk>,
    pub(super) inode: Inode,
    pub(super) access: Access,
}

impl SimulatedFile {
    /// The state, for an operation that needs the file to be open for writing.
    fn begin_change(&self, operation: Operation) -> io::Result<impl std::ops::DerefMut<Target = State>> {
        let state = self.disk.begin(operation)?;
        match self.access {
            Access::Write => Ok(state),
            Access::Read => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl fmt::Debug for SimulatedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedFile({:?}, {:?})", self.inode, self.access)
    }
}

impl File for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.begin(Operation::Len)?.cached.content(self.inode).len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.begin(Operation::Read)?;
        let count = state.cached.content(self.inode).read(buffer, offset);
        state.misread(buffer.split_at_mut(count).0);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let operation = Operation::Write { inode: self.inode, offset, len: bytes.len() };
        self.begin_change(operation)?.write(self.inode, offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.begin_change(Operation::SetLen { inode: self.inode, len })?.set_len(self.inode, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.begin(Operation::SyncData(self.inode))?.sync_data(self.inode);
        Ok(())
    }

    fn map(&self, range: Range<u64>) -> io::Result<Region> {
        let state = self.disk.begin(Operation::Map)?;
        let mut bytes = state.cached.content(self.inode).part(range)?;
        state.misread(&mut bytes);
        Ok(Region::from(bytes))
    }
}

/// Lets the lock go when dropped, also on a disk that has lost its power.
pub(super) struct HeldLock {
    pub(super) disk: Arc<Disk>,
    pub(super) inode: Inode,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.inode);
    }
}
