//! The structures of the format by name, and what can be done with the bytes of any of them.

use annals_wire::{
    CheckpointHead, Error, Frame, Frontier, Manifest, SNAPSHOT_HEADER_LEN, STATE_HEADER_LEN, SegmentHeader,
    SnapshotHeader, StateHeader,
};

use crate::{
    encoded_again::{assert_checkpoint, assert_frame},
    new_event::Place,
    new_run::encode_run,
    reading::{read_checkpoint, read_footer, read_frame, read_run},
    resealed::{reseal_checkpoint, reseal_end, reseal_footer, reseal_frame, reseal_run},
};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Structure {
    SegmentHeader,
    Frame(Place),
    ManifestSlot,
    Frontier,
    Footer,
    Run,
    Checkpoint,
    State,
    Snapshot,
}

impl Structure {
    /// Decodes the bytes and reads whatever can be read of them.
    pub(crate) fn read(self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::SegmentHeader => SegmentHeader::decode(bytes).map(drop),
            Self::ManifestSlot => Manifest::decode(bytes).map(drop),
            Self::Frontier => Frontier::decode(bytes).map(drop),
            Self::Footer => read_footer(bytes),
            Self::Run => read_run(bytes).map(drop),
            Self::Checkpoint => read_checkpoint(bytes),
            Self::State => StateHeader::decode_file(bytes).map(drop),
            Self::Snapshot => SnapshotHeader::decode_file(bytes).map(drop),
            Self::Frame(place) => read_frame(&Frame::decode(bytes, place.seed(), place.offset)?),
        }
    }

    /// Sets the checksums right.
    pub(crate) fn reseal(self, bytes: &mut [u8]) {
        match self {
            Self::SegmentHeader | Self::ManifestSlot | Self::Frontier => reseal_end(bytes),
            Self::State => {
                let header_len = bytes.len().min(STATE_HEADER_LEN);
                reseal_end(&mut bytes[..header_len]);
            }
            Self::Snapshot => {
                let header_len = bytes.len().min(SNAPSHOT_HEADER_LEN);
                reseal_end(&mut bytes[..header_len]);
            }
            Self::Footer => reseal_footer(bytes),
            Self::Run => reseal_run(bytes),
            Self::Checkpoint => reseal_checkpoint(bytes),
            Self::Frame(place) => {
                let offset = u32::try_from(place.offset).unwrap();
                reseal_frame(bytes, place.salt.0, place.segment.0, offset);
            }
        }
    }

    /// Fails where the bytes decode, and what they are encodes to others. A footer's tables are not read as a
    /// whole, so that nothing encodes them again.
    pub(crate) fn assert_encodes_again(self, bytes: &[u8]) {
        let again = match self {
            Self::SegmentHeader => SegmentHeader::decode(bytes).map(|header| header.encode().to_vec()),
            Self::ManifestSlot => Manifest::decode(bytes).map(|manifest| manifest.encode()),
            Self::Frontier => Frontier::decode(bytes).map(|frontier| frontier.encode().to_vec()),
            Self::State => {
                StateHeader::decode_file(bytes).map(|(header, state)| [&header.encode()[..], state].concat())
            }
            Self::Snapshot => SnapshotHeader::decode_file(bytes)
                .map(|(header, state)| [&header.encode()[..], state].concat()),
            Self::Footer => return,
            Self::Run => read_run(bytes).map(|(header, entries)| encode_run(&header, &entries)),
            Self::Checkpoint => {
                return if let Ok(head) = CheckpointHead::decode(bytes) {
                    assert_checkpoint(&head, bytes)
                };
            }
            Self::Frame(place) => {
                let frame = Frame::decode(bytes, place.seed(), place.offset);
                return if let Ok(frame) = frame {
                    assert_frame(&frame, place.seed(), place.offset, bytes)
                };
            }
        };
        if let Ok(again) = again {
            assert!(bytes.starts_with(&again), "{self:?} encodes to other bytes");
        }
    }
}
