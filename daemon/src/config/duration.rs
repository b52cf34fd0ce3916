//! Lengths of time as people write them in configurations: `1h30m`, `10s`, `250ms`.

use std::time::Duration;

use serde::Deserialize;

/// A length of time that serde reads from text such as `"1h30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Period(pub Duration);

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a length of time; write it with units, such as \"1h30m\", \"10s\" or \"250ms\""
)]
pub struct DurationError(String);

/// Reads a length of time: numbers, each with a unit of `h m s ms us µs ns`, the larger unit first
/// by custom only. `0` needs no unit.
///
/// # Errors
/// A number without a unit, or with one that is none of these; and what is more than 64 bits of
/// nanoseconds hold.
pub fn duration(text: &str) -> Result<Duration, DurationError> {
    let refused = || DurationError(text.to_owned());
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(refused());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (part, after) = take_part(rest).ok_or_else(refused)?;
        total = total.checked_add(part).ok_or_else(refused)?;
        rest = after;
    }
    Ok(total)
}

impl TryFrom<String> for Period {
    type Error = DurationError;

    fn try_from(text: String) -> Result<Self, DurationError> {
        duration(&text).map(Self)
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        period.0
    }
}

const UNITS: &[(&str, u64)] = &[
    ("h", 3_600_000_000_000),
    ("ms", 1_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ns", 1),
];

/// One number with its unit from the front of the text, and what follows it.
fn take_part(text: &str) -> Option<(Duration, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let (number, after) = text.split_at_checked(end)?;
    let (unit, nanoseconds) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?
    };
    let nanoseconds = whole
        .checked_mul(*nanoseconds)?
        .checked_add(fraction_of(*nanoseconds, fraction)?)?;
    Some((Duration::from_nanos(nanoseconds), after.strip_prefix(unit)?))
}

/// The decimal places of a number, in nanoseconds; what is smaller than one is cut off.
fn fraction_of(unit: u64, digits: &str) -> Option<u64> {
    let mut scale = unit;
    let mut total = 0_u64;
    for digit in digits.chars() {
        total = total.checked_add(u64::from(digit.to_digit(10)?).checked_mul(scale)?)?;
        scale /= 10;
    }
    Some(total / 10)
}
