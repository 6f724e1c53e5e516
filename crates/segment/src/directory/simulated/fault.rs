//! The faults that a simulated disk is told to have, each at an operation known by its number.
//!
//! Invariant: an operation's fault follows from its number, from what it asks and from what was injected,
//! and none is used up. So equal scripts with equal faults go equally.
//! Source: Rebello et al., "Can Applications Recover from fsync Failures?", 2020, for what a failing sync
//! leaves.

use super::{SimulatedDirectory, errno::Errno, operation::Operation};

/// What goes wrong with an operation that changes the disk or makes it durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// It is refused and changes nothing. A file's sync, however it is refused, also loses what was pending
    /// of that file's bytes and lengths: they can be read until the power goes, and no later sync makes them
    /// durable, but what is written or set again is pending again. A refused sync of the directory leaves
    /// its names pending.
    Fail(Errno),
    /// A write takes at most that many bytes, and says how many; with 0 it says `Ok(0)`. No other operation
    /// has this fault.
    ShortWrite(usize),
    /// A sync, of a file or of the directory, says `Ok` and makes nothing durable: a device that lies, which
    /// no store outlives. What was pending is pending still. No other operation has this fault.
    LoseSync,
}

/// What goes wrong with an operation that only reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadFault {
    /// It is refused.
    Fail(Errno),
    /// One bit of the bytes that it reads is another, and the disk is as it was. A listing and an open,
    /// which read no bytes, do not have this fault.
    FlipBit {
        /// Which bit, counted from the lowest of the first byte read, and around where there are fewer.
        bit: u64,
    },
}

/// Whether a fault passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Span {
    /// Only the operation with that number has the fault.
    Once,
    /// That operation and all after it, as far as the fault is of their kind.
    Forever,
}

impl SimulatedDirectory {
    /// How many operations so far only read: files opened, listings, reads and maps, those that were refused
    /// among them. Lengths and locks are none.
    #[must_use]
    pub fn read_count(&self) -> u64 {
        self.disk.state().read_count
    }

    /// Gives the operation with the number `at` a fault: the first that [`Self::operation_count`] counts is
    /// 0. Once, an [`Errno`] is said by that operation whatever it does; for ever, it is the condition of
    /// the disk from then on, and stands against just those that [`Errno`] names.
    ///
    /// Where two faults meet, that for once goes first, and of two alike the one injected first. No fault
    /// goes over to the disks after a crash or a kill, where the numbers begin anew.
    ///
    /// # Panics
    /// For an interruption for ever, as who asks again would never return.
    pub fn inject(&self, at: u64, fault: Fault, span: Span) {
        let is_endless = matches!((fault, span), (Fault::Fail(Errno::Interrupted), Span::Forever));
        assert!(!is_endless, "an interruption passes");
        self.disk.state().faults.changes.push(Injected { at, fault, span });
    }

    /// Gives the reading operation with the number `at` a fault, as [`Self::inject`] does for those that
    /// change something: the first that [`Self::read_count`] counts is 0. For ever, all from then on have
    /// it; but [`Errno::TooManyFiles`] only those that open something.
    ///
    /// # Panics
    /// For an interruption for ever, as who asks again would never return.
    pub fn inject_read(&self, at: u64, fault: ReadFault, span: Span) {
        let is_endless = matches!((fault, span), (ReadFault::Fail(Errno::Interrupted), Span::Forever));
        assert!(!is_endless, "an interruption passes");
        self.disk.state().faults.reads.push(Injected { at, fault, span });
    }

    /// Makes the disk so small that all files with a name have at most `bytes` bytes together, holes and
    /// prepared space counted. A write that does not fit takes what does and says so, the next is refused
    /// with [`Errno::NoSpace`], as is a length that does not fit. Removing and cutting make space. The disks
    /// after a crash or a kill are as small.
    pub fn set_capacity(&self, bytes: u64) {
        self.disk.state().capacity = Some(bytes);
    }
}

struct Injected<F> {
    at: u64,
    fault: F,
    span: Span,
}

impl<F> Injected<F> {
    fn hits(&self, number: u64) -> bool {
        match self.span {
            Span::Once => self.at == number,
            Span::Forever => self.at <= number,
        }
    }
}

/// All that was injected into one disk.
#[derive(Default)]
pub(super) struct Faults {
    changes: Vec<Injected<Fault>>,
    reads: Vec<Injected<ReadFault>>,
}

impl Faults {
    /// The fault of `operation`, where `number` is that of the next change. One that changes nothing has no
    /// number, and only the disk's condition stands against it.
    pub(super) fn of_change(&self, operation: Operation, is_growing: bool, number: u64) -> Option<Fault> {
        first(&self.changes, number, |fault, span| match (fault, span) {
            (Fault::Fail(_), Span::Once) => operation.changes(),
            (Fault::Fail(errno), Span::Forever) => errno.stands_against(operation, is_growing),
            (Fault::ShortWrite(_), _) => matches!(operation, Operation::Write { .. }),
            (Fault::LoseSync, _) => matches!(operation, Operation::Sync | Operation::SyncData(_)),
        })
    }

    /// The fault of `operation`, where `number` is that of the next read.
    pub(super) fn of_read(&self, operation: Operation, number: u64) -> Option<ReadFault> {
        first(&self.reads, number, |fault, span| match (fault, span) {
            (ReadFault::Fail(Errno::TooManyFiles), Span::Forever) => operation.reads() && operation.opens(),
            (ReadFault::Fail(_), _) => operation.reads(),
            (ReadFault::FlipBit { .. }, _) => matches!(operation, Operation::Read | Operation::Map),
        })
    }
}

fn first<F: Copy>(injected: &[Injected<F>], number: u64, is_for: impl Fn(F, Span) -> bool) -> Option<F> {
    let find = |span| {
        let mut hits = injected.iter().filter(|fault| fault.span == span && fault.hits(number));
        hits.find(|found| is_for(found.fault, span)).map(|found| found.fault)
    };
    find(Span::Once).or_else(|| find(Span::Forever))
}

/// Flips the bit with that number, counted around.
pub(super) fn flip(bytes: &mut [u8], bit: u64) {
    if let Some(bit) = bit.checked_rem(bytes.len() as u64 * 8) {
        let at = usize::try_from(bit / 8).expect("less than the number of bytes");
        *bytes.get_mut(at).expect("counted around") ^= 1 << (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, ErrorKind},
        sync::Arc,
    };

    use super::*;
    use crate::directory::{Access, CrashProfile, Directory, File, simulated::Random};

    fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    /// A disk with the durable file `a`, open, and with `fault` at the first operation.
    fn with(fault: Fault, span: Span) -> (SimulatedDirectory, Arc<dyn File>) {
        let disk = SimulatedDirectory::new();
        disk.write_file("a", "0123456789");
        let file = disk.open("a", Access::Write).unwrap();
        disk.inject(0, fault, span);
        (disk, file)
    }

    type Asked = fn(&SimulatedDirectory, &dyn File) -> io::Result<()>;

    /// Every kind of change.
    const CHANGES: [Asked; 7] = [
        |disk, _| disk.create("new").map(drop),
        |_, file| file.write_at(b"x", 3).map(drop),
        |_, file| file.set_len(4),
        |_, file| file.sync_data(),
        |disk, _| disk.rename("a", "b"),
        |disk, _| disk.sync(),
        |disk, _| disk.remove("a"),
    ];

    #[test]
    fn an_operation_refused_once_changes_nothing_names_its_errno_and_may_be_asked_again() {
        for errno in Errno::ALL {
            for change in CHANGES {
                let (disk, file) = with(Fault::Fail(errno), Span::Once);
                let before = disk.digest();
                let error = change(&disk, &*file).unwrap_err();
                let expected = io::Error::from(errno);
                assert_eq!((error.raw_os_error(), error.kind()), (expected.raw_os_error(), expected.kind()));
                assert_eq!((disk.digest(), disk.pending_count(), disk.operation_count()), (before, 0, 1));
                change(&disk, &*file).unwrap();
            }
        }
    }

    #[test]
    fn a_write_or_read_interrupted_anywhere_and_asked_again_has_each_byte_once() {
        for at in 0..4 {
            let disk = SimulatedDirectory::new();
            let file = disk.create("a").unwrap();
            disk.inject(1, Fault::ShortWrite(3), Span::Once);
            disk.inject(1 + at, Fault::Fail(Errno::Interrupted), Span::Once);
            disk.inject_read(at, ReadFault::Fail(Errno::Interrupted), Span::Once);
            file.write_all_at(b"01234", 0).unwrap();
            file.write_all_at(b"56789", 5).unwrap();
            assert_eq!(file.read_all(20).unwrap(), b"0123456789");
            assert_eq!(file.read_all(20).unwrap(), b"0123456789");
            assert_eq!(disk.file("a").unwrap(), b"0123456789");
        }
    }

    #[test]
    fn a_short_write_takes_as_many_bytes_as_it_says() {
        let (disk, file) = with(Fault::ShortWrite(3), Span::Once);
        assert_eq!(file.write_at(b"abcde", 8).unwrap(), 3);
        assert_eq!(disk.file("a").unwrap(), b"01234567abc");
        assert_eq!(file.write_at(b"xy", 11).unwrap(), 2);
        assert_eq!(with(Fault::ShortWrite(3), Span::Once).1.write_at(b"ab", 0).unwrap(), 2);

        let (disk, file) = with(Fault::ShortWrite(2), Span::Forever);
        disk.create("other").unwrap();
        file.write_all_at(b"abcde", 10).unwrap();
        assert_eq!(disk.file("a").unwrap(), b"0123456789abcde");
        assert_eq!(disk.operation_count(), 4);

        let (disk, file) = with(Fault::ShortWrite(0), Span::Forever);
        assert_eq!(file.write_at(b"ab", 0).unwrap(), 0);
        assert_eq!(kind(file.write_all_at(b"ab", 0)), Some(ErrorKind::WriteZero));
        assert_eq!((disk.file("a").unwrap().as_slice(), disk.pending_count()), (&b"0123456789"[..], 0));
    }

    #[test]
    fn a_lying_sync_says_ok_and_makes_nothing_durable() {
        let (disk, file) = with(Fault::LoseSync, Span::Forever);
        file.write_all_at(b"new", 0).unwrap();
        disk.create("other").unwrap();
        file.sync_data().unwrap();
        disk.sync().unwrap();
        let after = disk.crash(CrashProfile::StrictPosix, 0);
        assert_eq!((after.names(), after.file("a").unwrap()), (vec!["a".to_owned()], b"0123456789".to_vec()));

        disk.write_file("placed", "durable");
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 0).names(), ["a", "other", "placed"]);

        let (disk, file) = with(Fault::LoseSync, Span::Once);
        disk.inject(1, Fault::LoseSync, Span::Once);
        file.write_all_at(b"new", 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 0).file("a").unwrap(), b"0123456789");
        file.sync_data().unwrap();
        assert_eq!(disk.crash(CrashProfile::StrictPosix, 0).file("a").unwrap(), b"new3456789");
    }

    #[test]
    fn opens_listings_reads_and_maps_are_counted_and_fail_at_their_number() {
        let looks: [Asked; 4] = [
            |disk, _| disk.open("a", Access::Read).map(drop),
            |disk, _| disk.list().map(drop),
            |_, file| file.read_at(&mut [0; 4], 0).map(drop),
            |_, file| file.map(0..4).map(drop),
        ];
        for errno in Errno::ALL {
            let (disk, file) = with(Fault::LoseSync, Span::Once);
            let start = disk.read_count();
            for (number, look) in (start..).step_by(2).zip(looks) {
                disk.inject_read(number + 1, ReadFault::Fail(errno), Span::Once);
                look(&disk, &*file).unwrap();
                assert_eq!(kind(look(&disk, &*file)), Some(io::Error::from(errno).kind()));
                file.len().unwrap();
                disk.is_locked("a").unwrap();
                assert_eq!(disk.read_count(), number + 2);
            }
            file.write_at(b"x", 0).unwrap();
            assert_eq!((disk.read_count(), disk.operation_count()), (start + 8, 1));
        }
        let (disk, file) = with(Fault::LoseSync, Span::Once);
        disk.inject_read(0, ReadFault::Fail(Errno::Io), Span::Forever);
        assert!(looks.iter().all(|look| look(&disk, &*file).is_err()));
        let (disk, file) = with(Fault::LoseSync, Span::Once);
        disk.inject_read(0, ReadFault::Fail(Errno::TooManyFiles), Span::Forever);
        assert_eq!(looks.map(|look| look(&disk, &*file).is_err()), [true, true, false, false]);
        assert!(disk.lock("a").unwrap().is_some());
    }

    #[test]
    fn a_flipped_bit_is_in_what_is_read_and_not_on_the_disk() {
        let (disk, file) = with(Fault::LoseSync, Span::Once);
        let start = disk.read_count();
        disk.inject_read(start, ReadFault::FlipBit { bit: 8 * 3 + 9 }, Span::Once);
        disk.inject_read(start + 2, ReadFault::FlipBit { bit: 8 * 2 }, Span::Forever);
        let mut buffer = *b"....";
        assert_eq!(file.read_at(&mut buffer, 7).unwrap(), 3);
        assert_eq!(&buffer, b"7:9.");
        file.read_at(&mut buffer, 7).unwrap();
        assert_eq!(&buffer, b"789.");
        assert_eq!(&*file.map(0..4).unwrap(), b"0133");
        assert_eq!(&*file.map(0..2).unwrap(), b"11");
        assert_eq!(&*file.map(0..0).unwrap(), b"");
        disk.list().unwrap();
        assert_eq!(disk.open("a", Access::Read).unwrap().read_at(&mut buffer, 10).unwrap(), 0);
        assert_eq!(disk.file("a").unwrap(), b"0123456789");
    }

    #[test]
    fn a_fault_for_once_goes_first_and_of_two_alike_the_earlier() {
        let (disk, file) = with(Fault::ShortWrite(3), Span::Forever);
        disk.inject(0, Fault::ShortWrite(2), Span::Forever);
        disk.inject(1, Fault::ShortWrite(1), Span::Once);
        let taken = [(); 3].map(|()| file.write_at(b"abcde", 0).unwrap());
        assert_eq!(taken, [3, 1, 3]);
    }

    #[test]
    fn a_disk_after_a_crash_or_a_kill_has_no_faults() {
        let (disk, _) = with(Fault::Fail(Errno::Io), Span::Forever);
        disk.inject_read(0, ReadFault::Fail(Errno::Io), Span::Forever);
        for after in [disk.kill(), disk.crash(CrashProfile::StrictPosix, 0), disk.crash_subset(|_| true)] {
            assert_eq!((after.operation_count(), after.read_count()), (0, 0));
            after.create("new").unwrap();
            after.list().unwrap();
        }
        disk.create("new").unwrap_err();
    }

    #[test]
    fn a_file_written_whole_once_more_after_any_failing_syncs_is_durable() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (disk, file) = with(Fault::LoseSync, Span::Once);
            let mut model = b"0123456789".to_vec();
            for _ in 0..20 {
                let (at, len, byte) =
                    (random.below(9000), random.below(9000), random.next().to_le_bytes()[0]);
                let fault = [Fault::Fail(Errno::Io), Fault::ShortWrite(9000)][random.below(2)];
                disk.inject(disk.operation_count() + 1, fault, Span::Once);
                if random.chance(1, 3) {
                    file.set_len(len as u64).unwrap();
                    model.resize(len, 0);
                } else {
                    file.write_all_at(&vec![byte % 3; len], at as u64).unwrap();
                    model.resize(model.len().max(if len > 0 { at + len } else { 0 }), 0);
                    model[at..][..len].fill(byte % 3);
                }
                assert_eq!(file.sync_data().is_err(), fault == Fault::Fail(Errno::Io));
                assert!(disk.file("a").unwrap() == model, "seed {seed}");
            }
            file.write_all_at(&model, 0).unwrap();
            file.set_len(model.len() as u64).unwrap();
            file.sync_data().unwrap();
            assert!(disk.crash(CrashProfile::StrictPosix, 0).file("a").unwrap() == model, "seed {seed}");
        }
    }

    #[test]
    #[should_panic(expected = "an interruption passes")]
    fn an_interruption_for_ever_is_refused() {
        SimulatedDirectory::new().inject(0, Fault::Fail(Errno::Interrupted), Span::Forever);
    }

    #[test]
    #[should_panic(expected = "an interruption passes")]
    fn an_interruption_of_reads_for_ever_is_refused() {
        SimulatedDirectory::new().inject_read(0, ReadFault::Fail(Errno::Interrupted), Span::Forever);
    }
}
