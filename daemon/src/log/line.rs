//! Makes one line of each event, in text or JSON. Whatever a peer put into a value, it stays within
//! its line and its quotes.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Format;
use super::fields::Fields;
use super::sink::Sink;

/// The layer that writes lines to the sink.
#[derive(Debug)]
pub(super) struct Lines {
    format: Format,
    source_location: bool,
    sink: Arc<Sink>,
}

impl Lines {
    pub(super) fn new(format: Format, source_location: bool, sink: Arc<Sink>) -> Self {
        Self {
            format,
            source_location,
            sink,
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_outer(outer);
            }
        }
        if self.source_location {
            fields.pairs.extend(location(event.metadata()));
        }
        let level = *event.metadata().level();
        let line = match self.format {
            Format::Text => text(&now(), level, &fields, self.sink.colour()),
            Format::Json => json(&now(), level, fields),
        };
        self.sink.write(&line);
    }
}

/// The time in UTC, to the millisecond.
fn now() -> String {
    let mut time = String::new();
    // The subscriber's own clock: nothing is decided by it.
    if SystemTime.format_time(&mut Writer::new(&mut time)).is_err() {
        return "-".to_owned();
    }
    match time.split_once('.') {
        Some((seconds, fraction)) => format!("{seconds}.{}Z", fraction.get(..3).unwrap_or("000")),
        None => time,
    }
}

fn location(metadata: &Metadata<'_>) -> Option<(&'static str, Value)> {
    let (file, line) = (metadata.file()?, metadata.line()?);
    Some(("file", Value::from(format!("{file}:{line}"))))
}

fn text(time: &str, level: Level, fields: &Fields, colour: bool) -> String {
    let (paint, dim, plain) = if colour {
        (colour_of(level), "\u{1b}[2m", "\u{1b}[0m")
    } else {
        ("", "", "")
    };
    let mut line = format!("{dim}{time}{plain} {paint}{level:<5}{plain} ");
    push_escaped(&mut line, &fields.message);
    for (name, value) in &fields.pairs {
        let _ = write!(line, " {dim}{name}={plain}");
        match value {
            Value::String(value) if is_plain(value) => line.push_str(value),
            Value::String(value) => push_quoted(&mut line, value),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {
                let _ = write!(line, "{value}");
            }
        }
    }
    line.push('\n');
    line
}

/// SPIRE's keys: log processors that read its lines read ours. A field with the name of one of them
/// moves to `fields.…`, as there.
fn json(time: &str, level: Level, fields: Fields) -> String {
    let mut object = Map::new();
    for (name, value) in fields.pairs {
        let name = match name {
            "time" | "level" | "msg" => format!("fields.{name}"),
            _ => name.to_owned(),
        };
        object.insert(name, value);
    }
    object.insert("time".to_owned(), Value::from(time));
    object.insert("level".to_owned(), Value::from(name_of(level)));
    object.insert("msg".to_owned(), Value::from(fields.message));
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

fn name_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG => "\u{1b}[34m",
        Level::TRACE => "\u{1b}[35m",
    }
}

fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value.chars().all(|letter| {
            letter.is_alphanumeric() || "-._~:/@+,%*?&#()[]{}<>|!$^;".contains(letter)
        })
}

fn push_quoted(line: &mut String, value: &str) {
    line.push('"');
    for letter in value.chars() {
        match letter {
            '"' | '\\' => line.extend(['\\', letter]),
            _ => push_letter(line, letter),
        }
    }
    line.push('"');
}

fn push_escaped(line: &mut String, message: &str) {
    message.chars().for_each(|letter| push_letter(line, letter));
}

/// Control characters could end the line or command the terminal; U+2028, U+2029 and the marks of
/// writing direction could disguise it.
fn push_letter(line: &mut String, letter: char) {
    let disguises = matches!(letter, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if letter.is_control() || disguises {
        line.extend(letter.escape_default());
    } else {
        line.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_colours_and_the_level_has_a_column_of_its_own() {
        let fields = Fields {
            message: "ready".to_owned(),
            pairs: vec![("port", Value::from(80))],
        };
        let dark = text("T", Level::WARN, &fields, true);
        assert_eq!(
            dark,
            "\u{1b}[2mT\u{1b}[0m \u{1b}[33mWARN \u{1b}[0m ready \u{1b}[2mport=\u{1b}[0m80\n"
        );
        assert_eq!(
            text("T", Level::ERROR, &fields, false),
            "T ERROR ready port=80\n"
        );
    }
}
