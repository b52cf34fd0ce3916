//! Builds the tree from tokens: the grammar of HCL 1, of which JSON's objects and lists are a
//! variant.

use std::{iter::Peekable, vec::IntoIter};

use super::{
    error::Fault,
    scan::{Lexeme, Token, scan},
    tree::{Entry, Node, Value},
};

/// Parses HCL 1.
pub(super) fn hcl(text: &str) -> Result<Node, Fault> {
    let mut parser = Parser::new(scan(text, false)?);
    let entries = parser.entries(None)?;
    Ok(Node {
        line: 1,
        value: Value::Object(entries),
    })
}

/// Parses JSON. `serde_json` judges the syntax; the second pass is there for the line numbers,
/// which it does not keep.
pub(super) fn json(text: &str) -> Result<Node, Fault> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        return Err(Fault::at(
            error.line(),
            format!("this is not valid JSON: {error}"),
        ));
    }
    let mut parser = Parser::new(scan(text, true)?);
    match parser.value("the document")? {
        Some(node) if node.object().is_some() => Ok(node),
        Some(_) | None => Err(Fault::at(1, "a configuration in JSON is one object: { … }")),
    }
}

/// Deeper than any setting stands; it bounds the recursion.
const DEEPEST: usize = 32;

struct Parser {
    lexemes: Peekable<IntoIter<Lexeme>>,
    line: usize,
    depth: usize,
}

impl Parser {
    fn new(lexemes: Vec<Lexeme>) -> Self {
        Self {
            lexemes: lexemes.into_iter().peekable(),
            line: 1,
            depth: 0,
        }
    }

    /// The entries of a block that began on line `open`, or of the whole file.
    fn entries(&mut self, open: Option<usize>) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::new();
        loop {
            let Some(lexeme) = self.next() else {
                return match open {
                    Some(open) => Err(Fault::at(
                        open,
                        "the block that begins here is never closed: a `}` is missing",
                    )),
                    None => Ok(entries),
                };
            };
            match lexeme.token {
                Token::Sign(',') => {}
                Token::Sign('}') if open.is_some() => return Ok(entries),
                Token::Word(key) | Token::Text(key) => {
                    entries.extend(self.entry(key, lexeme.line)?)
                }
                Token::Sign('}') => return Err(Fault::at(lexeme.line, "this `}` closes nothing")),
                Token::Sign(_) | Token::Number(_) => {
                    return Err(unexpected(&lexeme, "the name of a setting"));
                }
            }
        }
    }

    /// What follows a key: `= value`, or labels and a block. A JSON null is no entry.
    fn entry(&mut self, key: String, line: usize) -> Result<Option<Entry>, Fault> {
        let mut labels = Vec::new();
        loop {
            let Some(lexeme) = self.next() else {
                return Err(Fault::at(
                    line,
                    format!("`{key}` has no value: write {key} = … or {key} {{ … }}"),
                ));
            };
            match lexeme.token {
                Token::Word(label) | Token::Text(label) => labels.push(Label {
                    text: label,
                    line: lexeme.line,
                }),
                Token::Sign('{') => {
                    let node = self.nested(lexeme.line, |parser| {
                        parser.entries(Some(lexeme.line)).map(Value::Object)
                    })?;
                    return Ok(Some(labelled(key, line, labels, node)));
                }
                Token::Sign('=' | ':') if labels.is_empty() => {
                    let node = self.value(&key)?;
                    return Ok(node.map(|node| Entry { key, line, node }));
                }
                Token::Sign(_) | Token::Number(_) => {
                    return Err(unexpected(&lexeme, &format!("`=` or `{{` after `{key}`")));
                }
            }
        }
    }

    fn value(&mut self, key: &str) -> Result<Option<Node>, Fault> {
        let Some(lexeme) = self.next() else {
            return Err(Fault::at(
                self.line,
                format!("the value of `{key}` is missing at the end of the file"),
            ));
        };
        let line = lexeme.line;
        let value = match lexeme.token {
            Token::Text(text) => Value::Text(text),
            Token::Number(number) => Value::Number(number),
            Token::Word(word) => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => return Ok(None),
                _ => {
                    return Err(Fault::at(
                        line,
                        format!("a text stands in double quotes: write {key} = \"{word}\""),
                    ));
                }
            },
            Token::Sign('{') => {
                return self
                    .nested(line, |parser| parser.entries(Some(line)).map(Value::Object))
                    .map(Some);
            }
            Token::Sign('[') => {
                return self
                    .nested(line, |parser| parser.list(key, line).map(Value::List))
                    .map(Some);
            }
            Token::Sign(_) => return Err(unexpected(&lexeme, &format!("a value for `{key}`"))),
        };
        Ok(Some(Node { line, value }))
    }

    fn list(&mut self, key: &str, open: usize) -> Result<Vec<Node>, Fault> {
        let unclosed = || {
            Fault::at(
                open,
                "the list that begins here is never closed: a `]` is missing",
            )
        };
        let mut items = Vec::new();
        loop {
            if self.next_is(']') {
                return Ok(items);
            }
            if self.lexemes.peek().is_none() {
                return Err(unclosed());
            }
            items.extend(self.value(key)?);
            if self.next_is(',') {
                continue;
            }
            let Some(lexeme) = self.next() else {
                return Err(unclosed());
            };
            match lexeme.token {
                Token::Sign(']') => return Ok(items),
                Token::Sign(_) | Token::Word(_) | Token::Text(_) | Token::Number(_) => {
                    return Err(unexpected(
                        &lexeme,
                        &format!("`,` or `]` in the list of `{key}`"),
                    ));
                }
            }
        }
    }

    fn nested(
        &mut self,
        line: usize,
        parse: impl FnOnce(&mut Self) -> Result<Value, Fault>,
    ) -> Result<Node, Fault> {
        if self.depth == DEEPEST {
            return Err(Fault::at(
                line,
                format!("blocks and lists stand more than {DEEPEST} deep in one another"),
            ));
        }
        self.depth += 1;
        let value = parse(self)?;
        self.depth -= 1;
        Ok(Node { line, value })
    }

    fn next(&mut self) -> Option<Lexeme> {
        let lexeme = self.lexemes.next()?;
        self.line = lexeme.line;
        Some(lexeme)
    }

    fn next_is(&mut self, sign: char) -> bool {
        self.lexemes
            .next_if(|lexeme| lexeme.token == Token::Sign(sign))
            .is_some()
    }
}

/// A label of a block, and the line where it stands.
struct Label {
    text: String,
    line: usize,
}

/// `A "b" "c" { … }` is `A = { b = { c = { … } } }`.
fn labelled(key: String, line: usize, labels: Vec<Label>, body: Node) -> Entry {
    let mut node = body;
    for Label { text, line } in labels.into_iter().rev() {
        let key = text;
        node = Node {
            line,
            value: Value::Object(vec![Entry { key, line, node }]),
        };
    }
    Entry { key, line, node }
}

fn unexpected(lexeme: &Lexeme, wanted: &str) -> Fault {
    let found = match &lexeme.token {
        Token::Word(text) | Token::Number(text) => format!("`{text}`"),
        Token::Text(text) => format!("\"{text}\""),
        Token::Sign(sign) => format!("`{sign}`"),
    };
    Fault::at(
        lexeme.line,
        format!("{found} stands where {wanted} belongs"),
    )
}
