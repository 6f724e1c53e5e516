//! The switch: a state that is made anew, beside the one that serves, and takes its place at once.

use super::{
    Fold, Folded, Projection,
    basis::Basis,
    draft::Draft,
    pass::{Pass, Serving, run},
};
use crate::{Error, sync::Arc};

/// How few events are left for the moment in which nobody else folds.
const REST_EVENTS: u64 = 1024;

/// How often what came meanwhile is folded beside; behind that, the rest is, however much it is.
const ROUNDS: u32 = 16;

impl<F: Fold> Projection<F> {
    /// Folds everything anew, from the first event on, beside the state that serves, which others go on reading and
    /// catching up; then has the new one served in its place, at once and no further back. What [`Projection::on_event`]
    /// was given is called for none of the events for which it was before, nor for any until then.
    ///
    /// # Errors
    /// As [`Projection::catch_up`]: the old state goes on serving.
    pub fn rebuild(&self) -> Result<(), Error> {
        let fold = Arc::clone(&self.inner.desk.turn().work().fold);
        self.switch_to(fold)
    }

    /// The same with another fold, which has another version and folds from then on.
    ///
    /// # Errors
    /// As [`Projection::rebuild`], and [`Error::Invalid`] where it has another name.
    pub fn rebuild_with(&self, fold: F) -> Result<(), Error> {
        if fold.name() != self.inner.name.as_str() {
            let why = format!("it is the projection {}, and the fold is of {}", self.inner.name, fold.name());
            return Err(Error::Invalid { what: "fold", why });
        }
        let version = self.inner.desk.turn().work().fold.version();
        if fold.version() == version {
            let why = format!("it has version {version}, as the one in whose place it is to come");
            return Err(Error::Invalid { what: "fold", why });
        }
        self.switch_to(Arc::new(fold))
    }

    fn switch_to(&self, fold: Arc<F>) -> Result<(), Error> {
        let inner = &*self.inner;
        inner.gauges.note_begun("it was asked to be made anew");
        let nothing = Folded::nothing(Basis::now(&*fold, &inner.store));
        let mut draft = Draft::new(inner.store.clone(), fold, nothing);
        for _ in 0..ROUNDS {
            let target = inner.store.last_sequence();
            if target.0.saturating_sub(draft.position().0) <= REST_EVENTS {
                break;
            }
            draft.renew()?;
            run(&inner.store, &mut [&mut draft as &mut dyn Pass], target)?;
            draft.finish()?;
        }
        let mut serving = Serving { projection: self, turn: inner.desk.turn(), draft };
        loop {
            let target = inner.store.last_sequence();
            serving.draft.renew()?;
            run(&inner.store, &mut [&mut serving as &mut dyn Pass], target)?;
            if serving.finish()? {
                // What served before is no beginning of what serves now.
                serving.turn.work().spare = None;
                return Ok(());
            }
        }
    }
}
