//! Naming: how a kind gets a name, with a control record in the log.
//!
//! Invariant: a name is bound once, in a turn, and is as durable as an append before anybody is told.

use annals_wire::{Batch, Control, Kind, KindName};

use crate::{
    Error,
    append::{Stay, log},
    control::NewControl,
    store::{Shared, lock},
    sync::PoisonError,
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
            let record = NewControl::new(Control::KindName(KindName::new(kind, name)?));
            let len = record.frame_len_max();
            log(&mut turn)?.check_space(len)?;
            if log(&mut turn)?.needs_rotation(len)? {
                turn = self.rotate(turn)?;
                continue;
            }
            self.stage_control(&mut turn, &record, Batch::SINGLE)?;
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
}
