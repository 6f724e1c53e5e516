//! A workload that ran to its end in a machine, with everything that reached its disk.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use super::{
    Campaign,
    file_system::FileSystem,
    init,
    log::{self, Entry},
    machine::Machine,
    subject::Workload,
    trouble::Trouble,
};

/// How large a disk is: no XFS is smaller than 300 MiB.
pub(super) const DISK_LEN: u64 = 320 << 20;

/// How large the disk with the log is. It is sparse.
const LOG_LEN: u64 = 4 << 30;

/// What a workload said, and what it wrote.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) transcript: PathBuf,
    pub(super) entries: Vec<Entry>,
}

impl Record {
    /// Runs `workload` on a new file system, in an empty `directory`.
    pub(super) fn make(
        campaign: &Campaign,
        file_system: FileSystem,
        workload: &Workload,
        directory: &Path,
    ) -> Result<Self, Trouble> {
        fs::create_dir_all(directory).map_err(Trouble::file("make", directory))?;
        let (disk, log) = (directory.join("disk"), directory.join("log"));
        empty(&disk, DISK_LEN)?;
        empty(&log, LOG_LEN)?;
        let init = init::script(file_system, &campaign.subject, workload, Some(&campaign.drivers));
        Machine::start(directory, &init, &[&disk, &log])?.wait()?;
        let entries = log::read(BufReader::new(File::open(&log).map_err(Trouble::file("read", &log))?))?;
        for path in [disk, log] {
            fs::remove_file(&path).map_err(Trouble::file("remove", &path))?;
        }
        Ok(Self { transcript: directory.join("transcript"), entries })
    }
}

/// A file of zeros that takes no room.
pub(super) fn empty(path: &Path, len: u64) -> Result<File, Trouble> {
    let file = File::create(path).map_err(Trouble::file("make", path))?;
    file.set_len(len).map_err(Trouble::file("make", path))?;
    Ok(file)
}
