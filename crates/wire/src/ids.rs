//! The numbers and identifiers of the format, each a type of its own.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The store-wide position of an event, from 1; 0 means "before everything", and is what a frame that
    /// is no event carries.
    ///
    /// ```
    /// # use annals_wire::Sequence;
    /// let first = Sequence(1);
    /// assert!(first > Sequence(0) && first.next() == Some(Sequence(2)));
    /// ```
    Sequence(u64)
}
number! {
    /// The place of an event in its stream, from 1; 0 means "no event yet".
    ///
    /// ```
    /// # use annals_wire::Revision;
    /// assert_eq!(Revision(0).next(), Some(Revision(1)), "the first event of a stream");
    /// ```
    Revision(u64)
}
number! {
    /// The branch of a coordinate's history; 0 is the trunk.
    ///
    /// ```
    /// # use annals_wire::Lane;
    /// assert_eq!(Lane::default(), Lane(0), "the trunk");
    /// ```
    Lane(u32)
}
number! {
    /// The distance from a coordinate's first event, across forks; 0 is that event.
    ///
    /// ```
    /// # use annals_wire::Depth;
    /// assert!(Depth(3) < Depth(7), "nearer to the first event");
    /// ```
    Depth(u64)
}
number! {
    /// The number of a segment in its log, from 1; 0 means "none".
    SegmentId(u64)
}
number! {
    /// How often a segment was replaced; 0 for one that never was.
    Generation(u32)
}
number! {
    /// A segment's random number, never 0: bytes of another segment do not validate in it.
    Salt(u64)
}
number! {
    /// The caller's own time of the fact, in microseconds since the Unix epoch.
    ///
    /// ```
    /// # use annals_wire::Occurred;
    /// let midnight = Occurred(1_767_225_600_000_000); // 2026-01-01, UTC
    /// assert!(midnight > Occurred(0));
    /// ```
    Occurred(i64)
}
number! {
    /// A reading of the store's hybrid logical clock: 48 bits of Unix milliseconds over a 16-bit counter.
    /// (Kulkarni et al., "Logical Physical Clocks", 2014.)
    ///
    /// ```
    /// # use annals_wire::Recorded;
    /// let noon = Recorded::from_millis(1_767_268_800_000);
    /// assert_eq!(noon.millis(), 1_767_268_800_000);
    /// assert!(Recorded::end_of_millis(noon.millis()) > noon);
    /// ```
    Recorded(u64)
}

impl Sequence {
    /// The next sequence, or `None` where there is none left.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl Revision {
    /// The next revision, or `None` where there is none left.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl SegmentId {
    /// The segment behind this one, or `None` where there is none left.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl Recorded {
    /// The clock's reading at `millis` Unix milliseconds, counter 0. Times past the year 10889 are cut.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min((1 << 48) - 1) << 16)
    }

    /// The last reading that the clock can have within `millis` Unix milliseconds: for what is asked as of then.
    #[must_use]
    pub fn end_of_millis(millis: u64) -> Self {
        Self(Self::from_millis(millis).0 | 0xffff)
    }

    /// The Unix milliseconds of the reading.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// The reading that follows this one when the wall clock shows `now`: never earlier, never the same.
    #[must_use]
    pub fn tick(self, now: Self) -> Option<Self> {
        self.0.checked_add(1).map(|next| Self(next.max(now.0)))
    }
}

macro_rules! uuid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt_uuid(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return Deserialize::deserialize(deserializer).map(Self);
                }
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl FromStr for $name {
            type Err = crate::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_uuid(text).map(Self).ok_or(crate::Error::Invalid {
                    what: "id",
                    why: "not a UUID: 32 hexadecimal digits as 8-4-4-4-12",
                })
            }
        }
    };
}

uuid! {
    /// The id of an event: the 16 bytes of a UUID, in the order in which they are written.
    ///
    /// ```
    /// # use annals_wire::EventId;
    /// let id: EventId = "019b76da-a802-7000-8000-000000000001".parse()?;
    /// assert_eq!(id.to_string(), "019b76da-a802-7000-8000-000000000001");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    EventId
}
uuid! {
    /// The id of a store or log, made when it is created.
    ///
    /// ```
    /// # use annals_wire::StoreId;
    /// let id: StoreId = "019b76da-a800-7000-8000-00000000a11a".parse()?;
    /// assert_ne!(id, StoreId::default());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    StoreId
}

fn fmt_uuid(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    if text.len() != 36 || [8, 13, 18, 23].iter().any(|at| text.get(*at) != Some(&b'-')) {
        return None;
    }
    let mut digits = text.iter().filter(|byte| **byte != b'-').map(|byte| char::from(*byte).to_digit(16));
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_and_read_as_a_uuid() {
        let text = "a07d7a6d-be3e-57fd-9a74-91b1331e74c6";
        let id: EventId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id.0[..3], [0xa0, 0x7d, 0x7a]);
        for bad in [
            "",
            "a07d7a6dbe3e57fd9a7491b1331e74c6",
            "a07d7a6d-be3e-57fd-9a74-91b1331e74cg",
            "a07d7a6d-be3e-57fd-9a7-491b1331e74c6",
        ] {
            assert!(bad.parse::<EventId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_clock_never_goes_back() {
        let at = Recorded::from_millis(1_000);
        assert_eq!(at.tick(Recorded::from_millis(999)), Some(Recorded(at.0 + 1)));
        assert_eq!(at.tick(Recorded::from_millis(1_001)), Some(Recorded::from_millis(1_001)));
        assert_eq!(Recorded::end_of_millis(1_000).tick(at), Some(Recorded::from_millis(1_001)));
        assert_eq!(Recorded(u64::MAX).tick(at), None);
        assert_eq!(Recorded((1_000 << 16) | 0xffff).tick(at), Some(Recorded::from_millis(1_001)));
    }
}
