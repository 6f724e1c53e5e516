//! The few calls that differ between operating systems.
//!
//! Invariant: a function means the same on every system; where one can only promise less, its comment says
//! so. Windows has no durable order of names to ask for, and holds a file's name while the file is open.

#[cfg(unix)]
pub(crate) use unix::{do_not_follow, hold_name, is_named, kind, read_at, sync_directory, write_at};
#[cfg(windows)]
pub(crate) use windows::{do_not_follow, hold_name, is_named, kind, read_at, sync_directory, write_at};

#[cfg(unix)]
mod unix {
    use std::{
        fs::{self, File, FileType, OpenOptions},
        io,
        os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt},
        path::Path,
    };

    /// Makes an open refuse a link, return at once from a pipe, and take no terminal as its own.
    pub(crate) fn do_not_follow(options: &mut OpenOptions) -> &mut OpenOptions {
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
    }

    /// Keeps others from removing the name of the file while it is open, where the system can: here not.
    pub(crate) fn hold_name(options: &mut OpenOptions) -> &mut OpenOptions {
        options
    }

    /// Whether `path` still names `file`.
    pub(crate) fn is_named(file: &File, path: &Path) -> io::Result<bool> {
        let opened = file.metadata()?;
        match fs::symlink_metadata(path) {
            Ok(named) => Ok((opened.dev(), opened.ino()) == (named.dev(), named.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What a file that is not regular is, for a message.
    pub(crate) fn kind(file_type: FileType) -> &'static str {
        match file_type {
            other if other.is_dir() => "a directory",
            other if other.is_symlink() => "a symbolic link",
            other if other.is_fifo() => "a pipe",
            other if other.is_socket() => "a socket",
            other if other.is_block_device() || other.is_char_device() => "a device",
            _ => "of an unknown kind",
        }
    }

    pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    /// Makes the names in the directory `path` durable.
    pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

#[cfg(windows)]
mod windows {
    use std::{
        fs::{File, FileType, OpenOptions},
        io,
        os::windows::fs::{FileExt, OpenOptionsExt},
        path::Path,
    };

    const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    const FILE_SHARE_READ: u32 = 1;
    const FILE_SHARE_WRITE: u32 = 2;

    /// Makes an open take a link itself and not what it leads to.
    pub(crate) fn do_not_follow(options: &mut OpenOptions) -> &mut OpenOptions {
        options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
    }

    /// Keeps others from removing or replacing the name of the file while it is open.
    pub(crate) fn hold_name(options: &mut OpenOptions) -> &mut OpenOptions {
        options.share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
    }

    /// Whether `path` still names `file`: always, for a file opened with [`hold_name`].
    #[expect(clippy::unnecessary_wraps, reason = "other systems have to look, and may fail")]
    pub(crate) fn is_named(_: &File, _: &Path) -> io::Result<bool> {
        Ok(true)
    }

    /// What a file that is not regular is, for a message.
    pub(crate) fn kind(file_type: FileType) -> &'static str {
        match file_type {
            other if other.is_dir() => "a directory",
            other if other.is_symlink() => "a symbolic link",
            _ => "of an unknown kind",
        }
    }

    pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match file.seek_read(buffer, offset) {
            // ERROR_HANDLE_EOF: what other systems answer with 0 bytes.
            Err(error) if error.raw_os_error() == Some(38) => Ok(0),
            other => other,
        }
    }

    pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.seek_write(bytes, offset)
    }

    /// Nothing: NTFS journals names in order by itself, and directories can't be flushed.
    #[expect(clippy::unnecessary_wraps, reason = "other systems have to ask, and may fail")]
    pub(crate) fn sync_directory(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
