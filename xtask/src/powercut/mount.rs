//! An image, mounted.
//!
//! Invariant: whatever happens, it is unmounted; with it goes its loop device.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    file_system::FileSystem,
    trouble::{Trouble, finished},
};
use crate::command;

/// A directory on which an image is mounted.
#[derive(Debug)]
pub(super) struct Mounted {
    directory: PathBuf,
    is_mounted: bool,
}

impl Mounted {
    /// Mounts `image` on `directory`, which is made where it is not there. The file system recovers by that.
    pub(super) fn new(file_system: FileSystem, image: &Path, directory: &Path) -> Result<Self, Trouble> {
        fs::create_dir_all(directory).map_err(Trouble::file("make", directory))?;
        let mut command = Command::new("mount");
        command.args(["-t", file_system.name(), "-o", file_system.mount_options()]);
        finished(command.arg(image).arg(directory))?;
        Ok(Self { directory: directory.to_owned(), is_mounted: true })
    }

    /// Where files are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn unmount(mut self) -> Result<(), Trouble> {
        finished(Command::new("umount").arg(&self.directory))?;
        self.is_mounted = false;
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.is_mounted {
            // Something else failed already, and says so. The campaign's namespace ends what this can't.
            command::succeeds(Command::new("umount").arg("--lazy").arg(&self.directory));
        }
    }
}
