//! What is encoded is decoded, for whatever content; and what is decoded encodes to the bytes that it was.

use annals_wire::{
    Batch, Coordinate, Error, EventContent, EventId, Extension, FooterTrailer, Frame, FrameType, Frontier,
    GroupRecord, Manifest, NewFrame, SegmentHeader, Sequence, SnapshotHeader, StateHeader, Tag, frame_len,
};
use proptest::{collection, prelude::*};

use crate::{
    examples::decode_checkpoint,
    new_control::NewControl,
    new_event::NewEvent,
    new_tables::NewTables,
    strategies::{
        checkpoint_head, config, frontier, group_records, indexed_events, manifest, new_control, new_event,
        place, segment_header, snapshot_header, state_header, trailer,
    },
};

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn an_event_is_decoded_as_it_was_encoded(event in new_event(), place in place(), behind in any::<[u8; 9]>()) {
        let frame = event.encode(place);
        prop_assert!(frame.len().is_multiple_of(8));
        let bytes = [&frame[..], &behind].concat();
        let decoded = NewEvent::decode(&bytes, place, event.previous).unwrap();
        prop_assert_eq!(&decoded, &event);
        prop_assert_eq!(decoded.encode(place), frame);
    }

    #[test]
    fn a_control_record_is_decoded_as_it_was_encoded(record in new_control(), place in place()) {
        let bytes = record.encode(place);
        prop_assert_eq!(NewControl::decode(&bytes, place, record.previous), Ok(record));
    }

    #[test]
    fn a_frame_of_anything_is_decoded_as_it_was_encoded(
        (frame_type, skippable, sequence, synced_len) in (1..=u8::MAX, any::<bool>(), any::<u64>(), any::<u32>()),
        stamp in collection::vec(any::<u8>(), 0..=255),
        body in collection::vec(any::<u8>(), 0..300),
        place in place(),
    ) {
        let new = NewFrame {
            frame_type: FrameType(frame_type),
            skippable,
            sequence: Sequence(sequence),
            batch: Batch::SINGLE,
            synced_len,
            stamp: &stamp,
            body: &body,
            body_crc: crc32fast::hash(&body),
        };
        let mut bytes = vec![0xee; 3];
        let header_crc = new.encode(place.seed(), place.offset, &mut bytes);
        let bytes = bytes.split_off(3);
        prop_assert_eq!(bytes.len() as u64, frame_len(stamp.len(), body.len()));
        let frame = Frame::decode(&bytes, place.seed(), place.offset).unwrap();
        prop_assert_eq!((frame.stamp, frame.body), (&stamp[..], &body[..]));
        let header = frame.header;
        prop_assert_eq!((header.frame_type.0, header.skippable, header.sequence.0), (frame_type, skippable, sequence));
        prop_assert_eq!((header.synced_len, header.header_crc, header.batch), (synced_len, header_crc, Batch::SINGLE));
        prop_assert_eq!(header.frame_len(), bytes.len() as u64);
        prop_assert_eq!(Frame::of_checked(&bytes), Ok(frame));
    }

    #[test]
    fn a_segment_header_is_decoded_as_it_was_encoded(header in segment_header()) {
        prop_assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn a_manifest_is_decoded_as_it_was_encoded(manifest in manifest()) {
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    }

    #[test]
    fn a_state_is_decoded_as_it_was_encoded((header, state) in state_header()) {
        let bytes = [&header.encode()[..], &state].concat();
        prop_assert_eq!(StateHeader::decode_file(&bytes), Ok((header, &*state)));
    }

    #[test]
    fn a_group_record_is_decoded_as_it_was_encoded_and_not_cut_or_continued(records in group_records()) {
        for record in records {
            let bytes = record.encode();
            prop_assert_eq!(GroupRecord::decode(&bytes), Ok(record.clone()));
            let ends_with_text = matches!(record, GroupRecord::Failed { .. } | GroupRecord::Parked { .. });
            if !ends_with_text {
                prop_assert!(GroupRecord::decode(&bytes[..bytes.len() - 1]).is_err());
                prop_assert!(GroupRecord::decode(&[&bytes[..], b" "].concat()).is_err());
            }
        }
    }

    #[test]
    fn a_snapshot_is_decoded_as_it_was_encoded((header, state) in snapshot_header()) {
        let bytes = [&header.encode()[..], &state].concat();
        prop_assert_eq!(SnapshotHeader::decode_file(&bytes), Ok((header, &*state)));
    }

    #[test]
    fn a_frontier_is_decoded_as_it_was_encoded(frontier in frontier()) {
        prop_assert_eq!(Frontier::decode(&frontier.encode()), Ok(frontier));
    }

    #[test]
    fn a_footer_answers_as_the_tables_that_it_was_made_of(
        events in indexed_events(),
        controls in collection::vec(any::<u32>(), 0..4),
        trailer in trailer(),
        frames in 0..3_usize,
    ) {
        let tables = NewTables::new(&events, &controls);
        let trailer = FooterTrailer { row_count: tables.row_count(), ..trailer };
        let footer = tables.encode(&trailer);
        prop_assert!(footer.len().is_multiple_of(8));
        let bytes = [&vec![0xee; frames * 8], &footer[..]].concat();
        prop_assert_eq!(tables.assert_in(&bytes, &trailer), Ok(()));
    }

    #[test]
    fn a_checkpoint_is_decoded_as_it_was_encoded(
        head in checkpoint_head(),
        events in indexed_events(),
        trailer in trailer(),
    ) {
        let tables = NewTables::new(&events, &[]);
        let trailer = FooterTrailer { row_count: tables.row_count(), ..trailer };
        let bytes = head.encode(&tables.encode(&trailer));
        prop_assert_eq!(decode_checkpoint(&bytes, &tables, &trailer), Ok(head));
    }
}

#[test]
fn content_that_is_not_canonical_is_not_encoded() {
    let coordinate = Coordinate::new("e", "s").unwrap();
    let tag = |text| Tag::new(text).unwrap();
    let extension = |key| Extension { key, value: &[] };
    let content = EventContent {
        id: EventId([1; 16]),
        correlation: Some(EventId([1; 16])),
        causation: None,
        occurred: None,
        coordinate: &coordinate,
        lane: None,
        tags: &[],
        extensions: &[],
        payload: &[],
    };
    let encode = |content: &EventContent<'_>| -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        content.encode(&mut out).map(|_| out)
    };
    let own = encode(&EventContent { correlation: None, ..content }).unwrap();
    assert_eq!(encode(&content), Ok(own), "a correlation with itself is left out");
    for tags in [[tag("b"), tag("a")], [tag("a"), tag("a")]] {
        assert!(encode(&EventContent { tags: &tags, ..content }).is_err(), "{tags:?}");
    }
    for keys in [["b", "a"], ["a", "a"], ["", "a"], ["a", "\n"]] {
        let extensions = keys.map(extension);
        assert!(encode(&EventContent { extensions: &extensions, ..content }).is_err(), "{keys:?}");
    }
}
