//! Which segments make up the log. Pure: an inventory in, a layout or a refusal out.
//!
//! Invariant: a segment counts where the manifest names it, or where its header continues the newest that the
//! manifest names. Everything between the oldest and the newest must be there; each header must say of the
//! segment before it what is true. What the manifest does not name was never acknowledged.

use std::path::{Path, PathBuf};

use annals_wire::{CleanEnd, Generation, Manifest, SEGMENT_HEADER_LEN, SegmentHeader, SegmentId, Sequence};

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
    /// [`Error::NotFound`] where there is nothing; [`Error::ManifestLost`], [`Error::MissingSegment`],
    /// [`Error::Corrupt`], [`Error::Mismatch`], [`Error::Misplaced`] or [`Error::Lost`] where something that
    /// was acknowledged is missing or damaged.
    pub fn decide(inventory: &Inventory, directory: &Path, upto: Option<SegmentId>) -> Result<Self, Error> {
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
        let mut headers = Vec::new();
        let mut id = manifest.oldest;
        while id <= newest_id {
            headers.push(view.header(id)?);
            id = id.next().ok_or(Error::Exhausted { what: "the segment's id" })?;
        }
        let sealed = view.sealed(&headers)?;
        let newest = headers.last().map(|(header, len)| {
            let closed = manifest.clean.filter(|_| header.id == manifest.newest);
            Newest {
                header: *header,
                len: *len,
                is_named: header.id <= manifest.newest,
                clean: closed.filter(|_| found.damaged_slot.is_none()),
                closed_end: closed.map_or(0, |closed| closed.end),
            }
        });
        let discard = if upto.is_some() { Vec::new() } else { view.discard(newest_id) };
        let is_manifest_damaged = found.damaged_slot.is_some();
        Ok(Self { manifest: manifest.clone(), is_manifest_damaged, sealed, newest, discard, oddities })
    }

    /// The sequence that the first event of the log has, or will have.
    #[must_use]
    pub fn first_sequence(&self) -> Sequence {
        let oldest = self.sealed.first().map(|place| place.first_sequence);
        oldest.or(self.newest.as_ref().map(|newest| newest.header.first_sequence)).unwrap_or(Sequence(1))
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

    fn generation(&self, id: SegmentId) -> Generation {
        let replaced = self.manifest.replaced.iter().find(|replaced| replaced.id == id);
        replaced.map_or(Generation(0), |replaced| replaced.generation)
    }

    fn file(&self, id: SegmentId) -> Result<&SegmentFile, Error> {
        let file = self.inventory.segments.get(&id);
        let file = file.filter(|file| file.generation == self.generation(id));
        file.ok_or_else(|| Error::MissingSegment { path: self.path(id), id })
    }

    /// The header of a segment that belongs to the log, and its file's length.
    fn header(&self, id: SegmentId) -> Result<(SegmentHeader, u64), Error> {
        let file = self.file(id)?;
        let header = file.header.as_ref().map_err(|error| Error::bytes(self.path(id), 0)(error.clone()))?;
        if header.store != self.manifest.store {
            let why = "it is a segment of another log; move it away and restore the log's own";
            return Err(Error::Misplaced { path: self.path(id), why });
        }
        if header.id != id || header.generation != file.generation {
            let why = "it is another segment of this log: its name and its header disagree";
            return Err(Error::Misplaced { path: self.path(id), why });
        }
        Ok((*header, file.len))
    }

    /// The newest segment: what the manifest names, or one behind it that continues it.
    fn newest(&self, slot_is_damaged: bool, oddities: &mut Vec<String>) -> Result<SegmentId, Error> {
        let named = self.manifest.newest;
        let mut newest = named;
        while let Some(next) = newest.next().filter(|next| self.inventory.segments.contains_key(next)) {
            let file = self.file(next)?;
            match &file.header {
                Ok(header) if self.continues(newest, header) => {
                    oddities.push(format!(
                        "segment {next} continues segment {newest} and is not named by {}",
                        name::MANIFEST
                    ));
                    newest = next;
                }
                Ok(_) if named == SegmentId(0) || file.len <= SEGMENT_HEADER_LEN as u64 => break,
                Ok(_) => {
                    let why = "it does not continue the newest segment that the manifest names";
                    return Err(Error::Misplaced { path: self.path(next), why });
                }
                Err(error) if slot_is_damaged => return Err(Error::bytes(self.path(next), 0)(error.clone())),
                Err(_) => break,
            }
        }
        if let Some(beyond) =
            self.inventory.segments.range(newest..).map(|(id, _)| *id).find(|id| Some(*id) > newest.next())
        {
            let why = "it lies behind segments that are not there";
            return Err(Error::Misplaced { path: self.path(beyond), why });
        }
        Ok(newest)
    }

    fn continues(&self, newest: SegmentId, header: &SegmentHeader) -> bool {
        let before = self.inventory.segments.get(&newest);
        let end = before.and_then(|file| Some((file.header.as_ref().ok()?, file.len)));
        end.is_some_and(|(before, len)| {
            header.store == self.manifest.store
                && header.previous.is_some_and(|previous| {
                    previous.id == newest && previous.generation == before.generation && previous.end <= len
                })
        })
    }

    /// What is known of all segments but the newest, from the headers behind them.
    fn sealed(&self, headers: &[(SegmentHeader, u64)]) -> Result<Vec<SealedPlace>, Error> {
        let mut sealed = Vec::new();
        for ((header, len), (next, _)) in headers.iter().zip(headers.iter().skip(1)) {
            let previous = next
                .previous
                .filter(|previous| previous.id == header.id && previous.generation == header.generation);
            let Some(previous) = previous else {
                let why = "its header does not continue the segment before it";
                return Err(Error::Misplaced { path: self.path(next.id), why });
            };
            if *len < previous.end {
                let witness = "the header of the next segment";
                return Err(Error::Lost {
                    path: self.path(header.id),
                    end: *len,
                    proven: previous.end,
                    witness,
                });
            }
            sealed.push(SealedPlace {
                store: header.store,
                id: header.id,
                generation: header.generation,
                first_sequence: header.first_sequence,
                end: previous.end,
                chain: previous.chain,
            });
        }
        Ok(sealed)
    }

    fn discard(&self, newest: SegmentId) -> Vec<String> {
        let outside =
            self.inventory.segments.iter().filter(|(id, _)| **id < self.manifest.oldest || **id > newest);
        let outside = outside.map(|(id, file)| name::segment_name(*id, file.generation));
        outside.chain(self.inventory.temporary.iter().cloned()).collect()
    }
}
