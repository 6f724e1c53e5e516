//! What the system says when it refuses an operation, and what a disk that goes on saying it still does.
//!
//! Invariant: what a real system would still do in that condition goes on.

use std::io;

use super::operation::Operation;
use crate::directory::Access;

/// What the system says when it refuses. As an [`io::Error`] it has the system's own number where that is
/// a Unix, and only a kind elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Errno {
    /// EIO: the medium failed. For ever: nothing is changed or synced any more.
    Io,
    /// ENOSPC: the disk is full. For ever: what creates a file or lengthens one is refused, and all else
    /// goes on: overwriting, cutting, removing, renaming, syncing.
    NoSpace,
    /// EINTR: a signal came first, and asking again may succeed. Never for ever. Of a sync it is a failure like
    /// any other, which loses what was pending: nothing says how far it had come.
    Interrupted,
    /// EROFS: the file system takes no changes. For ever: nor is a file opened for writing or locked.
    ReadOnly,
    /// EMFILE: no descriptor is left. For ever: what opens anything is refused, a listing and the sync of
    /// the directory too; files that are open go on.
    TooManyFiles,
}

impl Errno {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Io, Self::NoSpace, Self::Interrupted, Self::ReadOnly, Self::TooManyFiles];

    /// Whether a disk in this condition refuses `operation`.
    pub(super) fn stands_against(self, operation: Operation, is_growing: bool) -> bool {
        match self {
            Self::Io | Self::Interrupted => operation.changes(),
            Self::NoSpace => is_growing,
            Self::ReadOnly => {
                operation.changes()
                    || matches!(operation, Operation::Open(Access::Write) | Operation::Lock { .. })
            }
            Self::TooManyFiles => operation.opens(),
        }
    }
}

#[cfg(unix)]
impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(match errno {
            Errno::Io => libc::EIO,
            Errno::NoSpace => libc::ENOSPC,
            Errno::Interrupted => libc::EINTR,
            Errno::ReadOnly => libc::EROFS,
            Errno::TooManyFiles => libc::EMFILE,
        })
    }
}

#[cfg(not(unix))]
impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::Io => Self::other("simulated input or output error"),
            Errno::NoSpace => io::ErrorKind::StorageFull.into(),
            Errno::Interrupted => io::ErrorKind::Interrupted.into(),
            Errno::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
            Errno::TooManyFiles => Self::other("simulated lack of descriptors"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, sync::Arc};

    use super::*;
    use crate::directory::{CrashProfile, Directory, Fault, File, SimulatedDirectory, Span};

    /// A disk with the durable file `a`, open, that is in the condition of `errno`.
    fn with(errno: Errno) -> (SimulatedDirectory, Arc<dyn File>) {
        let disk = SimulatedDirectory::new();
        disk.write_file("a", "0123456789");
        let file = disk.open("a", Access::Write).unwrap();
        disk.inject(0, Fault::Fail(errno), Span::Forever);
        (disk, file)
    }

    fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    /// Asserts that every kind of change is refused so.
    fn assert_refuses_changes(disk: &SimulatedDirectory, file: &dyn File, errno: Errno) {
        let refusal = Some(io::Error::from(errno).kind());
        assert_eq!(kind(disk.create("new")), refusal);
        assert_eq!(kind(file.write_at(b"x", 3)), refusal);
        assert_eq!(kind(file.set_len(4)), refusal);
        assert_eq!(kind(file.sync_data()), refusal);
        assert_eq!(kind(disk.rename("a", "b")), refusal);
        assert_eq!(kind(disk.sync()), refusal);
        assert_eq!(kind(disk.remove("a")), refusal);
    }

    #[cfg(unix)]
    #[test]
    fn an_errno_is_the_number_that_the_system_has_for_it() {
        let numbers = Errno::ALL.map(|errno| io::Error::from(errno).raw_os_error().unwrap());
        assert_eq!(numbers, [libc::EIO, libc::ENOSPC, libc::EINTR, libc::EROFS, libc::EMFILE]);
        assert_eq!(io::Error::from(Errno::Interrupted).kind(), ErrorKind::Interrupted);
        assert_eq!(io::Error::from(Errno::NoSpace).kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn a_full_disk_refuses_just_what_takes_space() {
        let (disk, file) = with(Errno::NoSpace);
        let full = Some(ErrorKind::StorageFull);
        assert_eq!(kind(disk.create("new")), full);
        assert_eq!(kind(disk.lock("new")), full);
        assert_eq!(kind(file.write_at(b"x", 10)), full);
        assert_eq!(kind(file.write_at(b"xy", 9)), full);
        assert_eq!(kind(file.set_len(11)), full);
        assert_eq!(disk.file("a").unwrap(), b"0123456789");

        assert!(disk.lock("a").unwrap().is_some());
        file.write_all_at(b"xy", 8).unwrap();
        assert_eq!(file.write_at(b"", 20).unwrap(), 0);
        file.set_len(9).unwrap();
        file.sync_data().unwrap();
        disk.rename("a", "b").unwrap();
        disk.sync().unwrap();
        assert_eq!(file.read_all(20).unwrap(), b"01234567x");
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 0).file("b").unwrap(), b"01234567x");
        disk.remove("b").unwrap();
        assert_eq!(kind(disk.create("new")), full);
    }

    #[test]
    fn a_read_only_disk_refuses_every_change_and_is_read() {
        let (disk, file) = with(Errno::ReadOnly);
        let read_only = Some(ErrorKind::ReadOnlyFilesystem);
        assert_refuses_changes(&disk, &*file, Errno::ReadOnly);
        assert_eq!(kind(disk.open("a", Access::Write)), read_only);
        assert_eq!(kind(disk.lock("a")), read_only);
        assert!(!disk.is_locked("a").unwrap());
        assert_eq!(disk.list().unwrap().len(), 1);
        assert_eq!(disk.open("a", Access::Read).unwrap().read_all(20).unwrap(), b"0123456789");
        assert_eq!(&*file.map(0..4).unwrap(), b"0123");
    }

    #[test]
    fn a_medium_that_failed_refuses_every_change_from_then_on() {
        let disk = SimulatedDirectory::new();
        let file = disk.create("a").unwrap();
        disk.inject(2, Fault::Fail(Errno::Io), Span::Forever);
        file.write_all_at(b"x", 0).unwrap();
        assert_refuses_changes(&disk, &*file, Errno::Io);
        assert_eq!(disk.open("a", Access::Write).unwrap().read_all(20).unwrap(), b"x");
    }

    #[test]
    fn without_descriptors_nothing_is_opened_and_open_files_go_on() {
        let (disk, file) = with(Errno::TooManyFiles);
        file.write_all_at(b"x", 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.read_all(20).unwrap(), b"x123456789");
        disk.open("a", Access::Read).unwrap_err();
        disk.create("new").unwrap_err();
        disk.list().unwrap_err();
        disk.sync().unwrap_err();
        disk.lock("a").unwrap_err();
        disk.is_locked("a").unwrap_err();
        disk.rename("a", "b").unwrap();
        disk.remove("b").unwrap();
    }
}
