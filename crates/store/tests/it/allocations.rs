//! Opening takes memory for bytes that are there, whatever the lengths and counts in them say: with bytes cut and
//! bits flipped, and with every number of what has a checksum made huge and the checksum right again.

use annals::{
    Options,
    disk::{MemoryDirectory, verify_on},
};
use annals_wire::{MANIFEST_SLOT_LEN, SEGMENT_HEADER_LEN, TRAILER_LEN};

use crate::{
    history::{Image, directory, frame_ends, options, segments},
    small_store::small,
    twins::{sampled, step},
};

/// What a store takes that has nothing in it, and buffers.
const FIXED: u64 = 512 << 10;

/// How often the bytes of the directory may be in memory at once. The directory in memory copies what is mapped.
const TIMES: u64 = 4;

/// Opens `image` in all ways, each within what its bytes bear out; returns the most that one of them took.
fn check(image: &Image, context: &str) -> u64 {
    let bytes: u64 = image.values().map(|bytes| bytes.len() as u64).sum();
    let bound = FIXED + TIMES * bytes;
    let take = |what: &str, open: &dyn Fn(MemoryDirectory)| {
        let directory = directory(image);
        let taken = allocation_counter::measure(|| open(directory)).bytes_max;
        assert!(taken <= bound, "{context}: {what} took {taken} bytes for {bytes}");
        taken
    };
    let read_only = |options: Options| move |directory| drop(options.clone().open_read_only_on(directory));
    let taken = [
        take("opening", &|directory| drop(options(3).open_on(directory))),
        take("opening without maps", &|directory| drop(options(3).maps(false).open_on(directory))),
        take("reading", &read_only(options(3))),
        take("reading frames", &read_only(options(3).use_footers(false).use_checkpoint(false))),
        take("verifying", &|directory| drop(verify_on(directory, &mut |_| {}))),
    ];
    taken.into_iter().max().unwrap_or_default()
}

#[test]
fn opening_what_was_cut_or_flipped_takes_no_more_than_is_there() {
    for is_closed in [true, false] {
        let (image, _) = small(is_closed);
        let mut most = check(&image, "whole");
        for (name, bytes) in &image {
            for place in sampled(bytes.len().min(9000), &[]) {
                let mut damaged = image.clone();
                damaged.get_mut(name).unwrap().truncate(place);
                most = most.max(check(&damaged, &format!("{name} cut at {place}")));
                damaged.insert(name.clone(), bytes.clone());
                damaged.get_mut(name).unwrap()[place] ^= 0x80;
                most = most.max(check(&damaged, &format!("byte {place} of {name} flipped")));
            }
        }
        assert!(most > 10_000, "nothing was measured: {most} bytes");
    }
}

/// A stretch of a file that ends with the checksum of what comes before it.
struct Sealed {
    file: String,
    start: usize,
    len: usize,
}

/// Every structure of `image` whose checksum stands at its end: headers, slots, trailers, the checkpoint's prefix.
fn structures(image: &Image) -> Vec<Sealed> {
    let sealed = |file: &str, start: usize, len: usize| Sealed { file: file.to_owned(), start, len };
    let headers = segments(image).into_iter().map(|name| sealed(&name, 0, SEGMENT_HEADER_LEN));
    let trailers = frame_ends(image).into_iter().map(|(name, _)| {
        let len = image[&name].len();
        sealed(&name, len - TRAILER_LEN, TRAILER_LEN)
    });
    let checkpoint_len = image["CHECKPOINT"].len();
    let slots = [0, MANIFEST_SLOT_LEN].map(|start| sealed("MANIFEST", start, MANIFEST_SLOT_LEN));
    let checkpoint =
        [sealed("CHECKPOINT", 0, 32), sealed("CHECKPOINT", checkpoint_len - TRAILER_LEN, TRAILER_LEN)];
    headers.chain(trailers).chain(slots).chain(checkpoint).chain([sealed("FRONTIER", 0, 64)]).collect()
}

/// What a length, count or offset may be at most, or just about.
const EDGES: [u64; 6] = [0x7fff_ffff, 0xffff_fff8, 0xffff_ffff, 1 << 40, u64::MAX - 7, u64::MAX];

#[test]
fn a_huge_number_with_a_right_checksum_takes_no_more_than_is_there() {
    let (image, _) = small(false);
    let places_step = if step() == 1 { 1 } else { 4 };
    for Sealed { file, start, len } in structures(&image) {
        // Behind the fields of a slot and a header nothing but zeros stands.
        for place in (8..len.min(140) - 4).step_by(places_step) {
            for (size, value) in [4, 8].into_iter().flat_map(|size| EDGES.map(|value| (size, value))) {
                let mut damaged = image.clone();
                let bytes = &mut damaged.get_mut(&file).unwrap()[start..start + len];
                let field = bytes[..len - 4].iter_mut().skip(place).take(size);
                field.zip(value.to_le_bytes()).for_each(|(byte, new)| *byte = new);
                let crc = annals_wire::crc(&bytes[..len - 4]);
                bytes[len - 4..].copy_from_slice(&crc.to_le_bytes());
                check(&damaged, &format!("{size} bytes at {place} of {file} at {start} are {value:#x}"));
            }
        }
    }
}
