//! A store's life on the simulated disk: what callers do, what the disk does, and a plain list as the oracle.
//!
//! The input's first word says how the store is opened, each further word is a step; see [`step`].

mod calls;
mod check;
mod life;
mod model;
mod step;

use self::{
    life::{Life, Setup},
    step::Step,
};
use super::word::{Word, choose, words};

const WORD_COUNT_MAX: usize = 40;

/// Steps of a store's life, as words.
///
/// Must hold: every call comes to what the list says, or fails where the disk had a fault; what is acknowledged is
/// there after the process or the power went, as was asked; what is there is a prefix in whole batches, and
/// nothing else; what could be seen is as durable as the store promises; after a failure nothing more is
/// written and what was visible can be read; verification finds a sound store after each opening, and a closed one
/// has nothing to tell.
pub fn ops(input: &[u8]) {
    let mut words = words(input, WORD_COUNT_MAX).into_iter();
    let Some(first) = words.next() else { return };
    let mut life = Life::new(Setup::of(first));
    for word in words {
        life.live(&Step::of(word));
    }
    life.end();
}
