//! Failing: every system call of a workload and of a recovery fails, with each error that it may give, once and
//! for good.
//!
//! Invariant: a store that met an error says so with a typed error, or goes on where the error means nothing to
//! what it promised; `absorbed` says where that is.

use std::{fs, sync::Arc};

use super::{
    bench::{Bench, End, Place, Ran},
    flaw::Flaw,
    kills::{AFTERWARDS, calls, scripts, strace, unclean},
    kind::{Found, Point},
    trace::Call,
};

/// The errors that each call may give; what is not here is not failed.
const ERRORS: &[(&str, &[&str])] = &[
    ("openat", &["EIO", "ENOSPC", "EINTR", "EROFS", "EMFILE", "EDQUOT", "EACCES"]),
    ("pwrite64", &["EIO", "ENOSPC", "EINTR", "EROFS", "EDQUOT"]),
    ("pread64", &["EIO", "EINTR"]),
    ("fdatasync", &["EIO", "ENOSPC", "EINTR", "EROFS", "EDQUOT"]),
    ("fsync", &["EIO", "ENOSPC", "EINTR", "EROFS", "EDQUOT"]),
    ("ftruncate", &["EIO", "ENOSPC", "EINTR", "EROFS", "EDQUOT", "EACCES"]),
    ("rename", &["EIO", "ENOSPC", "EROFS", "EDQUOT", "EACCES"]),
    ("unlink", &["EIO", "EROFS", "EACCES"]),
    ("mkdir", &["EIO", "ENOSPC", "EROFS", "EDQUOT", "EACCES"]),
    ("flock", &["EIO", "EINTR", "ENOLCK"]),
    ("mmap", &["ENOMEM", "EACCES", "ENFILE"]),
    ("getdents64", &["EIO"]),
    ("statx", &["EIO", "EACCES"]),
    ("statfs", &["EIO", "EINTR"]),
    ("close", &["EIO", "EINTR"]),
];

/// A call that fails.
#[derive(Debug, Clone)]
struct Fault {
    call: Call,
    error: &'static str,
    is_for_good: bool,
}

/// The faults of `calls`. What is interrupted for good is not: whoever asks again would do so for ever.
fn faults(calls: Vec<Call>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for call in calls.into_iter().filter(Call::is_of_store) {
        let errors =
            ERRORS.iter().find(|(name, _)| *name == call.name).map_or(&[][..], |(_, errors)| *errors);
        for error in errors {
            for is_for_good in [false, true] {
                // Where `statx` fails for good, the standard library takes another call; where closing a directory
                // fails, which no system does, it panics.
                let is_asked_again = *error == "EINTR" || matches!(&*call.name, "statx" | "close");
                if !(is_for_good && is_asked_again) {
                    faults.push(Fault { call: call.clone(), error, is_for_good });
                }
            }
        }
    }
    faults
}

impl Fault {
    fn words(&self) -> String {
        let span = if self.is_for_good { "from" } else { "at" };
        format!("{} {span} {} {}", self.error, self.call.name, self.call.number)
    }

    fn run(&self, bench: &Bench, place: &mut Place, arguments: &[&str]) -> Result<Found, Flaw> {
        let wrapper = strace(place, &self.call, &format!("error={}", self.error), self.is_for_good);
        let ran = bench.write(place, arguments, &wrapper)?;
        let listing = place.listing();
        let text = fs::read_to_string(&listing).map_err(Flaw::system("read", &listing))?;
        let met = met(&text);
        self.check_told(&ran, &met)?;
        let kept = bench.check(place, &[])?;
        Ok(Found { has_landed: !met.is_empty(), has_failed: ran.has_failed(), promised: kept.promised })
    }

    /// Fails where the store met an error that means something and said nothing.
    fn check_told(&self, ran: &Ran, met: &[Met<'_>]) -> Result<(), Flaw> {
        if ran.end != End::Done || ran.has_told() || self.error == "EINTR" {
            return Ok(());
        }
        // Who lets go of a store without closing it is told nothing, and was promised nothing by it.
        match met.iter().find(|met| !met.while_dropping && !is_absorbed(met.line)) {
            Some(met) => Err(Flaw::new(format!("a failure was kept back: {}", met.line))),
            None => Ok(()),
        }
    }
}

/// A call that failed, as strace lists it.
struct Met<'a> {
    line: &'a str,
    /// Whether the store was being let go.
    while_dropping: bool,
}

/// The calls that failed in `listing`, which has what was said as well.
fn met(listing: &str) -> Vec<Met<'_>> {
    let mut while_dropping = false;
    let mut met = Vec::new();
    for line in listing.lines() {
        if line.starts_with("write(1") {
            while_dropping = line.contains("\"dropping");
        } else if line.ends_with("(INJECTED)") {
            met.push(Met { line, while_dropping });
        }
    }
    met
}

/// Whether a store may go on and say nothing behind the failed call that `line` lists.
fn is_absorbed(line: &str) -> bool {
    let is = |call: &str| line.strip_prefix(call).is_some_and(|rest| rest.starts_with('('));
    // What others see, and what is closed or let go anyway, is no part of a promise.
    let is_of_nobody = line.contains("/FRONTIER") || is("close") || line.contains("LOCK_UN");
    // A lock holds without a name in it.
    let is_name = line.contains("/LOCK>") && (line.contains(" ENOSPC ") || line.contains(" EDQUOT "));
    // Zeros are written ahead so that a sync has less to do.
    let is_ahead = is("pwrite64") && line.contains(".seg>, \"\\0\\0\\0\\0\\0\\0\\0\\0");
    // What could not be opened is looked at to say what is there; the first error counts. The standard library
    // asks whether the system knows the call at all.
    let is_second_look = line.starts_with("statx(0")
        || line.starts_with("statx(AT_FDCWD") && line.contains("AT_SYMLINK_NOFOLLOW");
    // A directory that was there before the store's may be one that this user cannot open, or on another
    // file system that cannot be written.
    let is_above = (is("openat") || is("fsync")) && !line.contains("/store") && is_forbidden(line);
    // How many cores there are is asked of the system, and taken for one where it does not say.
    let is_of_cores = line.contains("/cgroup");
    is_of_nobody || is_name || is_ahead || is_second_look || is_above || is_of_cores
}

fn is_forbidden(line: &str) -> bool {
    line.contains(" EACCES ") || line.contains(" EROFS ")
}

/// Each call of each workload.
pub(super) fn in_workloads(bench: &Bench, place: &mut Place) -> Result<Vec<Point>, Flaw> {
    let mut points = Vec::new();
    for script in scripts(bench)? {
        *place = Place::new(place.directory.clone())?;
        for fault in faults(calls(bench, place, &["--script", &script], ["opening", "done"])?) {
            let script = script.clone();
            let name = format!("{script}, {}", fault.words());
            let attempt = Box::new(move |bench: &Bench, place: &mut Place| {
                fault.run(bench, place, &["--script", &script])
            });
            points.push(Point { name, attempt });
        }
    }
    Ok(points)
}

/// Each call of each recovery.
pub(super) fn in_recoveries(bench: &Bench, place: &mut Place) -> Result<Vec<Point>, Flaw> {
    let mut points = Vec::new();
    for (store, left) in unclean(bench)? {
        *place = Place::new(place.directory.clone())?;
        place.take_from(&left)?;
        for fault in faults(calls(bench, place, AFTERWARDS, ["opening", "opened"])?) {
            let name = format!("{store}, {}", fault.words());
            let left = Arc::clone(&left);
            let attempt = Box::new(move |bench: &Bench, place: &mut Place| {
                place.take_from(&left)?;
                fault.run(bench, place, AFTERWARDS)
            });
            points.push(Point { name, attempt });
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_interrupted_for_good_is_left_out_and_what_no_store_calls_too() {
        assert!(faults(Vec::new()).is_empty());
        assert!(is_absorbed("pwrite64(5</s/FRONTIER>, ..., 0) = -1 EIO (INJECTED)"));
        assert!(!is_absorbed("fdatasync(5</s/000001.seg>) = -1 EIO (INJECTED)"));
    }

    #[test]
    fn a_failure_belongs_to_what_was_said_last() {
        let failed = "fdatasync(5</s/000001.seg>) = -1 EIO (INJECTED)";
        let said = |what: &str| format!("write(1<pipe:[1]>, \"{what}\\n\", 9) = 9");
        let listing = [&said("dropping"), failed, &said("opening"), failed, "fdatasync(5) = 0"].join("\n");
        let found: Vec<_> = met(&listing).iter().map(|met| met.while_dropping).collect();
        assert_eq!(found, [true, false]);
    }
}
