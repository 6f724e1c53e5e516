//! What the machine can do at all: read a store's segments from the page cache and checksum them.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use serde::Serialize;

use crate::{
    disk::{SEGMENT_SUFFIX, files},
    failure::Failure,
    figures::{Samples, per_second},
};

const WINDOW_LEN: usize = 1 << 20;
const RUNS: usize = 3;

/// Bytes read and checksummed in a second.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Sequential {
    pub(super) one_core: f64,
    pub(super) two_cores: f64,
}

impl Sequential {
    /// Reads all segments of the store in `path`.
    pub(super) fn measure(path: &Path) -> Result<Self, Failure> {
        let mut segments = files(path)?;
        segments.retain(|file| file.to_string_lossy().ends_with(SEGMENT_SUFFIX));
        let rate = |threads| -> Result<f64, Failure> {
            let runs = (0..RUNS).map(|_| read_all(&segments, threads)).collect::<Result<Samples, _>>();
            runs.map(|samples| samples.median()).map_err(Failure::io("read", path))
        };
        // Not counted: it brings them into the page cache.
        rate(1)?;
        Ok(Self { one_core: rate(1)?, two_cores: rate(2)? })
    }
}

/// Reads the segments with so many threads; says how many bytes were read in a second.
fn read_all(segments: &[PathBuf], threads: usize) -> io::Result<f64> {
    let start = Instant::now();
    let read = thread::scope(|scope| {
        let part = |first| move || segments.iter().skip(first).step_by(threads).map(|path| read(path)).sum();
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(part(first))).collect();
        let ended = running.into_iter().map(|thread| {
            let read: io::Result<u64> = thread.join().map_err(|_| io::Error::other("a thread panicked"))?;
            read
        });
        ended.sum::<io::Result<u64>>()
    });
    Ok(per_second(read?, start.elapsed()))
}

fn read(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut window = vec![0; WINDOW_LEN];
    let mut hasher = crc32fast::Hasher::new();
    let mut total = 0;
    loop {
        let count = file.read(&mut window)?;
        if count == 0 {
            std::hint::black_box(hasher.finalize());
            return Ok(total);
        }
        hasher.update(window.get(..count).unwrap_or_default());
        total += count as u64;
    }
}
