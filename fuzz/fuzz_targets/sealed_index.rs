//! Any bytes as an input of [`annals_fuzz::sealed_index`], where it says what must hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| annals_fuzz::sealed_index(input));
