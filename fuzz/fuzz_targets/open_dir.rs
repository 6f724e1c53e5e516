//! Any bytes as an input of [`annals_fuzz::open_dir`], where it says what must hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| annals_fuzz::open_dir(input));
