//! The writer's lock: one process writes a log, and its lock file says which.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use crate::{Access, Directory, Error, File, Lock, error::is_full, name};

const LOCK_LEN_MAX: u64 = 4096;
/// The bytes of a holder's name, whatever its number.
const NAME_LEN: usize = 40;
const RETRY: Duration = Duration::from_millis(5);
/// Readers take a shared lock for an instant to see whether a writer lives; waiting this long outlasts them.
const READERS: Duration = Duration::from_millis(50);
/// A process that ends lets go of its files one by one, and a killed one in no order that it chose: waiting this long
/// for the manifest outlasts it, also on a busy machine.
const ENDING: Duration = Duration::from_secs(1);

/// A log's lock, held.
#[derive(Debug)]
pub struct WriterLock {
    epoch: u64,
    /// Who took it: a forked child has it too.
    process: u32,
    /// Let go of before the other: whoever has that one gets this one.
    manifest: Option<Lock>,
    _lock: Lock,
}

impl WriterLock {
    /// Takes the lock, waiting up to `timeout`, and writes this process and `epoch` into it.
    ///
    /// # Errors
    /// [`Error::Locked`] naming the holder where the time passed; [`Error::Io`] where locking or writing fails.
    pub fn acquire(directory: &dyn Directory, timeout: Duration, epoch: u64) -> Result<Self, Error> {
        let path = directory.path().join(name::LOCK);
        let Some(lock) = lock_within(directory, name::LOCK, timeout.max(READERS))? else {
            return Err(Error::Locked { path, holder: holder(directory) });
        };
        name_holder(lock.file(), epoch).map_err(Error::io("write", &path))?;
        Ok(Self { epoch, process: std::process::id(), _lock: lock, manifest: None })
    }

    /// Takes the lock on the manifest too, where there is one: whoever removes the lock file of a live writer
    /// does not get past it. Not on systems where a locked file cannot be read by others.
    pub(crate) fn bind(&mut self, directory: &dyn Directory) -> Result<(), Error> {
        if !cfg!(unix) || self.manifest.is_some() {
            return Ok(());
        }
        let path = directory.path().join(name::MANIFEST);
        let Some(lock) = lock_within(directory, name::MANIFEST, ENDING)? else {
            let holder = format!("the lock file was replaced under it; it says {}", holder(directory));
            return Err(Error::Locked { path, holder });
        };
        self.manifest = Some(lock);
        Ok(())
    }

    /// The random number of this writer's life.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The process that took it.
    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    #[cfg(test)]
    pub(crate) fn of_another_process(self) -> Self {
        Self { process: self.process.wrapping_add(1), ..self }
    }
}

/// Takes the lock on the file `name`, waiting up to `time`; `None` where somebody has it all the while.
fn lock_within(directory: &dyn Directory, name: &str, time: Duration) -> Result<Option<Lock>, Error> {
    let deadline = Instant::now() + time;
    loop {
        let lock = directory.lock(name).map_err(Error::io("lock", directory.path().join(name)))?;
        if lock.is_some() || Instant::now() >= deadline {
            return Ok(lock);
        }
        // No system waits for a lock for so long and no longer.
        thread::sleep(RETRY);
    }
}

/// Writes this process and `epoch` into the lock's file. On a full disk the file is left empty, and no reader
/// believes a frontier: what stands there must never be an earlier writer's name.
fn name_holder(file: &dyn File, epoch: u64) -> io::Result<()> {
    let mut text = format!("pid {}\nepoch {epoch:016x}\n", std::process::id());
    text += &"\n".repeat(NAME_LEN.saturating_sub(text.len()));
    // What has the same length is written over: cutting a file makes the file system write of it.
    if file.len()? != text.len() as u64 {
        file.set_len(0)?;
    }
    match file.write_all_at(text.as_bytes(), 0) {
        Err(error) if is_full(&error) => file.set_len(0),
        written => written,
    }
}

/// The epoch of the writer that holds the log now; `None` where no writer lives.
///
/// # Errors
/// [`Error::Io`] where that could not be found out.
pub fn live_epoch(directory: &dyn Directory) -> Result<Option<u64>, Error> {
    let path = directory.path().join(name::LOCK);
    if !directory.is_locked(name::LOCK).map_err(Error::io("look at the lock of", &path))? {
        return Ok(None);
    }
    let text = holder(directory);
    let epoch = text.split_once("epoch ").and_then(|(_, epoch)| u64::from_str_radix(epoch.trim(), 16).ok());
    Ok(Some(epoch.unwrap_or_default()))
}

fn holder(directory: &dyn Directory) -> String {
    let bytes = directory.open(name::LOCK, Access::Read).and_then(|file| file.read_all(LOCK_LEN_MAX));
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().replace('\n', ", "));
    text.unwrap_or_else(|error| format!("unknown, its name cannot be read: {error}"))
}
