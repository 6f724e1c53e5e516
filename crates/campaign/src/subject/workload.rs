//! What a run does, and how it opens its store.
//!
//! Invariant: the steps follow from the workload's name, or from its seed and their number.

use annals::{Background, Options};

use crate::script::Script;

/// What is done, and how the store is opened for it.
#[derive(Debug, Clone)]
pub struct Workload {
    pub(super) script: Script,
    background: Background,
    headroom: Option<u64>,
}

impl Workload {
    /// The names of the fixed workloads.
    #[must_use]
    pub fn names() -> Vec<String> {
        Script::fixed().into_iter().map(|script| script.name).collect()
    }

    /// The fixed workload with the name `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Script::fixed().into_iter().find(|script| script.name == name).map(Self::of)
    }

    /// The random workload of `seed` with so many steps.
    #[must_use]
    pub fn random(seed: u64, steps: u64) -> Self {
        Self::of(Script::long(seed, steps))
    }

    fn of(script: Script) -> Self {
        Self { script, background: Background::Manual, headroom: None }
    }

    /// How long a segment becomes.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.script.segment_bytes = bytes;
        self
    }

    /// With the store's own thread behind the appends.
    #[must_use]
    pub fn thread(mut self) -> Self {
        self.background = Background::Thread;
        self
    }

    /// What appends leave unused of the file system.
    #[must_use]
    pub fn headroom(mut self, bytes: u64) -> Self {
        self.headroom = Some(bytes);
        self
    }

    /// How its store is opened.
    pub(super) fn options(&self) -> Options {
        let options = options(self.script.segment_bytes, self.script.checkpoint_bytes);
        let options = options.background(self.background);
        match self.headroom {
            Some(bytes) => options.headroom(bytes),
            None => options,
        }
    }
}

/// How a store of a workload is opened; with the system's clock and its random numbers.
pub(super) fn options(segment_bytes: u64, checkpoint_bytes: u64) -> Options {
    Options::new().create(true).segment_bytes(segment_bytes).checkpoint_bytes(checkpoint_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fixed_workload_has_its_name() {
        assert!(Workload::names().iter().all(|name| Workload::named(name).is_some()));
        assert!(Workload::named("no such").is_none());
    }
}
