//! An index used where it lies: a footer behind its segment's frames, or the tables of a checkpoint.
//!
//! Invariant: a page is read only after its checksum passed, once, when first touched; and what forged
//! tables say is compared with what is there, so that they give an error and no panic.

use std::{fmt, ops::Range, sync::Arc};

use annals_wire::{
    EventId, FetchBytes, Footer, FooterTrailer, Key, Kind, Recorded, Revision, Row, ScopeEntry, Sequence,
    SieveLook, StoreId, StreamEntry, StreamKey, TableBytes,
};

use crate::{Error, IdRows, Index, Rows, StreamName, StreamView, Term, index::last_revision};

const WHAT: &str = "footer stream";

/// The index of a stretch that grows no more.
pub struct SealedIndex {
    bytes: Arc<dyn FetchBytes>,
    footer: Footer,
    stream_count: u32,
}

impl SealedIndex {
    /// The index whose footer `bytes` end with; what lies before it is not touched.
    ///
    /// # Errors
    /// [`Error::Damaged`] where there is no footer, or its head is damaged or of a newer version.
    pub fn new(bytes: Arc<dyn FetchBytes>) -> Result<Self, Error> {
        let footer = Footer::decode(TableBytes::of(&*bytes)).map_err(Error::damaged)?;
        let stream_count = u32::try_from(footer.stream_count()).ok();
        let stream_count = stream_count
            .filter(|count| *count <= footer.row_count())
            .ok_or(Error::invalid(WHAT, "more streams than rows"))?;
        Ok(Self { bytes, footer, stream_count })
    }

    /// What the index says that it was built from.
    #[must_use]
    pub fn trailer(&self) -> &FooterTrailer {
        self.footer.trailer()
    }

    /// Where the footer begins in the bytes that it was found in.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.footer.start()
    }

    /// Checks the checksums of all tables, which are else checked one by one when first touched.
    ///
    /// # Errors
    /// [`Error::Damaged`] for the first that does not pass.
    pub fn check_all(&self) -> Result<(), Error> {
        self.footer.check_all(self.bytes()).map_err(Error::damaged)
    }

    /// The look that says whether an id with `hash` may be here; `None` where there is no id at all.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    #[inline]
    pub fn look_for_id(&self, hash: u32) -> Result<Option<SieveLook<'_>>, Error> {
        self.footer.look_for_id(self.bytes(), hash).map_err(Error::damaged)
    }

    fn bytes(&self) -> TableBytes<'_> {
        TableBytes::of(&*self.bytes)
    }

    fn key_hashes_of(&self, store: StoreId) -> Result<Vec<u32>, annals_wire::Error> {
        let (footer, bytes) = (&self.footer, self.bytes());
        let mut hashes: Vec<u32> = footer.id_hashes(bytes)?.collect();
        for place in 0..footer.scope_count() {
            let scope = footer.scope(bytes, place)?;
            hashes.push(Key::Scope(scope.text).hash(store));
            for entity in footer.entities(bytes, scope.streams)? {
                hashes.push(Key::Coordinate { scope: scope.text, entity: &entity? }.hash(store));
            }
        }
        hashes.extend(footer.kinds(bytes)?.into_iter().map(|kind| Key::Kind(kind).hash(store)));
        for tag in footer.tags(bytes) {
            hashes.push(Key::Tag(tag?).hash(store));
        }
        for id in footer.correlations(bytes) {
            hashes.push(Key::Correlation(id?).hash(store));
        }
        for id in footer.causations(bytes) {
            hashes.push(Key::Causation(id?).hash(store));
        }
        hashes.sort_unstable();
        hashes.dedup();
        Ok(hashes)
    }

    fn find_scope(&self, scope: &str) -> Result<Option<ScopeEntry<'_>>, Error> {
        let found = self.footer.find_scope(self.bytes(), scope).map_err(Error::damaged)?;
        Ok(found.map(|(_, scope)| scope))
    }

    fn view<'a>(&'a self, place: u32, entry: StreamEntry<'a>) -> Result<StreamView<'a>, Error> {
        let scope = self.footer.scope_of(self.bytes(), place as usize).map_err(Error::damaged)?;
        let rows = Rows::from(entry.rows);
        let last = last_revision(entry.first_revision, rows.len());
        if rows.is_empty() || entry.first_revision == Revision(0) || last == Revision(u64::MAX) {
            return Err(Error::invalid(WHAT, "no rows, or revisions that no stream has"));
        }
        Ok(StreamView {
            place,
            name: StreamName { scope, entity: entry.entity, lane: entry.lane },
            first_revision: entry.first_revision,
            fork_depth: entry.fork_depth,
            head: None,
            rows,
        })
    }
}

impl Index for SealedIndex {
    fn first_sequence(&self) -> Sequence {
        self.footer.trailer().first_sequence
    }

    fn row_count(&self) -> u32 {
        self.footer.row_count()
    }

    fn row(&self, row: u32) -> Result<Option<Row>, Error> {
        if row >= self.row_count() {
            return Ok(None);
        }
        let row = self.footer.row(self.bytes(), row).map_err(Error::damaged)?;
        if row.stream >= self.stream_count {
            return Err(Error::invalid("footer row", "of a stream that is not there"));
        }
        Ok(Some(row))
    }

    fn find_id(&self, id: EventId) -> Result<IdRows<'_>, Error> {
        self.find_hashed_id(id, Key::Id(id).hash(self.trailer().store))
    }

    fn find_hashed_id(&self, _: EventId, hash: u32) -> Result<IdRows<'_>, Error> {
        let rows = self.footer.find_id_hash(self.bytes(), hash).map_err(Error::damaged)?;
        Ok(IdRows::Possible(Rows::from(rows)))
    }

    fn rows_at(&self, recorded: Recorded) -> Result<Range<u32>, Error> {
        self.footer.rows_at(self.bytes(), recorded).map_err(Error::damaged)
    }

    fn find_stream(&self, key: StreamKey<'_>) -> Result<Option<StreamView<'_>>, Error> {
        let found = self.footer.find_stream(self.bytes(), key).map_err(Error::damaged)?;
        found.map(|(place, entry)| self.view(place, entry)).transpose()
    }

    fn find_hashed_stream(&self, key: StreamKey<'_>, hash: u32) -> Result<Option<StreamView<'_>>, Error> {
        let found = self.footer.find_hashed_stream(self.bytes(), key, hash).map_err(Error::damaged)?;
        found.map(|(place, entry)| self.view(place, entry)).transpose()
    }

    fn find_coordinate(&self, scope: &str, entity: &str) -> Result<Vec<u32>, Error> {
        let Some(scope) = self.find_scope(scope)? else { return Ok(Vec::new()) };
        let places = self.footer.find_entity(self.bytes(), &scope, entity).map_err(Error::damaged)?;
        Ok(places.collect())
    }

    fn stream_count(&self) -> u32 {
        self.stream_count
    }

    fn stream(&self, place: u32) -> Result<Option<StreamView<'_>>, Error> {
        if place >= self.stream_count {
            return Ok(None);
        }
        let entry = self.footer.stream(self.bytes(), place as usize).map_err(Error::damaged)?;
        self.view(place, entry).map(Some)
    }

    fn rows_of(&self, term: &Term<'_>) -> Result<Rows<'_>, Error> {
        let (footer, bytes) = (&self.footer, self.bytes());
        let rows = match term {
            Term::Kind(kind) => footer.find_kind(bytes, *kind),
            Term::Scope(scope) => Ok(self.find_scope(scope)?.map(|scope| scope.rows).unwrap_or_default()),
            Term::Tag(tag) => footer.find_tag(bytes, tag),
            Term::Correlation(id) => footer.find_correlation(bytes, *id),
            Term::Causation(id) => footer.find_causation(bytes, *id),
        };
        rows.map(Rows::from).map_err(Error::damaged)
    }

    fn control_offsets(&self) -> Result<Vec<u32>, Error> {
        let controls = self.footer.controls(self.bytes()).map_err(Error::damaged)?;
        let offsets = (0..controls.len()).map(|index| controls.at(index).map(Option::unwrap_or_default));
        offsets.collect::<Result<_, _>>().map_err(Error::damaged)
    }

    fn key_hashes(&self, store: StoreId) -> Result<Vec<u32>, Error> {
        self.key_hashes_of(store).map_err(Error::damaged)
    }

    fn kinds(&self) -> Result<Vec<Kind>, Error> {
        self.footer.kinds(self.bytes()).map_err(Error::damaged)
    }
}

impl fmt::Debug for SealedIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedIndex").field("footer", &self.footer).finish_non_exhaustive()
    }
}
