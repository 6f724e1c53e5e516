//! A control record with everything that decides its frame, owned, to be encoded and compared.

use annals_wire::{
    Batch, Control, ControlStamp, Digest, Error, Frame, FrameType, Kind, KindName, NewFrame, Recorded,
    Sequence,
};

use crate::new_event::Place;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewControl {
    pub(crate) previous: Digest,
    pub(crate) batch: Batch,
    pub(crate) synced_len: u32,
    pub(crate) recorded: Recorded,
    pub(crate) control: Control,
}

/// The record that gives `kind` a name.
pub(crate) fn kind_name(kind: Kind, name: &str) -> Control {
    Control::KindName(KindName::new(kind, name).unwrap())
}

impl NewControl {
    pub(crate) fn hash(&self) -> Digest {
        self.stamp(&self.body()).hash
    }

    pub(crate) fn encode(&self, place: Place) -> Vec<u8> {
        let body = self.body();
        let frame = NewFrame {
            frame_type: FrameType::CONTROL,
            skippable: false,
            sequence: Sequence(0),
            batch: self.batch,
            synced_len: self.synced_len,
            stamp: &self.stamp(&body).encode(),
            body: &body,
            body_crc: crc32fast::hash(&body),
        };
        let mut out = Vec::new();
        frame.encode(place.seed(), place.offset, &mut out);
        out
    }

    /// The record in the frame that `bytes` begin with, its hash checked to be behind `previous`.
    pub(crate) fn decode(bytes: &[u8], place: Place, previous: Digest) -> Result<Self, Error> {
        let frame = Frame::decode(bytes, place.seed(), place.offset)?;
        let (stamp, control) = Control::decode(&frame)?;
        let (batch, synced_len) = (frame.header.batch, frame.header.synced_len);
        assert_eq!(stamp.expected_hash(batch, previous, frame.body), stamp.hash);
        Ok(Self { previous, batch, synced_len, recorded: stamp.recorded, control })
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.control.encode(&mut body);
        body
    }

    fn stamp(&self, body: &[u8]) -> ControlStamp {
        ControlStamp::new(&self.control, self.recorded, self.batch, self.previous, body)
    }
}
