//! Annals' bytes: how every structure on disk is laid out, encoded, decoded and checked.
//!
//! **Owns** the frame codec, event headers, control records, segment headers, manifest, frontier, footer,
//! index run, checkpoint, published states, snapshots and the records of groups, the identifiers and strings in
//! them, their checksums and hashes, and their versions. It is the
//! only crate that knows a byte position inside a structure.
//!
//! **Does not** open a file, read a clock, start a thread or trust a length: everything here is a pure
//! function over slices, and no decoder allocates more than a small multiple of the bytes that it was given
//! (that of a checkpoint's head: and 2 MiB).
//!
//! **Next:** docs/format.md has the layouts with examples that this crate's tests decode and encode again;
//! [`Frame`] is where to start reading.

#![forbid(unsafe_code)]

mod checkpoint;
mod codec;
mod consumer;
mod control;
mod coordinate;
mod cursor;
mod error;
mod event;
mod footer;
mod frame;
mod frontier;
mod group;
mod hash;
mod ids;
mod key;
mod kind;
mod manifest;
mod pages;
mod run;
mod segment_header;
mod sieve;
mod snapshot;
mod state;
mod table_bytes;

pub use checkpoint::{CHECKPOINT_PREFIX_LEN, CheckpointHead, CheckpointPrefix, CoveredSegment, Watermark};
pub use codec::crc;
pub use consumer::{Consumer, ConsumerMove, ConsumerName};
pub use control::{Control, ControlStamp, KindName, SequenceRange};
pub use coordinate::{COORDINATE_PART_LEN_MAX, Coordinate, StreamKey, TAG_LEN_MAX, Tag};
pub use cursor::{CURSOR_RECORD_LEN, CursorRecord};
pub use error::Error;
pub use event::{
    EVENT_STAMP_LEN, Event, EventContent, EventFlags, EventStamp, Extension, Extensions, Fork, Payload, Tags,
};
pub use footer::{
    Block, FOOTER_HEAD_LEN_GUESS, Footer, FooterTrailer, Postings, ROW_COUNT_MAX, ROWS_PER_TIME, Row,
    ScopeEntry, StreamEntry, StreamTable, TRAILER_LEN, Tables,
};
pub use frame::{
    BODY_LEN_MAX, Batch, BodyCheck, FRAME_ALIGN, FRAME_HEADER_LEN, FRAME_LEN_MAX, Frame, FrameHeader,
    FrameSeed, FrameType, NewFrame, STAMP_LEN_MAX, frame_len, pad_to_frame,
};
pub use frontier::{FRONTIER_LEN, Frontier};
pub use group::{GroupRecord, REASON_LEN_MAX};
pub use hash::{Chain, Digest, Digester, blake3_digest, event_hash};
pub use ids::{
    Depth, EventId, Generation, Lane, Occurred, Recorded, Revision, Salt, SegmentId, Sequence, StoreId,
};
pub use key::Key;
pub use kind::{Kind, KindError};
pub use manifest::{CleanEnd, MANIFEST_LEN, MANIFEST_SLOT_LEN, Manifest, REPLACED_COUNT_MAX, Replaced};
pub use run::{
    RUN_ENTRIES_PER_PAGE, RUN_LINES_PER_PAGE, RUN_PAGE_LEN, RUN_SEGMENT_COUNT_MAX, RunEntry, RunHeader,
    RunPage, RunSeed, RunSegment, find_run_entry,
};
pub use segment_header::{PreviousEnd, SEGMENT_HEADER_LEN, SEGMENT_LEN_MAX, SegmentHeader};
pub use sieve::{SIEVE_LINE_LEN, SieveBuilder, SieveLine, SieveLook, SievePlace};
pub use snapshot::{SNAPSHOT_HEADER_LEN, SnapshotHeader, hidden_digest, stream_digest};
pub use state::{LogPosition, PUBLICATION_LEN, Publication, STATE_HEADER_LEN, StateHeader};
pub use table_bytes::{FetchBytes, TableBytes};

/// The version of every structure that this crate writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;
