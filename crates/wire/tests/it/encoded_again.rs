//! What was decoded is encoded again and must give the bytes that it was decoded from: nothing can be written
//! in two ways. The fuzz targets include this file.

use annals_wire::{
    CheckpointHead, CheckpointPrefix, Control, Coordinate, CursorRecord, Event, EventContent, Extension,
    Frame, FrameSeed, FrameType, GroupRecord, NewFrame, Payload, Publication, Tag,
};

const PAYLOAD_LEN_LEN: usize = 4;

/// Checks a frame that lies at `offset`, decoded from what `bytes` begin with, and what it holds.
pub(crate) fn assert_frame(frame: &Frame<'_>, seed: FrameSeed, offset: u64, bytes: &[u8]) {
    let header = frame.header;
    let new = NewFrame {
        frame_type: header.frame_type,
        skippable: header.skippable,
        sequence: header.sequence,
        batch: header.batch,
        synced_len: header.synced_len,
        stamp: frame.stamp,
        body: frame.body,
        body_crc: header.body_crc,
    };
    let mut again = Vec::new();
    assert_eq!(new.encode(seed, offset, &mut again), header.header_crc);
    assert_eq!(again.len() as u64, header.frame_len());
    assert!(bytes.starts_with(&again));
    assert_eq!(Frame::of_checked(bytes).as_ref(), Ok(frame));
    if let Ok((stamp, control)) = Control::decode(frame) {
        let mut body = Vec::new();
        control.encode(&mut body);
        assert_eq!((&stamp.encode()[..], &*body), (frame.stamp, frame.body));
    }
    if frame.header.frame_type == FrameType::MARK
        && let Ok(publication) = Publication::decode(frame.body)
    {
        assert_eq!(publication.encode()[..], *frame.body);
    }
    if frame.header.frame_type == FrameType::RECORD
        && let Ok(record) = CursorRecord::decode(frame.body)
    {
        assert_eq!(record.encode()[..], *frame.body);
    }
    if frame.header.frame_type == FrameType::RECORD
        && let Ok(record) = GroupRecord::decode(frame.body)
    {
        assert_eq!(record.encode(), frame.body);
    }
    if let Ok(event) = Event::decode(frame) {
        assert_eq!(event.stamp.encode()[..], *frame.stamp);
        assert_event(&event, frame.body);
    }
}

fn assert_event(event: &Event<'_>, body: &[u8]) {
    let coordinate = Coordinate::new(event.stream.entity, event.stream.scope).expect("checked when decoded");
    let tags: Vec<_> = event.tags.iter().map(|tag| Tag::new(tag).expect("checked when decoded")).collect();
    let extensions: Vec<Extension<'_>> = event.extensions.iter().collect();
    let content = EventContent {
        id: event.id,
        correlation: event.correlation,
        causation: event.causation,
        occurred: event.occurred,
        coordinate: &coordinate,
        lane: event.fork.map(|fork| (event.stream.lane, fork)),
        tags: &tags,
        extensions: &extensions,
        payload: if let Payload::Present(payload) = event.payload { payload } else { &[] },
    };
    let mut again = Vec::new();
    let (flags, head_len) = content.encode(&mut again).expect("what was decoded is canonical");
    if let Payload::Erased { digest, len } = event.payload {
        again.truncate(head_len - PAYLOAD_LEN_LEN);
        again.extend(len.to_le_bytes());
        again.extend(digest.0);
    }
    assert_eq!(event.stamp.flags != flags, event.stamp.flags.is_erased());
    assert_eq!(again, body);
    assert!(body.starts_with(event.head()));
}

/// Checks the head of the checkpoint that `bytes` begin with.
pub(crate) fn assert_checkpoint(head: &CheckpointHead, bytes: &[u8]) {
    let prefix = CheckpointPrefix::decode(bytes).expect("decoded with the head");
    let tables = usize::try_from(prefix.tables_offset()).expect("it lies in the bytes");
    if prefix.file_len() == Some(bytes.len() as u64) {
        assert_eq!(head.encode(&bytes[tables..]), bytes);
    }
}
