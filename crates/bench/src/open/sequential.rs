//! What the machine can do at all: read a store's segments and checksum them.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
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

/// Bytes read and checksummed in a second, from the page cache but for the last.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Sequential {
    pub(super) one_core: f64,
    pub(super) two_cores: f64,
    /// With caches dropped, by two cores; nothing where that is not permitted.
    pub(super) cold: Option<f64>,
}

/// What each of several threads reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// Of each file every so many windows: an equal part, whatever files there are.
    Windows,
    /// Every so many files, each from its beginning to its end, as a disk has them fastest.
    Files,
}

impl Sequential {
    /// Reads all segments of the store in `path`; `cold` was measured before.
    pub(super) fn measure(path: &Path, cold: Option<f64>) -> Result<Self, Failure> {
        let segments = segments(path)?;
        let rate = |threads| -> Result<f64, Failure> {
            let read = |_| read_all(&segments, threads, Share::Windows);
            let runs = (0..RUNS).map(read).collect::<Result<Samples, _>>();
            runs.map(|samples| samples.median()).map_err(Failure::io("read", path))
        };
        // Not counted: it brings them into the page cache.
        rate(1)?;
        Ok(Self { one_core: rate(1)?, two_cores: rate(2)?, cold })
    }
}

/// The segments of the store in `path`.
pub(super) fn segments(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut segments = files(path)?;
    segments.retain(|file| file.to_string_lossy().ends_with(SEGMENT_SUFFIX));
    Ok(segments)
}

/// Reads the segments with so many threads; says how many bytes were read in a second.
pub(super) fn read_all(segments: &[PathBuf], threads: usize, share: Share) -> io::Result<f64> {
    let start = Instant::now();
    let read = thread::scope(|scope| {
        let share = |first| {
            move || match share {
                Share::Windows => segments.iter().map(|path| read(path, first, threads)).sum(),
                Share::Files => {
                    segments.iter().skip(first).step_by(threads).map(|path| read(path, 0, 1)).sum()
                }
            }
        };
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(share(first))).collect();
        let ended = running.into_iter().map(|thread| {
            let read: io::Result<u64> = thread.join().map_err(|_| io::Error::other("a thread panicked"))?;
            read
        });
        ended.sum::<io::Result<u64>>()
    });
    Ok(per_second(read?, start.elapsed()))
}

/// Reads and checksums every window of a file whose turn it is: the one at `first`, and each at `step` behind it.
fn read(path: &Path, first: usize, step: usize) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut window = Vec::with_capacity(WINDOW_LEN);
    let mut total = 0;
    for place in (first as u64..).step_by(step) {
        window.clear();
        file.seek(SeekFrom::Start(place * WINDOW_LEN as u64))?;
        (&mut file).take(WINDOW_LEN as u64).read_to_end(&mut window)?;
        std::hint::black_box(crc32fast::hash(&window));
        total += window.len() as u64;
        if window.is_empty() {
            break;
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_all_of_a_file() {
        let directory = tempfile::tempdir().unwrap();
        for len in [0, 1, WINDOW_LEN, 3 * WINDOW_LEN, 4 * WINDOW_LEN + 5] {
            let path = directory.path().join(len.to_string());
            std::fs::write(&path, vec![7; len]).unwrap();
            let shares = [0, 1].map(|first| read(&path, first, 2).unwrap());
            assert_eq!(shares.iter().sum::<u64>(), len as u64);
            assert_eq!(read(&path, 0, 1).unwrap(), len as u64);
            assert!(shares[0] >= shares[1] && shares[0] - shares[1] <= WINDOW_LEN as u64, "{shares:?}");
        }
    }
}
