//! The tail: what the newest segment holds, and what to make of its end.
//!
//! Invariant: what separates a torn end from damage is evidence that the bytes were once durable: the
//! manifest's clean end, a checkpoint, or a frame that says how far the segment was durable when it was made.
//! Never a guess from the bytes: file systems leave holes with valid frames behind them. Deciding is apart
//! from doing: [`judge`] is pure.

use std::path::PathBuf;

use annals_wire::{Chain, Frame, FrameType, SEGMENT_HEADER_LEN};

use crate::{
    Directory, Error,
    layout::Newest,
    name,
    scan::{Position, Scan, Scanned, search},
    sealed::open_segment,
};

/// What is known from outside of the segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever opens: every field must be given")]
pub struct Outside {
    /// From where to walk, where all before is known already; behind the header otherwise.
    pub start: Option<Position>,
    /// How far a checkpoint says that the segment was durable; 0 where none does.
    pub checkpoint_end: u64,
    /// How far the live writer lets others read; what lies behind is not looked at.
    pub frontier_end: Option<u64>,
}

/// The tail of a log, walked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tail {
    /// Behind the last whole batch.
    pub position: Position,
    /// How far there is proof that the segment was durable.
    pub proven: u64,
    /// What a crash left behind the last whole batch; `None` where there is nothing but zeros.
    pub torn: Option<TornTail>,
    /// How many frames of unknown types were passed over.
    pub passed_over: u64,
}

/// The bytes behind the last whole batch, to be cut off.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct TornTail {
    /// Where they begin.
    pub offset: u64,
    /// How many there are, up to the last that is not zero.
    pub len: u64,
    /// How many whole frame headers are among them.
    pub frame_count: u64,
    /// What is wrong at their beginning.
    pub why: String,
}

impl Tail {
    /// Walks the newest segment, shows `visit` the frames of its whole batches, and judges its end.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Mismatch`] or [`Error::Lost`] where something that was durable is not
    /// whole; [`Error::Io`]; whatever `visit` returns.
    pub fn walk(
        directory: &dyn Directory,
        newest: &Newest,
        outside: Outside,
        known: &[FrameType],
        visit: &mut dyn FnMut(u64, &Frame<'_>) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let header = &newest.header;
        let name = name::segment_name(header.id, header.generation);
        let path = directory.path().join(&name);
        let (file, _) = open_segment(directory, &name)?;
        let len = file.len().map_err(Error::io("look at", &path))?.min(annals_wire::SEGMENT_LEN_MAX);
        let start = outside.start.unwrap_or(Position {
            offset: SEGMENT_HEADER_LEN as u64,
            chain: Chain::default(),
            next_sequence: header.first_sequence,
        });
        if start.offset > len {
            let witness = "the checkpoint";
            return Err(Error::Lost { path, end: len, proven: start.offset, witness });
        }
        let until = outside.frontier_end.unwrap_or(len).min(len);
        let mut synced_len = 0;
        let mut note_and_visit = |offset: u64, frame: &Frame<'_>| {
            synced_len = synced_len.max(u64::from(frame.header.synced_len));
            visit(offset, frame)
        };
        let mut scan = Scan::new(&*file, &path, header.seed(), known, until.max(start.offset));
        let scanned = scan.run(start, &mut note_and_visit)?;
        let mut evidence = Evidence {
            path,
            scanned,
            clean: newest.clean.filter(|_| outside.frontier_end.is_none()),
            closed_end: newest.closed_end,
            checkpoint_end: outside.checkpoint_end,
            frontier_end: outside.frontier_end,
            synced_len,
            nonzero_end: 0,
            frame_count: 0,
        };
        if outside.frontier_end.is_none() {
            let end = evidence.scanned.position.offset;
            let remains = search(&*file, &evidence.path, header.seed(), end, len)?;
            evidence.synced_len = synced_len.max(remains.synced_len);
            evidence.nonzero_end = remains.nonzero_end;
            evidence.frame_count = remains.frame_count;
        }
        judge(evidence)
    }
}

/// All that speaks for or against the end of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Evidence {
    path: PathBuf,
    scanned: Scanned,
    clean: Option<annals_wire::CleanEnd>,
    closed_end: u64,
    checkpoint_end: u64,
    frontier_end: Option<u64>,
    synced_len: u64,
    nonzero_end: u64,
    frame_count: u64,
}

/// What to make of a segment's end.
fn judge(evidence: Evidence) -> Result<Tail, Error> {
    let position = evidence.scanned.position;
    let end = position.offset;
    let (proven, witness) = [
        (SEGMENT_HEADER_LEN as u64, "its header"),
        (evidence.synced_len, "a later frame"),
        (evidence.checkpoint_end, "the checkpoint"),
        (evidence.frontier_end.unwrap_or_default(), "the live writer"),
        (evidence.closed_end, "the clean close that the manifest records"),
    ]
    .into_iter()
    .max_by_key(|(proven, _)| *proven)
    .unwrap_or_default();
    let stop = evidence.scanned.stop;
    if proven > end {
        return Err(match stop {
            Some(stop) if evidence.nonzero_end > stop.offset => {
                Error::bytes(evidence.path, stop.offset)(stop.error)
            }
            _ => Error::Lost { path: evidence.path, end, proven, witness },
        });
    }
    if let Some(clean) = evidence.clean {
        check_clean(&evidence.path, position, clean, evidence.nonzero_end)?;
    }
    let len = evidence.nonzero_end.saturating_sub(end);
    let torn = (len > 0).then(|| TornTail {
        offset: end,
        len,
        frame_count: evidence.frame_count,
        why: stop.map_or_else(
            || "nothing may follow".to_owned(),
            |stop| format!("offset {}: {}", stop.offset, stop.error),
        ),
    });
    Ok(Tail { position, proven, torn, passed_over: evidence.scanned.passed_over })
}

/// A log that was closed cleanly ends exactly where the manifest says.
fn check_clean(
    path: &std::path::Path,
    position: Position,
    clean: annals_wire::CleanEnd,
    nonzero_end: u64,
) -> Result<(), Error> {
    let mismatch = |offset, what, expected: String, found: String| {
        Err(Error::Mismatch { path: path.to_owned(), offset, what, expected, found })
    };
    let end = position.offset.max(nonzero_end);
    if end != clean.end {
        return mismatch(
            clean.end,
            "the end of a cleanly closed log",
            clean.end.to_string(),
            end.to_string(),
        );
    }
    if position.chain != clean.chain {
        return mismatch(clean.end, "the chain", clean.chain.to_string(), position.chain.to_string());
    }
    if position.next_sequence != clean.next_sequence {
        let (expected, found) = (clean.next_sequence.to_string(), position.next_sequence.to_string());
        return mismatch(clean.end, "the next sequence", expected, found);
    }
    Ok(())
}
