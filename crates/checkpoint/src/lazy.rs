//! An index that is opened when it is first asked: a footer, or the checkpoint's tables.
//!
//! Invariant: before it is opened nothing is known of it but its place and how many events it has. It answers only
//! when it is of those very frames; else why not, and the stretch is indexed from its frames.

use std::{
    fmt,
    ops::{Deref, Range},
    sync::{Arc, OnceLock},
};

use annals_index::{IdRows, Index, Rows, SealedIndex, StreamView, Term};
use annals_segment::{
    Directory, Error, FilePart, FoundFooter, MadeFooter, SealedPlace, SealedSegment, read_frame,
};
use annals_wire::{
    Digest, EventId, FetchBytes, FooterTrailer, Kind, Recorded, Row, SegmentHeader, Sequence, StoreId,
    StreamKey,
};

use crate::{FoundCheckpoint, mark::Marked};

/// An index that is opened when it is first asked.
#[derive(Debug)]
pub struct LazyIndex {
    place: SealedPlace,
    row_count: u32,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Footer { segment: Arc<SealedSegment>, file_len: u64, is_read_only: bool },
    Tables(Box<Tables>),
}

/// A checkpoint's tables, which are of the part of a segment before the watermark.
struct Tables {
    directory: Arc<dyn Directory>,
    found: FoundCheckpoint,
    header: SegmentHeader,
    maps: bool,
    index: OnceLock<SealedIndex>,
}

/// An index that is open, and stays so as long as this is held.
#[derive(Debug)]
pub struct OpenedIndex<'a>(Opened<'a>);

#[derive(Debug)]
enum Opened<'a> {
    Before(MadeFooter<SealedIndex>),
    Now(Arc<SealedIndex>),
    Tables(&'a SealedIndex),
}

impl Deref for OpenedIndex<'_> {
    type Target = SealedIndex;

    fn deref(&self) -> &SealedIndex {
        match &self.0 {
            Opened::Before(index) => index,
            Opened::Now(index) => index,
            Opened::Tables(index) => index,
        }
    }
}

/// Why an index could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unopened {
    /// The log itself failed or is damaged.
    Log(Error),
    /// There is none.
    Absent,
    /// The tables are damaged, or of other frames: the frames have to be asked.
    Unusable(String),
}

impl From<Error> for Unopened {
    fn from(error: Error) -> Self {
        Self::Log(error)
    }
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Absent => f.write_str("it is not there"),
            Self::Unusable(why) => f.write_str(why),
        }
    }
}

impl LazyIndex {
    /// The footer of `segment`, over `row_count` events. Its file has `file_len` bytes. Only a reader does without
    /// one that a newer version wrote.
    #[must_use]
    pub fn footer(segment: Arc<SealedSegment>, row_count: u32, file_len: u64, is_read_only: bool) -> Self {
        let place = *segment.place();
        Self { place, row_count, source: Source::Footer { segment, file_len, is_read_only } }
    }

    /// The tables of the checkpoint `found`, of the segment with `header`; `None` where it gives the segment a number
    /// of events that none has.
    #[must_use]
    pub fn tables(
        directory: &Arc<dyn Directory>,
        found: &FoundCheckpoint,
        header: SegmentHeader,
        maps: bool,
    ) -> Option<Self> {
        let watermark = &found.head.watermark;
        let behind = watermark.sequence.next()?;
        let row_count = u32::try_from(behind.0.checked_sub(header.first_sequence.0)?).ok()?;
        let place = SealedPlace {
            store: found.head.store,
            id: watermark.segment,
            generation: watermark.generation,
            first_sequence: header.first_sequence,
            end: watermark.offset,
            chain: watermark.chain,
        };
        let (directory, found, index) = (Arc::clone(directory), found.clone(), OnceLock::new());
        let tables = Tables { directory, found, header, maps, index };
        Some(Self { place, row_count, source: Source::Tables(Box::new(tables)) })
    }

    /// The frames that it indexes.
    #[must_use]
    pub fn place(&self) -> &SealedPlace {
        &self.place
    }

    /// How many events it has.
    #[must_use]
    pub fn row_count(&self) -> u32 {
        self.row_count
    }

    /// The length of the segment's file with its footer; `None` for a checkpoint's tables.
    #[must_use]
    pub fn file_len(&self) -> Option<u64> {
        match &self.source {
            Source::Footer { file_len, .. } => Some(*file_len),
            Source::Tables(_) => None,
        }
    }

    /// The index, opened now where it is not open.
    ///
    /// # Errors
    /// [`Unopened`].
    pub fn index(&self) -> Result<OpenedIndex<'_>, Unopened> {
        if let Some(index) = self.open_before() {
            return Ok(index);
        }
        match &self.source {
            Source::Footer { segment, is_read_only, .. } => {
                match segment.footer_as(|footer| self.open_footer(footer)) {
                    Err(Unopened::Log(Error::Newer { source, .. })) if *is_read_only => {
                        Err(Unopened::Unusable(source.to_string()))
                    }
                    opened => Ok(OpenedIndex(Opened::Now(opened?))),
                }
            }
            Source::Tables(tables) => {
                let opened = self.open_tables(tables)?;
                Ok(OpenedIndex(Opened::Tables(tables.index.get_or_init(|| opened))))
            }
        }
    }

    /// The index, where it is open already.
    #[must_use]
    pub fn open_before(&self) -> Option<OpenedIndex<'_>> {
        let opened = match &self.source {
            Source::Footer { segment, .. } => Opened::Before(segment.made_footer()?),
            Source::Tables(tables) => Opened::Tables(tables.index.get()?),
        };
        Some(OpenedIndex(opened))
    }

    /// The segment whose footer it is.
    pub(crate) fn segment(&self) -> Option<&Arc<SealedSegment>> {
        match &self.source {
            Source::Footer { segment, .. } => Some(segment),
            Source::Tables(_) => None,
        }
    }

    /// Says that the tables are damaged: they are not used again.
    pub fn reject(&self) {
        if let Source::Footer { segment, .. } = &self.source {
            segment.reject_footer();
        }
    }

    /// What stands for the index where it could not be opened.
    #[must_use]
    pub fn without_tables(&self) -> impl Index + use<> {
        NoTables { first_sequence: self.place.first_sequence, row_count: self.row_count }
    }

    fn open_footer(&self, footer: FoundFooter) -> Result<SealedIndex, Unopened> {
        match footer {
            FoundFooter::Sound(part) => self.checked(index_of(&Arc::new(part))?),
            FoundFooter::Unusable(why) => Err(Unopened::Unusable(why)),
            _ => Err(Unopened::Absent),
        }
    }

    fn open_tables(&self, tables: &Tables) -> Result<SealedIndex, Unopened> {
        let part = Arc::new(tables.found.tables(tables.maps)?);
        let index = self.checked(index_of(&part)?)?;
        let path =
            tables.directory.path().join(annals_segment::segment_name(self.place.id, self.place.generation));
        let read = |offset| read_frame(&*tables.directory, &tables.header, offset);
        let before = tables.header.previous.map(|previous| previous.mark).unwrap_or_default();
        let is_marked = (Marked { path: &path, before, read: &read }).check(&index, &tables.found.head)?;
        match part.take_failure() {
            Some(failure) => Err(failure.into()),
            None if is_marked => Ok(index),
            None => Err(Unopened::Unusable("its tables do not say what it ends with".to_owned())),
        }
    }

    /// `index`, where its trailer says that it is of these frames.
    fn checked(&self, index: SealedIndex) -> Result<SealedIndex, Unopened> {
        match contradiction(index.trailer(), &self.place, self.row_count, self.file_len().is_some()) {
            None => Ok(index),
            Some(why) => Err(Unopened::Unusable(why.to_owned())),
        }
    }
}

/// The index whose footer `part` is.
fn index_of(part: &Arc<FilePart>) -> Result<SealedIndex, Unopened> {
    SealedIndex::new(Arc::clone(part) as Arc<dyn FetchBytes>).map_err(|error| {
        part.take_failure().map_or_else(|| Unopened::Unusable(error.to_string()), Unopened::Log)
    })
}

/// In what a trailer differs from what is known of its frames.
fn contradiction(
    trailer: &FooterTrailer,
    place: &SealedPlace,
    row_count: u32,
    is_footer: bool,
) -> Option<&'static str> {
    let expected = FooterTrailer {
        store: place.store,
        segment: place.id,
        generation: place.generation,
        chain: place.chain,
        frames_end: place.end,
        first_sequence: place.first_sequence,
        row_count,
        digest: trailer.digest,
    };
    match is_footer {
        true if *trailer != expected => Some("the footer was built from other frames"),
        true if trailer.digest == Digest::NONE => Some("the footer has no digest of its frames"),
        false if *trailer != expected => Some("its tables are of another segment, or of another part of it"),
        _ => None,
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").field("index", &self.index).finish_non_exhaustive()
    }
}

/// An index without its tables: it says how many events there are, and for all else that they are damaged.
struct NoTables {
    first_sequence: Sequence,
    row_count: u32,
}

impl NoTables {
    fn not_there<T>() -> Result<T, annals_index::Error> {
        let source = annals_wire::Error::Invalid { what: "index", why: "it could not be opened" };
        Err(annals_index::Error::Damaged { source })
    }
}

impl Index for NoTables {
    fn first_sequence(&self) -> Sequence {
        self.first_sequence
    }

    fn row_count(&self) -> u32 {
        self.row_count
    }

    fn row(&self, _: u32) -> Result<Option<Row>, annals_index::Error> {
        Self::not_there()
    }

    fn rows_at(&self, _: Recorded) -> Result<Range<u32>, annals_index::Error> {
        Self::not_there()
    }

    fn key_hashes(&self, _: StoreId) -> Result<Vec<u32>, annals_index::Error> {
        Self::not_there()
    }

    fn find_id(&self, _: EventId) -> Result<IdRows<'_>, annals_index::Error> {
        Self::not_there()
    }

    fn find_stream(&self, _: StreamKey<'_>) -> Result<Option<StreamView<'_>>, annals_index::Error> {
        Self::not_there()
    }

    fn find_coordinate(&self, _: &str, _: &str) -> Result<Vec<u32>, annals_index::Error> {
        Self::not_there()
    }

    /// Not none: who counts to this asks for the first, and is told.
    fn stream_count(&self) -> u32 {
        self.row_count.max(1)
    }

    fn stream(&self, _: u32) -> Result<Option<StreamView<'_>>, annals_index::Error> {
        Self::not_there()
    }

    fn rows_of(&self, _: &Term<'_>) -> Result<Rows<'_>, annals_index::Error> {
        Self::not_there()
    }

    fn control_offsets(&self) -> Result<Vec<u32>, annals_index::Error> {
        Self::not_there()
    }

    fn kinds(&self) -> Result<Vec<Kind>, annals_index::Error> {
        Self::not_there()
    }
}
