//! What is in a generated store: every event follows from its number and the seed.
//!
//! Invariant: equal contents give equal events, in any order and any process, so that an id or a payload never has
//! to be kept to be asked for again. Ids are UUIDs of version 4, payloads do not compress.

use std::num::NonZeroU64;

use annals::{Coordinate, EventId, Kind, NewEvent, Tag};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// How many kinds there are.
const KIND_COUNT: u64 = 8;
/// Of how many tags each is chosen.
const TAG_COUNT: u64 = 1_000;
/// How many scopes share the streams.
const SCOPE_COUNT: u64 = 16;

/// What a choice is for.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    IdHigh = 1,
    IdLow,
    AbsentHigh,
    AbsentLow,
    Stream,
    Kind,
    Payload,
    Tag,
}

/// What a store is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
pub(crate) struct Content {
    /// How many events
    #[arg(long, value_name = "N")]
    pub(crate) events: NonZeroU64,
    /// Over how many streams they are spread at random
    #[arg(long, value_name = "S")]
    pub(crate) streams: NonZeroU64,
    /// The length of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    pub(crate) payload_bytes: u32,
    /// What everything follows from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many tags each event has
    #[arg(long, default_value_t = 0)]
    pub(crate) tags: u32,
}

impl Content {
    /// The words that give a program this content.
    pub(crate) fn words(&self) -> Vec<String> {
        [
            ("--events", self.events.get()),
            ("--streams", self.streams.get()),
            ("--payload-bytes", self.payload_bytes.into()),
            ("--seed", self.seed),
            ("--tags", self.tags.into()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value.to_string()])
        .collect()
    }

    fn choose(&self, event: u64, purpose: Purpose) -> u64 {
        mix(mix(self.seed ^ ((purpose as u64) << 56)) ^ event)
    }

    /// The id of an event that is there.
    pub(crate) fn id(&self, event: u64) -> EventId {
        version_4(self.choose(event, Purpose::IdHigh), self.choose(event, Purpose::IdLow))
    }

    /// An id that no event has.
    pub(crate) fn absent_id(&self, number: u64) -> EventId {
        version_4(self.choose(number, Purpose::AbsentHigh), self.choose(number, Purpose::AbsentLow))
    }

    /// The number of an event's stream.
    pub(crate) fn stream(&self, event: u64) -> u64 {
        self.choose(event, Purpose::Stream) % self.streams
    }

    /// Which of the kinds an event has, from 0.
    pub(crate) fn kind(&self, event: u64) -> u16 {
        u16::try_from(self.choose(event, Purpose::Kind) % KIND_COUNT).expect("fewer kinds than that")
    }

    /// Replaces `payload` by that of an event.
    pub(crate) fn payload(&self, event: u64, payload: &mut Vec<u8>) {
        let len = self.payload_bytes as usize;
        payload.clear();
        let mut word = self.choose(event, Purpose::Payload);
        while payload.len() < len {
            word = mix(word);
            payload.extend_from_slice(&word.to_le_bytes());
        }
        payload.truncate(len);
    }

    /// The CRC-32 of an event's payload: that an answer has it shows that it was read.
    pub(crate) fn payload_crc(&self, event: u64) -> u32 {
        let mut payload = Vec::new();
        self.payload(event, &mut payload);
        crc32fast::hash(&payload)
    }

    /// The first events of a stream, `limit` at most.
    pub(crate) fn first_events(&self, stream: u64, limit: usize) -> Vec<u64> {
        (0..self.events.get()).filter(|event| self.stream(*event) == stream).take(limit).collect()
    }

    /// The event, with all that it borrows made.
    pub(crate) fn event(&self, event: u64, kinds: &[Kind]) -> Result<Made, Failure> {
        let mut payload = Vec::new();
        self.payload(event, &mut payload);
        let kind = kinds.get(usize::from(self.kind(event))).copied();
        Ok(Made {
            id: self.id(event),
            coordinate: coordinate(self.stream(event))?,
            kind: kind.ok_or_else(|| Failure::Content { what: "fewer kinds than chosen from".to_owned() })?,
            payload,
            tags: (0..self.tags).map(|place| self.tag(event, place)).collect::<Result<_, _>>()?,
        })
    }

    fn tag(&self, event: u64, place: u32) -> Result<Tag, Failure> {
        let number = mix(self.choose(event, Purpose::Tag) ^ u64::from(place)) % TAG_COUNT;
        Tag::new(&format!("tag:{number:03}")).map_err(|error| Failure::Content { what: error.to_string() })
    }
}

/// An event that owns what it is made of.
#[derive(Debug)]
pub(crate) struct Made {
    id: EventId,
    coordinate: Coordinate,
    kind: Kind,
    payload: Vec<u8>,
    tags: Vec<Tag>,
}

impl Made {
    /// The event as a store takes it.
    pub(crate) fn as_new(&self) -> NewEvent<'_> {
        let event = NewEvent::new(&self.coordinate, self.kind, &self.payload).id(self.id);
        self.tags.iter().fold(event, |event, tag| event.tag(tag.clone()))
    }
}

/// The names of all kinds, in the order of their numbers.
pub(crate) fn kind_names() -> impl Iterator<Item = String> {
    (0..KIND_COUNT).map(|number| format!("bench.kind-{number}"))
}

/// The coordinate of a stream. All are equally long, so that they do not decide what an event takes.
pub(crate) fn coordinate(stream: u64) -> Result<Coordinate, Failure> {
    Coordinate::new(&format!("order:{stream:010}"), &format!("tenant:{:02}", stream % SCOPE_COUNT))
        .map_err(|error| Failure::Content { what: error.to_string() })
}

/// The stream as one string, for those who have no coordinates.
pub(crate) fn stream_name(stream: u64) -> String {
    format!("tenant:{:02}/order:{stream:010}", stream % SCOPE_COUNT)
}

/// A number that looks nothing like `number`, and is always the same for it.
/// (The finalizer of SplitMix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014.)
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The UUID of version 4 with these random bits (RFC 9562).
fn version_4(high: u64, low: u64) -> EventId {
    let high = high & !(0xf << 52) | 4 << 52;
    let low = low & !0xc0 | 0x80;
    let mut id = [0; 16];
    for (byte, random) in id.iter_mut().zip([high, low].map(u64::to_le_bytes).as_flattened()) {
        *byte = *random;
    }
    EventId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(seed: u64) -> Content {
        let number = |number| NonZeroU64::new(number).unwrap();
        Content { events: number(500), streams: number(20), payload_bytes: 61, seed, tags: 2 }
    }

    #[test]
    fn equal_seeds_give_equal_events_and_others_give_others() {
        let kinds: Vec<_> = (0x1000..0x1008).map(|number| Kind::new(number).unwrap()).collect();
        let made = |seed, event| format!("{:?}", content(seed).event(event, &kinds).unwrap());
        for event in 0..100 {
            assert_eq!(made(1, event), made(1, event));
            assert_ne!(made(1, event), made(2, event));
            assert_ne!(made(1, event), made(1, event + 1));
        }
    }

    #[test]
    fn ids_are_of_version_4_and_the_absent_ones_are_nobodys() {
        let content = content(1);
        let mut ids: Vec<_> =
            (0..500).flat_map(|event| [content.id(event), content.absent_id(event)]).collect();
        for id in &ids {
            let text = id.to_string();
            assert_eq!(text.as_bytes()[14], b'4', "{text}");
            assert!(b"89ab".contains(&text.as_bytes()[19]), "{text}");
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 1_000);
    }

    #[test]
    fn streams_and_kinds_are_all_chosen_and_a_streams_first_events_are_its() {
        let content = content(3);
        let chosen =
            |choice: &dyn Fn(u64) -> u64| (0..500).map(choice).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(chosen(&|event| content.stream(event)).len(), 20);
        assert_eq!(chosen(&|event| content.kind(event).into()).len(), 8);
        let first = content.first_events(7, 5);
        assert!(
            first.len() == 5 && first.is_sorted() && first.iter().all(|event| content.stream(*event) == 7)
        );
    }
}
