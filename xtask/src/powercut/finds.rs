//! What was not as it must be, and what is kept of it: the image as the power cut left it, and what was said.
//!
//! Invariant: what is kept lies outside of the campaign's own directory, which goes with the campaign.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{
    file_system::FileSystem,
    subject::{Kept, Subject},
    trouble::Trouble,
};
use crate::command::shown;

/// How many images are kept.
const KEPT_MAX: usize = 8;

/// One image that was not as it must be.
#[derive(Debug)]
pub(super) struct Find {
    pub(super) file_system: FileSystem,
    /// The workload and what became of it.
    pub(super) name: String,
    pub(super) kept: Kept,
    /// The last promise that counts; all where there is none.
    pub(super) until: Option<u64>,
}

/// All that were found.
#[derive(Debug)]
pub(super) struct Finds {
    directory: PathBuf,
    told: Mutex<Vec<String>>,
}

impl Finds {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, told: Mutex::new(Vec::new()) }
    }

    /// Adds one. `write` makes its image again, in a file that is not there yet.
    pub(super) fn add(
        &self,
        find: &Find,
        subject: &Subject,
        transcript: &Path,
        write: impl FnOnce(&Path) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words = find.to_string();
        if told.len() < KEPT_MAX {
            let directory = self.directory.join(told.len().to_string());
            fs::create_dir_all(&directory).map_err(Trouble::file("make", &directory))?;
            let [image, said] = ["image", "transcript"].map(|name| directory.join(name));
            write(&image)?;
            fs::copy(transcript, &said).map_err(Trouble::file("write", &said))?;
            let check = subject.check_command(Path::new("/mnt/store"), &said, find.until);
            let (options, check) = (find.file_system.mount_options(), shown(&check));
            words = format!("{words}\nto see it again: mount -o {options} {} /mnt; {check}", image.display());
        }
        eprintln!("powercut: {words}");
        told.push(words);
        Ok(())
    }

    /// All, in words.
    pub(super) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Display for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file_system, name, kept, .. } = self;
        write!(f, "{}, {name}: ", file_system.name())?;
        kept.flaw().map_or(Ok(()), |(what, words)| write!(f, "{what}: {words}"))
    }
}
