//! What may happen to the files of a store, each as one word.

use super::{Image, Word, base::Moment, reseal};

/// Numbers at the edges of what a length, a count or an id can be.
const EDGES: [u64; 16] = [
    0,
    1,
    8,
    511,
    512,
    4096,
    1 << 20,
    1 << 29,
    1 << 30,
    0x7fff_ffff,
    0xffff_fff8,
    0xffff_ffff,
    1 << 32,
    1 << 60,
    u64::MAX - 1,
    u64::MAX,
];

/// Names that a file may be given: another's, almost a segment's, a temporary one, a stranger's.
const NAMES: [&str; 16] = [
    "000001.seg",
    "000002.seg",
    "000003.seg",
    "000004.seg",
    "000005.seg",
    "000099.seg",
    "000001-1.seg",
    "1.seg",
    "000002.SEG",
    "000001.seg.torn-512",
    "MANIFEST",
    "CHECKPOINT",
    "FRONTIER",
    "MANIFEST.tmp",
    "CHECKPOINT.tmp",
    ".DS_Store",
];

const FILL_LEN_MAX: usize = 2048;

/// Something that happens to the files. A file is named by its place among all, a place in it is counted around.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mutation {
    /// Bits of one byte are others.
    Flip { file: u8, place: usize, bits: u8 },
    /// The file ends earlier.
    Truncate { file: u8, place: usize },
    /// The file goes on behind its end with one byte again and again.
    Extend { file: u8, len: usize, byte: u8 },
    /// A stretch has one byte again and again: mostly zeros.
    Fill { file: u8, place: usize, len: usize, byte: u8 },
    /// A number is another.
    Number { file: u8, place: usize, number: u64 },
    /// A stretch is one that stands elsewhere, in this file or in another.
    Splice { file: u8, place: usize, from: u8, from_place: usize, len: usize },
    /// Two files have each other's names.
    Swap { file: u8, other: u8 },
    /// The file is gone.
    Delete { file: u8 },
    /// The file is there once more under another name.
    Duplicate { file: u8, name: usize },
    /// The file is as it was at an earlier moment.
    Older { file: u8, moment: usize },
    /// The file is that of another store, at any moment; but not the manifest: who has that is the other store.
    Stranger { file: u8, moment: usize },
    /// A file that is nothing of the store's, whatever it is called.
    Foreign { name: usize, len: usize, byte: u8 },
    /// A bit is another, and all checksums of the file are right.
    FlipAndReseal { file: u8, place: usize, bits: u8 },
    /// A number is another, and all checksums of the file are right.
    NumberAndReseal { file: u8, place: usize, number: u64 },
    /// All checksums of the file are right.
    Reseal { file: u8 },
    /// Headers and the manifest say of every segment what its frames now are, and nothing derived is left.
    Relink,
}

impl Mutation {
    /// The mutation that a word stands for: its kind is in the lower half of its first byte, a width in the upper.
    pub(super) fn of(word: Word) -> Self {
        let (file, place, width) = (word.which, usize::from(word.place), usize::from(word.what >> 4));
        let [low, _, from, high] = word.value.to_le_bytes();
        let value = word.value as usize;
        let (len, number) = (value % FILL_LEN_MAX, EDGES[value % EDGES.len()]);
        match word.what & 15 {
            0 => Self::Flip { file, place, bits: low },
            1 => Self::Truncate { file, place },
            2 => Self::Extend { file, len, byte: high },
            3 => Self::Fill { file, place, len, byte: high },
            4 => Self::Number { file, place, number },
            5 => Self::Splice { file, place, from, from_place: value & 0xffff, len: 8 << width },
            6 => Self::Swap { file, other: low },
            7 => Self::Delete { file },
            8 => Self::Duplicate { file, name: value },
            9 => Self::Older { file, moment: value },
            10 => Self::Stranger { file, moment: value },
            11 => Self::Foreign { name: value, len: place % FILL_LEN_MAX, byte: high },
            12 => Self::FlipAndReseal { file, place, bits: low },
            13 => Self::NumberAndReseal { file, place, number },
            14 => Self::Reseal { file },
            _ => Self::Relink,
        }
    }

    /// Whether checksums vouch for other bytes afterwards.
    pub(super) fn forges(&self) -> bool {
        matches!(
            self,
            Self::FlipAndReseal { .. } | Self::NumberAndReseal { .. } | Self::Reseal { .. } | Self::Relink
        )
    }

    /// Whether whole structures may stand where others did.
    pub(super) fn moves(&self) -> bool {
        matches!(
            self,
            Self::Splice { .. }
                | Self::Swap { .. }
                | Self::Duplicate { .. }
                | Self::Older { .. }
                | Self::Delete { .. }
        )
    }

    /// Lets it happen to `image`, which had the `earlier` moments, beside a store that had those of `strangers`.
    pub(super) fn make(self, image: &mut Image, earlier: &[Moment], strangers: &[Moment]) {
        match self {
            Self::Swap { file, other } => {
                let (Some(one), Some(other)) = (name(image, file), name(image, other)) else { return };
                let (first, second) = (image[&one].clone(), image[&other].clone());
                image.extend([(one, second), (other, first)]);
            }
            Self::Delete { file } => drop(name(image, file).and_then(|name| image.remove(&name))),
            Self::Duplicate { file, name: to } => {
                let Some(from) = name(image, file) else { return };
                image.insert(NAMES[to % NAMES.len()].to_owned(), image[&from].clone());
            }
            Self::Older { file, moment } => replace(image, file, earlier, moment),
            Self::Stranger { file, moment } => {
                if name(image, file).is_some_and(|name| name != "MANIFEST") {
                    replace(image, file, strangers, moment);
                }
            }
            Self::Foreign { name, len, byte } => {
                image.insert(NAMES[name % NAMES.len()].to_owned(), vec![byte; len]);
            }
            Self::Relink => reseal::relink(image),
            Self::Splice { file, place, from, from_place, len } => {
                let bytes = name(image, from).map(|from| image[&from].clone()).unwrap_or_default();
                let start = from_place % bytes.len().max(1);
                let end = bytes.len().min(start + len);
                self.with_file(image, file, |_, into| write(into, place, &bytes[start..end]));
            }
            Self::Flip { file, .. }
            | Self::Truncate { file, .. }
            | Self::Extend { file, .. }
            | Self::Fill { file, .. }
            | Self::Number { file, .. }
            | Self::FlipAndReseal { file, .. }
            | Self::NumberAndReseal { file, .. }
            | Self::Reseal { file } => self.with_file(image, file, |name, bytes| self.change(name, bytes)),
        }
    }

    fn with_file(self, image: &mut Image, file: u8, change: impl FnOnce(&str, &mut Vec<u8>)) {
        if let Some(name) = name(image, file)
            && let Some(bytes) = image.get_mut(&name).filter(|bytes| !bytes.is_empty())
        {
            change(&name, bytes);
        }
    }

    /// What happens to the bytes of one file.
    fn change(self, name: &str, bytes: &mut Vec<u8>) {
        let len_now = bytes.len();
        match self {
            Self::Flip { place, bits, .. } | Self::FlipAndReseal { place, bits, .. } => {
                bytes[place % len_now] ^= bits
            }
            Self::Number { place, number, .. } | Self::NumberAndReseal { place, number, .. } => {
                write(bytes, place, &number.to_le_bytes());
            }
            Self::Truncate { place, .. } => bytes.truncate(place % len_now),
            Self::Extend { len, byte, .. } => bytes.resize(len_now + len, byte),
            Self::Fill { place, len, byte, .. } => write(bytes, place, &vec![byte; len]),
            _ => {}
        }
        if self.forges() {
            reseal::reseal(name, bytes);
        }
    }
}

/// The name of the file that a number stands for.
fn name(image: &Image, file: u8) -> Option<String> {
    image.keys().nth(usize::from(file) % image.len().max(1)).cloned()
}

/// Replaces the file by what has its name at one of `moments`.
fn replace(image: &mut Image, file: u8, moments: &[Moment], moment: usize) {
    let then = moments.get(moment % moments.len().max(1));
    let found = name(image, file).and_then(|name| Some((then?.image.get(&name)?.clone(), name)));
    if let Some((bytes, name)) = found {
        image.insert(name, bytes);
    }
}

/// Writes as much of `new` at `place` as there is room for.
fn write(bytes: &mut [u8], place: usize, new: &[u8]) {
    let place = place % bytes.len().max(1);
    for (byte, new) in bytes[place..].iter_mut().zip(new) {
        *byte = *new;
    }
}
