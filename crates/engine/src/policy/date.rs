//! Calendar days, for the last day of an exemption.

/// Seconds in a day.
pub(crate) const DAY_SECONDS: u64 = 86_400;

/// The first second after the day `YYYY-MM-DD` (UTC), since 1970; `None` when it is no day.
pub(super) fn end_of_day(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
    let digits = |range: std::ops::Range<usize>| -> Option<u64> {
        let part = text.get(range)?;
        part.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| part.parse().ok())?
    };
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    if !shaped || year < 1970 || day == 0 || day > month_days(year, month)? {
        return None;
    }
    let days = days_before_year(year) - days_before_year(1970);
    let months: u64 = (1..month).filter_map(|month| month_days(year, month)).sum();
    Some((days + months + day) * DAY_SECONDS)
}

/// `YYYY-MM-DD` (UTC) of a time since 1970.
pub(crate) fn day_of(unix_seconds: u64) -> String {
    let mut days = unix_seconds / DAY_SECONDS;
    // A year has at most 366 days, so this first guess is never too late.
    let mut year = 1970 + days / 366;
    days -= days_before_year(year) - days_before_year(1970);
    while days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    let mut month = 1;
    while let Some(length) = month_days(year, month).filter(|length| days >= *length) {
        days -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", days + 1)
}

fn is_leap(year: u64) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

fn year_days(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

/// Days from the year 0 to the first of January (proleptic Gregorian calendar).
fn days_before_year(year: u64) -> u64 {
    let last = year - 1;
    365 * year + last / 4 - last / 100 + last / 400
}

fn month_days(year: u64, month: u64) -> Option<u64> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(28 + u64::from(is_leap(year))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY_SECONDS, day_of, end_of_day};

    #[test]
    fn days_and_back() {
        assert_eq!(end_of_day("1970-01-01"), Some(DAY_SECONDS));
        assert_eq!(end_of_day("2000-02-29"), Some(951_868_800));
        assert_eq!(day_of(951_868_799), "2000-02-29");
        for day in (0..80_000).step_by(13) {
            let text = day_of(day * DAY_SECONDS);
            assert_eq!(end_of_day(&text), Some((day + 1) * DAY_SECONDS), "{text}");
        }
    }

    #[test]
    fn what_is_no_day() {
        for text in [
            "",
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "1969-12-31",
            "20260101",
            "２０26-01-1",
        ] {
            assert_eq!(end_of_day(text), None, "{text}");
        }
    }
}
