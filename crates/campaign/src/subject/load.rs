//! The files of a real directory, as an image of the simulated disk.

use std::{io, path::Path};

use annals::disk::{Directory as _, DiskDirectory, SimulatedDirectory};
use annals_segment::Access;

use crate::flaw::Flaw;

/// More than any file of a workload has.
const FILE_LEN_MAX: u64 = 1 << 30;

/// The regular files in the directory `path`; none where it is not there.
pub(super) fn load(path: &Path) -> Result<SimulatedDirectory, Flaw> {
    let image = SimulatedDirectory::new();
    let failed = |error: io::Error| Flaw::new(format!("{} cannot be read: {error}", path.display()));
    let directory = match DiskDirectory::open(path) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(image),
        Err(error) => return Err(failed(error)),
    };
    for entry in directory.list().map_err(failed)?.iter().filter(|entry| entry.is_file) {
        let name = entry.name.to_string_lossy();
        let file = directory.open(&name, Access::Read).map_err(failed)?;
        image.write_file(&name, file.read_all(FILE_LEN_MAX).map_err(failed)?);
    }
    Ok(image)
}
