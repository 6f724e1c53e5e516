//! The state of a simulated disk, and the one place that every operation passes.
//!
//! Invariant: what can be read is what is durable with all pending units applied, in the order of issue,
//! and with those that failing syncs lost where they were. Only a sync takes units from pending, and only
//! its own file's or, for a directory's, the names in it; they are durable then, or lost where it failed.

use std::{
    collections::BTreeSet,
    io, mem,
    sync::{Arc, LazyLock},
};

use super::{
    content::{Content, PAGE_LEN, is_zero, pieces},
    errno::Errno,
    fault::{Fault, Faults, ReadFault, flip},
    image::{Image, Inode, Name, Unit},
    operation::Operation,
};

#[derive(Default)]
pub(super) struct State {
    /// What no power loss takes.
    pub(super) durable: Image,
    /// What is read: the page cache.
    pub(super) cached: Image,
    /// What a sync or a crash may make durable, in the order of issue.
    pub(super) pending: Vec<Unit>,
    pub(super) locked: BTreeSet<Inode>,
    pub(super) operation_count: u64,
    pub(super) read_count: u64,
    pub(super) faults: Faults,
    /// How many bytes all files may have together, if there is a bound.
    pub(super) capacity: Option<u64>,
    /// What the operation under way does other than asked; [`State::begin`] says it of each anew.
    fault: Option<Fault>,
    read_fault: Option<ReadFault>,
    pub(super) stop_before: Option<u64>,
    pub(super) is_stopped: bool,
    /// The disk before each operation since it was told to remember; `None` where it was not.
    pub(super) moments: Option<Vec<Self>>,
    /// How many files and directories were made so far.
    inode_count: u64,
}

impl State {
    /// Every operation passes here first, and goes no further where this is an error.
    pub(super) fn begin(&mut self, operation: Operation) -> io::Result<()> {
        let changes = operation.changes();
        self.is_stopped |= changes && self.stop_before.is_some_and(|stop| self.operation_count >= stop);
        if self.is_stopped {
            return Err(io::Error::other("simulated power loss"));
        }
        if changes {
            self.remember();
        }
        self.fault = self.faults.of_change(operation, self.is_growing(operation), self.operation_count);
        self.read_fault = self.faults.of_read(operation, self.read_count);
        self.operation_count += u64::from(changes);
        self.read_count += u64::from(operation.reads());
        match (self.fault, self.read_fault) {
            (Some(Fault::Fail(errno)), _) | (_, Some(ReadFault::Fail(errno))) => {
                if let Operation::SyncData(inode) = operation {
                    self.lose(inode);
                }
                Err(errno.into())
            }
            _ => Ok(()),
        }
    }

    fn remember(&mut self) {
        if self.moments.is_some() {
            let moment = self.after_kill();
            self.moments.get_or_insert_default().push(moment);
        }
    }

    /// Whether it takes space that was not taken.
    fn is_growing(&self, operation: Operation) -> bool {
        match operation {
            Operation::Create | Operation::Lock { creates: true } => true,
            Operation::Write { inode, offset, len } => {
                len > 0 && offset.saturating_add(len as u64) > self.cached.content(inode).len()
            }
            Operation::SetLen { inode, len } => len > self.cached.content(inode).len(),
            _ => false,
        }
    }

    /// The disk after a power loss that just `units` of the pending ones outlived.
    pub(super) fn after_power_loss(&self, units: &[Unit]) -> Self {
        let durable = self.durable.after(units);
        Self {
            cached: durable.clone(),
            durable,
            capacity: self.capacity,
            inode_count: self.inode_count,
            ..Self::default()
        }
    }

    /// The disk after the process died and the system did not.
    pub(super) fn after_kill(&self) -> Self {
        Self {
            durable: self.durable.clone(),
            cached: self.cached.clone(),
            pending: self.pending.clone(),
            capacity: self.capacity,
            inode_count: self.inode_count,
            ..Self::default()
        }
    }

    pub(super) fn create(&mut self, directory: Inode, name: &str) -> io::Result<Inode> {
        self.cached.check_new(directory, name)?;
        let inode = self.next_inode();
        self.issue(Unit::Link { name: Name { directory, name: name.into() }, inode });
        Ok(inode)
    }

    /// The file with that name, made where it is missing.
    pub(super) fn find_or_create(&mut self, directory: Inode, name: &str) -> io::Result<Inode> {
        match self.cached.find(directory, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(directory, name),
            found => found,
        }
    }

    /// The directory with that name, made where it is missing.
    pub(super) fn create_directory(&mut self, directory: Inode, name: &str) -> io::Result<Inode> {
        if let Err(error) = self.cached.check_new(directory, name) {
            let is_there = error.kind() == io::ErrorKind::AlreadyExists;
            return if is_there { self.cached.find_directory(directory, name) } else { Err(error) };
        }
        let inode = self.next_inode();
        self.issue(Unit::MakeDirectory { name: Name { directory, name: name.into() }, inode });
        Ok(inode)
    }

    pub(super) fn remove_directory(&mut self, directory: Inode, name: &str) -> io::Result<()> {
        let inode = self.cached.find_directory(directory, name)?;
        if !self.cached.is_empty(inode) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.issue(Unit::RemoveDirectory { name: Name { directory, name: name.into() }, inode });
        Ok(())
    }

    pub(super) fn rename(&mut self, directory: Inode, from: &str, to: &str) -> io::Result<()> {
        let inode = self.cached.find(directory, from)?;
        if self.cached.find_directory(directory, to).is_ok() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Two names of one file stay as they are: POSIX says so.
        if self.cached.find(directory, to).ok() != Some(inode) {
            let from = Name { directory, name: from.into() };
            self.issue(Unit::Rename { from, to: to.into(), inode });
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, directory: Inode, name: &str) -> io::Result<()> {
        self.cached.find(directory, name)?;
        self.issue(Unit::Unlink { name: Name { directory, name: name.into() } });
        Ok(())
    }

    fn next_inode(&mut self) -> Inode {
        self.inode_count += 1;
        Inode(Inode::ROOT.0 + self.inode_count)
    }

    /// Writes the pages first and the length last: a length ahead of its data is for the profiles to make.
    /// What was written and lost goes on its way again, bytes and length alike.
    pub(super) fn write(&mut self, inode: Inode, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        let bytes = self.taken(inode, offset, bytes)?;
        let end = offset + bytes.len() as u64;
        for (offset, piece) in pieces(offset, bytes, PAGE_LEN) {
            if !self.holds(inode, offset, piece) {
                let bytes = if is_zero_page(piece) { zero_page() } else { piece.into() };
                self.issue(Unit::Write { inode, offset, bytes });
            }
        }
        let is_short = || end > self.cached.content(inode).len() || end > self.arriving_len(inode);
        if !bytes.is_empty() && is_short() {
            self.issue(Unit::Grow { inode, len: end });
        }
        Ok(bytes.len())
    }

    /// The part of a write's bytes that the disk takes: all, but for a fault and for what there is no room
    /// for.
    fn taken<'b>(&self, inode: Inode, offset: u64, bytes: &'b [u8]) -> io::Result<&'b [u8]> {
        let asked = match self.fault {
            Some(Fault::ShortWrite(len)) => len.min(bytes.len()),
            _ => bytes.len(),
        };
        let len_max = self.cached.content(inode).len().saturating_add(self.room());
        let fitting = usize::try_from(len_max.saturating_sub(offset)).unwrap_or(usize::MAX);
        if fitting == 0 && asked > 0 {
            return Err(Errno::NoSpace.into());
        }
        Ok(bytes.split_at(asked.min(fitting)).0)
    }

    /// How many bytes more all files may have together.
    pub(super) fn room(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.cached.used_len()))
    }

    /// Whether the disk holds these very bytes there already, and nothing else is under way to them: writing
    /// them again then endangers nothing, as every mix of what is there and what is written is the same.
    /// What is read may be other than what the disk holds, after a failing sync, and is then written anew.
    fn holds(&self, inode: Inode, offset: u64, bytes: &[u8]) -> bool {
        let end = offset + bytes.len() as u64;
        let touches = |unit: &Unit| match unit {
            Unit::Write { inode: written, offset: start, bytes } => {
                *written == inode && *start < end && offset < start + bytes.len() as u64
            }
            Unit::SetLen { inode: cut, len } => *cut == inode && *len < end,
            _ => false,
        };
        // What is new is told by the bytes alone; what is under way may be much.
        self.durable.holds(inode, offset, bytes)
            && self.cached.holds(inode, offset, bytes)
            && !self.pending.iter().any(touches)
    }

    /// The length of the file once all that is pending has arrived: the one that is read, but for what
    /// failing syncs lost.
    fn arriving_len(&self, inode: Inode) -> u64 {
        self.pending.iter().filter(|unit| unit.content_of() == Some(inode)).fold(
            self.durable.len(inode),
            |before, unit| match unit {
                Unit::Grow { len, .. } => before.max(*len),
                Unit::SetLen { len, .. } => *len,
                _ => before,
            },
        )
    }

    pub(super) fn set_len(&mut self, inode: Inode, len: u64) -> io::Result<()> {
        let cached_len = self.cached.content(inode).len();
        if len.saturating_sub(cached_len) > self.room() {
            return Err(Errno::NoSpace.into());
        }
        if len != cached_len || len != self.arriving_len(inode) {
            self.issue(Unit::SetLen { inode, len });
        }
        Ok(())
    }

    /// Makes the bytes and the length of `inode` durable, on a disk that does not lie.
    pub(super) fn sync_data(&mut self, inode: Inode) {
        if self.fault != Some(Fault::LoseSync) {
            self.settle(|unit| unit.content_of() == Some(inode));
        }
    }

    /// Makes all names in `directory` durable, on a disk that does not lie.
    pub(super) fn sync_names(&mut self, directory: Inode) {
        if self.fault != Some(Fault::LoseSync) {
            self.settle(|unit| unit.names_of() == Some(directory));
        }
    }

    /// What a failing sync leaves: the bytes and lengths can be read, and nothing will write them back. So
    /// it is on XFS, and on ext4 for most pages: they are marked clean although they did not arrive.
    fn lose(&mut self, inode: Inode) {
        self.pending.retain(|unit| unit.content_of() != Some(inode));
    }

    /// Flips the bit, if the operation under way is one that reads it wrong.
    pub(super) fn misread(&self, bytes: &mut [u8]) {
        if let Some(ReadFault::FlipBit { bit }) = self.read_fault {
            flip(bytes, bit);
        }
    }

    /// Puts a file there as if it had always been: see `SimulatedDirectory::write_file`.
    pub(super) fn place(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let (mut directory, mut name) = (Inode::ROOT, path);
        while let Some((child, below)) = name.split_once('/') {
            (directory, name) = (self.create_directory(directory, child)?, below);
        }
        let inode = self.find_or_create(directory, name)?;
        self.settle(|unit| unit.names_of().is_some());
        self.pending.retain(|unit| unit.content_of() != Some(inode));
        let content = Arc::new(Content::new(bytes));
        self.durable.replace(inode, Arc::clone(&content));
        self.cached.replace(inode, content);
        Ok(())
    }

    fn issue(&mut self, unit: Unit) {
        self.cached.apply(&unit);
        self.pending.push(unit);
    }

    /// Moves the pending units that `is_synced` picks to what is durable.
    fn settle(&mut self, is_synced: impl Fn(&Unit) -> bool) {
        for unit in mem::take(&mut self.pending) {
            if is_synced(&unit) {
                self.durable.apply(&unit);
            } else {
                self.pending.push(unit);
            }
        }
    }
}

fn is_zero_page(piece: &[u8]) -> bool {
    piece.len() == PAGE_LEN && is_zero(piece)
}

/// The bytes of all pages of zeros, which are many: a log prepares its space with them.
fn zero_page() -> Arc<[u8]> {
    static PAGE: LazyLock<Arc<[u8]>> = LazyLock::new(|| Arc::new([0; PAGE_LEN]));
    Arc::clone(&PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Access, CrashProfile, Directory, File, SimulatedDirectory, Span};

    /// A disk with the durable file `a`, open.
    fn with(bytes: &str) -> (SimulatedDirectory, Arc<dyn File>) {
        let disk = SimulatedDirectory::new();
        disk.write_file("a", bytes);
        let file = disk.open("a", Access::Write).unwrap();
        (disk, file)
    }

    /// Syncs `file`, which fails.
    fn fail_sync(disk: &SimulatedDirectory, file: &dyn File, errno: Errno) {
        disk.inject(disk.operation_count(), Fault::Fail(errno), Span::Once);
        file.sync_data().unwrap_err();
    }

    /// The file `a` after a power loss that all outlived that could.
    fn at_best(disk: &SimulatedDirectory) -> Vec<u8> {
        disk.crash(CrashProfile::StrictPosix, 1).file("a").unwrap()
    }

    #[test]
    fn a_failing_sync_leaves_bytes_that_are_read_until_the_power_goes_and_that_no_later_sync_keeps() {
        for errno in Errno::ALL {
            let (disk, file) = with("0123456789");
            file.write_all_at(b"xyz", 8).unwrap();
            fail_sync(&disk, &*file, errno);
            assert_eq!(disk.pending_count(), 0);
            file.sync_data().unwrap();
            assert_eq!(file.read_all(20).unwrap(), b"01234567xyz");
            let killed = disk.kill();
            let reopened = killed.open("a", Access::Write).unwrap();
            assert_eq!(reopened.read_all(20).unwrap(), b"01234567xyz");
            reopened.sync_data().unwrap();
            for disk in [&disk, &killed] {
                assert_eq!(at_best(disk), b"0123456789");
            }
        }
    }

    #[test]
    fn what_is_written_again_after_a_failing_sync_can_become_durable() {
        let (disk, file) = with("0123456789");
        file.write_all_at(b"xyz", 8).unwrap();
        fail_sync(&disk, &*file, Errno::Io);
        file.write_all_at(b"xyz", 8).unwrap();
        assert_eq!(disk.pending_count(), 2);
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 0).file("a").unwrap(), b"0123456789");
        file.sync_data().unwrap();
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 0).file("a").unwrap(), b"01234567xyz");
        file.write_all_at(b"xyz", 8).unwrap();
        assert_eq!(disk.pending_count(), 0);
    }

    #[test]
    fn what_is_written_behind_lost_bytes_does_not_bring_them_back() {
        let (disk, file) = with("01");
        file.write_all_at(b"lost", 2).unwrap();
        fail_sync(&disk, &*file, Errno::NoSpace);
        file.write_all_at(b"kept", 6).unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.read_all(20).unwrap(), b"01lostkept");
        assert_eq!(at_best(&disk), b"01\0\0\0\0kept");
    }

    #[test]
    fn the_old_bytes_written_over_lost_ones_are_read_again() {
        let (disk, file) = with("0123456789");
        file.write_all_at(b"xyz", 0).unwrap();
        fail_sync(&disk, &*file, Errno::Io);
        file.write_all_at(b"012", 0).unwrap();
        assert_eq!(file.read_all(20).unwrap(), b"0123456789");
    }

    #[test]
    fn a_length_is_lost_with_a_failing_sync_and_had_when_it_is_set_again() {
        for len in [4, 14] {
            let (disk, file) = with("0123456789");
            file.set_len(len).unwrap();
            fail_sync(&disk, &*file, Errno::Io);
            assert_eq!(file.len().unwrap(), len);
            file.sync_data().unwrap();
            assert_eq!(at_best(&disk), b"0123456789");
            for _ in 0..2 {
                file.set_len(len).unwrap();
                assert_eq!(disk.pending_count(), 1);
            }
            file.sync_data().unwrap();
            assert_eq!(at_best(&disk).len() as u64, len);
        }
        let (disk, file) = with("0123456789");
        file.set_len(4).unwrap();
        fail_sync(&disk, &*file, Errno::Io);
        file.set_len(10).unwrap();
        assert_eq!(file.read_all(20).unwrap(), b"0123\0\0\0\0\0\0");
    }

    #[test]
    fn a_failing_sync_loses_nothing_but_what_was_pending_of_its_own_file() {
        let (disk, file) = with("0123456789");
        file.write_all_at(b"abc", 0).unwrap();
        file.sync_data().unwrap();
        let other = disk.create("other").unwrap();
        other.write_all_at(b"bytes", 0).unwrap();
        file.write_all_at(b"xyz", 0).unwrap();
        fail_sync(&disk, &*file, Errno::Io);
        assert_eq!(at_best(&disk), b"abc3456789");
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 1).file("other").unwrap(), b"bytes");
    }

    #[test]
    fn a_failing_sync_of_the_directory_leaves_the_names_pending() {
        let (disk, _) = with("0123456789");
        disk.rename("a", "b").unwrap();
        disk.create("new").unwrap();
        disk.inject(2, Fault::Fail(Errno::Io), Span::Once);
        disk.sync().unwrap_err();
        assert_eq!(disk.names(), ["b", "new"]);
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 0).names(), ["a"]);
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 1).names(), ["b", "new"]);
        disk.sync().unwrap();
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 0).names(), ["b", "new"]);
    }

    #[test]
    fn a_disk_takes_what_fits_and_then_no_more() {
        let (disk, file) = with("0123456789");
        disk.set_capacity(14);
        let is_full = |error: io::Error| error.kind() == io::ErrorKind::StorageFull;
        assert!(is_full(file.set_len(15).unwrap_err()));
        assert!(is_full(file.write_at(b"x", 14).unwrap_err()));
        assert_eq!(file.write_at(b"89abcdef", 8).unwrap(), 6);
        assert!(is_full(file.write_all_at(b"ef", 14).unwrap_err()));
        assert_eq!(disk.file("a").unwrap(), b"0123456789abcd");

        for disk in [disk.kill(), disk.crash(CrashProfile::StrictPosix, 1)] {
            let file = disk.open("a", Access::Write).unwrap();
            assert!(is_full(file.write_at(b"e", 14).unwrap_err()));
            file.write_all_at(b"xy", 12).unwrap();
            file.sync_data().unwrap();
            let other = disk.create("other").unwrap();
            assert!(is_full(other.write_at(b"x", 0).unwrap_err()));
            file.set_len(13).unwrap();
            assert_eq!(other.write_at(b"xyz", 0).unwrap(), 1);
            disk.remove("a").unwrap();
            other.set_len(14).unwrap();
            assert_eq!(other.write_at(b"", 14).unwrap(), 0);
        }
    }
}
