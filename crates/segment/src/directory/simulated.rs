//! A simulated disk: deterministic, and everything that was not synced may be lost.
//!
//! Invariant: strict POSIX. A write is durable after its file's sync, a name after the directory's; a file
//! whose name was not synced may vanish although its bytes were, and a directory with all that is in it. Reads see everything until the power
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
use self::{
    content::Content,
    file::{HeldLock, SimulatedFile},
    image::{Inode, Unit},
    operation::Operation,
    state::State,
};
pub use self::{
    crash::CrashProfile,
    errno::Errno,
    fault::{Fault, ReadFault, Span},
};
use super::{Access, Directory, Entry, File, Lock};

/// A directory on a simulated disk. Clones share the disk, and so do its children: what is asked here of the disk,
/// and not of the directory, is of all of them. The path of a file in a child is `child/name`.
#[derive(Clone)]
pub struct SimulatedDirectory {
    disk: Arc<Disk>,
    inode: Inode,
    path: Arc<Path>,
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
        let disk = Arc::new(Disk { state: Mutex::new(state) });
        Self { disk, inode: Inode::ROOT, path: Path::new("(simulated)").into() }
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

    /// A hash of all paths and bytes that can be read, to tell images apart. Equal for equal images in one
    /// build, and no promise beyond.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.disk.state().cached.digest(&[])
    }

    /// The bytes of the file with that path as they can be read, also on a disk without power.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.disk.state();
        let content = state.cached.content(state.cached.find_path(path).ok()?);
        content.part(0..content.len()).ok()
    }

    /// Replaces the bytes of the file with that path, also for those who hold it open, or makes it: durably, with
    /// all names of the disk, and as no operation of the disk's life.
    ///
    /// # Panics
    /// Where the path leads through a file, or to a directory.
    pub fn write_file(&self, path: &str, bytes: impl AsRef<[u8]>) {
        self.disk.state().place(path, bytes.as_ref()).expect("the path is a file's");
    }

    /// The paths of all files, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.disk.state().cached.files().into_keys().collect()
    }

    fn child_at(&self, inode: Inode, name: &str) -> Arc<dyn Directory> {
        Arc::new(Self { disk: Arc::clone(&self.disk), inode, path: self.path.join(name).into() })
    }

    fn opened(&self, inode: Inode, access: Access) -> Arc<dyn File> {
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
        &self.path
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let inode = self.disk.begin(Operation::Open(access))?.cached.find(self.inode, name)?;
        Ok(self.opened(inode, access))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let inode = self.disk.begin(Operation::Create)?.create(self.inode, name)?;
        Ok(self.opened(inode, Access::Write))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.begin(Operation::Rename)?.rename(self.inode, from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.begin(Operation::Remove)?.remove(self.inode, name)
    }

    fn child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        let inode = self.disk.begin(Operation::OpenChild)?.cached.find_directory(self.inode, name)?;
        Ok(self.child_at(inode, name))
    }

    fn create_child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        let inode = self.disk.begin(Operation::Create)?.create_directory(self.inode, name)?;
        Ok(self.child_at(inode, name))
    }

    fn remove_child(&self, name: &str) -> io::Result<()> {
        self.disk.begin(Operation::Remove)?.remove_directory(self.inode, name)
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let state = self.disk.begin(Operation::List)?;
        let entry = |(name, content): (&str, Option<&Content>)| Entry {
            name: name.into(),
            len: content.map_or(0, Content::len),
            is_file: content.is_some(),
        };
        Ok(state.cached.entries(self.inode).map(entry).collect())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.begin(Operation::Sync)?.sync_names(self.inode);
        Ok(())
    }

    fn free_space(&self) -> io::Result<Option<u64>> {
        let state = self.disk.begin(Operation::FreeSpace)?;
        Ok(state.capacity.map(|_| state.room()))
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        let mut state = self.disk.state();
        let creates = state.cached.find(self.inode, name).is_err();
        state.begin(Operation::Lock { creates })?;
        let inode = state.find_or_create(self.inode, name)?;
        if !state.locked.insert(inode) {
            return Ok(None);
        }
        let held = HeldLock { disk: Arc::clone(&self.disk), inode };
        Ok(Some(Lock::new(self.opened(inode, Access::Write), held)))
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        let state = self.disk.begin(Operation::IsLocked)?;
        match state.cached.find(self.inode, name) {
            Ok(inode) => Ok(state.locked.contains(&inode)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
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
    fn a_child_whose_name_was_not_synced_may_vanish_with_all_that_was_synced_in_it() {
        let disk = SimulatedDirectory::new();
        let write = |child: &dyn Directory| {
            child.create("a").unwrap().write_all_at(b"bytes", 0).unwrap();
            child.open("a", Access::Write).unwrap().sync_data().unwrap();
            child.sync().unwrap();
        };
        let outer = disk.create_child("outer").unwrap();
        let inner = outer.create_child("inner").unwrap();
        write(&*inner);
        assert_eq!(disk.pending_count(), 2);
        assert_eq!(disk.names(), ["outer/inner/a"]);
        let after = |subset: usize| disk.crash_subset(|index| subset >> index & 1 == 1);
        assert!((0b00..0b11).all(|subset| after(subset).names().is_empty()));
        assert_eq!(after(0b11).file("outer/inner/a").unwrap(), b"bytes");
        assert_eq!(kind(&after(0b10).child("outer")), Some(io::ErrorKind::NotFound));
        disk.sync().unwrap();
        let lost = disk.crash(CrashProfile::StrictPosix, 0);
        assert_eq!(kind(&lost.child("outer").unwrap().child("inner")), Some(io::ErrorKind::NotFound));
        outer.sync().unwrap();
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 0).names(), ["outer/inner/a"]);
    }

    fn kind<T>(result: &io::Result<T>) -> Option<io::ErrorKind> {
        result.as_ref().err().map(io::Error::kind)
    }

    #[test]
    fn a_child_made_anew_has_nothing_of_the_one_before_it() {
        let disk = SimulatedDirectory::new();
        disk.write_file("child/a", "old");
        let child = disk.child("child").unwrap();
        child.remove("a").unwrap();
        disk.remove_child("child").unwrap();
        disk.create_child("child").unwrap();
        let images = (0..1_u32 << 3).map(|subset| disk.crash_subset(|index| subset >> index & 1 == 1));
        let names: BTreeSet<Vec<String>> = images.map(|image| image.names()).collect();
        // Removing may be lost, and then the old one stands with or without its file; else there is none or a new one.
        assert_eq!(names, BTreeSet::from([vec![], vec!["child/a".to_owned()]]));
        let removed = disk.crash_subset(|index| index > 0);
        assert!(removed.names().is_empty() && removed.child("child").is_ok());
    }

    #[test]
    fn one_power_and_one_clock_are_for_all_children() {
        let disk = SimulatedDirectory::new();
        let child = disk.create_child("child").unwrap();
        disk.stop_before(2);
        child.create("a").unwrap();
        assert_eq!(disk.operation_count(), 2);
        child.sync().unwrap_err();
        assert!(disk.is_stopped());
        disk.list().unwrap_err();
        disk.child("child").unwrap_err();
        let lock = disk.kill().child("child").unwrap().lock("a").unwrap();
        assert!(lock.is_some());
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
