//! Durations as Istio writes them: `1h`, `1m30s`, `1.5s`, `250ms`; whole milliseconds, at least
//! one.

use std::time::Duration;

use super::{
    table,
    yaml::{Node, Value},
};
use crate::problem::Problems;

/// A duration of at least one millisecond.
pub(crate) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Duration> {
    if let Value::Number(number) = &node.value {
        let remedy = format!("write its unit too, as in `{number}s`");
        problems.error(
            node.line,
            format!("{location} {number} has no unit"),
            remedy,
        );
        return None;
    }
    let text = table::text(node, location, problems)?;
    let Some(nanoseconds) = parse(text) else {
        let what = format!("{location} {text:?} is not a duration");
        problems.error(node.line, what, "write it as in `1m30s`, `1.5s` or `250ms`");
        return None;
    };
    if nanoseconds % MILLISECOND != 0 || nanoseconds < MILLISECOND {
        let what = format!("{location} {text:?} is not a whole number of milliseconds");
        problems.error(node.line, what, "write at least `1ms`, or remove it");
        return None;
    }
    Some(Duration::from_nanos(nanoseconds))
}

/// As [`read`], but it may be none at all: `0s`.
pub(crate) fn or_zero(node: &Node, location: &str, problems: &mut Problems) -> Option<Duration> {
    match &node.value {
        Value::Text(text) if parse(text) == Some(0) => Some(Duration::ZERO),
        Value::Text(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::List(_)
        | Value::Map(_) => read(node, location, problems),
    }
}

/// A duration that stands in a text of another form.
pub(crate) fn parsed(text: &str) -> Option<Duration> {
    parse(text).map(Duration::from_nanos)
}

/// As Go's `time.ParseDuration`, without a sign: numbers, each with a unit, that add up.
fn parse(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at_checked(end.unwrap_or(after.len()))?;
        total = total.checked_add(scaled(number, unit_of(unit)?)?)?;
        rest = after;
    }
    (!text.is_empty() && total <= LONGEST).then_some(total)
}

fn unit_of(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        "us" | "µs" | "μs" => Some(1_000),
        "ms" => Some(MILLISECOND),
        "s" => Some(1_000 * MILLISECOND),
        "m" => Some(60_000 * MILLISECOND),
        "h" => Some(3_600_000 * MILLISECOND),
        _ => None,
    }
}

/// `number` of `unit`, in nanoseconds; what of a fraction is less than one is cut off.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut total = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.chars() {
        place /= 10;
        let digit = u64::from(digit.to_digit(10)?);
        total = total.checked_add(digit.checked_mul(place)?)?;
    }
    Some(total)
}

const MILLISECOND: u64 = 1_000_000;

/// What Go can write: 292 years.
const LONGEST: u64 = i64::MAX.unsigned_abs();

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(value: Value) -> Result<Duration, String> {
        let mut problems = Problems::new();
        let duration = read(&Node { line: 1, value }, "timeout", &mut problems);
        match problems.finish() {
            Ok(_) => Ok(duration.expect("without an error there is a value")),
            Err(errors) => Err(errors.first().expect("an error").to_string()),
        }
    }

    fn text(text: &str) -> Result<Duration, String> {
        of(Value::Text(text.to_owned()))
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let table = [
            ("1ms", 1),
            ("250ms", 250),
            ("1s", 1_000),
            ("1.5s", 1_500),
            (".5s", 500),
            ("1.s", 1_000),
            ("1m30s", 90_000),
            ("1h1m1s1ms", 3_661_001),
            ("2000us", 2),
            ("3000000ns", 3),
            ("0.1s", 100),
            ("0.3h", 1_080_000),
            ("2562047h", 9_223_369_200_000),
        ];
        for (written, milliseconds) in table {
            assert_eq!(
                text(written),
                Ok(Duration::from_millis(milliseconds)),
                "{written}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_of_whole_milliseconds_is_refused() {
        for written in [
            "5", "s", ".s", "1", "-1s", "+1s", "1 s", "1d", "1.2.3s", "1s5", "1S",
        ] {
            let error = text(written).expect_err(written);
            assert!(
                error.contains("is not a duration; write it as in"),
                "{error}"
            );
        }
        for written in ["0s", "0ms", "1us", "1500us", "0.0001s"] {
            let error = text(written).expect_err(written);
            assert!(error.contains("whole number of milliseconds"), "{error}");
        }
        for written in ["2562048h", "99999999999999999999s", "9223372036854775807h"] {
            assert!(text(written).is_err(), "{written}");
        }
        let error = of(Value::Number("5".to_owned())).expect_err("a unit is missing");
        assert!(
            error.contains("has no unit; write its unit too, as in `5s`"),
            "{error}"
        );
    }

    #[test]
    fn none_at_all_is_taken_where_it_means_something() {
        let of = |text: &str| {
            let value = Value::Text(text.to_owned());
            or_zero(&Node { line: 1, value }, "ttl", &mut Problems::new())
        };
        assert_eq!(of("0s"), Some(Duration::ZERO));
        assert_eq!(of("2s"), Some(Duration::from_secs(2)));
        assert_eq!(of("0"), None);
        assert_eq!(of("1us"), None);
    }

    proptest! {
        #[test]
        fn parts_add_up(h in 0u64..100, m in 0u64..100, s in 0u64..100, ms in 1u64..1000) {
            let total = ((h * 60 + m) * 60 + s) * 1000 + ms;
            prop_assert_eq!(text(&format!("{h}h{m}m{s}s{ms}ms")), Ok(Duration::from_millis(total)));
        }

        #[test]
        fn any_text_is_answered(any in "[0-9.hmsnuµ+ -]{0,24}") {
            let _ = text(&any);
        }
    }
}
