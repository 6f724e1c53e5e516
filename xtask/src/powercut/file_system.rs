//! The file systems: how each is made and mounted, and what a machine needs for it.

/// A file system that a store may lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum FileSystem {
    Ext4,
    Xfs,
    Btrfs,
}

impl FileSystem {
    pub(super) const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    /// What `mount` and the kernel call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// The command that makes it, without the device. Nothing is given back to the device, and nothing left to be
    /// written later.
    pub(super) fn make(self) -> &'static str {
        match self {
            Self::Ext4 => "mkfs.ext4 -q -E nodiscard,lazy_itable_init=0,lazy_journal_init=0",
            Self::Xfs => "mkfs.xfs -q -K",
            Self::Btrfs => "mkfs.btrfs -q -K",
        }
    }

    /// The options with which an image is mounted: images of one file system have the same id.
    pub(super) fn mount_options(self) -> &'static str {
        match self {
            Self::Xfs => "loop,nouuid",
            Self::Ext4 | Self::Btrfs => "loop",
        }
    }

    /// The package that has its maker.
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Ext4 => "e2fsprogs",
            Self::Xfs => "xfsprogs",
            Self::Btrfs => "btrfs-progs",
        }
    }

    /// How many of its images may be mounted at once. The kernel knows a btrfs by its id, and takes two images of
    /// one for one.
    pub(super) fn workers(self, cores: usize) -> usize {
        match self {
            Self::Btrfs => 1,
            Self::Ext4 | Self::Xfs => cores,
        }
    }
}
