//! Files whose checksums are set right again, so that an open gets behind them.

use annals_wire::{Chain, Frame, MANIFEST_SLOT_LEN, SEGMENT_HEADER_LEN, SegmentHeader};

use super::{
    super::{resealed, segment_scan::reseal_frames},
    Image,
};

/// Where the fields of a manifest's slot lie that speak of the newest segment; see docs/format.md.
const SLOT_FLAGS: usize = 40;
const SLOT_NEWEST: usize = 56;
const SLOT_END: usize = 64;
const SLOT_NEXT_SEQUENCE: usize = 72;
const SLOT_CHAIN: usize = 88;

/// Sets all checksums of the file `name`.
pub(super) fn reseal(name: &str, bytes: &mut [u8]) {
    match name {
        "MANIFEST" => bytes.chunks_mut(MANIFEST_SLOT_LEN).for_each(resealed::reseal_end),
        "FRONTIER" => resealed::reseal_end(bytes),
        "CHECKPOINT" => resealed::reseal_checkpoint(bytes),
        _ if name.contains(".seg") => reseal_segment(bytes),
        _ => {}
    }
}

fn reseal_segment(bytes: &mut [u8]) {
    let Some(header) = bytes.get_mut(..SEGMENT_HEADER_LEN) else { return };
    resealed::reseal_end(header);
    let end = reseal_frames(bytes);
    let is_footer = bytes.windows(8).any(|magic| magic == b"ANNALFTR");
    if let Some(footer) = bytes.get_mut(end..).filter(|_| is_footer) {
        resealed::reseal_footer(footer);
    }
}

/// What the frames of a segment are.
struct Frames {
    end: usize,
    chain: Chain,
    next_sequence: u64,
}

impl Frames {
    fn of(bytes: &[u8], header: &SegmentHeader) -> Self {
        let (mut end, mut chain) = (SEGMENT_HEADER_LEN, Chain::default());
        let mut next_sequence = header.first_sequence.0;
        while let Ok(frame) = Frame::decode(bytes.get(end..).unwrap_or_default(), header.seed(), end as u64) {
            end += usize::try_from(frame.header.frame_len()).expect("it lies in the bytes");
            chain = chain.then(frame.header.header_crc);
            next_sequence = next_sequence.max(frame.header.sequence.0.saturating_add(1));
        }
        Self { end, chain, next_sequence }
    }
}

/// Lets the header behind every segment, and the manifest, say what the segment's frames are, and removes what is
/// derived from them: an open then has to live with frames as they are.
pub(super) fn relink(image: &mut Image) {
    image.remove("CHECKPOINT");
    let names: Vec<_> = image.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
    let mut before: Option<Frames> = None;
    for (place, name) in names.iter().enumerate() {
        let Some(bytes) = image.get_mut(name) else { continue };
        let Ok(mut header) = SegmentHeader::decode(bytes) else { return };
        if let (Some(before), Some(previous)) = (&before, &mut header.previous) {
            (previous.end, previous.chain) = (before.end as u64, before.chain);
            bytes[..SEGMENT_HEADER_LEN].copy_from_slice(&header.encode());
        }
        let frames = Frames::of(bytes, &header);
        if place + 1 < names.len() {
            bytes.truncate(frames.end);
        } else if let Some(manifest) = image.get_mut("MANIFEST") {
            manifest.chunks_mut(MANIFEST_SLOT_LEN).for_each(|slot| relink_slot(slot, &header, &frames));
        }
        before = Some(frames);
    }
}

/// Where the slot says that the log was closed in this segment, it was closed behind these frames.
fn relink_slot(slot: &mut [u8], header: &SegmentHeader, frames: &Frames) {
    let is_closed_here = slot.len() == MANIFEST_SLOT_LEN
        && slot[SLOT_FLAGS] & 1 == 1
        && slot[SLOT_NEWEST..].starts_with(&header.id.0.to_le_bytes());
    if is_closed_here {
        slot[SLOT_END..][..8].copy_from_slice(&(frames.end as u64).to_le_bytes());
        slot[SLOT_NEXT_SEQUENCE..][..8].copy_from_slice(&frames.next_sequence.to_le_bytes());
        slot[SLOT_CHAIN..][..4].copy_from_slice(&frames.chain.0.to_le_bytes());
        resealed::reseal_end(slot);
    }
}
