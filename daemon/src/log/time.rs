//! Times in log lines.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime, SystemTime as Now},
};

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
    if let Some(fraction) = microseconds(line) {
        line.truncate(fraction + ".000".len());
        line.push('Z');
    }
}

/// Adds the time in UTC as Go's RFC 3339 forms have it: a fraction without zeros at its end, or
/// none at all.
pub(super) fn of_go(line: &mut String, fraction: Fraction) {
    let Some(start) = microseconds(line) else {
        return;
    };
    match fraction {
        Fraction::Cut => line.truncate(start),
        Fraction::Shown => {
            line.pop();
            let kept = line.trim_end_matches('0').trim_end_matches('.').len();
            line.truncate(kept);
        }
    }
    line.push('Z');
}

/// A moment as Go prints it in a sentence: `2026-01-02 03:04:05 +0000 UTC`.
pub(super) fn spoken(moment: &str) -> String {
    let moment = moment.trim_end_matches('Z').replacen('T', " ", 1);
    format!("{moment} +0000 UTC")
}

/// Adds the time with six digits of a second, and tells where they begin.
fn microseconds(line: &mut String) -> Option<usize> {
    let start = line.len();
    // The subscriber's own clock: nothing is decided by it.
    if Now.format_time(&mut Writer::new(line)).is_err() {
        line.truncate(start);
        line.push('-');
        return None;
    }
    let fraction = line.get(start..).and_then(|time| time.find('.'))?;
    Some(start + fraction)
}
