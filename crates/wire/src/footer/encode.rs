//! How a footer is made from sorted tables.

use super::{Block, DIRECTORY_LEN, Extent, FooterTrailer, Row, TRAILER_LEN, streams::Leaves};
use crate::{
    Depth, EventId, Key, Kind, Lane, Recorded, Revision, SieveBuilder, StoreId,
    codec::{Put, long_len, u24},
    pages::{put_sums, sums_len},
};

/// The content of a footer: everything sorted, rows counted from 0.
#[derive(Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever indexes: every field must be given")]
pub struct Tables<'a> {
    /// A row for every event, in order of sequence.
    pub rows: Vec<Row>,
    /// The hashes of the ids with their rows, by hash and row.
    pub ids: Vec<(u32, u32)>,
    /// When the rows 0, 256, 512 and so on were recorded.
    pub times: Vec<Recorded>,
    /// The scopes with their rows, by scope.
    pub scopes: Vec<(&'a str, &'a [u32])>,
    /// The streams, by scope, entity and lane.
    pub streams: Vec<StreamTable<'a>>,
    /// The kinds with their rows, by kind.
    pub kinds: Vec<(Kind, &'a [u32])>,
    /// The correlations with their rows, by id.
    pub correlations: Vec<(EventId, &'a [u32])>,
    /// The causations with their rows, by id.
    pub causations: Vec<(EventId, &'a [u32])>,
    /// The tags with their rows, by tag.
    pub tags: Vec<(&'a str, &'a [u32])>,
    /// The offsets of the control records.
    pub controls: Vec<u32>,
}

/// One stream's part of a segment.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever indexes: every field must be given")]
pub struct StreamTable<'a> {
    /// The place of its scope in [`Tables::scopes`].
    pub scope: u32,
    /// Its entity.
    pub entity: &'a str,
    /// Its lane.
    pub lane: Lane,
    /// The revision of its first event here.
    pub first_revision: Revision,
    /// The depth of the event that its lane forks from; 0 on the trunk.
    pub fork_depth: Depth,
    /// Its rows.
    pub rows: &'a [u32],
}

impl Tables<'_> {
    /// The footer's bytes, to lie at a multiple of eight.
    #[must_use]
    pub fn encode(&self, trailer: &FooterTrailer) -> Vec<u8> {
        assert_eq!(self.rows.len(), trailer.row_count as usize);
        let mut blocks = Blocks::default();
        self.put_rows(&mut blocks);
        self.put_streams(trailer.store, &mut blocks);
        self.put_scopes(&mut blocks);
        let put_kind = |kind: &Kind, table: &mut Vec<u8>, _: &mut Vec<u8>| {
            table.put_u16(kind.number());
            table.put_u16(0);
        };
        let rows_of_kinds = if self.kinds.len() > 1 { Some(Block::KindRows) } else { None };
        put_groups(&mut blocks, Block::Kinds, rows_of_kinds, &self.kinds, put_kind);
        let put_id = |id: &EventId, table: &mut Vec<u8>, _: &mut Vec<u8>| table.put(&id.0);
        let rows = Some(Block::CorrelationRows);
        put_groups(&mut blocks, Block::Correlations, rows, &self.correlations, put_id);
        put_groups(&mut blocks, Block::Causations, Some(Block::CausationRows), &self.causations, put_id);
        put_groups(&mut blocks, Block::Tags, Some(Block::TagRows), &self.tags, |tag, table, texts| {
            texts.put(tag.as_bytes());
            table.put_u32(long_len(texts.len()));
        });
        self.controls.iter().for_each(|offset| blocks.table(Block::Controls).put_u32(*offset));
        blocks.encode(trailer, long_len(self.streams.len()))
    }

    fn put_rows(&self, blocks: &mut Blocks) {
        blocks.put_all(Block::Rows, self.rows.iter().map(|row| row.encode()));
        blocks.put_all(Block::Ids, self.ids.iter().map(|(hash, _)| hash.to_le_bytes()));
        blocks.put_rows(Block::IdRows, self.ids.iter().map(|(_, row)| *row));
        blocks.put_sieve(Block::IdSieve, self.ids.iter().map(|(hash, _)| *hash));
        self.times.iter().for_each(|time| blocks.table(Block::Times).put_u64(time.0));
    }

    fn put_streams(&self, store: StoreId, blocks: &mut Blocks) {
        let leaves = Leaves::new(&self.streams, &self.rows);
        *blocks.table(Block::Streams) = leaves.streams;
        *blocks.table(Block::Leaves) = leaves.leaves;
        *blocks.table(Block::FenceTexts) = leaves.fence_texts;
        let scope =
            |stream: &StreamTable<'_>| self.scopes.get(stream.scope as usize).map_or("", |scope| scope.0);
        let hash = |stream: &StreamTable<'_>| {
            Key::Coordinate { scope: scope(stream), entity: stream.entity }.hash(store)
        };
        let mut hashes: Vec<u32> = self.streams.iter().map(hash).collect();
        hashes.sort_unstable();
        blocks.put_sieve(Block::StreamSieve, hashes.into_iter());
    }

    fn put_scopes(&self, blocks: &mut Blocks) {
        let (mut rows_end, mut streams) = (0, (0..).zip(&self.streams).peekable());
        for (scope, (text, rows)) in (0..).zip(&self.scopes) {
            while streams.next_if(|(_, stream)| stream.scope == scope).is_some() {}
            let streams_end = streams.peek().map_or(self.streams.len(), |(place, _)| *place);
            let texts = blocks.table(Block::ScopeTexts);
            texts.put(text.as_bytes());
            let text_end = long_len(texts.len());
            rows_end += long_len(rows.len());
            let table = blocks.table(Block::Scopes);
            table.put_u32(text_end);
            table.put_u32(long_len(streams_end));
            table.put_u32(rows_end);
            if self.scopes.len() > 1 {
                blocks.put_rows(Block::ScopeRows, rows.iter().copied());
            }
        }
    }
}

/// Puts keys, each with the end of its rows; and the rows, where they are listed.
fn put_groups<K>(
    blocks: &mut Blocks,
    keys: Block,
    rows: Option<Block>,
    groups: &[(K, &[u32])],
    put_key: impl Fn(&K, &mut Vec<u8>, &mut Vec<u8>),
) {
    let mut end = 0;
    let mut texts = std::mem::take(blocks.table(Block::TagTexts));
    for (key, group) in groups {
        end += long_len(group.len());
        put_key(key, blocks.table(keys), &mut texts);
        blocks.table(keys).put_u32(end);
        let Some(rows) = rows else { continue };
        blocks.put_rows(rows, group.iter().copied());
    }
    *blocks.table(Block::TagTexts) = texts;
}

#[derive(Debug, Default)]
struct Blocks([Vec<u8>; Block::ALL.len()]);

impl Blocks {
    fn table(&mut self, block: Block) -> &mut Vec<u8> {
        self.0.get_mut(block.index()).expect("a table for each block")
    }

    /// Puts entries of equal length, of which it is known how many there are: they are given room at once.
    fn put_all<const N: usize>(&mut self, block: Block, entries: impl ExactSizeIterator<Item = [u8; N]>) {
        let table = self.table(block);
        let start = table.len();
        table.put_zeros(entries.len() * N);
        let (places, _) = table.get_mut(start..).unwrap_or_default().as_chunks_mut();
        places.iter_mut().zip(entries).for_each(|(place, entry)| *place = entry);
    }

    fn put_rows(&mut self, block: Block, rows: impl ExactSizeIterator<Item = u32>) {
        self.put_all(block, rows.map(u24));
    }

    /// The sieve of `hashes`, which are sorted.
    fn put_sieve(&mut self, block: Block, hashes: impl ExactSizeIterator<Item = u32>) {
        let (mut sieve, table) = (SieveBuilder::new(hashes.len() as u64), self.table(block));
        hashes.for_each(|hash| sieve.push(hash, table));
        sieve.finish(table);
    }

    fn encode(self, trailer: &FooterTrailer, stream_count: u32) -> Vec<u8> {
        let blocks_len = self.0.iter().map(|table| table.len().next_multiple_of(8)).sum::<usize>();
        let head_len = sums_len(blocks_len).next_multiple_of(8) + DIRECTORY_LEN;
        let footer_len = blocks_len + head_len + TRAILER_LEN;
        let mut out = Vec::with_capacity(footer_len);
        let mut directory = Vec::with_capacity(DIRECTORY_LEN);
        for table in &self.0 {
            directory.put_u64(table.len() as u64);
            out.put(table);
            out.put_zeros(out.len().next_multiple_of(8) - out.len());
        }
        let mut head = Vec::with_capacity(head_len);
        put_sums(&out, &mut head);
        head.put_zeros(head.len().next_multiple_of(8) - head.len());
        head.put(&directory);
        out.put(&head);
        let head_crc = crc32fast::hash(&head);
        out.put(&trailer.encode(Extent { footer_len: footer_len as u64, head_crc, stream_count }));
        out
    }
}
