//! Istio's filter of the access log, an expression in CEL, of which the usual part is read:
//! `response.code` compared with a whole number, `has(response.code)`, `!`, `&&`, `||` and
//! parentheses.
//!
//! It means what it means in CEL. A comparison of what is not there fails; `||` and `&&` hide a
//! failure if the other side suffices; and what fails as a whole keeps nothing. So without a
//! response, as on a connection of any bytes, `response.code < 400` keeps nothing, and neither does
//! its opposite.

use std::iter::Peekable;

use crate::{
    problem::Problems,
    read::{scalar, yaml::Node},
};

/// Which lines of the access log are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(Test);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    HasCode,
    Code(Comparison, u32),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl LogFilter {
    /// Reads a `filter.expression`.
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let text = scalar::any_text(node, location, problems)?;
        match parse(text) {
            Ok(test) => Some(Self(test)),
            Err(why) => {
                problems.error(node.line, format!("{location} {text:?}: {why}"), REMEDY);
                None
            }
        }
    }

    /// Whether a line is kept; `code` is the status of the response, if there was one.
    pub fn keeps(&self, code: Option<u16>) -> bool {
        self.0.holds(code) == Some(true)
    }
}

impl Test {
    /// `None` is a failure.
    fn holds(&self, code: Option<u16>) -> Option<bool> {
        match self {
            Self::HasCode => Some(code.is_some()),
            Self::Code(comparison, number) => Some(comparison.holds(code?.into(), *number)),
            Self::Not(test) => Some(!test.holds(code)?),
            Self::And(tests) => until(false, tests, code),
            Self::Or(tests) => until(true, tests, code),
        }
    }
}

/// One test that says `enough` decides; else all of them have to say something.
fn until(enough: bool, tests: &[Test], code: Option<u16>) -> Option<bool> {
    let mut all_answered = true;
    for test in tests {
        match test.holds(code) {
            Some(answer) if answer == enough => return Some(enough),
            Some(_) => {}
            None => all_answered = false,
        }
    }
    all_answered.then_some(!enough)
}

impl Comparison {
    fn holds(self, code: u32, number: u32) -> bool {
        match self {
            Self::Equal => code == number,
            Self::NotEqual => code != number,
            Self::Less => code < number,
            Self::LessOrEqual => code <= number,
            Self::Greater => code > number,
            Self::GreaterOrEqual => code >= number,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    /// A name, with dots in it, or a number.
    Word(&'t str),
    Comparison(Comparison),
    And,
    Or,
    Not,
    Open,
    Close,
}

fn parse(text: &str) -> Result<Test, String> {
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: tokens.into_iter().peekable(),
        depth: 0,
    };
    let test = parser.any()?;
    match parser.tokens.next() {
        None => Ok(test),
        Some(token) => Err(format!("{} is not expected there", token.shown())),
    }
}

struct Parser<'t, I: Iterator<Item = Token<'t>>> {
    tokens: Peekable<I>,
    /// How many parentheses and negations this stands in.
    depth: u8,
}

impl<'t, I: Iterator<Item = Token<'t>>> Parser<'t, I> {
    fn any(&mut self) -> Result<Test, String> {
        let mut tests = vec![self.all()?];
        while self.tokens.next_if_eq(&Token::Or).is_some() {
            tests.push(self.all()?);
        }
        Ok(one_or(tests, Test::Or))
    }

    fn all(&mut self) -> Result<Test, String> {
        let mut tests = vec![self.test()?];
        while self.tokens.next_if_eq(&Token::And).is_some() {
            tests.push(self.test()?);
        }
        Ok(one_or(tests, Test::And))
    }

    fn test(&mut self) -> Result<Test, String> {
        match self.tokens.peek() {
            Some(Token::Word("response.code")) => self.comparison(),
            Some(_) | None => self.unary(),
        }
    }

    /// What may stand behind `!`, which binds closer than a comparison.
    fn unary(&mut self) -> Result<Test, String> {
        match self.tokens.next() {
            Some(Token::Not) => {
                let test = self.deeper(Self::unary)?;
                Ok(Test::Not(Box::new(test)))
            }
            Some(Token::Open) => {
                let test = self.deeper(Self::any)?;
                self.close()?;
                Ok(test)
            }
            Some(Token::Word("has")) => {
                match (self.tokens.next(), self.tokens.next()) {
                    (Some(Token::Open), Some(Token::Word("response.code"))) => self.close()?,
                    _ => return Err("`has` is read only of `response.code`".to_owned()),
                }
                Ok(Test::HasCode)
            }
            Some(token) => Err(format!("{} is not supported yet", token.shown())),
            None => Err("it ends too early".to_owned()),
        }
    }

    fn comparison(&mut self) -> Result<Test, String> {
        self.tokens.next();
        let Some(Token::Comparison(comparison)) = self.tokens.next() else {
            return Err("`response.code` has to be compared with a number".to_owned());
        };
        let number = match self.tokens.next() {
            Some(Token::Word(word)) => whole(word),
            Some(_) | None => None,
        };
        let number = number.ok_or("`response.code` is compared only with a whole number")?;
        Ok(Test::Code(comparison, number))
    }

    fn close(&mut self) -> Result<(), String> {
        match self.tokens.next() {
            Some(Token::Close) => Ok(()),
            Some(_) | None => Err("a `)` is missing".to_owned()),
        }
    }

    fn deeper(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Test, String>,
    ) -> Result<Test, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deeply".to_owned());
        }
        let test = read(self);
        self.depth -= 1;
        test
    }
}

/// Only digits: CEL has other types for `4.0` and `4u`, and `04` is none of them.
fn whole(word: &str) -> Option<u32> {
    let number: u32 = word.parse().ok()?;
    (number.to_string() == word).then_some(number)
}

fn one_or(mut tests: Vec<Test>, many: impl FnOnce(Vec<Test>) -> Test) -> Test {
    match tests.pop() {
        Some(only) if tests.is_empty() => only,
        Some(last) => {
            tests.push(last);
            many(tests)
        }
        None => many(tests),
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let symbol = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol));
        let (token, after) = match symbol {
            Some((symbol, token)) => (*token, rest.strip_prefix(symbol)),
            None => {
                let end = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end).unwrap_or_default();
                (Token::Word(word), Some(after).filter(|_| !word.is_empty()))
            }
        };
        let Some(after) = after else {
            return Err(format!("{first:?} is not expected there"));
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

impl Token<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Word(word) => format!("`{word}`"),
            Self::Comparison(_) | Self::And | Self::Or | Self::Not | Self::Open | Self::Close => {
                let symbol = SYMBOLS.iter().find(|(_, token)| token == self);
                format!("`{}`", symbol.map_or("", |(symbol, _)| symbol))
            }
        }
    }
}

/// A longer one stands before those that begin it.
const SYMBOLS: [(&str, Token<'static>); 11] = [
    ("&&", Token::And),
    ("||", Token::Or),
    ("==", Token::Comparison(Comparison::Equal)),
    ("!=", Token::Comparison(Comparison::NotEqual)),
    ("<=", Token::Comparison(Comparison::LessOrEqual)),
    (">=", Token::Comparison(Comparison::GreaterOrEqual)),
    ("<", Token::Comparison(Comparison::Less)),
    (">", Token::Comparison(Comparison::Greater)),
    ("!", Token::Not),
    ("(", Token::Open),
    (")", Token::Close),
];

const REMEDY: &str = "read are `response.code` compared with a number, `has(response.code)`, `!`, \
                      `&&`, `||` and parentheses";

/// Bytes of an expression.
const LONGEST: usize = 1024;

/// Parentheses and negations within one another.
const DEEPEST: u8 = 16;
