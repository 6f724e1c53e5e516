//! Control records: what the store itself writes in the log, staged in a turn.

use annals_segment::Entry;
use annals_wire::{Batch, Control, ControlStamp, FrameType, Recorded};

use crate::{Error, append::log, part::PartIndex, store::Shared, sync::PoisonError, turn::Turn};

/// A control record, encoded, before it has its place.
pub(crate) struct NewControl {
    control: Control,
    pub(crate) body: Vec<u8>,
}

impl NewControl {
    pub(crate) fn new(control: Control) -> Self {
        let mut body = Vec::new();
        control.encode(&mut body);
        Self { control, body }
    }

    /// How many bytes its frame takes at most.
    pub(crate) fn frame_len_max(&self) -> u64 {
        annals_wire::frame_len(annals_wire::STAMP_LEN_MAX, self.body.len())
    }
}

impl Shared {
    /// Gives the record its place, by itself or in a batch with others, stamps it and stages it.
    pub(crate) fn stage_control(
        &self,
        turn: &mut Turn,
        record: &NewControl,
        batch: Batch,
    ) -> Result<(), Error> {
        let NewControl { control, body } = record;
        let now = Recorded::from_millis(self.options.clock.now_millis());
        let recorded = turn
            .recorded
            .tick(now)
            .ok_or(Error::Environment { source: annals_segment::Error::Exhausted { what: "the clock" } })?;
        self.open_frontier(turn);
        let stamp = ControlStamp::new(control, recorded, batch, turn.control, body);
        let encoded = stamp.encode();
        let entry = Entry {
            frame_type: FrameType::CONTROL,
            is_numbered: false,
            stamp: &encoded,
            body,
            body_crc: annals_wire::crc(body),
        };
        let failed = turn.failed();
        let offset = log(turn)?.stage(&entry, batch).map_err(failed)?;
        turn.recorded = recorded;
        turn.control = stamp.hash;
        turn.appended.bytes += entry.frame_len();
        let view = self.view();
        if let PartIndex::Active(index) = &view.last().index {
            let offset = u32::try_from(offset).expect("a segment is under 4 GiB");
            index.write().unwrap_or_else(PoisonError::into_inner).insert_control(offset);
        }
        Ok(())
    }
}
