//! Scalars that are not just a string: numbers with bounds, ports, truth values, words of a closed
//! set, and texts that may hold anything.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use super::{
    table::{self, wrong_kind},
    yaml::{Node, Value},
};
use crate::problem::Problems;

/// A whole number within bounds.
pub(crate) fn number<T>(
    node: &Node,
    location: &str,
    bounds: RangeInclusive<T>,
    problems: &mut Problems,
) -> Option<T>
where
    T: FromStr + PartialOrd + fmt::Display,
{
    let remedy = format!("write a number from {} to {}", bounds.start(), bounds.end());
    match &node.value {
        Value::Number(text) => {
            let number = text.parse().ok().filter(|number| bounds.contains(number));
            if number.is_none() {
                let what = format!("{location} {text} is out of bounds");
                problems.error(node.line, what, remedy);
            }
            number
        }
        Value::Text(text) if text.parse::<T>().is_ok() => {
            let what = format!("{location} must be a number, but is a string");
            problems.error(node.line, what, format!("write it without quotes: {text}"));
            None
        }
        Value::Text(_) | Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
            let what = format!("{location} must be a number, but is {}", node.kind());
            problems.error(node.line, what, remedy);
            None
        }
    }
}

/// The number of a port.
pub(crate) fn port(node: &Node, location: &str, problems: &mut Problems) -> Option<u16> {
    number(node, location, 1..=u16::MAX, problems)
}

/// `true` or `false`.
pub(crate) fn truth(node: &Node, location: &str, problems: &mut Problems) -> Option<bool> {
    match &node.value {
        Value::Bool(truth) => Some(*truth),
        Value::Text(_) | Value::Null | Value::Number(_) | Value::List(_) | Value::Map(_) => {
            wrong_kind(node, location, "true or false", problems);
            None
        }
    }
}

/// A string that may be empty and hold anything, as the body of a response may.
pub(crate) fn any_text<'n>(
    node: &'n Node,
    location: &str,
    problems: &mut Problems,
) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
            table::text(node, location, problems)
        }
    }
}

/// A word of a closed set, and what it stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<T> {
    pub(crate) text: &'static str,
    pub(crate) value: T,
}

/// What one of the words `known` stands for.
pub(crate) fn word<T: Copy>(
    node: &Node,
    location: &str,
    known: &[Word<T>],
    problems: &mut Problems,
) -> Option<T> {
    let text = table::text(node, location, problems)?;
    let found = known.iter().find(|word| word.text == text);
    if found.is_none() {
        let words: Vec<&str> = known.iter().map(|word| word.text).collect();
        let what = format!("{location} {text:?} is not known");
        problems.error(node.line, what, table::nearest(text, &words));
    }
    found.map(|word| word.value)
}

/// A name as Kubernetes takes it for a label of the DNS: subsets, for instance, are called so.
pub(crate) fn dns_label<'n>(
    node: &'n Node,
    location: &str,
    problems: &mut Problems,
) -> Option<&'n str> {
    let text = table::text(node, location, problems)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.len() <= LONGEST_LABEL
    {
        return Some(text);
    }
    let remedy = "use lower-case letters, digits and '-', at most 63 of them, no '-' at the ends";
    let what = format!("{location} {text:?} is not a valid name");
    problems.error(node.line, what, remedy);
    None
}

/// RFC 1035 §2.3.4.
const LONGEST_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(
        value: Value,
        read: impl Fn(&Node, &mut Problems) -> Option<T>,
    ) -> (Option<T>, String) {
        let mut problems = Problems::new();
        let value = read(&Node { line: 3, value }, &mut problems);
        let errors = problems.finish().err().unwrap_or_default();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        (value, errors.join("\n"))
    }

    fn number_of(text: &str) -> Value {
        Value::Number(text.to_owned())
    }

    #[test]
    fn numbers_keep_within_their_bounds() {
        let weight =
            |node: &Node, problems: &mut Problems| number(node, "w", 0..=100_u32, problems);
        assert_eq!(read(number_of("0"), weight).0, Some(0));
        assert_eq!(read(number_of("100"), weight).0, Some(100));
        for text in ["-1", "101", "1.5", "4294967296"] {
            let (none, error) = read(number_of(text), weight);
            assert_eq!(none, None, "{text}");
            assert!(error.contains("write a number from 0 to 100"), "{error}");
        }
        let (_, error) = read(Value::Text("7".to_owned()), weight);
        assert!(error.contains("write it without quotes: 7"), "{error}");
        let (_, error) = read(Value::Text("x".to_owned()), weight);
        assert!(
            error.contains("must be a number, but is a string"),
            "{error}"
        );
        assert_eq!(read(number_of("0"), |n, p| port(n, "port", p)).0, None);
        assert_eq!(
            read(number_of("65535"), |n, p| port(n, "port", p)).0,
            Some(65535)
        );
    }

    #[test]
    fn truth_and_words_are_taken_only_as_they_are_written() {
        assert_eq!(
            read(Value::Bool(true), |n, p| truth(n, "b", p)).0,
            Some(true)
        );
        let (none, error) = read(Value::Text("yes".to_owned()), |n, p| truth(n, "b", p));
        assert_eq!(none, None);
        assert!(error.contains("must be true or false"), "{error}");
        let words = [("FORWARD", 1), ("IGNORE", 2)];
        let words = words.map(|(text, value)| Word { text, value });
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            read(text("IGNORE"), |n, p| word(n, "w", &words, p)).0,
            Some(2)
        );
        let (none, error) = read(text("IGNOR"), |n, p| word(n, "w", &words, p));
        assert_eq!(none, None);
        assert!(error.contains("did you mean `IGNORE`?"), "{error}");
        for wrong in ["V1", "-a", "a-", "a.b", "a_b"] {
            assert_eq!(
                read(text(wrong), |n, p| dns_label(n, "s", p).map(str::len)).0,
                None
            );
        }
    }
}
