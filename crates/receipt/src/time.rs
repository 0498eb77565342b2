//! Wall-clock time, written as RFC 3339 in UTC with six decimals.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment, in microseconds since 1970-01-01T00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(u64);

const MICROS_PER_SECOND: u64 = 1_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// 9999-12-31T23:59:59.999999Z: RFC 3339 has four digits for a year.
const MICROS_MAX: u64 = 253_402_300_800 * MICROS_PER_SECOND - 1;

/// The length of `2026-11-22T19:35:39.123456Z`.
const TEXT_BYTES: usize = 27;

/// Where each number sits in the text, with its width, and what stands after it.
const FIELDS: [(usize, usize, u8); 7] = [
    (0, 4, b'-'),
    (5, 2, b'-'),
    (8, 2, b'T'),
    (11, 2, b':'),
    (14, 2, b':'),
    (17, 2, b'.'),
    (20, 6, b'Z'),
];

impl Time {
    /// The moment this many microseconds after 1970-01-01T00:00Z; the year 9999's end at most.
    pub fn from_unix_micros(micros: u64) -> Self {
        Self(micros.min(MICROS_MAX))
    }

    /// Microseconds since 1970-01-01T00:00Z.
    pub fn unix_micros(self) -> u64 {
        self.0
    }

    /// Shows the text of it to `reader`.
    pub(crate) fn with_text<T>(self, reader: impl FnOnce(&str) -> T) -> T {
        let text = self.text();
        reader(std::str::from_utf8(&text).expect("digits and marks are ASCII"))
    }

    fn text(self) -> [u8; TEXT_BYTES] {
        let seconds = self.0 / MICROS_PER_SECOND;
        let (year, month, day) = civil(seconds / SECONDS_PER_DAY);
        let second = seconds % SECONDS_PER_DAY;
        let numbers = [
            year,
            month,
            day,
            second / 3600,
            second / 60 % 60,
            second % 60,
            self.0 % MICROS_PER_SECOND,
        ];
        let mut text = [0; TEXT_BYTES];
        for ((start, width, after), mut number) in FIELDS.into_iter().zip(numbers) {
            for digit in text[start..start + width].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
            text[start + width] = after;
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes: &[u8; TEXT_BYTES] = text.as_bytes().try_into().ok()?;
        let mut numbers = [0; FIELDS.len()];
        for ((start, width, _), number) in FIELDS.into_iter().zip(&mut numbers) {
            for byte in &bytes[start..start + width] {
                *number = *number * 10 + u64::from(byte.wrapping_sub(b'0'));
            }
        }
        let [year, month, day, hour, minute, second, micros] = numbers;
        let days = days(year, month, day)?;
        let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
        let time = Self::from_unix_micros(seconds * MICROS_PER_SECOND + micros);
        // One spelling per moment: whatever the parts were, they must be what is written for it.
        (time.text() == *bytes).then_some(time)
    }
}

/// Year, month and day of a day number, by the civil calendar with years that start in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let day = days + 719_468;
    let era = day / 146_097;
    let day_of_era = day % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

/// The day number of a date from 1970 on: the inverse of [`civil`].
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let year_of_era = year % 400;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (year / 400 * 146_097 + day_of_era).checked_sub(719_468)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("expected an RFC 3339 time in UTC"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_827_696_789_012, "2000-02-29T12:34:56.789012Z"),
            (1_763_839_200_000_001, "2025-11-22T19:20:00.000001Z"),
            (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Time::from_unix_micros(micros).to_string(), text);
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "2026-11-22T19:35:39Z",
            "2026-11-22 19:35:39.000000Z",
            "2026-02-30T00:00:00.000000Z",
            "2026-13-01T00:00:00.000000Z",
            "2026-01-01T24:00:00.000000Z",
            "2026-01-01T00:00:60.000000Z",
            "1969-12-31T23:59:59.999999Z",
            "2026-01-01T00:00:0:.000000Z",
        ] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_goes_both_ways(micros in 0..=MICROS_MAX) {
            let time = Time::from_unix_micros(micros);
            prop_assert_eq!(Time::parse(&time.to_string()), Some(time));
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in "\\PC{0,30}|[0-9:.TZ-]{27}") {
            let parsed = Time::parse(&text);
            prop_assert!(parsed.is_none_or(|time| time.to_string() == text));
        }
    }
}
