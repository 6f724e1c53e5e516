//! Whether a directory may become a copy of a store. Looks, changes nothing.
//!
//! Invariant: a directory is taken where nothing is in it, or what is in it is an earlier copy: every segment that it
//! has begins as the store's does, and where it ends, the store has the same frames before.

use annals_checkpoint::FRAME_TYPES;
use annals_segment::{
    Directory, Error as LogError, Inventory, LOCK, Layout, Newest, Outside, SealedPlace, SegmentFile, Tail,
};
use annals_wire::SegmentId;

use super::{
    Manner, Source,
    piece::{self, Piece},
};
use crate::Error;

/// Refuses `directory`, in which `inventory` was found, where it may not become a copy of `source`.
pub(super) fn check(source: &Source, directory: &dyn Directory, inventory: &Inventory) -> Result<(), Error> {
    let is_bare = has_nothing(directory)?;
    if !is_bare && !inventory.is_unfinished && source.manner == Manner::Restore {
        return Err(refusal(directory, "is not empty; name one that is, or is not there"));
    }
    if let Some(found) = inventory.manifest.as_ref().map(|found| found.manifest.store)
        && found != source.store()
    {
        let why = format!("holds the store {found}, and this is {}; name another directory", source.store());
        return Err(refusal(directory, &why));
    }
    if inventory.is_unfinished {
        return check_segments(source, directory, inventory);
    }
    if is_bare {
        return Ok(());
    }
    if inventory.is_empty() {
        let why = "holds other files and no backup; name an empty directory, or one that is not there";
        return Err(refusal(directory, why));
    }
    let layout = Layout::decide(inventory, directory.path(), None)?;
    check_segments(source, directory, inventory)?;
    match &layout.newest {
        Some(newest) => check_newest(source, directory, newest),
        None => Ok(()),
    }
}

/// Why `directory` is not taken.
pub(super) fn refusal(directory: &dyn Directory, why: &str) -> Error {
    let path = directory.path().display();
    Error::Invalid { what: "the directory", why: format!("{path} {why}") }
}

/// Whether nothing is in the directory but what locking it left.
fn has_nothing(directory: &dyn Directory) -> Result<bool, Error> {
    let entries = directory.list().map_err(LogError::io("list", directory.path()))?;
    Ok(entries.iter().all(|entry| entry.name == LOCK))
}

/// Compares the headers, each of which says how the segment before it ended.
fn check_segments(source: &Source, directory: &dyn Directory, inventory: &Inventory) -> Result<(), Error> {
    let newest = inventory.segments.keys().next_back();
    if newest.is_some_and(|newest| *newest < source.oldest()) {
        let why = format!(
            "ends before segment {}, with which the store begins by now; name another directory",
            source.oldest()
        );
        return Err(refusal(directory, &why));
    }
    for (id, file) in inventory.segments.range(source.oldest()..) {
        check_segment(source, directory, *id, file)?;
    }
    Ok(())
}

fn check_segment(
    source: &Source,
    directory: &dyn Directory,
    id: SegmentId,
    file: &SegmentFile,
) -> Result<(), Error> {
    let Some(place) = source.find(id) else {
        return Err(other_history(directory, &format!("it has a segment {id}, and the store has none")));
    };
    let own = Piece::open(&*source.directory, &piece::name(place))?.header(place)?;
    match &file.header {
        Some(Ok(header)) if *header == own => Ok(()),
        Some(Err(error)) => {
            let path = directory.path().join(annals_segment::segment_name(id, file.generation));
            Err(LogError::bytes(path, 0)(error.clone()).into())
        }
        _ => Err(other_history(directory, &format!("its segment {id} does not begin as the store's does"))),
    }
}

/// Whether the store has the frames that the backup ends with.
fn check_newest(source: &Source, directory: &dyn Directory, newest: &Newest) -> Result<(), Error> {
    let place = *source.find(newest.header.id).expect("its header was compared");
    let (end, chain) = match newest.clean {
        Some(clean) => (clean.end, clean.chain),
        None => {
            let tail = Tail::walk(directory, newest, Outside::default(), FRAME_TYPES, &mut |_, _| Ok(()))?;
            (tail.position.offset, tail.position.chain)
        }
    };
    if end > place.end {
        let why = format!("its segment {} ends at {end}, the store's at {}", place.id, place.end);
        return Err(other_history(directory, &why));
    }
    let own = Piece::open(&*source.directory, &piece::name(&place))?;
    if own.leads_to(&SealedPlace { end, chain, ..place })? {
        return Ok(());
    }
    // Is the store itself damaged? Then that is what is to be said.
    own.walk(&place, &mut |_| {})?;
    Err(other_history(directory, &format!("before offset {end} of segment {} it has other frames", place.id)))
}

fn other_history(directory: &dyn Directory, found: &str) -> Error {
    let why = "is a backup of this store with another history, or with more than the store has by now";
    refusal(directory, &format!("{why}: {found}; name another directory"))
}
