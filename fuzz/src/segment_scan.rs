//! Any bytes as a segment: walked frame by frame, and by the log's own scan, which shows whole batches only.

use std::path::Path;

use annals_segment::{Access, Directory, MemoryDirectory, Position, Scan, search};
use annals_wire::{Chain, Frame, FrameType, SEGMENT_HEADER_LEN, SegmentHeader};

use super::{reading, resealed};

/// Must hold: no panic; the walk ends, and what it shows lies within the bytes; fewer bytes show a part of the
/// same frames from the first on; the scan shows a part of the same frames, and the search behind them ends. All
/// is tried twice: with the checksums as they are, and with each frame's set right when the walk comes to it.
pub fn segment_scan(input: &[u8]) {
    let frames = walk(input);
    assert!(frames.starts_with(&walk(&input[..input.len() / 2])));
    scan(input, &frames);
    let mut bytes = input.to_vec();
    if let Some(header) = bytes.get_mut(..SEGMENT_HEADER_LEN) {
        resealed::reseal_end(header);
        reseal_frames(&mut bytes);
        let frames = walk(&bytes);
        scan(&bytes, &frames);
    }
}

/// The log's own walk, from the header's first sequence on.
fn scan(bytes: &[u8], frames: &[(usize, Chain)]) {
    let Ok(header) = SegmentHeader::decode(bytes) else { return };
    let directory = MemoryDirectory::from_files([("segment".to_owned(), bytes.to_vec())]);
    let file = directory.open("segment", Access::Read).expect("it was just made");
    let (path, len) = (Path::new("segment"), bytes.len() as u64);
    let known = [FrameType::EVENT, FrameType::CONTROL];
    let start = Position {
        offset: SEGMENT_HEADER_LEN as u64,
        chain: Chain::default(),
        next_sequence: header.first_sequence,
    };
    let scanned = Scan::new(&*file, path, header.seed(), &known, len).run(start, &mut |_, _| Ok(()));
    let remains = search(&*file, path, header.seed(), start.offset, len).expect("memory can be read");
    assert!(remains.nonzero_end <= len);
    if let Ok(scanned) = scanned {
        let end = usize::try_from(scanned.position.offset).expect("it lies in the bytes");
        assert!(end == SEGMENT_HEADER_LEN || frames.contains(&(end, scanned.position.chain)));
    }
}

/// The offsets behind the segment's frames, with the chain there.
fn walk(bytes: &[u8]) -> Vec<(usize, Chain)> {
    let Ok(header) = SegmentHeader::decode(bytes) else { return vec![] };
    assert_eq!(header.encode()[..], bytes[..SEGMENT_HEADER_LEN]);
    let (mut offset, mut chain, mut places) = (SEGMENT_HEADER_LEN, Chain::default(), Vec::new());
    while let Ok(frame) = Frame::decode(&bytes[offset..], header.seed(), offset as u64) {
        let _ = reading::read_frame(&frame);
        offset += usize::try_from(frame.header.frame_len()).expect("it lies in the bytes");
        chain = chain.then(frame.header.header_crc);
        assert!(offset <= bytes.len());
        places.push((offset, chain));
    }
    places
}

/// Sets the checksums of all frames behind the segment's header, which is right; returns where they end.
pub(super) fn reseal_frames(bytes: &mut [u8]) -> usize {
    let Ok(header) = SegmentHeader::decode(bytes) else { return 0 };
    let mut offset = SEGMENT_HEADER_LEN;
    loop {
        let place = u32::try_from(offset).expect("an input has less than 4 GiB");
        resealed::reseal_frame(&mut bytes[offset..], header.salt.0, header.id.0, place);
        let Ok(frame) = Frame::decode(&bytes[offset..], header.seed(), offset as u64) else { return offset };
        offset += usize::try_from(frame.header.frame_len()).expect("it lies in the bytes");
    }
}
