//! Cuts configuration text into tokens, HCL 1 and JSON alike. Ends of lines mean nothing in either,
//! so they are only counted.

use std::{iter::Peekable, str::Chars};

use super::error::Fault;

/// A token and its line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lexeme {
    pub(super) line: usize,
    pub(super) token: Token,
}

/// What the parser sees.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name without quotes; `true` and `false` are names too.
    Word(String),
    /// A quoted text or a heredoc.
    Text(String),
    Number(String),
    /// One of `= : , { } [ ]`.
    Sign(char),
}

/// Cuts the whole text; with `json`, strings follow the rules of JSON.
pub(super) fn scan(text: &str, json: bool) -> Result<Vec<Lexeme>, Fault> {
    let mut scanner = Scanner {
        rest: text,
        line: 1,
        json,
    };
    let mut lexemes = Vec::new();
    while let Some(lexeme) = scanner.next()? {
        lexemes.push(lexeme);
    }
    Ok(lexemes)
}

/// Reads a whole number as HCL 1 does: decimal, `0x` hexadecimal, or octal after a leading zero.
pub(super) fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (digits, radix) = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hexadecimal) => (hexadecimal, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits.trim_start_matches('0'), 8),
        None => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = if digits.is_empty() && radix == 8 {
        0
    } else {
        i128::from(u64::from_str_radix(digits, radix).ok()?)
    };
    Some(if negative { -magnitude } else { magnitude })
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    json: bool,
}

impl<'a> Scanner<'a> {
    fn next(&mut self) -> Result<Option<Lexeme>, Fault> {
        self.skip_space_and_comments()?;
        let line = self.line;
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let token = match first {
            '=' | ':' | ',' | '{' | '}' | '[' | ']' => {
                self.advance(first.len_utf8());
                Token::Sign(first)
            }
            '"' => self.text()?,
            '<' if self.rest.starts_with("<<") => self.heredoc()?,
            '0'..='9' | '-' | '.' => self.number()?,
            _ if first.is_alphabetic() || first == '_' => {
                Token::Word(self.take_while(is_word).to_owned())
            }
            _ => {
                return Err(Fault::at(
                    line,
                    format!(
                        "`{}` has no meaning here; texts stand in double quotes",
                        first.escape_debug()
                    ),
                ));
            }
        };
        Ok(Some(Lexeme { line, token }))
    }

    fn skip_space_and_comments(&mut self) -> Result<(), Fault> {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest.starts_with("/*") {
                let Some(end) = self.rest.find("*/") else {
                    return Err(Fault::at(
                        self.line,
                        "the comment that begins with /* has no end",
                    ));
                };
                self.advance(end + 2);
            } else if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.take_while(|letter| letter != '\n');
            } else {
                return Ok(());
            }
        }
    }

    /// A quoted text. In HCL, quotes inside `${…}` do not end it.
    fn text(&mut self) -> Result<Token, Fault> {
        let line = self.line;
        self.advance(1);
        let Some(end) = end_of_text(self.rest, self.json) else {
            return Err(Fault::at(line, "the text has no closing quote on its line"));
        };
        let raw = self.advance(end);
        self.advance(1);
        let text = if self.json {
            serde_json::from_str(&format!("\"{raw}\"")).ok()
        } else {
            unescape(raw)
        };
        let bad_escape = || {
            Fault::at(
                line,
                format!("\"{raw}\" has an unknown escape; a backslash itself is written \\\\"),
            )
        };
        text.map(Token::Text).ok_or_else(bad_escape)
    }

    /// `<<END` … `END`; after `<<-`, the indentation of the closing word is taken off each line.
    fn heredoc(&mut self) -> Result<Token, Fault> {
        let line = self.line;
        self.advance(2);
        let indented = self.rest.starts_with('-');
        if indented {
            self.advance(1);
        }
        let end = self.take_while(|letter| letter != '\n').trim();
        self.advance(1);
        let mut lines = Vec::new();
        while !end.is_empty() && !self.rest.is_empty() {
            let content = self.take_while(|letter| letter != '\n');
            if content.trim() == end {
                let margin = content.len() - content.trim_start().len();
                return Ok(Token::Text(assemble(
                    &lines,
                    content.get(..margin).filter(|_| indented),
                )));
            }
            lines.push(content);
            self.advance(1);
        }
        Err(Fault::at(
            line,
            format!("the text that begins with <<{end} has no line that ends it"),
        ))
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let line = self.line;
        let text = self.take_while(|letter| is_word(letter) || letter == '+');
        if integer(text).is_some() || text.parse::<f64>().is_ok_and(f64::is_finite) {
            return Ok(Token::Number(text.to_owned()));
        }
        Err(Fault::at(
            line,
            format!("`{text}` is not a number; write \"{text}\" if it is a text"),
        ))
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let end = self
            .rest
            .find(|letter| !accept(letter))
            .unwrap_or(self.rest.len());
        self.advance(end)
    }

    /// Moves on by `length` bytes (which end at a character), counting lines, and returns them.
    fn advance(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

fn end_of_text(rest: &str, json: bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut escaped = false;
    let mut last = ' ';
    for (at, letter) in rest.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' if !json && (last == '$' || depth > 0) => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '"' if depth == 0 => return Some(at),
            '\n' if depth == 0 => return None,
            _ => {}
        }
        last = letter;
    }
    None
}

fn unescape(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut letters = raw.chars().peekable();
    while let Some(letter) = letters.next() {
        text.push(if letter == '\\' {
            escape(&mut letters)?
        } else {
            letter
        });
    }
    Some(text)
}

fn escape(letters: &mut Peekable<Chars<'_>>) -> Option<char> {
    Some(match letters.next()? {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'x' => coded(letters, 2)?,
        'u' => coded(letters, 4)?,
        'U' => coded(letters, 8)?,
        plain @ ('"' | '\'' | '\\' | '/') => plain,
        _ => return None,
    })
}

fn coded(letters: &mut Peekable<Chars<'_>>, digits: usize) -> Option<char> {
    let code: String = letters.take(digits).collect();
    let valid = code.len() == digits && code.bytes().all(|digit| digit.is_ascii_hexdigit());
    valid
        .then(|| u32::from_str_radix(&code, 16).ok())
        .flatten()
        .and_then(char::from_u32)
}

fn assemble(lines: &[&str], margin: Option<&str>) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(
            margin
                .and_then(|margin| line.strip_prefix(margin))
                .unwrap_or(line),
        );
        text.push('\n');
    }
    text
}
