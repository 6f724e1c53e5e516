//! Inputs that say what is to be done: a list of words of eight bytes, each an instruction.
//!
//! Words are all of one length, so that what libFuzzer changes, removes or copies is mostly one instruction, and
//! every list of words means something.

use arbitrary::{Arbitrary, Unstructured};

const WORD_LEN: usize = 8;

/// One instruction: what to do, and with what.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) struct Word {
    pub(super) what: u8,
    pub(super) which: u8,
    pub(super) place: u16,
    pub(super) value: u32,
}

/// The words of an input, at most `count_max` of them.
pub(super) fn words(input: &[u8], count_max: usize) -> Vec<Word> {
    let mut input = Unstructured::new(input);
    let next = || if input.len() < WORD_LEN { None } else { Word::arbitrary(&mut input).ok() };
    std::iter::from_fn(next).take(count_max).collect()
}

/// The choice among `choices` that `number` stands for.
pub(super) fn choose<T: Copy, const N: usize>(choices: [T; N], number: impl Into<u64>) -> T {
    let place = usize::try_from(number.into() % N as u64).expect("less than the number of choices");
    choices[place]
}
