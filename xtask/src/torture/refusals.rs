//! Refusing: a file system mounted read-only, files that are immutable or take only appends.
//!
//! Invariant: what can't be written is read as before, and is written again when it can.

use std::{fs, path::PathBuf, sync::Arc};

use super::{
    bench::{Bench, Place},
    flaw::Flaw,
    kills::{AFTERWARDS, scripts, unclean},
    kind::{Found, Point},
    mount::{Marked, Mounted},
};

/// Stores that were closed, and such that were not.
fn stores(bench: &Bench) -> Result<Vec<(String, Arc<Place>)>, Flaw> {
    let mut stores = unclean(bench)?;
    for (number, script) in scripts(bench)?.into_iter().enumerate() {
        let mut place = Place::new(bench.scratch.join(format!("closed-{number}")))?;
        bench.write(&mut place, &["--script", &script], &[])?;
        stores.push((format!("{script}, closed"), Arc::new(place)));
    }
    Ok(stores)
}

/// Each store on a file system that is mounted read-only.
pub(super) fn read_only(bench: &Bench, _: &mut Place) -> Result<Vec<Point>, Flaw> {
    let point = |(name, left): (String, Arc<Place>)| {
        let attempt = Box::new(move |bench: &Bench, place: &mut Place| {
            place.take_from(&left)?;
            let (store, mounted_at) = (place.store.clone(), place.directory.join("mounted"));
            let mounted = Mounted::read_only(&mounted_at, &store)?;
            place.store = mounted_at;
            let refused = bench.check(place, &["--expect", "refuses"])?;
            let ran = bench.write(place, AFTERWARDS, &[])?;
            mounted.end()?;
            place.store = store;
            let kept = bench.check(place, &[])?;
            Ok(Found {
                has_landed: refused.is_refused,
                has_failed: ran.has_failed(),
                promised: kept.promised,
            })
        });
        Point { name, attempt }
    };
    Ok(stores(bench)?.into_iter().map(point).collect())
}

/// Each file of each store, and its directory, with each attribute.
pub(super) fn immutable(bench: &Bench, _: &mut Place) -> Result<Vec<Point>, Flaw> {
    let mut points = Vec::new();
    for (store, left) in stores(bench)? {
        let mut names = vec![PathBuf::new()];
        let entries = fs::read_dir(&left.store).map_err(Flaw::system("list", &left.store))?;
        names.extend(entries.filter_map(|entry| Some(entry.ok()?.file_name().into())));
        names.sort();
        for name in names {
            for (attribute, word) in [('i', "immutable"), ('a', "append-only")] {
                let shown =
                    if name.as_os_str().is_empty() { "directory".into() } else { name.display().to_string() };
                let (left, file) = (Arc::clone(&left), name.clone());
                let attempt = Box::new(move |bench: &Bench, place: &mut Place| {
                    place.take_from(&left)?;
                    let marked = Marked::new(&place.store.join(&file), attribute)?;
                    bench.check_reading(place)?;
                    let ran = bench.write(place, AFTERWARDS, &[])?;
                    drop(marked);
                    let kept = bench.check(place, &[])?;
                    Ok(Found { has_landed: true, has_failed: ran.has_failed(), promised: kept.promised })
                });
                points.push(Point { name: format!("{store}, {shown} {word}"), attempt });
            }
        }
    }
    Ok(points)
}
