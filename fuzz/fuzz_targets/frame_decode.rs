//! Any bytes as an input of [`annals_fuzz::frame_decode`], where it says what must hold.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| annals_fuzz::frame_decode(input));
