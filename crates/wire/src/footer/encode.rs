//! How a footer is made from sorted tables.

use super::{Block, DIRECTORY_ENTRY_LEN, FooterTrailer, Row, TRAILER_LEN};
use crate::{
    Depth, Digest, EventId, Kind, Lane, Revision,
    codec::{Put, long_len, short_len},
    pad_to_frame,
};

/// The content of a footer: everything sorted, rows counted from 0.
#[derive(Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever indexes: every field must be given")]
pub struct Tables<'a> {
    /// A row for every event, in order of sequence.
    pub rows: Vec<Row>,
    /// The ids with their rows, by id.
    pub ids: Vec<(EventId, u32)>,
    /// The scopes with their rows, by scope.
    pub scopes: Vec<(&'a str, Vec<u32>)>,
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
    /// The hash of its last event here.
    pub head: Digest,
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
        self.put_streams(&mut blocks);
        self.put_scopes(&mut blocks);
        put_groups(&mut blocks, [Block::Kinds, Block::KindRows], &self.kinds, |kind, table, _| {
            table.put_u16(kind.number());
            table.put_u16(0);
        });
        let put_id = |id: &EventId, table: &mut Vec<u8>, _: &mut Vec<u8>| table.put(&id.0);
        put_groups(&mut blocks, [Block::Correlations, Block::CorrelationRows], &self.correlations, put_id);
        put_groups(&mut blocks, [Block::Causations, Block::CausationRows], &self.causations, put_id);
        put_groups(&mut blocks, [Block::Tags, Block::TagRows], &self.tags, |tag, table, strings| {
            table.put_u32(long_len(strings.len()));
            table.put_u32(long_len(tag.len()));
            strings.put(tag.as_bytes());
        });
        self.controls.iter().for_each(|offset| blocks.table(Block::Controls).put_u32(*offset));
        blocks.encode(trailer)
    }

    fn put_rows(&self, blocks: &mut Blocks) {
        for row in &self.rows {
            row.encode(blocks.table(Block::Rows));
        }
        for (id, row) in &self.ids {
            blocks.table(Block::Ids).put(&id.0);
            blocks.table(Block::IdRows).put_u32(*row);
        }
    }

    fn put_streams(&self, blocks: &mut Blocks) {
        let mut start = 0;
        for stream in &self.streams {
            let entity_offset = long_len(blocks.table(Block::Strings).len());
            blocks.table(Block::Strings).put(stream.entity.as_bytes());
            let table = blocks.table(Block::Streams);
            table.put_u32(entity_offset);
            table.put_u16(short_len(stream.entity.len()));
            table.put_u16(0);
            table.put_u32(stream.scope);
            table.put_u32(stream.lane.0);
            table.put_u64(stream.first_revision.0);
            table.put_u64(stream.fork_depth.0);
            table.put_u32(start);
            table.put_u32(long_len(stream.rows.len()));
            table.put(&stream.head.0);
            stream.rows.iter().for_each(|row| blocks.table(Block::StreamRows).put_u32(*row));
            start += long_len(stream.rows.len());
        }
    }

    fn put_scopes(&self, blocks: &mut Blocks) {
        let (mut start, mut first_stream) = (0, 0);
        for (scope, (text, rows)) in self.scopes.iter().enumerate() {
            let streams = self.streams.iter().skip(first_stream as usize);
            let stream_count = long_len(streams.take_while(|stream| stream.scope as usize == scope).count());
            let text_offset = long_len(blocks.table(Block::Strings).len());
            blocks.table(Block::Strings).put(text.as_bytes());
            let table = blocks.table(Block::Scopes);
            table.put_u32(text_offset);
            table.put_u32(long_len(text.len()));
            table.put_u32(first_stream);
            table.put_u32(stream_count);
            table.put_u32(start);
            table.put_u32(long_len(rows.len()));
            rows.iter().for_each(|row| blocks.table(Block::ScopeRows).put_u32(*row));
            start += long_len(rows.len());
            first_stream += stream_count;
        }
    }
}

fn put_groups<K>(
    blocks: &mut Blocks,
    [keys, rows]: [Block; 2],
    groups: &[(K, &[u32])],
    put_key: impl Fn(&K, &mut Vec<u8>, &mut Vec<u8>),
) {
    let mut start = 0;
    let mut strings = std::mem::take(blocks.table(Block::Strings));
    for (key, group) in groups {
        put_key(key, blocks.table(keys), &mut strings);
        blocks.table(keys).put_u32(start);
        blocks.table(keys).put_u32(long_len(group.len()));
        group.iter().for_each(|row| blocks.table(rows).put_u32(*row));
        start += long_len(group.len());
    }
    *blocks.table(Block::Strings) = strings;
}

#[derive(Debug, Default)]
struct Blocks([Vec<u8>; Block::ALL.len()]);

impl Blocks {
    fn table(&mut self, block: Block) -> &mut Vec<u8> {
        self.0.get_mut(block.index()).expect("a table for each block")
    }

    fn encode(self, trailer: &FooterTrailer) -> Vec<u8> {
        let len = self.0.iter().map(|table| pad_to_frame(table.len() as u64)).sum::<u64>();
        let head_len = Block::ALL.len() * DIRECTORY_ENTRY_LEN + TRAILER_LEN;
        let footer_len = len + head_len as u64;
        let mut out = Vec::with_capacity(usize::try_from(footer_len).expect("tables that were in memory"));
        let mut directory = Vec::with_capacity(head_len);
        for (block, table) in Block::ALL.iter().zip(&self.0) {
            directory.put_u32(*block as u32);
            directory.put_u32(crc32fast::hash(table));
            directory.put_u64(out.len() as u64);
            directory.put_u64(table.len() as u64);
            out.put(table);
            out.put_zeros(out.len().next_multiple_of(8) - out.len());
        }
        out.put(&directory);
        out.put(&trailer.encode(footer_len, crc32fast::hash(&directory)));
        out
    }
}
