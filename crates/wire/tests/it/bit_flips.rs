//! Every flipped bit and every cut of every structure is found, not sampled.

use annals_wire::{Block, Error, Footer};

use crate::examples::{Example, example, examples};

/// An interpreter looks at some of what there is.
fn stride() -> usize {
    if cfg!(miri) { 4_999 } else { 1 }
}

fn assert_refused(what: &str, example: &Example, bytes: &[u8]) {
    let refused: Result<(), Error> = example.check(bytes);
    assert!(refused.is_err(), "{} {what} is accepted", example.title);
}

#[test]
fn every_flipped_bit_is_refused() {
    for example in examples() {
        let mut bytes = example.bytes.clone();
        for bit in (0..bytes.len() * 8).step_by(stride()) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_refused(&format!("with bit {} of byte {} flipped", bit % 8, bit / 8), &example, &bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_flipped_bit_of_a_footers_head_is_refused_before_any_block_is_touched() {
    let Example { mut bytes, .. } = example("footer");
    let blocks_len =
        Footer::decode((&bytes).into()).unwrap().block_range(Block::Kinds).end.next_multiple_of(8);
    for bit in (blocks_len * 8..bytes.len() * 8).step_by(stride()) {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Footer::decode((&bytes).into()).is_err(), "bit {} of byte {}", bit % 8, bit / 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn every_cut_is_refused() {
    for example in examples() {
        for len in (0..example.bytes.len()).step_by(stride()) {
            assert_refused(&format!("cut to {len} bytes"), &example, &example.bytes[..len]);
        }
    }
}

#[test]
fn zeros_are_no_structure() {
    for example in examples() {
        assert_refused("with all bytes zero", &example, &vec![0; example.bytes.len()]);
    }
}
