//! Times in log lines.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
    time::{SystemTime, UNIX_EPOCH},
};

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::names::Fraction;

/// A moment as a field shows it: RFC 3339, UTC, whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub SystemTime);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let shown = i64::try_from(seconds.as_secs())
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|time| time.format(&Rfc3339).ok());
        f.write_str(shown.as_deref().unwrap_or("-"))
    }
}

/// Adds the time in UTC, to the millisecond.
pub(super) fn milliseconds(line: &mut String) {
    // Nothing is decided by it.
    let now = OffsetDateTime::now_utc();
    let mut second = SECOND.try_with(Cell::take).unwrap_or_default();
    if second.at != now.unix_timestamp() || second.text.is_empty() {
        second.at = now.unix_timestamp();
        second.text.clear();
        push_second(&mut second.text, now);
    }
    line.push_str(&second.text);
    let _ = SECOND.try_with(|kept| kept.set(second));
    line.push('.');
    for place in [100, 10, 1] {
        let digit = u32::from(now.millisecond()) / place % 10;
        line.extend(char::from_digit(digit, 10));
    }
    line.push('Z');
}

/// A second as lines show it: there are many lines in some of them.
#[derive(Debug, Default)]
struct Second {
    at: i64,
    text: String,
}

thread_local! {
    static SECOND: Cell<Second> = Cell::default();
}

/// Adds the time as Go's RFC 3339 forms have it: that of the machine's zone, with a fraction
/// without zeros at its end, or none at all.
pub(super) fn of_go(line: &mut String, fraction: Fraction) {
    let now = OffsetDateTime::now_utc();
    // The zone is that of `TZ` or else of the system, as in Go; without one it is UTC.
    let offset = UtcOffset::local_offset_at(now).unwrap_or(UtcOffset::UTC);
    push_of_go(line, now.to_offset(offset), fraction);
}

fn push_of_go(line: &mut String, time: OffsetDateTime, fraction: Fraction) {
    push_second(line, time);
    let nanosecond = time.nanosecond();
    if fraction == Fraction::Shown && nanosecond > 0 {
        let _ = write!(line, ".{nanosecond:09}");
        line.truncate(line.trim_end_matches('0').len());
    }
    push_offset(line, time.offset());
}

fn push_second(line: &mut String, time: OffsetDateTime) {
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let month = u8::from(month);
    let _ = write!(
        line,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    );
}

/// RFC 3339 has no seconds in an offset; neither has Go there.
fn push_offset(line: &mut String, offset: UtcOffset) {
    let (hours, minutes, _) = offset.as_hms();
    if (hours, minutes) == (0, 0) {
        line.push('Z');
        return;
    }
    let sign = if offset.is_negative() { '-' } else { '+' };
    let (hours, minutes) = (hours.unsigned_abs(), minutes.unsigned_abs());
    let _ = write!(line, "{sign}{hours:02}:{minutes:02}");
}

/// A moment as Go prints it in a sentence: `2026-01-02 03:04:05 +0000 UTC`.
pub(super) fn spoken(moment: &str) -> String {
    let moment = moment.trim_end_matches('Z').replacen('T', " ", 1);
    format!("{moment} +0000 UTC")
}

#[cfg(test)]
mod tests {
    use time::macros::{datetime, offset};

    use super::*;

    #[test]
    fn spires_time_is_local_with_its_offset_or_z_and_a_fraction_without_zeros() {
        let moment = datetime!(2026-01-02 23:04:05.120_300 UTC);
        let shown = |offset, fraction| {
            let mut line = String::new();
            push_of_go(&mut line, moment.to_offset(offset), fraction);
            line
        };
        for (offset, expected) in [
            (offset!(UTC), "2026-01-02T23:04:05.1203Z"),
            (offset!(+1), "2026-01-03T00:04:05.1203+01:00"),
            (offset!(-3:30), "2026-01-02T19:34:05.1203-03:30"),
            (offset!(-0:30), "2026-01-02T22:34:05.1203-00:30"),
            (offset!(+5:45), "2026-01-03T04:49:05.1203+05:45"),
        ] {
            assert_eq!(shown(offset, Fraction::Shown), expected);
        }
        assert_eq!(
            shown(offset!(+1), Fraction::Cut),
            "2026-01-03T00:04:05+01:00"
        );
        let whole = datetime!(2026-01-02 03:04:05 UTC);
        let mut line = String::new();
        push_of_go(&mut line, whole, Fraction::Shown);
        assert_eq!(line, "2026-01-02T03:04:05Z");
    }
}
