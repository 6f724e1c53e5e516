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
            len,
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
    len: u64,
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
            Some(stop) if evidence.nonzero_end > stop.offset && evidence.len >= proven => {
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

#[cfg(test)]
mod tests {
    use annals_wire::{CleanEnd, Digest, Recorded, Sequence};

    use super::*;
    use crate::scan::Stop;

    /// Where the whole batches of the tables below end.
    const END: u64 = 1024;
    const CHAIN: Chain = Chain(7);
    const NEXT: Sequence = Sequence(5);

    /// A segment of 4096 bytes, whole to [`END`], with zeros behind.
    fn whole() -> Evidence {
        let position = Position { offset: END, chain: CHAIN, next_sequence: NEXT };
        Evidence {
            path: "000001.seg".into(),
            len: 4096,
            scanned: Scanned { position, stop: None, passed_over: 0 },
            clean: None,
            closed_end: 0,
            checkpoint_end: 0,
            frontier_end: None,
            synced_len: 0,
            nonzero_end: END,
            frame_count: 0,
        }
    }

    /// The same with zeros behind, at which the walk stopped.
    fn prepared() -> Evidence {
        stopped(
            whole(),
            END,
            annals_wire::Error::Invalid { what: "frame header", why: "no frame begins here" },
        )
    }

    /// The same with a batch that is not whole, from [`END`] to 1100, whose second frame begins at 1064.
    fn torn() -> Evidence {
        let error = annals_wire::Error::Checksum { what: "frame body", expected: 1, found: 2 };
        Evidence { nonzero_end: 1100, frame_count: 1, ..stopped(whole(), 1064, error) }
    }

    fn stopped(mut evidence: Evidence, offset: u64, error: annals_wire::Error) -> Evidence {
        evidence.scanned.stop = Some(Stop { offset, error });
        evidence
    }

    fn closed(evidence: Evidence) -> Evidence {
        let (recorded, mark) = (Recorded(0), Digest::NONE);
        let clean = CleanEnd { end: END, chain: CHAIN, next_sequence: NEXT, recorded, mark };
        Evidence { clean: Some(clean), closed_end: END, ..evidence }
    }

    fn with_clean(mut evidence: Evidence, change: impl Fn(&mut CleanEnd)) -> Evidence {
        change(evidence.clean.as_mut().unwrap());
        evidence
    }

    fn with_newer(evidence: Evidence) -> Evidence {
        stopped(evidence, 1064, annals_wire::Error::Version { what: "a frame", found: 2, supported: 1 })
    }

    fn outcome(evidence: Evidence) -> String {
        match judge(evidence) {
            Ok(Tail { position, proven, torn, .. }) => {
                assert_eq!((position.offset, position.chain, position.next_sequence), (END, CHAIN, NEXT));
                let torn = torn.map(|torn| {
                    format!(", cut {}+{} with {}: {}", torn.offset, torn.len, torn.frame_count, torn.why)
                });
                format!("whole, proven {proven}{}", torn.unwrap_or_default())
            }
            Err(Error::Corrupt { offset, .. }) => format!("damaged at {offset}"),
            Err(Error::Lost { end, proven, witness, .. }) => {
                format!("lost from {end} to {proven} by {witness}")
            }
            Err(Error::Mismatch { offset, what, expected, found, .. }) => {
                format!("at {offset} {what}: {expected}, {found}")
            }
            Err(error) => error.to_string(),
        }
    }

    fn check(rows: impl IntoIterator<Item = (&'static str, Evidence, &'static str)>) {
        for (row, evidence, expected) in rows {
            assert_eq!(outcome(evidence), expected, "{row}");
        }
    }

    #[test]
    fn an_unproven_end_is_whole_or_cut() {
        let cut = "whole, proven 512, cut 1024+76 with 1: \
                   offset 1064: frame body: the checksum stored is 00000001, that of the bytes is 00000002";
        let rest = Evidence { nonzero_end: 1032, ..whole() };
        let many = Evidence { nonzero_end: 4096, frame_count: 9, synced_len: END, ..torn() };
        check([
            ("the file ends with the frames", Evidence { len: END, ..whole() }, "whole, proven 512"),
            ("zeros are no torn bytes", prepared(), "whole, proven 512"),
            ("a torn batch", torn(), cut),
            ("a torn batch at the end of the file", Evidence { len: 1100, ..torn() }, cut),
            (
                "valid frames behind a hole that prove no more than the end",
                many,
                "whole, proven 1024, cut 1024+3072 with 9: \
                 offset 1064: frame body: the checksum stored is 00000001, that of the bytes is 00000002",
            ),
            (
                "bytes at which no walk stopped",
                rest,
                "whole, proven 512, cut 1024+8 with 0: nothing may follow",
            ),
        ]);
    }

    #[test]
    fn each_witness_separates_damage_from_a_torn_end() {
        type Witness = fn(Evidence, u64) -> Evidence;
        let witnesses: [(&str, Witness); 4] = [
            ("a later frame", |evidence, end| Evidence { synced_len: end, ..evidence }),
            ("the checkpoint", |evidence, end| Evidence { checkpoint_end: end, ..evidence }),
            ("the clean close that the manifest records", |evidence, end| Evidence {
                closed_end: end,
                ..evidence
            }),
            ("the live writer", |evidence, end| Evidence { frontier_end: Some(end), ..evidence }),
        ];
        for (name, witness) in witnesses {
            for (row, proven) in [("below", 800), ("at", END)] {
                let said = outcome(witness(torn(), proven));
                assert!(
                    said.starts_with(&format!("whole, proven {proven}, cut 1024+76 ")),
                    "{name} {row}: {said}"
                );
                assert_eq!(
                    outcome(witness(prepared(), proven)),
                    format!("whole, proven {proven}"),
                    "{name} {row}"
                );
            }
            for proven in [END + 8, 4096] {
                let lost = format!("lost from 1024 to {proven} by {name}");
                assert_eq!(outcome(witness(torn(), proven)), "damaged at 1064", "{name}, bytes stand there");
                assert_eq!(outcome(witness(prepared(), proven)), lost, "{name}, zeros stand there");
                assert_eq!(outcome(witness(whole(), proven)), lost, "{name}, nothing stands there");
                let hole = Evidence { nonzero_end: 1064, ..torn() };
                assert_eq!(outcome(witness(hole, proven)), lost, "{name}, zeros from the second frame on");
                let shorter = Evidence { len: proven - 1, ..torn() };
                assert_eq!(outcome(witness(shorter, proven)), lost, "{name}, the file is cut short");
                let newer = outcome(witness(with_newer(torn()), proven));
                assert_eq!(
                    newer,
                    "000001.seg: a frame: version 2 is newer than 1, the newest that this program reads"
                );
            }
        }
    }

    #[test]
    fn the_furthest_witness_counts() {
        let all = Evidence { synced_len: 600, checkpoint_end: 700, closed_end: 800, ..whole() };
        let ahead = |evidence| Evidence { synced_len: 2048, checkpoint_end: 3072, ..evidence };
        check([
            ("none but the header", whole(), "whole, proven 512"),
            ("the close", all.clone(), "whole, proven 800"),
            ("the frames", Evidence { synced_len: 900, ..all.clone() }, "whole, proven 900"),
            ("the checkpoint", Evidence { checkpoint_end: 900, ..all.clone() }, "whole, proven 900"),
            ("the writer", Evidence { frontier_end: Some(900), ..all }, "whole, proven 900"),
            ("two are ahead", ahead(whole()), "lost from 1024 to 3072 by the checkpoint"),
            ("two are ahead of torn bytes", ahead(torn()), "damaged at 1064"),
        ]);
    }

    #[test]
    fn a_cleanly_closed_log_ends_exactly_where_it_was_closed() {
        let end = "at 1024 the end of a cleanly closed log: 1024, 1100";
        let garbage = Evidence { nonzero_end: 1100, ..prepared() };
        let earlier = with_clean(closed(whole()), |clean| clean.end = 1000);
        let later = with_clean(closed(whole()), |clean| clean.end = 2000);
        let chain = with_clean(closed(whole()), |clean| clean.chain = Chain(8));
        let sequence = with_clean(closed(whole()), |clean| clean.next_sequence = Sequence(6));
        check([
            ("as it was closed", closed(Evidence { len: END, ..whole() }), "whole, proven 1024"),
            ("zeros came back", closed(prepared()), "whole, proven 1024"),
            ("garbage behind", closed(garbage), end),
            ("a torn batch behind", closed(torn()), end),
            (
                "a whole batch behind",
                Evidence { closed_end: 1000, ..earlier },
                "at 1000 the end of a cleanly closed log: 1000, 1024",
            ),
            (
                "a batch is missing",
                Evidence { closed_end: 2000, ..later },
                "lost from 1024 to 2000 by the clean close that the manifest records",
            ),
            ("other frames", chain, "at 1024 the chain: 00000008, 00000007"),
            ("other sequences", sequence, "at 1024 the next sequence: 6, 5"),
        ]);
    }

    #[test]
    fn what_was_appended_behind_a_close_is_judged_by_itself() {
        let appended = |evidence| Evidence { closed_end: 800, ..evidence };
        check([
            ("whole", appended(whole()), "whole, proven 800"),
            ("zeros", appended(prepared()), "whole, proven 800"),
        ]);
        assert!(outcome(appended(torn())).starts_with("whole, proven 800, cut 1024+76 "));
    }

    #[test]
    fn behind_a_live_writer_nothing_is_looked_at() {
        let live = |evidence, end| Evidence { frontier_end: Some(end), nonzero_end: 0, ..evidence };
        check([
            ("shown to the end", live(whole(), END), "whole, proven 1024"),
            ("nothing shown yet", live(whole(), 512), "whole, proven 512"),
            ("shown further than whole", live(torn(), 2048), "lost from 1024 to 2048 by the live writer"),
        ]);
    }
}
