//! The end of the newest segment, walked: what it holds is known before it is known what came before, so that the
//! sealed segments may be indexed at the same time.
//!
//! Invariant: what is wrong is told in order of the frames, as if there were only one walk.

use std::path::{Path, PathBuf};

use annals_index::ActiveIndex;
use annals_segment::{Directory, Error, Newest, Outside, Tail, segment_name};
use annals_wire::{EventStamp, FrameType, Recorded, Sequence};

use crate::{
    FRAME_TYPES, Fold,
    fold::{FoundControl, index_frame},
};

/// The end of the newest segment.
#[derive(Debug)]
pub(crate) struct WalkedTail {
    path: PathBuf,
    index: ActiveIndex,
    controls: Vec<FoundControl>,
    /// The last event.
    last: Option<EventStamp>,
    /// The clock at the last event.
    recorded: Recorded,
    tail: Result<Tail, Error>,
}

impl WalkedTail {
    /// Walks the newest segment from where `outside` says on.
    pub(crate) fn walk(
        directory: &dyn Directory,
        newest: &Newest,
        outside: Outside,
        next_sequence: Sequence,
    ) -> Self {
        let path = directory.path().join(segment_name(newest.header.id, newest.header.generation));
        let (mut index, mut controls) = (ActiveIndex::new(next_sequence), Vec::new());
        let (mut last, mut recorded) = (None, Recorded(0));
        let tail = Tail::walk(directory, newest, outside, FRAME_TYPES, &mut |offset, frame| {
            if let Some(stamp) = index_frame(&mut index, &path, offset, frame)? {
                recorded = recorded.max(stamp.recorded);
                last = Some(stamp);
            }
            if frame.header.frame_type == FrameType::CONTROL {
                controls.push(FoundControl::decode(frame, &path, offset)?);
            }
            Ok(())
        });
        Self { path, index, controls, last, recorded, tail }
    }

    /// Takes what it holds into `fold`, which has all that came before.
    pub(crate) fn take(self, fold: &mut Fold) -> Result<(ActiveIndex, Tail), Error> {
        let path: &Path = &self.path;
        self.controls.iter().try_for_each(|control| fold.found(control, path))?;
        let tail = self.tail?;
        if let Some(stamp) = &self.last {
            fold.event(stamp);
        }
        fold.recorded = fold.recorded.max(self.recorded);
        Ok((self.index, tail))
    }
}
