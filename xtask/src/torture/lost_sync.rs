//! Syncs that really fail: a file system in a sparse image whose own disk has no room for it.
//!
//! The subject's writes go to the system's cache and are taken; when they are synced, the image can't grow. Then
//! there is room again, at times another process opens the store over what the cache still shows, and the file
//! system is unmounted, which drops the cache.
//!
//! Invariant: what was promised as durable is there afterwards, and nothing else has to be.

use std::{fs, os::unix::fs::MetadataExt as _};

use super::{
    bench::{Bench, End, Place},
    flaw::Flaw,
    kills::AFTERWARDS,
    kind::{Found, Point},
    mount::{Mounted, run},
};

/// How large the image seems; XFS takes no smaller one.
const IMAGE_BYTES: u64 = 320 << 20;
/// How much of it may be real.
const ROOM: u64 = 1 << 30;
/// What the disk has left when the workload begins.
const LEFT: [u64; 8] = [16, 48, 96, 160, 320, 640, 1280, 2560];
/// More steps than fit.
const STEPS: &str = "20000";

pub(super) fn on_ext4(_: &Bench, _: &mut Place) -> Result<Vec<Point>, Flaw> {
    Ok(points(&["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=1"]))
}

pub(super) fn on_xfs(_: &Bench, _: &mut Place) -> Result<Vec<Point>, Flaw> {
    Ok(points(&["mkfs.xfs", "-q"]))
}

fn points(make: &'static [&'static str]) -> Vec<Point> {
    let variants = LEFT.iter().flat_map(|kib| [(*kib, 0, false), (*kib, 1, true), (*kib, 2, true)]);
    let point = |(kib, moved, reopens): (u64, u64, bool)| {
        let reopened = if reopens { ", opened again before the cache is dropped" } else { "" };
        let name = format!("{kib} KiB left, seed +{moved}{reopened}");
        let attempt = Box::new(move |bench: &Bench, place: &mut Place| {
            let seed = bench.seed.wrapping_add(kib * 8 + moved);
            fail(bench, place, make, kib << 10, seed, reopens)
        });
        Point { name, attempt }
    };
    variants.map(point).collect()
}

fn fail(
    bench: &Bench,
    place: &mut Place,
    make: &[&str],
    left: u64,
    seed: u64,
    reopens: bool,
) -> Result<Found, Flaw> {
    let (backing, mounted_at) = (place.directory.join("backing"), place.directory.join("mounted"));
    let disk = Mounted::tmpfs(&backing, ROOM)?;
    let image = backing.join("image");
    let file = fs::File::create(&image).map_err(Flaw::system("make", &image))?;
    file.set_len(IMAGE_BYTES).map_err(Flaw::system("lengthen", &image))?;
    let image_word = image.display().to_string();
    if let Some((program, words)) = make.split_first() {
        run(program, &[words, &[&image_word]].concat())?;
    }
    let mounted = Mounted::image(&mounted_at, &image)?;
    place.store = mounted_at.join("store");
    run("sync", &["--file-system", &mounted_at.display().to_string()])?;
    let used = file.metadata().map_err(Flaw::system("look at", &image))?.blocks() * 512;
    disk.change(&format!("size={}", used + left))?;
    let words =
        ["--seed", &seed.to_string(), "--steps", STEPS, "--segment-bytes", "65536", "--headroom", "0"];
    let ran = bench.write(place, &words, &[])?;
    disk.change(&format!("size={ROOM}"))?;
    if reopens {
        // Where the file system has stopped it is refused, and that is right too.
        bench.write(place, AFTERWARDS, &[])?;
    }
    // A file system that has stopped says so once more.
    drop(mounted);
    let mounted = Mounted::image(&mounted_at, &image)?;
    let kept = bench.check(place, &["--power"])?;
    mounted.end()?;
    Ok(Found { has_landed: ran.end == End::Failed, has_failed: ran.has_failed(), promised: kept.promised })
}
