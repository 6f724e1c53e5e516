//! Times as RFC 3339 writes them, in microseconds since the Unix epoch.
//!
//! Invariant: every time that is written is read as the same microsecond. The civil calendar is used and not
//! `jiff::Timestamp`, whose last second is a day before the year 9999 ends.

use annals::Occurred;
use jiff::{
    SignedDuration,
    civil::{Date, DateTime, Time, date},
};

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);
const MICROS_PER_SECOND: i64 = 1_000_000;

/// The time that `text` is; `None` where it is none as in RFC 3339, section 5.6. A blank may stand for the
/// `T`. What is finer than a microsecond is cut off, and a leap second is the second before it.
pub(crate) fn parse(text: &str) -> Option<Occurred> {
    let (date_time, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let (fraction, offset) = split_fraction(rest)?;
    let number = |at: usize, len: usize| digits(date_time.get(at..at + len)?);
    let separators = [4, 7, 10, 13, 16].map(|at: usize| date_time.get(at).copied().unwrap_or_default());
    if !matches!(separators, [b'-', b'-', b'T' | b't' | b' ', b':', b':']) {
        return None;
    }
    let small = |at| i8::try_from(number(at, 2)?).ok();
    let date = Date::new(i16::try_from(number(0, 4)?).ok()?, small(5)?, small(8)?).ok()?;
    let second = small(17)?;
    let second = if second == 60 { 59 } else { second };
    let time = Time::new(small(11)?, small(14)?, second, 0).ok()?;
    let seconds = date.to_datetime(time).duration_since(EPOCH).as_secs() - parse_offset(offset)?;
    Some(Occurred(seconds * MICROS_PER_SECOND + parse_fraction(fraction)?))
}

/// The time as RFC 3339 writes it, in UTC with `Z` and no more digits than it needs; `None` outside of the
/// years 0 to 9999.
pub(crate) fn format(occurred: Occurred) -> Option<String> {
    let time = EPOCH.checked_add(SignedDuration::from_micros(occurred.0)).ok()?;
    (time.year() >= 0).then(|| format!("{time}Z"))
}

/// The time for people to read, to the second.
pub(crate) fn for_people(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap_or(i64::MAX);
    let text = format(Occurred(seconds.saturating_mul(MICROS_PER_SECOND)));
    text.map_or_else(|| format!("{millis} ms"), |text| text.replace('T', " "))
}

/// The time that the store recorded, for programs to read.
pub(crate) fn from_millis(millis: u64) -> Option<String> {
    format(Occurred(i64::try_from(millis).ok()?.checked_mul(1000)?))
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |number, byte| Some(number * 10 + char::from(*byte).to_digit(10)?))
}

/// The fraction's digits, and what comes behind them.
fn split_fraction(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(rest) = rest.strip_prefix(b".") else { return Some((&[], rest)) };
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len == 0 { None } else { rest.split_at_checked(len) }
}

fn parse_fraction(fraction: &[u8]) -> Option<i64> {
    let digit = |place| fraction.get(place).copied().unwrap_or(b'0');
    digits(&[0, 1, 2, 3, 4, 5].map(digit)).map(i64::from)
}

/// The seconds that an offset is ahead of UTC.
fn parse_offset(offset: &[u8]) -> Option<i64> {
    match offset {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let seconds = i64::from(hours * 3600 + minutes * 60);
            let is_in_range = hours < 24 && minutes < 60;
            is_in_range.then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_as_rfc_3339_means_them() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2018-09-23T18:30:14Z", 1_537_727_414_000_000),
            ("2018-09-23T20:30:14+02:00", 1_537_727_414_000_000),
            ("2018-09-23t18:30:14.5z", 1_537_727_414_500_000),
            ("2018-09-23 18:30:14.000000999-00:00", 1_537_727_414_000_000),
            ("1969-12-31T23:59:59.75Z", -250_000),
            ("1990-12-31T23:59:60Z", 662_687_999_000_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
            ("9999-12-31T23:59:59.999999-23:59", 253_402_387_139_999_999),
        ] {
            assert_eq!(parse(text), Some(Occurred(micros)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2018-09-23",
            "2018-09-23T18:30Z",
            "20180923T183014Z",
            "2018-09-23T18:30:14",
            "2018-09-23T18:30:14.Z",
            "2018-09-23T18:30:14+2:00",
            "2018-09-23T18:30:14+24:00",
            "2018-02-30T18:30:14Z",
            "2018-09-23T24:00:00Z",
            "2018-09-23T18:30:61Z",
            "2018-09-23T18:30:14Z[Europe/Vienna]",
            "+018-09-23T18:30:14Z",
            "yesterday",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_for_people_has_no_fraction() {
        assert_eq!(for_people(1_537_727_414_789), "2018-09-23 18:30:14Z");
        assert_eq!(from_millis(1_537_727_414_780).as_deref(), Some("2018-09-23T18:30:14.78Z"));
    }

    proptest! {
        #[test]
        fn every_time_that_is_written_is_read_again(micros: i64) {
            if let Some(text) = format(Occurred(micros)) {
                prop_assert_eq!(parse(&text), Some(Occurred(micros)), "{}", text);
            }
        }

        #[test]
        fn every_second_of_our_years_is_written(seconds in -62_167_219_200_i64..=253_402_300_799) {
            let occurred = Occurred(seconds * MICROS_PER_SECOND);
            prop_assert_eq!(format(occurred).and_then(|text| parse(&text)), Some(occurred));
        }

        #[test]
        fn any_text_is_a_time_or_none(text: String) {
            let _ = parse(&text);
        }
    }
}
