//! What an event or a span says: its sentence and its fields, kept as text that either form of line
//! can be made of.

use std::{
    error::Error,
    fmt::{Debug, Display, Write as _},
    ops::Range,
};

use tracing::field::{Field, Visit};

/// The recorded fields, in the order of the source.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The sentence and all values, one after the other: one piece of memory for a whole event.
    text: String,
    message: Range<usize>,
    pairs: Vec<(&'static str, Value)>,
}

/// Where the text of a value is, and whether it is one of a peer or a program: those are escaped.
#[derive(Debug, Clone)]
enum Value {
    Text(Range<usize>),
    Literal(Range<usize>),
}

/// A value as a line shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    /// Any text: to be escaped.
    Text(&'a str),
    /// A number or a truth value, in the notation of JSON.
    Literal(&'a str),
}

impl<'a> Shown<'a> {
    pub(super) fn as_str(self) -> &'a str {
        match self {
            Self::Text(text) | Self::Literal(text) => text,
        }
    }
}

impl Fields {
    /// Room for the fields of a span, which are all there at once.
    pub(super) fn of_span(count: usize) -> Self {
        Self {
            text: String::with_capacity(count.saturating_mul(TYPICAL_VALUE)),
            message: 0..0,
            pairs: Vec::with_capacity(count),
        }
    }

    /// The sentence.
    pub(super) fn message(&self) -> &str {
        self.at(&self.message)
    }

    /// Each field and its value.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'static str, Shown<'_>)> {
        let shown = |value: &Value| match value {
            Value::Text(range) => Shown::Text(self.at(range)),
            Value::Literal(range) => Shown::Literal(self.at(range)),
        };
        self.pairs
            .iter()
            .map(move |(name, value)| (*name, shown(value)))
    }

    /// Adds the fields of a surrounding span; what is said closer to the event wins.
    pub(super) fn add_outer(&mut self, outer: &Self) {
        for (name, value) in outer.pairs() {
            if self.says(name) {
                continue;
            }
            let value = match value {
                Shown::Text(text) => Value::Text(self.push_str(text)),
                Shown::Literal(text) => Value::Literal(self.push_str(text)),
            };
            self.pairs.push((name, value));
        }
    }

    /// Adds a field of the call on whose behalf the event is; what the event says itself wins.
    pub(super) fn add_unsaid(&mut self, name: &'static str, value: &dyn Display) {
        if !self.says(name) {
            self.add(name, value);
        }
    }

    /// Adds a field of the log's own.
    pub(super) fn add(&mut self, name: &'static str, value: impl Display) {
        let range = self.push(value);
        self.pairs.push((name, Value::Text(range)));
    }

    /// Forgets everything, and keeps at most `most` bytes of memory for the next event.
    pub(super) fn clear(&mut self, most: usize) {
        self.text.clear();
        self.text.shrink_to(most);
        self.message = 0..0;
        self.pairs.clear();
    }

    fn says(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| *known == name)
    }

    fn at(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    fn push(&mut self, value: impl Display) -> Range<usize> {
        let start = self.text.len();
        // A value that cannot be shown is shown as far as it can.
        let _ = write!(self.text, "{value}");
        start..self.text.len()
    }

    fn push_str(&mut self, value: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(value);
        start..self.text.len()
    }

    fn text(&mut self, field: &Field, range: Range<usize>) {
        if field.name() == "message" {
            self.message = range;
        } else {
            self.set(field, Value::Text(range));
        }
    }

    fn literal(&mut self, field: &Field, value: &str) {
        let range = self.push_str(value);
        self.set(field, Value::Literal(range));
    }

    /// A later value of the same field wins.
    fn set(&mut self, field: &Field, value: Value) {
        match self
            .pairs
            .iter_mut()
            .find(|(name, _)| *name == field.name())
        {
            Some((_, old)) => *old = value,
            None => self.pairs.push((field.name(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let range = self.push(format_args!("{value:?}"));
        self.text(field, range);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let range = self.push_str(value);
        self.text(field, range);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_str(field, &super::chain(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.literal(field, if value { "true" } else { "false" });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.literal(field, itoa::Buffer::new().format(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.literal(field, itoa::Buffer::new().format(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.literal(field, &serde_json::Value::from(value).to_string());
    }
}

/// Bytes of a value, on average: some are a word, one is a SPIFFE ID.
const TYPICAL_VALUE: usize = 32;
