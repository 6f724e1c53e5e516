//! The end of the newest segment, walked: what it holds is known before it is known what came before, so that the
//! sealed segments may be indexed at the same time.
//!
//! Invariant: what is wrong is told in order of the frames, as if there were only one walk.

use std::path::{Path, PathBuf};

use annals_index::ActiveIndex;
use annals_segment::{Directory, Error, Newest, Outside, Position, Tail, segment_name};
use annals_wire::{EventStamp, FrameType, Recorded};

use crate::{FRAME_TYPES, Fold, fold::FoundControl, indexing::Indexing};

/// A file may be longer than its frames: no room is made for those that more bytes than these would have.
const ROOM_LEN_MAX: u64 = 64 << 20;

/// The end of the newest segment.
#[derive(Debug)]
pub(crate) struct WalkedTail {
    path: PathBuf,
    controls: Vec<FoundControl>,
    /// The last event.
    last: Option<EventStamp>,
    /// The clock at the last event.
    recorded: Recorded,
    walked: Result<(ActiveIndex, Tail), Error>,
}

impl WalkedTail {
    /// Walks the newest segment from `start` on, which is where `outside` says or behind the header.
    pub(crate) fn walk(
        directory: &dyn Directory,
        newest: &Newest,
        outside: Outside,
        start: Position,
    ) -> Self {
        let path = directory.path().join(segment_name(newest.header.id, newest.header.generation));
        let end = newest.len.min(start.offset.saturating_add(ROOM_LEN_MAX));
        let mut indexing = Indexing::of(&path, start, end);
        let (mut controls, mut last, mut recorded) = (Vec::new(), None, Recorded(0));
        let walked = Tail::walk(directory, newest, outside, FRAME_TYPES, &mut |offset, frame| {
            if let Some(stamp) = indexing.frame(offset, frame)? {
                recorded = recorded.max(stamp.recorded);
                last = Some(stamp);
            }
            if frame.header.frame_type == FrameType::CONTROL {
                controls.push(FoundControl::decode(frame, &path, offset)?);
            }
            Ok(())
        });
        let walked = indexing.finish(walked);
        Self { path, controls, last, recorded, walked }
    }

    /// Takes what it holds into `fold`, which has all that came before.
    pub(crate) fn take(self, fold: &mut Fold) -> Result<(ActiveIndex, Tail), Error> {
        let path: &Path = &self.path;
        self.controls.iter().try_for_each(|control| fold.found(control, path))?;
        let (index, tail) = self.walked?;
        if let Some(stamp) = &self.last {
            fold.event(stamp);
        }
        fold.recorded = fold.recorded.max(self.recorded);
        Ok((index, tail))
    }
}
