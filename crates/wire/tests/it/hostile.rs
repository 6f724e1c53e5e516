//! Bytes that nobody encoded, with their checksums right or wrong: no panic, and no memory for what is not
//! there.

use proptest::{collection, prelude::*, sample::Index};

use crate::{
    examples::{Example, examples},
    strategies::config,
    structure::Structure,
};

/// What the lists of a checkpoint's head may take beyond their bytes: serde believes a count up to 1 MiB.
const LISTS_LEN: u64 = 2 << 20;

impl Structure {
    /// Reads the bytes, and fails where that takes more memory than they bear out, or where they are accepted
    /// and not the ones that would be written.
    fn assert_safe(self, bytes: &[u8]) {
        let info = allocation_counter::measure(|| drop(self.read(bytes)));
        let lists = if matches!(self, Self::Checkpoint) { LISTS_LEN } else { 0 };
        let bound = 4 * bytes.len() as u64 + 256 + lists;
        assert!(info.bytes_max <= bound, "{self:?}: {} bytes for {}", info.bytes_max, bytes.len());
        self.assert_encodes_again(bytes);
    }
}

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Cut(Index),
    Splice { from: Index, to: Index, len: usize },
    Insert(Index, Vec<u8>),
    Number { at: Index, len: usize, value: u64 },
}

/// Numbers at the edges of what a length or count can be.
const EDGES: [u64; 8] = [0, 1, 0x7fff_ffff, 0xffff_fff8, 0xffff_ffff, 1 << 32, u64::MAX - 7, u64::MAX];

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let value = prop_oneof![proptest::sample::select(&EDGES), any::<u64>(), 0..4096_u64];
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        at().prop_map(Change::Cut),
        (at(), at(), 1..64_usize).prop_map(|(from, to, len)| Change::Splice { from, to, len }),
        (at(), collection::vec(any::<u8>(), 1..32)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), 1..=8_usize, value).prop_map(|(at, len, value)| Change::Number { at, len, value }),
    ]
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        let bytes_len = bytes.len();
        if bytes_len == 0 {
            return;
        }
        match self {
            Self::Flip(at, bit) => bytes[at.index(bytes_len)] ^= 1 << bit,
            Self::Cut(at) => bytes.truncate(at.index(bytes_len)),
            Self::Splice { from, to, len } => {
                let (from, to) = (from.index(bytes_len), to.index(bytes_len));
                let len = (*len).min(bytes_len - from.max(to));
                bytes.copy_within(from..from + len, to);
            }
            Self::Insert(at, inserted) => {
                let at = at.index(bytes_len);
                bytes.splice(at..at, inserted.iter().copied());
            }
            Self::Number { at, len, value } => put_number(bytes, at.index(bytes_len), *len, *value),
        }
    }
}

fn put_number(bytes: &mut [u8], at: usize, len: usize, value: u64) {
    for (byte, new) in bytes.iter_mut().skip(at).take(len).zip(value.to_le_bytes()) {
        *byte = new;
    }
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn changed_bytes_neither_panic_nor_take_memory(
        example in any::<Index>(),
        changes in collection::vec(change(), 1..4),
        is_resealed in prop::bool::weighted(0.8),
    ) {
        let examples = examples();
        let Example { structure, bytes, .. } = example.get(&examples);
        let mut bytes = bytes.clone();
        changes.iter().for_each(|change| change.make(&mut bytes));
        if is_resealed {
            structure.reseal(&mut bytes);
        }
        structure.assert_safe(&bytes);
    }

    #[test]
    fn random_bytes_neither_panic_nor_take_memory(
        example in any::<Index>(),
        (start, tail) in (0..64_usize, collection::vec(any::<u8>(), 0..700)),
    ) {
        let examples = examples();
        let Example { structure, bytes, .. } = example.get(&examples);
        structure.assert_safe(&tail);
        let mut bytes = [&bytes[..start], &tail].concat();
        structure.reseal(&mut bytes);
        structure.assert_safe(&bytes);
    }
}

/// Every number in every structure, whatever it says, becomes each of the edges, with the checksums right.
#[test]
fn no_number_is_trusted() {
    let stride = if cfg!(miri) { 997 } else { 1 };
    for Example { structure, bytes, .. } in examples() {
        let mut changed = bytes.clone();
        for at in (0..bytes.len()).step_by(stride) {
            for (len, value) in [1, 2, 4, 8].into_iter().flat_map(|len| EDGES.map(|value| (len, value))) {
                put_number(&mut changed, at, len, value);
                structure.reseal(&mut changed);
                structure.assert_safe(&changed);
                changed.copy_from_slice(&bytes);
            }
        }
    }
}
