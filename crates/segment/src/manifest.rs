//! The manifest's file: two slots, written in turn, each write synced before it counts.
//!
//! Invariant: the slot that is not being written is whole. A manifest is created under a temporary name and
//! renamed when both of its slots are durable, so there is none or a whole one.

use std::{path::PathBuf, sync::Arc};

use annals_wire::{MANIFEST_SLOT_LEN, Manifest, SegmentId, StoreId};

use crate::{Access, Directory, Error, File, name};

/// What was found of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundManifest {
    /// The newer whole slot.
    pub manifest: Manifest,
    /// What is wrong with the other slot, with its offset, where it is not whole.
    pub damaged_slot: Option<(u64, annals_wire::Error)>,
}

/// The manifest, open for writing.
#[derive(Debug)]
pub(crate) struct ManifestFile {
    file: Arc<dyn File>,
    path: PathBuf,
    current: Manifest,
    /// Whether the current slot is known to be durable, and not only in the page cache.
    is_proven: bool,
}

/// Reads the manifest; `None` where there is none.
///
/// # Errors
/// [`Error::ManifestLost`] where neither slot is whole, [`Error::Newer`], or [`Error::Io`].
pub(crate) fn find(directory: &dyn Directory) -> Result<Option<FoundManifest>, Error> {
    let path = directory.path().join(name::MANIFEST);
    let file = match directory.open(name::MANIFEST, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let mut bytes = [0; 2 * MANIFEST_SLOT_LEN];
    let len = file.read_full_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
    let bytes = bytes.get(..len).unwrap_or_default();
    let slots = [0, MANIFEST_SLOT_LEN].map(|start| decode_slot(bytes, start));
    let mut errors = slots.iter().filter_map(|slot| slot.as_ref().err());
    if let Some(source) = errors.find(|error| error.is_newer_version()) {
        return Err(Error::Newer { path, source: source.clone() });
    }
    let found = |manifest, damaged_slot| Ok(Some(FoundManifest { manifest, damaged_slot }));
    match slots {
        [Err(first), Err(_)] => {
            Err(Error::ManifestLost { path, why: format!("has no whole slot ({first})") })
        }
        [Ok(one), Ok(other)] => {
            let manifest = if one.counter > other.counter { one } else { other };
            found(manifest, None)
        }
        [Ok(manifest), Err(error)] => found(manifest, Some((MANIFEST_SLOT_LEN as u64, error))),
        [Err(error), Ok(manifest)] => found(manifest, Some((0, error))),
    }
}

/// Makes the manifest of the log in `directory` say what `manifest` does, durably, and reads it back; one that says so
/// already is only made durable. The counter is the file's own business. Who calls has the lock, or a directory that nobody opens.
///
/// # Errors
/// [`Error::Io`]; what stands in the file is then the old or the new. [`Error::ManifestLost`] and [`Error::Newer`] as
/// what is there has them, and [`Error::Mismatch`] where what was written does not read back.
pub fn write_manifest(directory: &dyn Directory, manifest: Manifest) -> Result<(), Error> {
    let mut file = match find(directory)? {
        Some(FoundManifest { manifest: found, damaged_slot }) => {
            let says_so =
                damaged_slot.is_none() && found == Manifest { counter: found.counter, ..manifest.clone() };
            let mut file = ManifestFile::open(directory, found)?;
            if says_so {
                return file.prove();
            }
            file
        }
        None => {
            let temporary = format!("{}{}", name::MANIFEST, name::TEMPORARY_SUFFIX);
            match directory.remove(&temporary) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", directory.path().join(temporary))(error));
                }
                _ => ManifestFile::create(directory, manifest.store)?,
            }
        }
    };
    file.write(manifest)?;
    let (written, found) = (file.current(), find(directory)?.map(|found| found.manifest));
    if found.as_ref() != Some(written) {
        let (path, offset) = (file.path.clone(), written.slot_offset());
        let (expected, found) = (format!("{written:?}"), format!("{found:?}"));
        let what = "the slot that was just written";
        return Err(Error::Mismatch { path, offset, what, expected, found });
    }
    Ok(())
}

fn decode_slot(bytes: &[u8], start: usize) -> Result<Manifest, annals_wire::Error> {
    let manifest = Manifest::decode(bytes.get(start..).unwrap_or_default())?;
    if manifest.slot_offset() == start as u64 {
        Ok(manifest)
    } else {
        Err(annals_wire::Error::Invalid { what: "manifest slot", why: "it belongs into the other slot" })
    }
}

impl ManifestFile {
    /// Creates the manifest of a log that has no segment yet, durably.
    ///
    /// # Errors
    /// [`Error::Io`]; there is then no manifest, or a whole one.
    pub(crate) fn create(directory: &dyn Directory, store: StoreId) -> Result<Self, Error> {
        let temporary = format!("{}{}", name::MANIFEST, name::TEMPORARY_SUFFIX);
        let path = directory.path().join(&temporary);
        let manifest = |counter| Manifest {
            counter,
            store,
            oldest: SegmentId(1),
            newest: SegmentId(0),
            clean: None,
            replaced: Vec::new(),
        };
        let file = directory.create(&temporary).map_err(Error::io("create", &path))?;
        for counter in [0, 1] {
            let slot = manifest(counter);
            file.write_all_at(&slot.encode(), slot.slot_offset()).map_err(Error::io("write", &path))?;
        }
        file.sync_data().map_err(Error::io("sync", &path))?;
        directory.rename(&temporary, name::MANIFEST).map_err(Error::io("rename", &path))?;
        directory.sync().map_err(Error::io("sync", directory.path()))?;
        let path = directory.path().join(name::MANIFEST);
        Ok(Self { file, path, current: manifest(1), is_proven: true })
    }

    /// Opens the manifest that was found, for writing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn open(directory: &dyn Directory, found: Manifest) -> Result<Self, Error> {
        let path = directory.path().join(name::MANIFEST);
        let file = directory.open(name::MANIFEST, Access::Write).map_err(Error::io("open", &path))?;
        Ok(Self { file, path, current: found, is_proven: false })
    }

    /// What the manifest says.
    #[must_use]
    pub(crate) fn current(&self) -> &Manifest {
        &self.current
    }

    /// Replaces what the manifest says, durably. The counter is the file's own business.
    ///
    /// # Errors
    /// [`Error::Io`]; what stands in the file is then the old or the new.
    pub(crate) fn write(&mut self, manifest: Manifest) -> Result<(), Error> {
        self.prove()?;
        let counter = self.current.counter.checked_add(1);
        let counter = counter.ok_or(Error::Exhausted { what: "the manifest's counter" })?;
        let manifest = Manifest { counter, ..manifest };
        self.write_slot(&manifest)?;
        self.current = manifest;
        Ok(())
    }

    /// Makes what was found durable: a writer that was killed may have left it in the page cache only, and the
    /// next write goes over the other slot, which is then the only one on the disk.
    ///
    /// # Errors
    /// [`Error::Io`]; the other slot is as it was.
    pub(crate) fn prove(&mut self) -> Result<(), Error> {
        if !self.is_proven {
            self.write_slot(&self.current)?;
            self.is_proven = true;
        }
        Ok(())
    }

    fn write_slot(&self, manifest: &Manifest) -> Result<(), Error> {
        let bytes = manifest.encode();
        self.file.write_all_at(&bytes, manifest.slot_offset()).map_err(Error::io("write", &self.path))?;
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }
}
