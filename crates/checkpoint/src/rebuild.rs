//! Indexes of sealed segments from their frames, on all cores where there are several.
//!
//! Invariant: what comes out has the order of what went in, and does not depend on how many cores there are. Of several
//! segments no more indexes are in memory at once than there are cores; what stays is encoded.

use std::{num::NonZero, sync::Arc, thread};

use annals_index::{ActiveIndex, SealedIndex};
use annals_segment::{Error, Position, SealedSegment};
use annals_wire::{Digest, FetchBytes};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::{
    Observer, PartIndex,
    indexing::{encode_index, index_frames},
    observer::Walked,
};

/// An index that was built from frames and encoded: a footer but for the digest of the frames.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Built {
    /// The index.
    pub index: Arc<SealedIndex>,
    /// Its bytes.
    pub footer: Arc<Vec<u8>>,
}

/// A stretch to be indexed: the frames of a segment from a place on.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) segment: Arc<SealedSegment>,
    pub(crate) start: Position,
}

/// What indexing a stretch gave.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    pub(crate) segment: Arc<SealedSegment>,
    pub(crate) index: PartIndex,
    pub(crate) passed_over: u64,
}

/// A stretch that is shorter than this is walked before there are threads for it.
const ALONE_BYTES: u64 = 1 << 20;

/// Indexes all of `stretches`, and does `beside`, whose result it returns as well.
pub(crate) fn rebuild<T: Send>(
    stretches: Vec<Stretch>,
    observer: &Observer,
    beside: impl FnOnce() -> T + Send,
) -> (Vec<Result<Rebuilt, Error>>, T) {
    if stretches.is_empty() {
        return (Vec::new(), beside());
    }
    let len = |stretch: &Stretch| stretch.segment.place().end - stretch.start.offset;
    let bytes = stretches.iter().map(len).sum();
    let walked = Walked::new(observer, "frames", bytes);
    let is_one = stretches.len() == 1;
    let build = |stretch: Stretch| build(stretch, is_one, &walked);
    // After a kill there is one at most, and what is beside it takes as long.
    let task_count = if is_one && bytes < ALONE_BYTES { 1 } else { stretches.len() + 1 };
    match threads(task_count) {
        Some(pool) => pool.install(|| rayon::join(|| stretches.into_par_iter().map(build).collect(), beside)),
        None => (stretches.into_iter().map(build).collect(), beside()),
    }
}

/// Threads of this open's own, which end with it. Where there are none to be had, it takes longer.
fn threads(task_count: usize) -> Option<rayon::ThreadPool> {
    let count = thread::available_parallelism().map_or(1, NonZero::get).min(task_count);
    let pool = || rayon::ThreadPoolBuilder::new().num_threads(count).build().ok();
    if count > 1 { pool() } else { None }
}

fn build(stretch: Stretch, is_one: bool, walked: &Walked<'_>) -> Result<Rebuilt, Error> {
    let Stretch { segment, start } = stretch;
    let mut step = walked.begin(start.offset);
    let mut saw = |offset| {
        step.event(offset);
        Ok(())
    };
    let (index, passed_over) = index_frames(&segment, start, &mut saw)?;
    segment.check_end()?;
    step.reach(segment.place().end);
    let is_whole = start.next_sequence == segment.place().first_sequence;
    let index =
        if is_one || !is_whole { PartIndex::Active(Box::new(index)) } else { encoded(index, &segment) };
    Ok(Rebuilt { segment, index, passed_over })
}

/// `index`, encoded: it takes a part of the memory.
fn encoded(index: ActiveIndex, segment: &SealedSegment) -> PartIndex {
    let footer = Arc::new(encode_index(&index, segment.place(), Digest::NONE));
    match SealedIndex::new(Arc::clone(&footer) as Arc<dyn FetchBytes>) {
        Ok(sealed) => PartIndex::Built(Built { index: Arc::new(sealed), footer }),
        Err(_) => PartIndex::Active(Box::new(index)),
    }
}
