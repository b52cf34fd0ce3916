//! Istio's string matching: `abc` exact, `abc*` prefix, `*abc` suffix, `*` present. Any other `*`
//! is literal.

use std::fmt;

/// One value of a string list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// The whole value.
    Exact(Box<str>),
    /// What the value starts with.
    Prefix(Box<str>),
    /// What the value ends with.
    Suffix(Box<str>),
    /// Any value that is not empty.
    Present,
}

impl Pattern {
    /// Total: every text is a pattern. A leading `*` wins over a trailing one, as in Istio.
    pub(crate) fn new(text: &str) -> Self {
        if text == "*" {
            return Self::Present;
        }
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(suffix), _) => Self::Suffix(suffix.into()),
            (None, Some(prefix)) => Self::Prefix(prefix.into()),
            (None, None) => Self::Exact(text.into()),
        }
    }

    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        self.matches_joined(value, b"")
    }

    /// Matches `head` and `tail` as if they were one value, so that a SPIFFE ID need not be put
    /// together first.
    pub(crate) fn matches_joined(&self, head: &[u8], tail: &[u8]) -> bool {
        match self {
            Self::Exact(text) => text.as_bytes().strip_prefix(head) == Some(tail),
            Self::Prefix(text) => {
                let text = text.as_bytes();
                head.starts_with(text)
                    || text
                        .strip_prefix(head)
                        .is_some_and(|rest| tail.starts_with(rest))
            }
            Self::Suffix(text) => {
                let text = text.as_bytes();
                tail.ends_with(text)
                    || text
                        .strip_suffix(tail)
                        .is_some_and(|rest| head.ends_with(rest))
            }
            Self::Present => !head.is_empty() || !tail.is_empty(),
        }
    }

    /// As [`Pattern::matches`] for names of hosts, where case carries no meaning (RFC 9110 §4.2.3).
    pub(crate) fn matches_host(&self, value: &str) -> bool {
        let value = value.as_bytes();
        let equal = |text: &str, part: Option<&[u8]>| {
            part.is_some_and(|part| part.eq_ignore_ascii_case(text.as_bytes()))
        };
        match self {
            Self::Exact(text) => equal(text, Some(value)),
            Self::Prefix(text) => equal(text, value.get(..text.len())),
            Self::Suffix(text) => equal(
                text,
                value
                    .len()
                    .checked_sub(text.len())
                    .and_then(|start| value.get(start..)),
            ),
            Self::Present => !value.is_empty(),
        }
    }

    /// Whether this pattern matches everything that `other` matches.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present, Self::Exact(text) | Self::Prefix(text) | Self::Suffix(text)) => {
                !text.is_empty()
            }
            (Self::Present, Self::Present) => true,
            (Self::Prefix(mine), Self::Exact(text) | Self::Prefix(text)) => {
                text.starts_with(&**mine)
            }
            (Self::Suffix(mine), Self::Exact(text) | Self::Suffix(text)) => text.ends_with(&**mine),
            (Self::Exact(mine), Self::Exact(text)) => mine == text,
            (Self::Exact(_), Self::Prefix(_) | Self::Suffix(_) | Self::Present)
            | (Self::Prefix(_), Self::Suffix(_) | Self::Present)
            | (Self::Suffix(_), Self::Prefix(_) | Self::Present) => false,
        }
    }

    /// The text without its wildcard, if there is any.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self {
            Self::Exact(text) | Self::Prefix(text) | Self::Suffix(text) => Some(text),
            Self::Present => None,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(text) => write!(f, "{text}*"),
            Self::Suffix(text) => write!(f, "*{text}"),
            Self::Present => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A value, what it must match, what it must not match.
    type Row = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    );

    #[test]
    fn exact_prefix_suffix_and_presence_match_as_in_istio() {
        let table: &[Row] = &[
            ("abc", &["abc"], &["", "ab", "abcd", "ABC", "xabc"]),
            ("abc*", &["abc", "abcd"], &["ab", "xabc", ""]),
            ("*abc", &["abc", "xabc"], &["abcx", "bc", ""]),
            ("*", &["a", "*"], &[""]),
            ("a*c", &["a*c"], &["abc", "ac"]),
            ("*a*", &["a*", "xa*"], &["a", "xay"]),
            ("**", &["*", "x*"], &["", "x"]),
        ];
        for (pattern, yes, no) in table {
            let compiled = Pattern::new(pattern);
            for value in *yes {
                assert!(
                    compiled.matches(value.as_bytes()),
                    "{pattern} must match {value:?}"
                );
            }
            for value in *no {
                assert!(
                    !compiled.matches(value.as_bytes()),
                    "{pattern} must not match {value:?}"
                );
            }
        }
    }

    #[test]
    fn host_names_match_whatever_their_case() {
        assert!(Pattern::new("API.example.org").matches_host("api.EXAMPLE.org"));
        assert!(Pattern::new("*.Example.org").matches_host("a.example.ORG"));
        assert!(Pattern::new("api.*").matches_host("API.x"));
        assert!(!Pattern::new("api.*").matches_host("ap"));
        assert!(!Pattern::new("*long.example.org").matches_host("org"));
        assert!(!Pattern::new("a*").matches_host(""));
    }

    proptest! {
        #[test]
        fn a_value_in_two_parts_matches_as_the_whole(pattern in "[ab*]{0,4}", value in "[ab]{0,5}", cut in 0usize..6) {
            let pattern = Pattern::new(&pattern);
            let (head, tail) = value.as_bytes().split_at(cut.min(value.len()));
            prop_assert_eq!(pattern.matches_joined(head, tail), pattern.matches(value.as_bytes()));
            prop_assert_eq!(pattern.matches_host(&value), pattern.matches(value.as_bytes()));
        }

        #[test]
        fn what_covers_matches_all_that_is_covered(a in "[ab*]{1,3}", b in "[ab*]{1,3}", value in "[ab*]{0,4}") {
            let (a, b) = (Pattern::new(&a), Pattern::new(&b));
            if a.covers(&b) && b.matches(value.as_bytes()) {
                prop_assert!(a.matches(value.as_bytes()), "{a} covers {b} but not {value:?}");
            }
        }

        #[test]
        fn a_pattern_reads_as_it_was_written(text in "[ab*/]{1,6}") {
            prop_assert_eq!(Pattern::new(&text).to_string(), text);
        }
    }
}
