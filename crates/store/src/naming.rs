//! Naming: how a kind gets a name, with a control record in the log.
//!
//! Invariant: a name is bound once, in a turn, and is as durable as an append before anybody is told.

use annals_segment::Entry;
use annals_wire::{Batch, Control, ControlStamp, FrameType, Kind, KindName, Recorded, frame_len};

use crate::{
    Error,
    append::{Stay, log},
    part::PartIndex,
    store::{Shared, lock},
    sync::PoisonError,
    turn::Turn,
};

impl Shared {
    /// Binds `name` to `kind`, or to the next free kind of category 0x1.
    pub(crate) fn bind_kind(&self, kind: Option<Kind>, name: &str) -> Result<Kind, Error> {
        let writer = self.writer()?;
        let mut turn = lock(&writer.turn);
        loop {
            self.check_writing(&turn)?;
            let kind = match self.free_kind(kind, name)? {
                Ok(bound) => return Ok(bound),
                Err(free) => free,
            };
            let control = Control::KindName(KindName::new(kind, name)?);
            let mut body = Vec::new();
            control.encode(&mut body);
            let len = frame_len(annals_wire::STAMP_LEN_MAX, body.len());
            log(&mut turn)?.check_space(len)?;
            if log(&mut turn)?.needs_rotation(len)? {
                turn = self.rotate(turn)?;
                continue;
            }
            self.stage_control(&mut turn, &control, &body)?;
            self.kinds.write().unwrap_or_else(PoisonError::into_inner).bind(kind, name);
            self.settle_append(turn, Stay::Until(self.options.durability))?;
            return Ok(kind);
        }
    }

    /// The kind that has the name already, or else the one to bind it to.
    fn free_kind(&self, kind: Option<Kind>, name: &str) -> Result<Result<Kind, Kind>, Error> {
        let invalid = |why| Err(Error::Invalid { what: "kind name", why });
        let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        match (kinds.kind(name), kind) {
            (Some(bound), None) => Ok(Ok(bound)),
            (Some(bound), Some(kind)) if bound == kind => Ok(Ok(bound)),
            (Some(bound), Some(_)) => invalid(format!("{name} is the name of {bound} already")),
            (None, Some(kind)) => match kinds.name(kind) {
                Some(other) => invalid(format!("{kind} has the name {other} already")),
                None => Ok(Err(kind)),
            },
            (None, None) => match kinds.next_automatic() {
                Some(kind) => Ok(Err(kind)),
                None => invalid("all 4,096 kinds of category 0x1 have names".to_owned()),
            },
        }
    }

    fn stage_control(&self, turn: &mut Turn, control: &Control, body: &[u8]) -> Result<(), Error> {
        let now = Recorded::from_millis(self.options.clock.now_millis());
        let recorded = turn
            .recorded
            .tick(now)
            .ok_or(Error::Environment { source: annals_segment::Error::Exhausted { what: "the clock" } })?;
        self.open_frontier(turn);
        let stamp = ControlStamp::new(control, recorded, Batch::SINGLE, turn.control, body);
        let encoded = stamp.encode();
        let entry = Entry {
            frame_type: FrameType::CONTROL,
            is_numbered: false,
            stamp: &encoded,
            body,
            body_crc: annals_wire::crc(body),
        };
        let failed = turn.failed();
        let offset = log(turn)?.stage(&entry, Batch::SINGLE).map_err(failed)?;
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
