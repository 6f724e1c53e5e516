//! A simulated disk: deterministic, and everything that was not synced may be lost.
//!
//! Invariant: strict POSIX. A write is durable after its file's sync, a name after the directory's; a file
//! whose name was not synced may vanish although its bytes were. Reads see everything until the power
//! goes. A crash makes a new disk and leaves this one as it is, so that many can be tried from one state.
//! Faults are had where they are injected, and nowhere else.

mod content;
mod crash;
mod errno;
mod fault;
mod file;
mod image;
mod moments;
mod operation;
mod random;
mod state;

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[cfg(test)]
pub(super) use self::random::Random;
pub use self::{
    crash::CrashProfile,
    errno::Errno,
    fault::{Fault, ReadFault, Span},
};
use self::{
    file::{HeldLock, SimulatedFile},
    image::Unit,
    operation::Operation,
    state::State,
};
use super::{Access, Directory, Entry, File, Lock};

/// A directory on a simulated disk. Clones share the disk.
#[derive(Clone)]
pub struct SimulatedDirectory {
    disk: Arc<Disk>,
}

#[derive(Default)]
struct Disk {
    state: Mutex<State>,
}

impl Disk {
    /// The state, for an operation that may go on.
    fn begin(&self, operation: Operation) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.begin(operation)?;
        Ok(state)
    }

    /// A panic elsewhere leaves the state usable, and a failing test is not to fail twice.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SimulatedDirectory {
    fn default() -> Self {
        Self::new()
    }
}

impl SimulatedDirectory {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::with(State::default())
    }

    fn with(state: State) -> Self {
        Self { disk: Arc::new(Disk { state: Mutex::new(state) }) }
    }

    /// How many operations so far changed something or made it durable: creations, renames, removals,
    /// writes, lengths and syncs, those that were refused among them. Locking is none.
    #[must_use]
    pub fn operation_count(&self) -> u64 {
        self.disk.state().operation_count
    }

    /// Lets the power go before operation `n` of the disk's life, the first being 0: it and all that follow
    /// fail, reads too. What counts as an operation is what [`Self::operation_count`] counts.
    pub fn stop_before(&self, n: u64) {
        self.disk.state().stop_before = Some(n);
    }

    /// Whether the power has gone.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.disk.state().is_stopped
    }

    /// How many units are pending: pages written, lengths and names.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        self.disk.state().pending.len()
    }

    /// The disk after a power loss, with what survived of the pending units by `profile`, chosen by `seed`.
    #[must_use]
    pub fn crash(&self, profile: CrashProfile, seed: u64) -> Self {
        let state = self.disk.state();
        Self::with(state.after_power_loss(&crash::survivors(profile, seed, &state.pending)))
    }

    /// The disk after a power loss that just those pending units outlived for which `kept` is true; they
    /// are numbered in the order of issue.
    #[must_use]
    pub fn crash_subset(&self, kept: impl Fn(usize) -> bool) -> Self {
        let state = self.disk.state();
        let pending = state.pending.iter().enumerate();
        let units: Vec<Unit> =
            pending.filter(|(index, _)| kept(*index)).map(|(_, unit)| unit.clone()).collect();
        Self::with(state.after_power_loss(&units))
    }

    /// The disk after the process was killed: locks are gone, and what was pending is pending still.
    #[must_use]
    pub fn kill(&self) -> Self {
        Self::with(self.disk.state().after_kill())
    }

    /// A hash of all names and bytes that can be read, to tell images apart. Equal for equal images in one
    /// build, and no promise beyond.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.disk.state().cached.digest(&[])
    }

    /// The bytes of the file `name` as they can be read, also on a disk without power.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.disk.state();
        let content = state.cached.content(state.cached.find(name).ok()?);
        content.part(0..content.len()).ok()
    }

    /// Replaces the bytes of the file `name`, also for those who hold it open, or makes it: durably, with
    /// all names of the directory, and as no operation of the disk's life.
    pub fn write_file(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.disk.state().place(name, bytes.as_ref());
    }

    /// The names of all files, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.disk.state().cached.files().map(|(name, _)| name.to_owned()).collect()
    }

    fn opened(&self, inode: image::Inode, access: Access) -> Arc<dyn File> {
        Arc::new(SimulatedFile { disk: Arc::clone(&self.disk), inode, access })
    }
}

impl fmt::Debug for SimulatedDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.disk.state();
        f.debug_struct("SimulatedDirectory")
            .field("operation_count", &state.operation_count)
            .field("pending_count", &state.pending.len())
            .field("is_stopped", &state.is_stopped)
            .finish_non_exhaustive()
    }
}

impl Directory for SimulatedDirectory {
    fn path(&self) -> &Path {
        Path::new("(simulated)")
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let inode = self.disk.begin(Operation::Open(access))?.cached.find(name)?;
        Ok(self.opened(inode, access))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.disk.begin(Operation::Create)?;
        if state.cached.find(name).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(self.opened(state.create(name), Access::Write))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.begin(Operation::Rename)?.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.begin(Operation::Remove)?.remove(name)
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let state = self.disk.begin(Operation::List)?;
        let files = state.cached.files();
        Ok(files
            .map(|(name, content)| Entry { name: name.into(), len: content.len(), is_file: true })
            .collect())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.begin(Operation::Sync)?.sync_names();
        Ok(())
    }

    fn free_space(&self) -> io::Result<Option<u64>> {
        let state = self.disk.begin(Operation::FreeSpace)?;
        Ok(state.capacity.map(|_| state.room()))
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        let mut state = self.disk.state();
        let creates = state.cached.find(name).is_err();
        state.begin(Operation::Lock { creates })?;
        let inode = state.cached.find(name).unwrap_or_else(|_| state.create(name));
        if !state.locked.insert(inode) {
            return Ok(None);
        }
        let held = HeldLock { disk: Arc::clone(&self.disk), inode };
        Ok(Some(Lock::new(self.opened(inode, Access::Write), held)))
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        let state = self.disk.begin(Operation::IsLocked)?;
        Ok(state.cached.find(name).is_ok_and(|inode| state.locked.contains(&inode)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_power_goes_before_the_operation_named_and_stays_away() {
        let disk = SimulatedDirectory::new();
        disk.stop_before(2);
        let file = disk.create("a").unwrap();
        file.write_all_at(b"bytes", 0).unwrap();
        assert_eq!(file.read_all(10).unwrap(), b"bytes");
        assert!(!disk.is_stopped());
        assert_eq!(file.sync_data().unwrap_err().to_string(), "simulated power loss");
        assert!(disk.is_stopped());
        assert_eq!(disk.operation_count(), 2);
        file.len().unwrap_err();
        file.read_at(&mut [0], 0).unwrap_err();
        file.map(0..0).unwrap_err();
        disk.open("a", Access::Read).unwrap_err();
        disk.list().unwrap_err();
        disk.lock("a").unwrap_err();
        disk.is_locked("a").unwrap_err();

        let after = disk.crash(CrashProfile::StrictPosix, 1);
        assert!(!after.is_stopped());
        assert_eq!(after.operation_count(), 0);
        assert_eq!(after.open("a", Access::Read).unwrap().read_all(10).unwrap(), b"bytes");
    }

    #[test]
    fn every_change_counts_and_no_look_does() {
        let disk = SimulatedDirectory::new();
        let _lock = disk.lock("lock").unwrap();
        let file = disk.create("a").unwrap();
        file.write_at(b"x", 0).unwrap();
        file.set_len(5).unwrap();
        file.sync_data().unwrap();
        disk.rename("a", "b").unwrap();
        disk.sync().unwrap();
        disk.remove("b").unwrap();
        assert_eq!(disk.operation_count(), 7);
        file.read_all(10).unwrap();
        disk.list().unwrap();
        disk.is_locked("lock").unwrap();
        assert_eq!(disk.operation_count(), 7);
    }

    #[test]
    fn a_killed_process_leaves_bytes_readable_and_unsynced_and_locks_free() {
        let disk = SimulatedDirectory::new();
        let _lock = disk.lock("lock").unwrap();
        disk.create("a").unwrap().write_all_at(b"bytes", 0).unwrap();
        let killed = disk.kill();
        assert!(disk.is_locked("lock").unwrap());
        assert!(killed.lock("lock").unwrap().is_some());
        assert_eq!(killed.file("a").unwrap(), b"bytes");
        assert_eq!(killed.pending_count(), disk.pending_count());
        assert!(killed.crash(CrashProfile::StrictPosix, 0).names().is_empty());
        killed.open("a", Access::Write).unwrap().write_all_at(b"other", 0).unwrap();
        assert_eq!(disk.file("a").unwrap(), b"bytes");
    }

    #[test]
    fn a_sync_takes_its_own_file_or_the_names_and_nothing_else() {
        let disk = SimulatedDirectory::new();
        let (a, b) = (disk.create("a").unwrap(), disk.create("b").unwrap());
        a.write_all_at(b"a", 0).unwrap();
        b.write_all_at(b"b", 0).unwrap();
        disk.sync().unwrap();
        b.sync_data().unwrap();
        let after = disk.crash(CrashProfile::StrictPosix, 0);
        assert_eq!(after.file("a").unwrap(), b"");
        assert_eq!(after.file("b").unwrap(), b"b");
    }

    #[test]
    fn the_subsets_give_every_image_that_posix_allows_and_no_other() {
        let disk = SimulatedDirectory::new();
        disk.create("a").unwrap().write_all_at(&[1; 5000], 0).unwrap();
        disk.rename("a", "b").unwrap();
        disk.create("a").unwrap();
        disk.remove("b").unwrap();
        let count = disk.pending_count();
        assert_eq!(count, 7);
        let images = (0..1_u32 << count).map(|subset| disk.crash_subset(|index| subset >> index & 1 == 1));
        let digests: BTreeSet<u64> = images.map(|image| image.digest()).collect();
        // The first file is empty, or has its length and any of two pages: five states, as `a`, as `b`, and
        // as `b` beside the second `a`. And nothing at all; the second `a` alone is like the first, empty.
        assert_eq!(digests.len(), 5 + 5 + 5 + 1);
    }

    #[test]
    fn length_and_pages_of_a_write_survive_apart() {
        let disk = SimulatedDirectory::new();
        disk.write_file("a", "old");
        disk.open("a", Access::Write).unwrap().write_all_at(b"new!", 3).unwrap();
        assert_eq!(disk.pending_count(), 2);
        let outcome = |subset: usize| disk.crash_subset(|index| subset >> index & 1 == 1).file("a").unwrap();
        assert_eq!(outcome(0b00), b"old");
        assert_eq!(outcome(0b01), b"old");
        assert_eq!(outcome(0b10), b"old\0\0\0\0");
        assert_eq!(outcome(0b11), b"oldnew!");
        let cut = disk.crash_subset(|index| index == 0);
        cut.open("a", Access::Write).unwrap().set_len(7).unwrap();
        assert_eq!(cut.file("a").unwrap(), b"old\0\0\0\0");
    }

    #[test]
    fn a_cut_that_is_lost_leaves_the_old_bytes() {
        let disk = SimulatedDirectory::new();
        disk.write_file("a", "0123456789");
        let file = disk.open("a", Access::Write).unwrap();
        file.set_len(2).unwrap();
        file.set_len(6).unwrap();
        let outcome = |subset: usize| disk.crash_subset(|index| subset >> index & 1 == 1).file("a").unwrap();
        assert_eq!(outcome(0b00), b"0123456789");
        assert_eq!(outcome(0b01), b"01");
        assert_eq!(outcome(0b10), b"012345");
        assert_eq!(outcome(0b11), b"01\0\0\0\0");
    }

    #[test]
    fn a_file_written_by_a_test_is_durable_and_its_holders_see_it() {
        let disk = SimulatedDirectory::new();
        let file = disk.create("a").unwrap();
        file.write_all_at(b"pending", 0).unwrap();
        disk.write_file("a", "flipped");
        assert_eq!(file.read_all(10).unwrap(), b"flipped");
        assert_eq!(disk.pending_count(), 0);
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 0).file("a").unwrap(), b"flipped");
    }

    #[test]
    fn equal_images_have_equal_digests_however_they_came_about() {
        let (one, other) = (SimulatedDirectory::new(), SimulatedDirectory::new());
        one.write_file("a", [0; 5000]);
        let file = other.create("a").unwrap();
        file.set_len(5000).unwrap();
        assert_eq!(one.digest(), other.digest());
        file.write_all_at(b"x", 4999).unwrap();
        assert_ne!(one.digest(), other.digest());
        one.rename("a", "b").unwrap();
        assert_ne!(one.digest(), other.digest());
    }
}
