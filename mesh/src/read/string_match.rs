//! Istio's `StringMatch`: one of `exact`, `prefix`, `regex`.

use std::fmt;

use super::{
    regex::WholeRegex,
    scalar,
    table::{self, Schema, Table},
    yaml::Node,
};
use crate::problem::Problems;

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StringMatch {
    /// It is this.
    Exact(Box<str>),
    /// It begins with this.
    Prefix(Box<str>),
    /// All of it matches an expression.
    Regex(WholeRegex),
    /// There is one, whatever it is.
    Present,
}

/// What `{}` means, and `regex: "*"`, which is no expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Empty {
    /// That there is a value: for what a request may be without.
    Present,
    /// Nothing, so it is refused.
    Refused,
}

impl StringMatch {
    pub(crate) fn read(
        node: &Node,
        location: &str,
        empty: Empty,
        problems: &mut Problems,
    ) -> Option<Self> {
        let table = Table::open(node, location, STRING_MATCH, problems);
        let mut entries = table.entries();
        let Some(entry) = entries.next() else {
            if table.was_empty() && empty == Empty::Present {
                return Some(Self::Present);
            }
            if table.was_empty() {
                let remedy = "write one of exact, prefix and regex";
                problems.error(
                    node.line,
                    format!("{location} compares with nothing"),
                    remedy,
                );
            }
            return None;
        };
        if let Some(other) = entries.next() {
            let what = format!("{location} has both {} and {}", entry.key, other.key);
            problems.error(other.line, what, "keep one of them");
            return None;
        }
        let name = table.name(&entry.key);
        match entry.key.as_str() {
            "exact" => exact(&entry.node, &name, empty, problems),
            "prefix" => table::text(&entry.node, &name, problems).map(|it| Self::Prefix(it.into())),
            _ => regex(&entry.node, &name, empty, problems),
        }
    }

    /// Whether a value is matched.
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => text.as_bytes() == value,
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Regex(regex) => regex.matches(value),
            Self::Present => true,
        }
    }

    /// As [`StringMatch::matches`], whatever the case of ASCII letters; an expression says itself
    /// whether case matters.
    pub fn matches_any_case(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => text.as_bytes().eq_ignore_ascii_case(value),
            Self::Prefix(text) => value
                .get(..text.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes())),
            Self::Regex(_) | Self::Present => self.matches(value),
        }
    }
}

impl fmt::Display for StringMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "exact {text:?}"),
            Self::Prefix(text) => write!(f, "prefix {text:?}"),
            Self::Regex(regex) => write!(f, "regex \"{regex}\""),
            Self::Present => f.write_str("present"),
        }
    }
}

/// Where a value may be missing it may be empty too.
fn exact(node: &Node, name: &str, empty: Empty, problems: &mut Problems) -> Option<StringMatch> {
    let text = match (empty, scalar::any_text(node, name, problems)?) {
        (Empty::Present, "") => "",
        (Empty::Present | Empty::Refused, _) => table::text(node, name, problems)?,
    };
    Some(StringMatch::Exact(text.into()))
}

fn regex(node: &Node, name: &str, empty: Empty, problems: &mut Problems) -> Option<StringMatch> {
    let text = table::text(node, name, problems)?;
    if text == "*" && empty == Empty::Present {
        return Some(StringMatch::Present);
    }
    match WholeRegex::parse(text) {
        Ok(regex) => Some(StringMatch::Regex(regex)),
        Err(why) => {
            let what = format!("{name} {text:?} is not a regular expression: {why}");
            problems.error(node.line, what, "write one in RE2's syntax");
            None
        }
    }
}

const STRING_MATCH: Schema = Schema {
    read: &["exact", "prefix", "regex"],
    bookkeeping: &[],
    not_yet: &[],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::yaml;

    fn read(text: &str, empty: Empty) -> Result<StringMatch, String> {
        let mut problems = Problems::new();
        let documents = yaml::documents(text, &mut problems);
        let node = documents.first().expect("a document");
        let value = StringMatch::read(node, "uri", empty, &mut problems);
        match problems.finish() {
            Ok(_) => Ok(value.expect("without an error there is a value")),
            Err(errors) => Err(errors.first().expect("an error").to_string()),
        }
    }

    /// What is written, what it matches, what it does not.
    type Row = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    );

    #[test]
    fn each_way_of_comparing_matches_what_it_says() {
        let table: [Row; 3] = [
            ("exact: /a", &["/a"], &["/a/", "/A", ""]),
            ("prefix: /a", &["/a", "/ab"], &["/", "/Ab", ""]),
            ("regex: /a[0-9]+", &["/a1"], &["/a", "/a1/", "x/a1"]),
        ];
        for (text, yes, no) in table {
            let compared = read(text, Empty::Refused).expect(text);
            for value in yes {
                assert!(compared.matches(value.as_bytes()), "{text}: {value}");
            }
            for value in no {
                assert!(!compared.matches(value.as_bytes()), "{text}: {value}");
            }
        }
        let prefix = read("prefix: /a", Empty::Refused).expect("a prefix");
        assert!(prefix.matches_any_case(b"/Ab") && !prefix.matches_any_case(b"/"));
    }

    #[test]
    fn where_a_value_may_be_missing_its_presence_can_be_asked_for() {
        for text in ["{}", "regex: '*'"] {
            assert_eq!(
                read(text, Empty::Present),
                Ok(StringMatch::Present),
                "{text}"
            );
            assert!(read(text, Empty::Refused).is_err(), "{text}");
        }
        let empty = read("exact: ''", Empty::Present).expect("no value");
        assert!(empty.matches(b"") && !empty.matches(b"a"));
    }

    #[test]
    fn what_compares_with_nothing_or_with_two_things_is_refused() {
        let table = [
            (
                "{}",
                "uri compares with nothing; write one of exact, prefix and regex",
            ),
            ("exact: ''", "uri.exact is an empty string"),
            ("prefix: ''", "uri.prefix is an empty string"),
            (
                "{ exact: a, prefix: b }",
                "uri has both exact and prefix; keep one",
            ),
            ("regexp: a", "did you mean `regex`?"),
            (
                "regex: '('",
                "uri.regex \"(\" is not a regular expression: unclosed group",
            ),
            ("exact: 1", "write it in quotes"),
            ("/a", "uri must be a mapping, but is a string"),
        ];
        for (text, wanted) in table {
            let error = read(text, Empty::Refused).expect_err(text);
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
