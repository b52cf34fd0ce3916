//! The small forms that all verbs share: padded labels, plurals, times and durations.

use std::time::Duration;

use time::{OffsetDateTime, macros::format_description};

/// `singular` when there is exactly one, else `plural`.
pub(crate) fn plural<'a>(count: usize, singular: &'a str, plural: &'a str) -> &'a str {
    if count == 1 { singular } else { plural }
}

/// A time in Unix seconds, in UTC: `2019-03-12 17:04:26 +0000 UTC`.
pub(crate) fn unix_time(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds).map_or_else(
        |_| format!("{seconds} seconds after 1970-01-01 00:00:00 +0000 UTC"),
        utc,
    )
}

/// A time in UTC: `2019-03-12 17:04:26 +0000 UTC`.
pub(crate) fn utc(time: OffsetDateTime) -> String {
    let layout = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] +0000 UTC");
    time.to_offset(time::UtcOffset::UTC)
        .format(layout)
        .unwrap_or_else(|_| time.to_string())
}

/// A time in Unix seconds as RFC 3339: `2019-03-12T17:04:26Z`.
pub(crate) fn rfc3339(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| {
            time.format(&time::format_description::well_known::Rfc3339)
                .ok()
        })
        .unwrap_or_else(|| seconds.to_string())
}

/// A short time as Go prints one: `1m2.5s`, `34.21ms`, `5µs`.
pub(crate) fn elapsed(time: Duration) -> String {
    let nanos = time.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    for (unit, size) in [("ns", 1), ("µs", 1_000), ("ms", 1_000_000)] {
        if nanos < size * 1_000 {
            return format!("{}{unit}", decimal(nanos, size));
        }
    }
    let minutes = time.as_secs() / 60;
    let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `number / unit` with as many digits as it has and no more.
fn decimal(number: u128, unit: u128) -> String {
    let (whole, rest) = (number / unit, number % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.to_string().len().saturating_sub(1);
    let digits = format!("{rest:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc() {
        assert_eq!(unix_time(1_552_410_266), "2019-03-12 17:04:26 +0000 UTC");
        assert_eq!(unix_time(0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(rfc3339(1_552_410_266), "2019-03-12T17:04:26Z");
    }

    #[test]
    fn durations_have_the_largest_unit_that_fits() {
        let cases = [
            (Duration::ZERO, "0s"),
            (Duration::from_nanos(12), "12ns"),
            (Duration::from_nanos(5_300), "5.3µs"),
            (Duration::from_micros(34_210), "34.21ms"),
            (Duration::from_millis(1_500), "1.5s"),
            (Duration::from_secs(60), "1m0s"),
            (Duration::from_millis(3_723_040), "1h2m3.04s"),
        ];
        for (time, expected) in cases {
            assert_eq!(elapsed(time), expected);
        }
    }

    #[test]
    fn only_one_is_singular() {
        let named = [0, 1, 2].map(|count| plural(count, "entry", "entries"));
        assert_eq!(named, ["entries", "entry", "entries"]);
    }
}
