//! What an open looks at, what it leaves until it is asked, and how much of that stays open.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
};

use annals::{
    Background, Coordinate, Durability, Event, EventId, Kind, NewEvent, Options, Sequence, Store,
    disk::{Directory, DiskDirectory, MemoryDirectory, SeededEntropy, verify_on},
};
use annals_segment::{
    Access, DirectoryEntry, File, FoundFooter, Inventory, Layout, Lock, Region, SealedSegment,
};
use annals_wire::{CheckpointPrefix, FetchBytes as _, SEGMENT_HEADER_LEN};

use crate::{
    history::{History, Step, frame_ends, image, segments},
    small_store::batch,
};

fn options(seed: u64) -> Options {
    let options = Options::new().create(true).segment_bytes(4096);
    options.background(Background::Manual).entropy(SeededEntropy::new(seed))
}

fn fill(store: &Store, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let at = Coordinate::new(&format!("e:{}", number % 7), "s").unwrap();
        let event = NewEvent::new(&at, Kind::new(0x2001).unwrap(), &[7; 700]).id(id(number));
        store.append_with(&event, Durability::Written).unwrap();
    }
    store.sync().unwrap();
}

fn id(number: u64) -> EventId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    (bytes[6], bytes[8]) = (0x70, 0x80);
    EventId(bytes)
}

/// Ten and more segments with footers and a checkpoint at the end, closed cleanly.
fn closed(directory: impl Directory + 'static) {
    let store = options(1).open_on(directory).unwrap();
    fill(&store, 0..60);
    store.pump().unwrap();
    store.checkpoint().unwrap();
    store.close().unwrap();
}

/// A directory that notes what is done to it.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    directory: MemoryDirectory,
    seen: Arc<Mutex<Vec<String>>>,
}

/// A file of it; as long as it is open, it has a clone of the name's `Arc`.
#[derive(Debug)]
struct WatchedFile {
    file: Arc<dyn File>,
    name: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    pub(crate) fn new(directory: MemoryDirectory) -> Self {
        Self { directory, seen: Arc::default() }
    }

    fn note(&self, what: String) {
        self.seen.lock().unwrap().push(what);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// How many segments are open now.
    fn open_count(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        let count =
            |what: &str| seen.iter().filter(|seen| seen.starts_with(what) && is_segment(seen)).count();
        count("open ") - count("close ")
    }
}

fn is_segment(seen: &str) -> bool {
    seen.contains(".seg")
}

impl Directory for Watched {
    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let file = self.directory.open(name, access)?;
        self.note(format!("open {name}"));
        Ok(Arc::new(WatchedFile { file, name: name.to_owned(), seen: Arc::clone(&self.seen) }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.note(format!("create {name}"));
        self.directory.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.note(format!("rename {from}"));
        self.directory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.note(format!("remove {name}"));
        self.directory.remove(name)
    }

    fn child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.directory.child(name)
    }

    fn create_child(&self, name: &str) -> io::Result<Arc<dyn Directory>> {
        self.directory.create_child(name)
    }

    fn remove_child(&self, name: &str) -> io::Result<()> {
        self.directory.remove_child(name)
    }

    fn list(&self) -> io::Result<Vec<DirectoryEntry>> {
        self.note("list".to_owned());
        self.directory.list()
    }

    fn sync(&self) -> io::Result<()> {
        self.note("sync".to_owned());
        self.directory.sync()
    }

    fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        self.directory.lock(name)
    }

    fn is_locked(&self, name: &str) -> io::Result<bool> {
        self.directory.is_locked(name)
    }
}

impl WatchedFile {
    fn note(&self, what: &str, end: u64) {
        self.seen.lock().unwrap().push(format!("{what} {} to {end}", self.name));
    }
}

impl Drop for WatchedFile {
    fn drop(&mut self) {
        self.seen.lock().unwrap().push(format!("close {}", self.name));
    }
}

impl File for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.note("read", offset + buffer.len() as u64);
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.note("write", offset + bytes.len() as u64);
        self.file.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note("cut", len);
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.note("sync", 0);
        self.file.sync_data()
    }

    fn map(&self, range: std::ops::Range<u64>) -> io::Result<Region> {
        self.note("map", range.end);
        self.file.map(range)
    }
}

#[test]
fn a_clean_open_reads_the_newest_header_and_what_says_the_rest() {
    let memory = MemoryDirectory::new();
    closed(memory.clone());
    let newest = memory.names().into_iter().rfind(|name| name.ends_with(".seg")).unwrap();
    let prefix = CheckpointPrefix::decode(&memory.file("CHECKPOINT").unwrap()).unwrap();
    for (maps, is_read_only) in [(false, false), (false, true), (true, false), (true, true)] {
        let watched = Watched::new(memory.clone());
        let options = options(2).maps(maps);
        let store = if is_read_only {
            options.open_read_only_on(watched.clone()).unwrap()
        } else {
            options.open_on(watched.clone()).unwrap()
        };
        let read = |name: &str, end: u64| format!("read {name} to {end}");
        let allowed = [
            read("MANIFEST", 8192),
            read("CHECKPOINT", 32),
            read("CHECKPOINT", prefix.tables_offset()),
            read(&newest, SEGMENT_HEADER_LEN as u64),
        ];
        let seen = watched.take();
        let is_look =
            |seen: &&String| *seen == "list" || ["open ", "close "].iter().any(|what| seen.starts_with(what));
        let other: Vec<_> =
            seen.iter().filter(|seen| !is_look(seen) && !allowed.contains(seen)).cloned().collect();
        assert_eq!(other, [""; 0], "maps {maps}, read-only {is_read_only}");
        let opened = |name: &String| seen.contains(&format!("open {name}"));
        let names = memory.names();
        let segments: Vec<_> = names.iter().filter(|name| is_segment(name) && opened(name)).collect();
        assert_eq!(segments, [&newest], "maps {maps}, read-only {is_read_only}");
        assert!(store.report().is_clean() && store.report().events.footers > 40);
        assert_eq!(store.all().map(Result::unwrap).count(), 60);
        assert!(watched.take().iter().any(|seen| seen.starts_with("open 000001.seg")));
    }
}

#[test]
fn what_the_checkpoint_does_not_vouch_for_is_looked_at() {
    let memory = MemoryDirectory::new();
    closed(memory.clone());
    let store = options(3).open_on(memory.clone()).unwrap();
    fill(&store, 60..90);
    drop(store);
    let names = memory.names().into_iter().filter(|name| is_segment(name)).collect::<Vec<_>>();
    let watched = Watched::new(memory.clone());
    let store = options(4).open_on(watched.clone()).unwrap();
    let seen = watched.take();
    let opened: Vec<_> = names.iter().map(|name| seen.contains(&format!("open {name}"))).collect();
    let first = opened.iter().position(|opened| *opened).unwrap();
    assert!(first > 10 && opened[first..].iter().all(|opened| *opened), "{opened:?}");
    assert_eq!(store.all().map(Result::unwrap).count(), 90);
}

#[test]
fn no_more_segments_are_open_than_the_budget_has() {
    let memory = MemoryDirectory::new();
    closed(memory.clone());
    for max in [1, 2, 5] {
        let watched = Watched::new(memory.clone());
        let options = options(5).maps(false).open_segments_max(max);
        let store = options.open_read_only_on(watched.clone()).unwrap();
        let mut held = Vec::new();
        for number in (0..60).chain((0..60).rev()).chain((0..60).step_by(7)) {
            held.push(store.get(id(number)).unwrap().unwrap());
            // The newest has a file of its own, beside those that are sealed.
            assert!(watched.open_count() <= max + 1, "{max}: {}", watched.open_count());
        }
        assert!(watched.open_count() >= max, "{max}: what is asked stays open");
        assert!(held.iter().all(|event| event.payload() == Some(&[7; 700][..])));
        assert_eq!(store.all().backwards().map(Result::unwrap).count(), 60);
    }
}

/// What the system has mapped of files in `directory`.
#[cfg(target_os = "linux")]
fn mapped_count(directory: &Path) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let directory = directory.to_str().unwrap();
    maps.lines().filter(|line| line.contains(directory) && line.contains(".seg")).count()
}

/// The event with `number`, asked for so often that it is no more read, but looked at in the map.
#[cfg(target_os = "linux")]
fn get_mapped(store: &Store, number: u64) -> Event {
    let event = || store.all().after(Sequence(number)).limit(1).next().unwrap().unwrap();
    (0..100).for_each(|_| drop(event()));
    event()
}

#[cfg(target_os = "linux")]
#[test]
fn no_more_segments_are_mapped_than_the_budget_has_and_what_is_held() {
    let place = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(place.path()).unwrap();
    closed(DiskDirectory::open(&path).unwrap());
    let store = options(6).open_segments_max(3).open(&path).unwrap();
    assert_eq!(mapped_count(&path), 0, "nothing was asked");
    for number in (0..60).chain((0..60).rev()) {
        store.get(id(number)).unwrap().unwrap();
        // The newest was closed, and is read through its descriptor.
        assert!(mapped_count(&path) <= 3, "{}", mapped_count(&path));
    }
    let held: Vec<_> = (0..60).map(|number| get_mapped(&store, number)).collect();
    assert!(mapped_count(&path) > 10, "who has an event keeps its segment mapped");
    assert!(held.iter().all(|event| event.payload() == Some(&[7; 700][..])));
    drop(held);
    assert!(mapped_count(&path) <= 3);
}

#[test]
fn a_budget_of_one_serves_many_readers_at_once() {
    let memory = MemoryDirectory::new();
    closed(memory.clone());
    let store = options(7).open_segments_max(1).open_read_only_on(memory).unwrap();
    std::thread::scope(|scope| {
        for step in [1, 7, 11, 13] {
            let store = store.clone();
            scope.spawn(move || {
                for number in (0..180).map(|number| number * step % 60) {
                    let event = store.get(id(number)).unwrap().unwrap();
                    assert_eq!((event.id(), event.sequence()), (id(number), Sequence(number + 1)));
                }
            });
        }
    });
    assert_eq!(store.incidents(), [""; 0]);
}

/// Killed after a rotation and before the footer was written.
#[test]
fn a_checkpoint_of_a_segment_that_was_sealed_since_spares_its_frames() {
    let mut history = History::of(&[batch(0, 2, Durability::Durable), Step::Name]);
    let fill = |history: &mut History, count| {
        while segments(&image(&history.directory)).len() < count {
            history.apply(&batch(1, 2, Durability::Durable));
        }
    };
    fill(&mut history, 2);
    history.apply(&batch(1, 2, Durability::Durable));
    history.apply(&Step::Name);
    history.apply(&Step::Checkpoint);
    history.apply(&Step::Name);
    fill(&mut history, 3);
    let expected = history.expected();
    history.leave();
    let killed = image(&history.directory);
    for is_read_only in [true, false] {
        let directory = crate::history::directory(&killed);
        let options = crate::history::options(8);
        let store = if is_read_only {
            options.open_read_only_on(directory.clone()).unwrap()
        } else {
            options.open_on(directory.clone()).unwrap()
        };
        let report = store.report();
        assert!(report.events.checkpoint > 0 && report.rejected.is_empty(), "{report:?}");
        expected.check(&store, "killed");
        if is_read_only {
            continue;
        }
        assert!(!report.rebuilt.is_empty(), "{report:?}");
        store.pump().unwrap();
        expected.check(&store, "sealed");
        store.close().unwrap();
        let sealed = image(&directory);
        assert!(frame_ends(&sealed).iter().all(|(name, end)| sealed[name].len() > *end), "footers");
        assert!(verify_on(directory, &mut |_| {}).unwrap().is_sound());
    }
}

/// Enough events that the first of two segments has a large footer.
const COUNT: u64 = 500;

#[test]
fn a_footer_that_turns_out_damaged_is_written_again() {
    let place = tempfile::tempdir().unwrap();
    let large = |seed| options(seed).segment_bytes(300_000);
    let store = large(1).open_on(DiskDirectory::open(place.path()).unwrap()).unwrap();
    fill(&store, 0..COUNT);
    store.pump().unwrap();
    store.checkpoint().unwrap();
    store.close().unwrap();
    // Its footer has several pages, so that damage is not met by whoever asks for anything at all.
    let path = place.path().join("000001.seg");
    let whole = fs::read(&path).unwrap();
    let end = whole.len() - annals_wire::TRAILER_LEN;
    let (_, footer_len) = annals_wire::FooterTrailer::decode_end(&whole).unwrap();
    let start = whole.len() - usize::try_from(footer_len).unwrap();
    let mut written_count = 0;
    assert!(end - start > 5_000, "{} bytes of footer", end - start);
    for byte in (start..end).step_by(311) {
        let mut damaged = whole.clone();
        damaged[byte] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let store = large(9).open(place.path()).unwrap();
        // So often that the events are no more read, but looked at in the map, which the footer is no part of.
        let read = || store.all().map(Result::unwrap).collect::<Vec<_>>();
        let hashes = |events: &[Event]| events.iter().map(Event::hash).collect::<Vec<_>>();
        drop(read());
        let events = read();
        assert_eq!(events.len() as u64, COUNT, "byte {byte}");
        for number in 0..COUNT {
            assert_eq!(store.get(id(number)).unwrap().unwrap().sequence(), Sequence(number + 1));
        }
        store.streams().unwrap();
        if store.incidents().is_empty() {
            // Nobody asked for that table.
            drop((store, events));
            fs::write(&path, &whole).unwrap();
            continue;
        }
        store.pump().unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole, "byte {byte}");
        assert!(hashes(&events) == hashes(&read()), "byte {byte}: what was held, and what is read now");
        written_count += 1;
    }
    assert!(written_count > 10, "{written_count} footers written again");
}

#[test]
#[cfg(unix)]
#[should_panic(expected = "what is mapped is not written")]
fn a_footer_that_somebody_has_mapped_is_not_written() {
    let place = tempfile::tempdir().unwrap();
    let directory = Arc::new(DiskDirectory::open(place.path()).unwrap());
    let store =
        options(1).segment_bytes(8 << 20).open_on(DiskDirectory::open(place.path()).unwrap()).unwrap();
    fill(&store, 0..12_000);
    store.pump().unwrap();
    store.close().unwrap();
    let layout = Layout::decide(&Inventory::take(&*directory).unwrap(), place.path(), None).unwrap();
    let segment = SealedSegment::new(directory, layout.sealed[0], true);
    let FoundFooter::Sound(footer) = segment.footer().unwrap() else { panic!("no footer") };
    let bytes = footer.read_all().unwrap().to_vec();
    assert!(footer.at_hand().is_none() && !segment.is_footer_mapped());
    segment.write_footer(&bytes).unwrap();
    footer.fetch(0..1).unwrap();
    assert!(!segment.is_footer_mapped(), "what was found before a write is not mapped after it");
    let FoundFooter::Sound(again) = segment.footer().unwrap() else { panic!("no footer") };
    again.read_all().unwrap();
    again.fetch(0..1).unwrap();
    assert!(again.at_hand().is_some() && segment.is_footer_mapped());
    drop(footer);
    segment.write_footer(&bytes).unwrap();
}

#[test]
fn an_observer_is_told_how_far_a_rebuild_is() {
    let memory = MemoryDirectory::new();
    closed(memory.clone());
    let told = Arc::new(Mutex::new(Vec::new()));
    let observing = Arc::clone(&told);
    let options = options(10).use_footers(false).use_checkpoint(false);
    let options = options.observer(move |progress| observing.lock().unwrap().push(*progress));
    let store = options.open_read_only_on(memory).unwrap();
    let told = told.lock().unwrap();
    let (first, frames) = (told[0], store.report().events.frames);
    assert!(frames > 40 && told.len() > 10, "{frames} from frames, told {} times", told.len());
    assert_eq!((first.phase, first.done_bytes, first.done_events), ("frames", 0, 0));
    assert!(told.iter().all(|progress| progress.done_bytes <= first.total_bytes));
    let most = told.iter().map(|progress| (progress.done_bytes, progress.done_events)).max().unwrap();
    assert_eq!(most, (first.total_bytes, frames));
    assert_eq!(store.all().map(Result::unwrap).count(), 60);
}
