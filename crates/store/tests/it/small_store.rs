//! A small store that things happen to: several segments with footers, a checkpoint in the middle of the newest,
//! and a group of two batches at its end; closed, or just let go of.

use annals::{
    Durability, Error, Store,
    disk::{MemoryDirectory, verify_on},
};
use annals_wire::{FrameHeader, SEGMENT_HEADER_LEN, SegmentHeader};

use crate::history::{Answers, Draft, History, Image, Step, directory, frame_ends, image, options, segments};

pub(crate) fn batch(from: usize, count: usize, durability: Durability) -> Step {
    Step::Batch(
        (from..from + count).map(|number| Draft::rich(number, 20 + number)).collect(),
        true,
        durability,
    )
}

/// A small store: three segments, the newest with a checkpoint in its middle, and a group of two batches at its
/// end.
pub(crate) fn history(seed: u64) -> History {
    use Durability::{Durable, Written};
    let mut history = History::of_seed(seed);
    for step in [
        Step::Name,
        batch(0, 2, Durable),
        Step::Drop,
        batch(2, 1, Durable),
        Step::Name,
        batch(3, 2, Durable),
        Step::Pump,
        Step::Drop,
        Step::Name,
        batch(5, 2, Durable),
        Step::Checkpoint,
        batch(7, 1, Durable),
        Step::Pump,
        Step::Name,
        batch(8, 2, Durable),
        batch(10, 1, Written),
        batch(11, 2, Written),
    ] {
        history.apply(&step);
    }
    history
}

/// The small store and what it must answer; closed, or just let go of.
pub(crate) fn small(is_closed: bool) -> (Image, Answers) {
    small_of_seed(1, is_closed)
}

/// Another store with the same files and events for each seed.
pub(crate) fn small_of_seed(seed: u64, is_closed: bool) -> (Image, Answers) {
    let mut history = history(seed);
    let expected = history.expected().brief();
    if is_closed {
        history.close();
    } else {
        history.leave();
    }
    let mut image = image(&history.directory);
    image.insert("LOCK".to_owned(), history.directory.file("LOCK").unwrap());
    assert_eq!(segments(&image).len(), 3);
    assert!(["CHECKPOINT", "FRONTIER", "MANIFEST"].iter().all(|name| image.contains_key(*name)));
    (image, expected)
}

/// Opens `image` for writing or for reading.
pub(crate) fn open(image: &Image, is_read_only: bool) -> (MemoryDirectory, Result<Store, Error>) {
    let directory = directory(image);
    let options = options(3);
    let opened = if is_read_only {
        options.open_read_only_on(directory.clone())
    } else {
        options.open_on(directory.clone())
    };
    (directory, opened)
}

/// Asks for every event. What is vouched for by the checkpoint is not looked at before.
pub(crate) fn touch(store: Store) -> Result<Store, Error> {
    store.all().try_for_each(|event| event.map(drop))?;
    Ok(store)
}

/// Opens `image` as [`open`] does, and asks for every event: who refuses it there does so before anything that is
/// damaged was answered from.
pub(crate) fn open_and_touch(image: &Image, is_read_only: bool) -> (MemoryDirectory, Result<Store, Error>) {
    let (directory, opened) = open(image, is_read_only);
    (directory, opened.and_then(touch))
}

pub(crate) fn is_unchanged(directory: &MemoryDirectory, image: &Image) -> bool {
    let now = self::image(directory);
    let was = image.keys().filter(|name| *name != "LOCK").count();
    now.len() == was && now.iter().all(|(name, bytes)| image.get(name) == Some(bytes))
}

/// An error about damage says in which file and where.
pub(crate) fn assert_names(error: &Error, file: &str, context: &str) {
    let text = error.to_string();
    assert!(matches!(error, Error::Corrupt { .. }), "{context}: {error:?}");
    assert!(text.contains(&format!("(memory)/{file}")) && text.contains("at offset "), "{context}: {text}");
}

/// Where the frames of `name` end: where the next segment's header says, or else at its end.
pub(crate) fn frames_end(image: &Image, name: &str) -> usize {
    let sealed = frame_ends(image).into_iter().find(|(sealed, _)| sealed == name);
    sealed.map_or(image[name].len(), |(_, end)| end)
}

/// The frames of the segment `name`: offset and header of each.
pub(crate) fn frames(image: &Image, name: &str) -> Vec<(usize, FrameHeader)> {
    let bytes = &image[name];
    let seed = SegmentHeader::decode(bytes).unwrap().seed();
    let mut frames = Vec::new();
    let mut offset = SEGMENT_HEADER_LEN;
    while let Ok(header) = FrameHeader::decode(&bytes[offset..], seed, offset as u64) {
        frames.push((offset, header));
        offset += usize::try_from(header.frame_len()).unwrap();
    }
    frames
}

/// The small store when it was just let go of, its newest segment, how far that is proven durable, and where its
/// frames end.
pub(crate) fn dropped() -> (Image, Answers, String, usize, usize) {
    let (image, right) = small(false);
    let name = segments(&image).pop().unwrap();
    let frames = frames(&image, &name);
    let proven = frames.iter().map(|(_, header)| header.synced_len as usize).max().unwrap();
    let (last, header) = frames.last().unwrap();
    let end = last + usize::try_from(header.frame_len()).unwrap();
    assert!(proven < *last && end < image[&name].len(), "a group behind the proof, and prepared space");
    (image, right, name, proven, end)
}

/// How many events there are where the newest segment is cut at `len`.
pub(crate) fn count_at(image: &Image, name: &str, all: usize, len: usize) -> usize {
    let is_whole = |(offset, header): &(usize, FrameHeader)| {
        offset + usize::try_from(header.frame_len()).unwrap() <= len
    };
    let frames = frames(image, name);
    let whole = frames.iter().filter(|frame| is_whole(frame)).count();
    let last_batch = frames[..whole].iter().rposition(|(_, header)| header.batch.is_last());
    let kept = last_batch.map_or(0, |last| last + 1);
    all - frames[kept..].iter().filter(|(_, header)| header.sequence.0 > 0).count()
}

/// The images that killing the process would leave after each step of a history, and what each must answer.
pub(crate) fn moments() -> Vec<(Image, Answers)> {
    use Durability::Durable;
    let mut history = History::new();
    let mut moments = Vec::new();
    for step in [
        Step::Checkpoint,
        batch(0, 2, Durable),
        Step::Checkpoint,
        Step::Name,
        Step::Checkpoint,
        Step::Name,
        batch(2, 1, Durable),
        Step::Checkpoint,
        batch(3, 1, Durable),
        Step::Drop,
        Step::Checkpoint,
        Step::Name,
        Step::Checkpoint,
        Step::Name,
        Step::Checkpoint,
        batch(5, 2, Durable),
        Step::Name,
        Step::Pump,
        Step::Checkpoint,
        Step::Close,
        Step::Checkpoint,
        Step::Name,
        Step::Checkpoint,
        batch(7, 1, Durable),
        Step::Checkpoint,
    ] {
        history.apply(&step);
        history.apply(&Step::Sync);
        moments.push((image(&history.directory), history.expected()));
    }
    moments
}

/// Opens `image` for writing and for reading: both are refused, at the open or when all is read, with an error that
/// names `file` and for which `is_right` is true. A reader has changed nothing, nor has who was refused at the open.
pub(crate) fn refused(image: &Image, file: &str, context: &str, is_right: impl Fn(&str) -> bool) {
    for is_read_only in [false, true] {
        let (directory, opened) = open(image, is_read_only);
        let must_be_unchanged = is_read_only || opened.is_err();
        let Err(error) = opened.and_then(touch) else {
            panic!("{context}: opened, read-only {is_read_only}")
        };
        let text = error.to_string();
        assert!(matches!(error, Error::Corrupt { .. }), "{context}: {error:?}");
        assert!(text.contains(&format!("(memory)/{file}")) && is_right(&text), "{context}: {text}");
        let is_unchanged = !must_be_unchanged || is_unchanged(&directory, image);
        assert!(is_unchanged, "{context}: refused, and something was changed");
    }
    let report = verify_on(directory(image), &mut |_| {}).unwrap();
    assert!(!report.is_sound(), "{context}: verification finds nothing");
}

pub(crate) fn names_the_loss(text: &str) -> bool {
    text.contains("acknowledged data is lost")
}
