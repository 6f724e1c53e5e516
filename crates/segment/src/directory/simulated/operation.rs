//! What can be asked of a simulated disk, and of what kind it is.
//!
//! Invariant: an operation either changes something, or only reads, or is neither; the first two are counted
//! apart.

use super::image::Inode;
use crate::directory::Access;

/// What is asked of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Open(Access),
    OpenChild,
    Create,
    Rename,
    Remove,
    List,
    Sync,
    Lock { creates: bool },
    IsLocked,
    FreeSpace,
    Len,
    Read,
    Write { inode: Inode, offset: u64, len: usize },
    SetLen { inode: Inode, len: u64 },
    SyncData(Inode),
    Map,
}

impl Operation {
    /// Whether it changes the disk, or what of it is durable, and so is one to stop before.
    pub(super) fn changes(self) -> bool {
        match self {
            Self::Create | Self::Rename | Self::Remove | Self::Sync => true,
            Self::Write { .. } | Self::SetLen { .. } | Self::SyncData(_) => true,
            Self::Open(_) | Self::List | Self::Lock { .. } | Self::IsLocked => false,
            Self::OpenChild | Self::FreeSpace | Self::Len | Self::Read | Self::Map => false,
        }
    }

    /// Whether it is one of those that only read and are counted.
    pub(super) fn reads(self) -> bool {
        matches!(self, Self::Open(_) | Self::List | Self::Read | Self::Map)
    }

    /// Whether the system takes a descriptor for it.
    pub(super) fn opens(self) -> bool {
        match self {
            Self::Open(_) | Self::Create | Self::List | Self::Sync | Self::Lock { .. } | Self::IsLocked => {
                true
            }
            Self::Rename
            | Self::Remove
            | Self::OpenChild
            | Self::FreeSpace
            | Self::Len
            | Self::Read
            | Self::Map => false,
            Self::Write { .. } | Self::SetLen { .. } | Self::SyncData(_) => false,
        }
    }
}
