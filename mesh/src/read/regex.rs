//! Regular expressions with RE2's syntax, compiled so that matching takes linear time and bounded
//! memory.
//!
//! RE2 and the `regex` crate differ in a few places. Where the crate refuses what RE2 takes, the
//! document is refused; where it would take it for something else, which is in nested classes and
//! operators between classes, it is refused here. As in RE2, `\d`, `\w` and `\b` are ASCII's.

use std::fmt;

use regex::bytes::{Captures, Regex, RegexBuilder};

/// An expression that the whole of a value has to match.
#[derive(Debug, Clone)]
pub struct WholeRegex {
    written: Box<str>,
    whole: Regex,
}

impl WholeRegex {
    /// Compiles an expression, or says in words what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // Alone first: what is wrapped must not end the wrapping.
        part(text)?;
        Ok(Self {
            written: text.into(),
            whole: compile(&format!(r"\A(?:{text})\z"))?,
        })
    }

    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        self.whole.is_match(value)
    }
}

impl PartialEq for WholeRegex {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for WholeRegex {}

impl fmt::Display for WholeRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Replaces every part of a value that an expression matches.
#[derive(Debug, Clone)]
pub(crate) struct Substitution {
    part: Regex,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Group(usize),
}

impl Substitution {
    /// Compiles an expression and what stands in the place of what it matches, in which `\1` is
    /// its first group, `\0` all of it, and `\\` a backslash; or says what is wrong with them.
    pub(crate) fn parse(text: &str, replacement: &str) -> Result<Self, String> {
        let part = part(text)?;
        let pieces = pieces(replacement)?;
        let groups = part.captures_len();
        let unknown = pieces.iter().find_map(|piece| match piece {
            Piece::Group(group) if *group >= groups => Some(*group),
            Piece::Group(_) | Piece::Literal(_) => None,
        });
        match unknown {
            Some(group) => Err(format!(r"there is no group \{group}")),
            None => Ok(Self { part, pieces }),
        }
    }

    /// The value with every match replaced. Values and replacements are valid UTF-8, and matches
    /// end where characters end, so nothing is lost.
    pub(crate) fn apply(&self, value: &str) -> String {
        let replaced = self
            .part
            .replace_all(value.as_bytes(), |captures: &Captures<'_>| {
                let mut text = Vec::new();
                for piece in &self.pieces {
                    match piece {
                        Piece::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                        Piece::Group(group) => {
                            let matched = captures.get(*group);
                            text.extend_from_slice(matched.map_or(b"", |it| it.as_bytes()));
                        }
                    }
                }
                text
            });
        String::from_utf8_lossy(&replaced).into_owned()
    }
}

fn pieces(replacement: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut literal) = (Vec::new(), String::new());
    let mut characters = replacement.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            literal.push(character);
            continue;
        }
        match characters.next() {
            Some('\\') => literal.push('\\'),
            Some(digit @ '0'..='9') => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                }
                let digit = digit.to_digit(10).unwrap_or_default();
                pieces.push(Piece::Group(usize::try_from(digit).unwrap_or_default()));
            }
            Some(_) | None => {
                return Err(r"a backslash is followed by a digit or another backslash".to_owned());
            }
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    Ok(pieces)
}

fn part(text: &str) -> Result<Regex, String> {
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} characters"));
    }
    if means_another_class(text) {
        return Err("in a class, `[`, `&&`, `--` and `~~` must be escaped".to_owned());
    }
    compile(text)
}

fn compile(text: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(text);
    builder
        .unicode(false)
        .size_limit(LARGEST)
        .dfa_size_limit(LARGEST);
    builder.build().map_err(|error| {
        if matches!(error, regex::Error::CompiledTooBig(_)) {
            return "it is too large when compiled".to_owned();
        }
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        last.trim_start_matches("error: ").to_owned()
    })
}

/// Whether a class holds what is an operator here and in RE2 stands for itself.
fn means_another_class(text: &str) -> bool {
    let mut characters = text.chars().peekable();
    let mut class = None; // how many members it has so far
    while let Some(character) = characters.next() {
        let twice = characters.peek() == Some(&character);
        match (character, class) {
            ('\\', _) => {
                characters.next();
                class = class.map(|members: usize| members.saturating_add(1));
            }
            ('[', None) => {
                characters.next_if_eq(&'^');
                class = Some(0);
            }
            ('[', Some(_)) if characters.peek() == Some(&':') => {
                // `[:alpha:]`: up to its own bracket.
                while characters.next().is_some_and(|inner| inner != ']') {}
                class = Some(1);
            }
            ('[', Some(_)) => return true,
            ('&' | '-' | '~', Some(_)) if twice => return true,
            (']', Some(members)) if members > 0 => class = None,
            (_, Some(members)) => class = Some(members.saturating_add(1)),
            (_, None) => {}
        }
    }
    false
}

/// As in Istio.
const LONGEST: usize = 1024;

/// Bytes that an expression may take when it is compiled, and again while it is used.
const LARGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, value: &str) -> bool {
        let regex = WholeRegex::parse(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"));
        regex.matches(value.as_bytes())
    }

    #[test]
    fn the_whole_value_is_matched() {
        assert!(matches("a+", "aaa") && !matches("a+", "aab") && !matches("a+", "baa"));
        assert!(matches("a|bc", "bc") && !matches("a|bc", "abc"));
        assert!(matches("^(.*?;)?(user=jason)(;.*)?$", "x=1;user=jason;y=2"));
        assert!(!matches("^(.*?;)?(user=jason)(;.*)?$", "x=1;user=jasper"));
        assert!(matches("(?i)get", "GET") && matches(r"\d{3}", "404"));
        assert!(matches("[[:alpha:]]+", "abc") && matches("[]a]", "]") && matches(r"[\[&]", "["));
        assert!(!matches(".", "\n") && matches("(?s).", "\n"));
        // ASCII's digits and letters, as in RE2.
        assert!(!matches(r"\d", "٣") && !matches(r"\w", "ä") && matches("ä", "ä"));
    }

    #[test]
    fn what_is_no_expression_of_re2_or_means_another_thing_is_refused() {
        let long = "a".repeat(1025);
        let table = [
            ("(", "unclosed group"),
            ("a)|(b", "unopened group"),
            ("*", "repetition operator missing"),
            (r"\Q*\E", "unrecognized escape"),
            ("(?=a)", "look-around"),
            (r"(a)\1", "backreferences"),
            ("[a[b]]", "must be escaped"),
            ("[a&&b]", "must be escaped"),
            ("[a--b]", "must be escaped"),
            ("[a~~b]", "must be escaped"),
            ("(a{1000}){1000}", "too large"),
            (&long, "longer than 1024"),
        ];
        for (pattern, wanted) in table {
            let why = WholeRegex::parse(pattern).expect_err(pattern);
            assert!(why.contains(wanted), "{pattern}: {why}");
        }
    }

    #[test]
    fn every_match_is_replaced() {
        let table = [
            ("^/api/v1/(.*)$", r"/\1", "/api/v1/items", "/items"),
            ("a", "b", "/a/a", "/b/b"),
            ("(a)(b)?", r"[\1\2]", "ab-a", "[ab]-[a]"),
            ("/x", r"\0\\", "/x", r"/x\"),
            ("no", "yes", "/a", "/a"),
        ];
        for (pattern, replacement, value, wanted) in table {
            let substitution = Substitution::parse(pattern, replacement).expect(pattern);
            assert_eq!(substitution.apply(value), wanted, "{pattern}");
        }
        for (pattern, replacement) in [("a", r"\1"), ("(a)", r"\2"), ("a", r"\x"), ("a", "\\")] {
            assert!(
                Substitution::parse(pattern, replacement).is_err(),
                "{replacement}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_expression_is_answered(pattern in "[a\\[\\]&~:^$|(){}*+?.\\\\1-]{0,12}", value in "[a\\[&-]{0,6}") {
            if let Ok(regex) = WholeRegex::parse(&pattern) {
                let _ = regex.matches(value.as_bytes());
            }
            if let Ok(substitution) = Substitution::parse(&pattern, r"x\0") {
                let _ = substitution.apply(&value);
            }
        }
    }
}
