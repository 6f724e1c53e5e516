//! Faults of the disk: a workload and a recovery meet each of them at each operation, and an opening at each read.
//!
//! Invariant: whoever meets a fault gets a typed error and no success for what failed. What was promised, and
//! what was shown afterwards, outlives a kill and a power loss; a fault that passes leaves nothing behind.

use std::sync::atomic::Ordering;

use annals::{Error, Store, disk::SimulatedDirectory};
use annals_segment::{Errno, Fault, ReadFault, Span};

use crate::{
    flaw::{Flaw, caught, ensure},
    oracle,
    random::mix,
    sent::{Found, Sent},
    tally::Sort,
    trial::Bench,
    workload::{End, Run, options},
};

/// Every fault that a disk may have and own up to.
pub(crate) fn faults() -> Vec<(Fault, Span)> {
    let mut faults: Vec<_> = Errno::ALL.iter().map(|errno| (Fault::Fail(*errno), Span::Once)).collect();
    let lasting = Errno::ALL.iter().filter(|errno| **errno != Errno::Interrupted);
    faults.extend(lasting.map(|errno| (Fault::Fail(*errno), Span::Forever)));
    faults.extend([0, 1, 700].map(|len| (Fault::ShortWrite(len), Span::Once)));
    faults.push((Fault::ShortWrite(900), Span::Forever));
    faults
}

const READ_FAULTS: [(ReadFault, Span); 6] = [
    (ReadFault::Fail(Errno::Io), Span::Once),
    (ReadFault::Fail(Errno::Io), Span::Forever),
    (ReadFault::Fail(Errno::Interrupted), Span::Once),
    (ReadFault::Fail(Errno::TooManyFiles), Span::Once),
    (ReadFault::Fail(Errno::TooManyFiles), Span::Forever),
    (ReadFault::FlipBit { bit: 0 }, Span::Once),
];

/// The seed of the life that opens with a fault, which no trial behind it has.
const LIFE: u64 = 900;

impl Bench<'_> {
    /// Runs the workload with `fault` at operation `at`, and checks what is left.
    pub(crate) fn run_with_fault(&self, at: u64, (fault, span): (Fault, Span)) -> Result<(), Flaw> {
        self.tally.fault_runs.fetch_add(1, Ordering::Relaxed);
        let disk = SimulatedDirectory::new();
        disk.inject(at, fault, span);
        let mut run = Run::new(self.script, self.opening, disk.clone()).with_fault(span);
        let end = caught(|| run.go())?;
        let is_harmless = matches!((fault, span), (Fault::ShortWrite(1..), _));
        ensure(!is_harmless || matches!(end, End::Whole), || "a short write was no success".to_owned())?;
        self.end(&disk, &run.sent, Sort::Faults, &Default::default())
    }

    /// Opens `image` with `fault` at operation `at` of the recovery, and checks what is left.
    fn recover_with_fault(
        &self,
        image: &SimulatedDirectory,
        sent: &Sent,
        found: Found,
        at: u64,
        (fault, span): (Fault, Span),
    ) -> Result<SimulatedDirectory, Flaw> {
        self.tally.fault_runs.fetch_add(1, Ordering::Relaxed);
        let disk = image.kill();
        disk.inject(at, fault, span);
        caught(|| match (self.opening)(options(self.script, LIFE), disk.clone()) {
            Ok(store) => {
                // The store is not dropped before the power goes.
                let shown = match oracle::check(&store, sent) {
                    Err(flaw) if flaw.is_of_disk() && span == Span::Forever => found,
                    shown => shown?,
                };
                ensure(shown == found, || format!("{shown:?} are shown, and without the fault {found:?}"))?;
                Ok(disk.kill())
            }
            Err(Error::Environment { .. } | Error::Stopped { .. } | Error::NoSpace { .. }) => Ok(disk.kill()),
            Err(error) => Err(Flaw::new(format!("a failing disk led to: {error}"))),
        })
    }

    /// Every fault at every operation of the recovery of `image`; those that `is_chosen` by their number.
    pub(crate) fn recover_with_faults(
        &self,
        image: &SimulatedDirectory,
        sent: &Sent,
        is_chosen: &dyn Fn(u64) -> bool,
    ) -> Result<(), Flaw> {
        let (found, nest, operations) = caught(|| self.measure(image, sent))?;
        for at in 0..operations {
            for (number, fault) in (at * 101..).zip(faults()).filter(|(number, _)| is_chosen(*number)) {
                let place = |flaw: Flaw| {
                    flaw.within(format_args!("{fault:?} at operation {at} of the recovery {number}"))
                };
                let left = self.recover_with_fault(image, sent, found, at, fault).map_err(place)?;
                self.end(&left, sent, Sort::Faults, &nest).map_err(place)?;
            }
        }
        Ok(())
    }

    /// Every fault of reading at every read of the openings of `image`.
    pub(crate) fn open_with_read_faults(&self, image: &SimulatedDirectory, sent: &Sent) -> Result<(), Flaw> {
        let (found, _, _) = caught(|| self.measure(image, sent))?;
        let looked = self.open_as(false, image);
        let proven = looked.as_ref().ok().and_then(|store| store.report().proven);
        let proven = proven.map_or(found.events as u64, |last| last.0);
        for is_writer in [false, true] {
            let count = {
                let disk = image.kill();
                let opened = self.open_as(is_writer, &disk);
                if opened.is_err() && !is_writer {
                    continue;
                }
                disk.read_count()
            };
            for at in 0..count {
                for fault in READ_FAULTS {
                    let fault = with_bit(fault, mix(at ^ self.seed));
                    let who = if is_writer { "for writing" } else { "for reading" };
                    caught(|| {
                        self.open_with_read_fault(
                            image,
                            sent,
                            [proven, found.events as u64],
                            is_writer,
                            at,
                            fault,
                        )
                    })
                    .map_err(|flaw| flaw.within(format_args!("opened {who}, {fault:?} at read {at}")))?;
                }
            }
        }
        Ok(())
    }

    fn open_as(&self, is_writer: bool, disk: &SimulatedDirectory) -> Result<Store, Error> {
        let options = options(self.script, LIFE);
        if is_writer {
            (self.opening)(options, disk.clone())
        } else {
            options.open_read_only_on(disk.clone())
        }
    }

    fn open_with_read_fault(
        &self,
        image: &SimulatedDirectory,
        sent: &Sent,
        [proven, found]: [u64; 2],
        is_writer: bool,
        at: u64,
        (fault, span): (ReadFault, Span),
    ) -> Result<(), Flaw> {
        self.tally.read_faults.fetch_add(1, Ordering::Relaxed);
        let (disk, before) = (image.kill(), image.digest());
        disk.inject_read(at, fault, span);
        let is_flip = matches!(fault, ReadFault::FlipBit { .. });
        match self.open_as(is_writer, &disk) {
            Ok(store) => {
                let report = store.report();
                // Bits of bytes that nothing proves durable are torn bytes, and told.
                let shown = store.last_sequence().0;
                let is_told = is_flip && report.log.torn.is_some() && shown >= proven;
                ensure(is_told || shown == found, || {
                    format!("{shown} events, {found} without the fault and {proven} proven: {report:?}")
                })?;
                if is_told {
                    return Ok(());
                }
            }
            Err(error) => check_typed(&error, is_flip)?,
        }
        ensure(is_writer || disk.digest() == before, || "a reader changed something".to_owned())?;
        let disk = disk.kill();
        let again = self
            .open_as(true, &disk)
            .map_err(|error| Flaw::new(format!("afterwards, without the fault: {error}")))?;
        let shown = again.last_sequence().0;
        ensure(shown == found, || format!("{shown} events afterwards, and {found} without the fault"))?;
        oracle::check(&again, sent).map(|_| ())
    }
}

/// A read that fails is an error of the environment, and bytes read wrong may look damaged; neither is anything
/// else.
fn check_typed(error: &Error, is_flip: bool) -> Result<(), Flaw> {
    let is_right = match error {
        Error::Environment { .. } | Error::Stopped { .. } => true,
        Error::Corrupt { .. } | Error::NewerVersion { .. } => is_flip,
        _ => false,
    };
    ensure(is_right, || format!("a failing read led to: {error}"))
}

fn with_bit((fault, span): (ReadFault, Span), bit: u64) -> (ReadFault, Span) {
    match fault {
        ReadFault::FlipBit { .. } => (ReadFault::FlipBit { bit: bit >> 16 }, span),
        fault => (fault, span),
    }
}
