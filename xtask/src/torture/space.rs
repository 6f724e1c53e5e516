//! Limits of the system: a disk of every size that is full at some moment, the size of files, open files.
//!
//! Invariant: where there is room again, the store opens and goes on, with all that was promised.

use std::fs;

use super::{
    bench::{Bench, End, Place, Ran},
    flaw::Flaw,
    kills::AFTERWARDS,
    kind::{Found, Point},
    mount::Mounted,
};

/// What is run within the limits; all steps that there are.
const SCRIPT: &[&str] = &["--script", "everything"];

const DISK_MAX: u64 = 176 << 10;
const DISK_STEP: u64 = 4 << 10;
/// Up to which size, and in which steps: the manifest, segments, and what is prepared behind them.
const FILE_SIZES: [(u64, usize); 3] = [(8192, 512), (18_000, 72), (140_000, 4096)];
const DESCRIPTORS: std::ops::Range<u64> = 3..40;

fn found(ran: &Ran, promised: u64) -> Found {
    Found { has_landed: ran.end != End::Done, has_failed: ran.has_failed(), promised }
}

/// Disks of every size, with and without what appends leave unused; each is opened again with no byte free, and
/// once more with room.
pub(super) fn full_disks(_: &Bench, _: &mut Place) -> Result<Vec<Point>, Flaw> {
    let sizes = (1..=DISK_MAX / DISK_STEP).map(|number| number * DISK_STEP);
    let headrooms = ["0", "4096", "20000"];
    let points = sizes.flat_map(|bytes| headrooms.map(|headroom| (bytes, headroom)));
    let point = |(bytes, headroom): (u64, &'static str)| {
        let name = format!("{} KiB, headroom {headroom}", bytes >> 10);
        let attempt = Box::new(move |bench: &Bench, place: &mut Place| fill(bench, place, bytes, headroom));
        Point { name, attempt }
    };
    Ok(points.map(point).collect())
}

fn fill(bench: &Bench, place: &mut Place, bytes: u64, headroom: &str) -> Result<Found, Flaw> {
    let directory = place.directory.join("disk");
    let disk = Mounted::tmpfs(&directory, bytes)?;
    place.store = directory.join("store");
    let with_headroom = |words: &[&'static str]| [words, &["--headroom"]].concat();
    let ran = bench.write(place, &[&with_headroom(SCRIPT)[..], &[headroom]].concat(), &[])?;
    let filler = directory.join("filler");
    // As much as there is room for: it ends with an error, of which this is the point.
    let _full = fs::write(&filler, vec![1; usize::try_from(bytes).unwrap_or_default()]);
    bench.check_reading(place)?;
    let second = bench.write(place, &[&with_headroom(AFTERWARDS)[..], &["0"]].concat(), &[])?;
    fs::remove_file(&filler).map_err(Flaw::system("remove", &filler))?;
    disk.change("size=16m")?;
    let kept = bench.check(place, &[])?;
    drop(disk);
    let mut found = found(&ran, kept.promised);
    found.has_failed |= second.has_failed();
    Ok(found)
}

/// Files may not grow beyond a size: a write that crosses it is cut short, and the next one fails.
pub(super) fn file_sizes(_: &Bench, _: &mut Place) -> Result<Vec<Point>, Flaw> {
    let mut sizes = Vec::new();
    for (max, step) in FILE_SIZES {
        sizes.extend((sizes.last().copied().unwrap_or_default()..=max).step_by(step));
    }
    // Without the signal, whose default is to end the process.
    let wrapper = |bytes| format!("env --ignore-signal=XFSZ prlimit --fsize={bytes}");
    Ok(sizes.into_iter().map(|bytes| limited(format!("{bytes} bytes"), wrapper(bytes), "65536")).collect())
}

/// So many files may be open.
pub(super) fn descriptors(_: &Bench, _: &mut Place) -> Result<Vec<Point>, Flaw> {
    let point =
        |count| limited(format!("{count} files"), format!("prlimit --nofile={count}:{count}"), "4096");
    Ok(DESCRIPTORS.map(point).collect())
}

/// A workload within a limit, and another one over what it left.
fn limited(name: String, wrapper: String, segment_bytes: &'static str) -> Point {
    let attempt = Box::new(move |bench: &Bench, place: &mut Place| {
        let wrapper: Vec<_> = wrapper.split(' ').map(str::to_owned).collect();
        let options = ["--headroom", "0", "--segment-bytes", segment_bytes];
        let words = |script: &'static [&'static str]| [script, &options].concat();
        let ran = bench.write(place, &words(SCRIPT), &wrapper)?;
        if ran.end != End::Unborn {
            bench.write(place, &words(AFTERWARDS), &wrapper)?;
        }
        let kept = bench.check(place, &[])?;
        Ok(found(&ran, kept.promised))
    });
    Point { name, attempt }
}
