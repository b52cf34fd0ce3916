//! The forms of SPIRE's lines, as logrus writes them when it is not on a terminal: `key=value`, and
//! JSON. Programs that read SPIRE's log read ours.

use std::{borrow::Cow, fmt::Write as _};

use tracing::Level;

use super::{
    code::code_name,
    fields::{Fields, Shown},
    names::Fraction,
    spire::{self, Event, Message, Name},
    time,
};

/// What a line is about.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) level: Level,
    /// The same event as SPIRE says it.
    pub(super) event: Option<&'static Event>,
    pub(super) fields: &'a Fields,
}

/// `time`, `level` and `msg` first, then the fields by their names.
pub(super) fn text(line: &mut String, fraction: Fraction, entry: &Entry<'_>) {
    line.push_str("time=\"");
    time::of_go(line, fraction);
    line.extend(["\" level=", entry.level()]);
    let message = entry.message();
    if !message.is_empty() {
        line.push_str(" msg=");
        push_value(line, &message);
    }
    for pair in entry.pairs() {
        line.extend([" ", &pair.name, "="]);
        match pair.value {
            Value::Moment(value) => push_value(line, &time::spoken(value)),
            Value::Text(value) => push_value(line, &value),
            Value::Socket(value) => push_value(line, value),
            Value::List(items) => push_value(line, &format!("[{}]", items.join(" "))),
            Value::Code(code) => push_value(line, &code_name(code)),
            Value::Literal(value) => line.push_str(value),
        }
    }
    line.push('\n');
}

/// One object, all keys by their names.
pub(super) fn json(line: &mut String, entry: &Entry<'_>) {
    let mut moment = String::new();
    time::of_go(&mut moment, Fraction::Shown);
    let message = entry.message();
    let mut pairs = entry.pairs();
    pairs.extend([
        Pair::text("level", entry.level()),
        Pair::text("msg", &message),
        Pair::text("time", &moment),
    ]);
    pairs.sort_by(|a, b| a.name.cmp(&b.name));
    for (place, pair) in pairs.iter().enumerate() {
        line.push(if place == 0 { '{' } else { ',' });
        push_json(line, &pair.name);
        line.push(':');
        match &pair.value {
            Value::Moment(value) => push_json(line, value),
            Value::Text(value) => push_json(line, value),
            Value::Socket(value) => {
                line.push_str("{\"Name\":");
                push_json(line, value);
                line.push_str(",\"Net\":\"unix\"}");
            }
            Value::List(items) => {
                line.push('[');
                for (place, item) in items.iter().enumerate() {
                    line.push_str(if place == 0 { "" } else { "," });
                    push_json(line, item);
                }
                line.push(']');
            }
            Value::Code(code) => line.push_str(&code.to_string()),
            Value::Literal(value) => line.push_str(value),
        }
    }
    line.push_str("}\n");
}

/// A field under SPIRE's name.
struct Pair<'a> {
    name: Cow<'static, str>,
    value: Value<'a>,
}

enum Value<'a> {
    Text(Cow<'a, str>),
    Literal(&'a str),
    /// The path of a socket, which Go's JSON shows in its parts.
    Socket(&'a str),
    /// Texts, which Go shows without quotes between brackets, and as JSON's list.
    List(Vec<String>),
    /// gRPC's number of a code, which Go's text has as a word.
    Code(i32),
    /// A point in time, which Go's text has in a notation of its own.
    Moment(&'a str),
}

impl<'a> Pair<'a> {
    fn text(name: &'static str, value: &'a str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            value: Value::Text(Cow::Borrowed(value)),
        }
    }

    fn constant(name: &'static str, value: &'static str) -> Self {
        let mut pair = Self::text(name, value);
        if matches!(value, "true" | "false") {
            pair.value = Value::Literal(value);
        }
        pair
    }

    /// A field of ours, if SPIRE has it too.
    fn of(event: Option<&Event>, name: &'static str, value: Shown<'a>) -> Option<Self> {
        let plain = match value {
            Shown::Text(text) => Value::Text(text.into()),
            Shown::Literal(text) => Value::Literal(text),
        };
        let (name, value) = match spire::rename(event, name) {
            Name::Same(name) | Name::As(_, name) => (name, plain),
            Name::Moment(_, name) => (name, Value::Moment(value.as_str())),
            Name::Socket(_, name) => (name, Value::Socket(value.as_str())),
            Name::List(_, name) => {
                // Our own sources write a list as Rust shows it; what JSON cannot read of that
                // stays a text.
                let items = serde_json::from_str(value.as_str());
                (name, items.map_or(plain, Value::List))
            }
            Name::Code(_, name) => {
                let code = value.as_str().parse();
                (name, code.map_or(plain, Value::Code))
            }
            Name::Begun(_, name, start) => {
                let text = format!("{start}{}", value.as_str());
                (name, Value::Text(text.into()))
            }
            Name::Left(_) => return None,
        };
        Some(Self {
            name: unambiguous(name),
            value,
        })
    }
}

impl Entry<'_> {
    fn level(&self) -> &'static str {
        match self.event.map_or(self.level, |event| event.level) {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        }
    }

    fn message(&self) -> Cow<'_, str> {
        let field = |wanted| {
            let mut pairs = self.fields.pairs();
            pairs.find_map(|(name, value)| (name == wanted).then(|| value.as_str()))
        };
        match self.event.map(|event| &event.message) {
            None => Cow::Borrowed(self.fields.message()),
            Some(Message::Is(message)) => Cow::Borrowed(message),
            Some(Message::Field(name)) => capital(field(*name).unwrap_or_default()).into(),
            Some(Message::Invalid(name)) => {
                format!("Invalid argument: {}", field(*name).unwrap_or_default()).into()
            }
        }
    }

    /// The fields that SPIRE has too, under its names and in its order.
    fn pairs(&self) -> Vec<Pair<'_>> {
        let mut pairs: Vec<_> = self
            .fields
            .pairs()
            .filter_map(|(name, value)| Pair::of(self.event, name, value))
            .collect();
        let subsystem = self.event.and_then(|event| event.subsystem);
        let always = self
            .event
            .map_or(&[][..], |event| event.always)
            .iter()
            .copied();
        for (name, value) in always.chain(subsystem.map(|value| (SUBSYSTEM, value))) {
            // What the event or its caller says is more exact.
            if !pairs.iter().any(|pair| pair.name == name) {
                pairs.push(Pair::constant(name, value));
            }
        }
        // Stable: of two by one name, what the event says stands before what its spans say.
        pairs.sort_by(|a, b| a.name.cmp(&b.name));
        pairs.dedup_by(|later, first| later.name == first.name);
        pairs
    }
}

/// A field with the name of one of a line's own keys moves to `fields.…`, as with logrus.
fn unambiguous(name: &'static str) -> Cow<'static, str> {
    match name {
        "time" | "level" | "msg" | "logrus_error" => format!("fields.{name}").into(),
        _ => name.into(),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// A value in the notation of logrus: quoted, as Go quotes, only where it has to be.
fn push_value(line: &mut String, value: &str) {
    if value.bytes().all(is_plain) {
        line.push_str(value);
        return;
    }
    line.push('"');
    for letter in value.chars() {
        push_letter(line, letter);
    }
    line.push('"');
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._/@^+".contains(&byte)
}

fn push_letter(line: &mut String, letter: char) {
    let short = match letter {
        '"' => Some("\\\""),
        '\\' => Some("\\\\"),
        '\u{07}' => Some("\\a"),
        '\u{08}' => Some("\\b"),
        '\u{0c}' => Some("\\f"),
        '\n' => Some("\\n"),
        '\r' => Some("\\r"),
        '\t' => Some("\\t"),
        '\u{0b}' => Some("\\v"),
        _ => None,
    };
    let code = u32::from(letter);
    // The standard library knows what can be printed by how it shows a letter for debugging; a
    // quote, which it escapes as well, stands for itself here.
    let printed = letter == '\'' || letter.escape_debug().len() == 1;
    let _ = match short {
        Some(short) => line.write_str(short),
        None if printed => line.write_char(letter),
        None if code < 0x80 => write!(line, "\\x{code:02x}"),
        None if code < 0x1_0000 => write!(line, "\\u{code:04x}"),
        None => write!(line, "\\U{code:08x}"),
    };
}

/// A text in the notation of Go's JSON, which escapes what HTML could take for its own.
fn push_json(line: &mut String, value: &str) {
    if value.bytes().all(is_ordinary) {
        line.extend(["\"", value, "\""]);
        return;
    }
    for letter in serde_json::Value::from(value).to_string().chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(line, "\\u{:04x}", u32::from(letter));
            }
            _ => line.push(letter),
        }
    }
}

/// Printed ASCII that no notation escapes: nearly everything that is ever logged.
fn is_ordinary(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !b"\"\\<>&".contains(&byte)
}

const SUBSYSTEM: &str = "subsystem_name";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_as_go_quotes_them_and_only_where_they_have_to_be() {
        let shown = |value| {
            let mut line = String::new();
            push_value(&mut line, value);
            line
        };
        for (value, expected) in [
            ("web-1.example/a_b@c^d+e", "web-1.example/a_b@c^d+e"),
            ("", ""),
            ("spiffe://example.org/web", "\"spiffe://example.org/web\""),
            ("it's \"a\\b\"", r#""it's \"a\\b\"""#),
            ("a\nb\r\t\u{7}\u{b}", r#""a\nb\r\t\a\v""#),
            ("\u{1b}[2J\u{7f}", r#""\x1b[2J\x7f""#),
            ("über\u{202e}\u{a0}", r#""über\u202e\u00a0""#),
            ("\u{e0001}", r#""\U000e0001""#),
        ] {
            assert_eq!(shown(value), expected, "{value:?}");
        }
    }

    #[test]
    fn json_escapes_what_go_escapes() {
        let mut line = String::new();
        push_json(&mut line, "a\nb <c> & \u{2028} \u{1b} \"d\"");
        assert_eq!(line, r#""a\nb \u003cc\u003e \u0026 \u2028 \u001b \"d\"""#);
    }
}
