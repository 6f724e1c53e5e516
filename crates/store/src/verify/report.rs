//! What a verification says: how much was checked, what is damaged, and how far it is.
//!
//! Invariant: damage is named by file and place, and says whether the store can build the file again.

use annals_wire::Sequence;
use serde::Serialize;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Segments that were walked.
    pub segment_count: u64,
    /// Events whose checksums, place, hash and chain were checked.
    pub event_count: u64,
    /// Control records whose checksums and chain were checked.
    pub control_count: u64,
    /// Streams whose chains were followed.
    pub stream_count: u64,
    /// Bytes of segments that were read.
    pub byte_count: u64,
    /// Footers that were compared with one made from the frames, byte for byte.
    pub footer_count: u64,
    /// Index runs that were compared with the keys of their segments.
    pub run_count: u64,
    /// What was compared of the checkpoint.
    pub checkpoint: Option<String>,
    /// What a crash left behind the last whole batch, which the next open for writing cuts off: no damage.
    pub torn: Option<String>,
    /// What is damaged.
    pub damage: Vec<Damage>,
    /// What is worth knowing and no damage.
    pub notes: Vec<String>,
}

/// A damaged place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Where in the file, where that is known.
    pub offset: Option<u64>,
    /// The event, where it is that of one.
    pub sequence: Option<Sequence>,
    /// What is wrong.
    pub what: String,
    /// What is stored, or what other files prove: a hash, a checksum, a place.
    pub expected: Option<String>,
    /// The same of what is there.
    pub found: Option<String>,
    /// Whether the file is derived from others, so that the store builds it again and loses nothing.
    pub is_derived: bool,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// Bytes of segments that were walked.
    pub done_bytes: u64,
    /// Bytes of all segments; 0 where only a stream or a range is verified.
    pub total_bytes: u64,
    /// Events of the stream or range that were checked; 0 where the whole store is.
    pub done_events: u64,
    /// All events of the stream or range.
    pub total_events: u64,
}

impl Damage {
    pub(super) fn new(file: String, offset: Option<u64>, what: String, is_derived: bool) -> Self {
        Self { file, offset, sequence: None, what, expected: None, found: None, is_derived }
    }
}

impl VerifyReport {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }

    /// Notes that something is damaged: the event with `sequence`, where that is known.
    pub(super) fn damaged(&mut self, error: &annals_segment::Error, sequence: Option<Sequence>) {
        use annals_segment::Error as Log;
        let (file, offset) = match error {
            Log::Corrupt { path, offset, .. } | Log::Mismatch { path, offset, .. } => (path, Some(*offset)),
            Log::Lost { path, end, .. } => (path, Some(*end)),
            Log::MissingSegment { path, .. }
            | Log::Misplaced { path, .. }
            | Log::ManifestLost { path, .. } => (path, None),
            _ => return,
        };
        let file = file.display().to_string();
        let (expected, found) = match error {
            Log::Mismatch { expected, found, .. } => (Some(expected.clone()), Some(found.clone())),
            Log::Corrupt { source: annals_wire::Error::Checksum { expected, found, .. }, .. } => {
                (Some(format!("{expected:08x}")), Some(format!("{found:08x}")))
            }
            _ => (None, None),
        };
        let damage = Damage::new(file, offset, error.to_string(), false);
        self.damage.push(Damage { sequence, expected, found, ..damage });
    }

    /// Notes that something is damaged, if that was not noted before.
    pub(super) fn damaged_once(&mut self, error: &annals_segment::Error) {
        let what = error.to_string();
        if !self.damage.iter().any(|known| known.what == what) {
            self.damaged(error, None);
        }
    }

    /// Takes in what was found of a segment's derived parts.
    pub(super) fn take(&mut self, found: Self) {
        self.footer_count += found.footer_count;
        self.checkpoint = self.checkpoint.take().or(found.checkpoint);
        self.torn = self.torn.take().or(found.torn);
        self.notes.extend(found.notes);
        self.damage.extend(found.damage);
    }

    pub(super) fn damaged_derived(&mut self, file: String, offset: Option<u64>, what: String) {
        self.damage.push(Damage::new(file, offset, what, true));
    }
}
