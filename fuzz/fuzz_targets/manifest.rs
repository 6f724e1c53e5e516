//! Any bytes as a MANIFEST of two slots.
//!
//! Must hold: no panic; a slot that is accepted encodes to the bytes that it was decoded from. All is tried
//! twice, with the checksums as they are and with the right ones.

#![no_main]

use annals_wire::{MANIFEST_SLOT_LEN, Manifest};
use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "other targets use the rest")]
#[path = "../../crates/wire/tests/it/resealed.rs"]
mod resealed;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    for slot in bytes.chunks_mut(MANIFEST_SLOT_LEN) {
        decode(slot);
        resealed::reseal_end(slot);
        decode(slot);
    }
});

fn decode(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::decode(bytes) {
        assert_eq!(manifest.encode(), bytes);
    }
}
