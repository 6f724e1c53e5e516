//! Which segments make up the log. Pure: an inventory in, a layout or a refusal out.
//!
//! Invariant: a segment counts where the manifest names it, or where its header continues the newest that the
//! manifest names. Everything between the oldest and the newest must be there; each header must say of the
//! segment before it what is true. What the manifest does not name was never acknowledged.
//!
//! Of a segment whose header was not read, the checkpoint says what it is; the first header that was read must
//! continue what it says.

use std::path::{Path, PathBuf};

use annals_wire::{
    Chain, CleanEnd, CoveredSegment, Generation, Manifest, Replaced, SEGMENT_HEADER_LEN, SegmentHeader,
    SegmentId, Sequence,
};

use crate::{Error, Inventory, SealedPlace, inventory::SegmentFile, name};

/// The log's segments, and what to tell of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// What the manifest says.
    pub manifest: Manifest,
    /// Whether one of the manifest's slots is damaged, and to be written again before anything else.
    pub is_manifest_damaged: bool,
    /// The sealed segments, oldest first.
    pub sealed: Vec<SealedPlace>,
    /// The newest segment; `None` where the log was created and no segment made yet.
    pub newest: Option<Newest>,
    /// Files that belong to no acknowledged event and are to be removed: a segment of an unfinished rotation,
    /// segments before the oldest, unfinished replacements.
    pub discard: Vec<String>,
    /// What was found that a sound log does not have; empty for a sound one.
    pub oddities: Vec<String>,
}

/// The newest segment, whose end is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Newest {
    /// Its header.
    pub header: SegmentHeader,
    /// The length of its file.
    pub len: u64,
    /// Whether the manifest names it.
    pub is_named: bool,
    /// Where the log was closed cleanly, and nothing appended since. With a damaged slot in the manifest that
    /// is not known: the damaged one may have cleared it.
    pub clean: Option<CleanEnd>,
    /// How far the manifest proves that the segment was durable, were it appended to since or not.
    pub closed_end: u64,
}

impl Layout {
    /// Decides which segments of `inventory` are the log's; `directory` is for messages. With `upto`, segments
    /// behind that one are left out of sight, as a reader beside a writer must.
    ///
    /// # Errors
    /// [`Error::Unfinished`] where the directory says that it is; [`Error::NotFound`] where there is nothing; [`Error::ManifestLost`], [`Error::MissingSegment`],
    /// [`Error::Corrupt`], [`Error::Mismatch`], [`Error::Misplaced`] or [`Error::Lost`] where something that
    /// was acknowledged is missing or damaged.
    pub fn decide(inventory: &Inventory, directory: &Path, upto: Option<SegmentId>) -> Result<Self, Error> {
        if inventory.is_unfinished {
            return Err(Error::Unfinished { path: directory.join(name::UNFINISHED) });
        }
        let Some(found) = &inventory.manifest else {
            let path = directory.join(name::MANIFEST);
            return Err(if inventory.is_empty() {
                Error::NotFound { path: directory.to_owned() }
            } else {
                Error::ManifestLost { path, why: "is missing".to_owned() }
            });
        };
        let manifest = &found.manifest;
        let view = View { inventory, directory, manifest };
        let mut oddities = Vec::new();
        if let Some((offset, error)) = &found.damaged_slot {
            oddities.push(format!("{} has a damaged slot at offset {offset}: {error}", name::MANIFEST));
        }
        let mut newest_id = view.newest(found.damaged_slot.is_some(), &mut oddities)?;
        if let Some(upto) = upto {
            newest_id = newest_id.min(upto);
        }
        let mut segments = Vec::new();
        let mut next = Some(manifest.oldest).filter(|oldest| *oldest <= newest_id);
        while let Some(id) = next {
            segments.push(view.known(id)?);
            next = id.next().filter(|next| *next <= newest_id);
        }
        let sealed = view.sealed(&segments)?;
        let newest = segments.last().map(|known| {
            let header = known.header.expect("the newest segment's header is read");
            let closed = manifest.clean.filter(|_| header.id == manifest.newest);
            Newest {
                header,
                len: known.len,
                is_named: header.id <= manifest.newest,
                clean: closed.filter(|_| found.damaged_slot.is_none()),
                closed_end: closed.map_or(0, |closed| closed.end),
            }
        });
        view.check_other_generations()?;
        let discard = if upto.is_some() { Vec::new() } else { view.discard(newest_id) };
        let is_manifest_damaged = found.damaged_slot.is_some();
        Ok(Self { manifest: manifest.clone(), is_manifest_damaged, sealed, newest, discard, oddities })
    }

    /// Which of the sealed segments has the id `id`, or where it would be.
    ///
    /// # Errors
    /// The place where it would be.
    pub fn find_sealed(&self, id: SegmentId) -> Result<usize, usize> {
        self.sealed.binary_search_by_key(&id, |place| place.id)
    }

    /// The sequence that the first event of the log has, or will have.
    #[must_use]
    pub fn first_sequence(&self) -> Sequence {
        let oldest = self.sealed.first().map(|place| place.first_sequence);
        oldest.or(self.newest.as_ref().map(|newest| newest.header.first_sequence)).unwrap_or(Sequence(1))
    }
}

/// What is known of a segment: from its header, or where that was not read, from the checkpoint.
struct Known {
    id: SegmentId,
    generation: Generation,
    len: u64,
    header: Option<SegmentHeader>,
    covered: Option<CoveredSegment>,
}

impl Known {
    fn first_sequence(&self) -> Sequence {
        let header = self.header.map(|header| header.first_sequence);
        let covered = self.covered.map(|covered| covered.first_sequence);
        header.or(covered).expect("what is not covered has its header read")
    }
}

struct View<'a> {
    inventory: &'a Inventory,
    directory: &'a Path,
    manifest: &'a Manifest,
}

impl View<'_> {
    fn path(&self, id: SegmentId) -> PathBuf {
        self.directory.join(name::segment_name(id, self.generation(id)))
    }

    fn replaced(&self, id: SegmentId) -> Option<&Replaced> {
        self.manifest.replaced.iter().find(|replaced| replaced.id == id)
    }

    fn generation(&self, id: SegmentId) -> Generation {
        self.replaced(id).map_or(Generation(0), |replaced| replaced.generation)
    }

    fn file(&self, id: SegmentId) -> Result<&SegmentFile, Error> {
        let file = self.inventory.segments.get(&id);
        let file = file.filter(|file| file.generation == self.generation(id));
        file.ok_or_else(|| Error::MissingSegment { path: self.path(id), id })
    }

    /// What is known of a segment that belongs to the log.
    fn known(&self, id: SegmentId) -> Result<Known, Error> {
        let file = self.file(id)?;
        let header = file.header.as_ref().map(|_| self.header(id, file)).transpose()?;
        let SegmentFile { generation, len, covered, .. } = *file;
        Ok(Known { id, generation, len, header, covered })
    }

    /// The header of a segment that belongs to the log.
    fn header(&self, id: SegmentId, file: &SegmentFile) -> Result<SegmentHeader, Error> {
        let header = file.header.as_ref().expect("it was read");
        let header = header.as_ref().map_err(|error| Error::bytes(self.path(id), 0)(error.clone()))?;
        if header.store != self.manifest.store {
            let why = "it is a segment of another log; move it away and restore the log's own";
            return Err(Error::Misplaced { path: self.path(id), why });
        }
        if header.id != id || header.generation != file.generation {
            let why = "it is another segment of this log: its name and its header disagree";
            return Err(Error::Misplaced { path: self.path(id), why });
        }
        Ok(*header)
    }

    /// The newest segment: what the manifest names, or one behind it that continues it.
    fn newest(&self, slot_is_damaged: bool, oddities: &mut Vec<String>) -> Result<SegmentId, Error> {
        let named = self.manifest.newest;
        let mut newest = named;
        while let Some(next) = newest.next().filter(|next| self.inventory.segments.contains_key(next)) {
            let file = self.file(next)?;
            match file.header.as_ref().expect("headers behind the newest that is named are read") {
                Ok(header) if self.continues(newest, header) => {
                    oddities.push(format!(
                        "segment {next} continues segment {newest} and is not named by {}",
                        name::MANIFEST
                    ));
                    newest = next;
                }
                Ok(_) if !slot_is_damaged && file.len <= SEGMENT_HEADER_LEN as u64 => break,
                Ok(_) => {
                    let why = "it does not continue the newest segment that the manifest names";
                    return Err(Error::Misplaced { path: self.path(next), why });
                }
                Err(error) if slot_is_damaged => return Err(Error::bytes(self.path(next), 0)(error.clone())),
                Err(_) => break,
            }
        }
        let behind_gap = |id: &SegmentId| newest.next().is_some_and(|next| *id > next);
        if let Some(beyond) = self.inventory.segments.keys().copied().find(behind_gap) {
            let why = "it lies behind segments that are not there";
            return Err(Error::Misplaced { path: self.path(beyond), why });
        }
        Ok(newest)
    }

    /// Whether `header` is of the segment behind `newest`, of which there is none yet where that is 0.
    fn continues(&self, newest: SegmentId, header: &SegmentHeader) -> bool {
        if newest == SegmentId(0) {
            return header.store == self.manifest.store
                && header.id == self.manifest.oldest
                && header.previous.is_none();
        }
        let before = self.inventory.segments.get(&newest);
        let end = before.and_then(|file| Some((file.header.as_ref()?.as_ref().ok()?, file.len)));
        end.is_some_and(|(before, len)| {
            header.store == self.manifest.store
                && header.previous.is_some_and(|previous| {
                    previous.id == newest && previous.generation == before.generation && previous.end <= len
                })
        })
    }

    /// What is known of all segments but the newest, from the headers behind them, or from the checkpoint.
    fn sealed(&self, segments: &[Known]) -> Result<Vec<SealedPlace>, Error> {
        let mut sealed = Vec::with_capacity(segments.len().saturating_sub(1));
        for (known, next) in segments.iter().zip(segments.iter().skip(1)) {
            let (end, chain, witness) = self.end(known, next)?;
            if known.len < end {
                return Err(Error::Lost { path: self.path(known.id), end: known.len, proven: end, witness });
            }
            sealed.push(SealedPlace {
                store: self.manifest.store,
                id: known.id,
                generation: known.generation,
                first_sequence: known.first_sequence(),
                end,
                chain,
            });
        }
        Ok(sealed)
    }

    /// Where the frames of a segment end, its chain there, and what says so.
    fn end(&self, known: &Known, next: &Known) -> Result<(u64, Chain, &'static str), Error> {
        let Some(header) = &next.header else {
            let covered = known.covered.expect("a header is read where nothing is known of the one before");
            return Ok((covered.end, covered.chain, "the checkpoint"));
        };
        let previous = header.previous;
        let before = previous.filter(|previous| previous.id == known.id);
        if let Some(replaced) = self.replaced(known.id)
            && before.is_some_and(|previous| previous.generation < known.generation)
        {
            return Ok((replaced.end, replaced.chain, "the manifest"));
        }
        let before = before.filter(|previous| previous.generation == known.generation);
        if before.is_none() {
            let why = "its header does not continue the segment before it";
            return Err(Error::Misplaced { path: self.path(next.id), why });
        }
        let previous = before.expect("it was looked at");
        Ok((previous.end, previous.chain, "the header of the next segment"))
    }

    /// Files of other generations are what their names say, and not misplaced ones.
    fn check_other_generations(&self) -> Result<(), Error> {
        for (id, file) in &self.inventory.other_generations {
            let header = file.header.as_ref().and_then(|header| header.as_ref().ok());
            let is_itself = header.is_some_and(|header| {
                (header.store, header.id, header.generation) == (self.manifest.store, *id, file.generation)
            });
            if !is_itself {
                let path = self.directory.join(name::segment_name(*id, file.generation));
                let why =
                    "another file has the same segment's name, and this one is no other generation of it";
                return Err(Error::Misplaced { path, why });
            }
        }
        Ok(())
    }

    fn discard(&self, newest: SegmentId) -> Vec<String> {
        let outside =
            self.inventory.segments.iter().filter(|(id, _)| **id < self.manifest.oldest || **id > newest);
        let outside = outside.map(|(id, file)| (*id, file.generation));
        // Where a slot is damaged, the other may be of before a segment was replaced.
        let is_whole = self.inventory.manifest.as_ref().is_some_and(|found| found.damaged_slot.is_none());
        let overtaken = self.inventory.other_generations.iter().filter(|_| is_whole);
        let overtaken = overtaken.map(|(id, file)| (*id, file.generation));
        let segments = outside.chain(overtaken).map(|(id, generation)| name::segment_name(id, generation));
        segments.chain(self.inventory.temporary.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests;
