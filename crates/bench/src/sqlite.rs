//! The same events in SQLite, in the table that event stores on it have.

use std::path::Path;

use indicatif::ProgressBar;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Statement, params};

use crate::{
    content::{Content, stream_name},
    failure::Failure,
};

/// How many events are inserted in one transaction.
const BATCH_COUNT: u64 = 10_000;

const TABLE: &str = "CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    id BLOB UNIQUE,
    stream TEXT,
    revision INTEGER,
    kind INTEGER,
    recorded INTEGER,
    payload BLOB,
    UNIQUE (stream, revision)
)";
const INSERT: &str = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const BY_ID: &str = "SELECT payload FROM events WHERE id = ?1";
const BY_STREAM: &str = "SELECT payload FROM events WHERE stream = ?1 ORDER BY revision LIMIT ?2";

/// What the first event was recorded at, in Unix milliseconds; each later one a millisecond after the last.
const RECORDED_FIRST: u64 = 1_700_000_000_000;

/// Makes a database of `content`, closed and checkpointed: in WAL mode, and durable with every commit from then on.
pub(crate) fn build(path: &Path, content: &Content, bar: &ProgressBar) -> Result<(), Failure> {
    insert_all(path, content, bar).map_err(Failure::sqlite(path))
}

fn insert_all(path: &Path, content: &Content, bar: &ProgressBar) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    // Nothing of this has to survive anything before it is there as a whole.
    connection
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000")?;
    connection.execute_batch(TABLE)?;
    let streams = usize::try_from(content.streams.get()).unwrap_or(usize::MAX);
    let mut revisions = vec![0_u32; streams];
    let events = content.events.get();
    for first in (0..events).step_by(usize::try_from(BATCH_COUNT).expect("ten thousand")) {
        let batch = first..(first + BATCH_COUNT).min(events);
        let transaction = connection.transaction()?;
        bar.inc(batch.end - batch.start);
        let mut inserting = transaction.prepare(INSERT)?;
        batch.into_iter().try_for_each(|event| insert(&mut inserting, content, event, &mut revisions))?;
        drop(inserting);
        transaction.commit()?;
    }
    connection.execute_batch("PRAGMA synchronous = FULL")?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}

fn insert(
    inserting: &mut Statement<'_>,
    content: &Content,
    event: u64,
    revisions: &mut [u32],
) -> rusqlite::Result<()> {
    let mut payload = Vec::new();
    content.payload(event, &mut payload);
    let stream = content.stream(event);
    let place = usize::try_from(stream).unwrap_or(usize::MAX);
    let revision = revisions.get_mut(place).map_or(0, |revision| {
        *revision += 1;
        *revision
    });
    inserting.execute(params![
        event.cast_signed() + 1,
        content.id(event).0,
        stream_name(stream),
        revision,
        content.kind(event),
        (RECORDED_FIRST + event).cast_signed(),
        payload,
    ])?;
    Ok(())
}

/// An open database.
#[derive(Debug)]
pub(crate) struct Database(Connection);

impl Database {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.execute_batch("PRAGMA synchronous = FULL")?;
        Ok(Self(connection))
    }

    /// The payload of the event with this id.
    pub(crate) fn get(&self, id: [u8; 16]) -> rusqlite::Result<Option<Vec<u8>>> {
        self.0.prepare(BY_ID)?.query_row([id], |row| row.get(0)).optional()
    }

    /// The payloads of a stream's first events.
    pub(crate) fn stream(&self, name: &str, limit: u32) -> rusqlite::Result<Vec<Vec<u8>>> {
        self.0.prepare(BY_STREAM)?.query_map(params![name, limit], |row| row.get(0))?.collect()
    }
}
