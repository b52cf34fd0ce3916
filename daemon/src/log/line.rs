//! Makes one line of each event, in text or JSON. Whatever a peer put into a value, it stays within
//! its line and its quotes.

use std::{cell::Cell, fmt::Write as _, sync::Arc};

use serde_json::Value;
use tracing::{
    Event, Level, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::Context,
    registry::LookupSpan,
};

use super::{
    Format,
    fields::{Fields, Shown},
    sink::Sink,
};

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
        // Absent in the midst of another event, and at the end of a thread.
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        self.write(event, &context, &mut scratch);
        let _ = SCRATCH.try_with(|kept| kept.set(scratch));
    }
}

impl Lines {
    fn write<S>(&self, event: &Event<'_>, context: &Context<'_, S>, scratch: &mut Scratch)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Scratch { fields, line } = scratch;
        fields.clear(MOST_KEPT);
        line.clear();
        line.shrink_to(MOST_KEPT);
        event.record(fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_outer(outer);
            }
        }
        if self.source_location
            && let (Some(file), Some(row)) = (event.metadata().file(), event.metadata().line())
        {
            fields.add("file", format_args!("{file}:{row}"));
        }
        let level = *event.metadata().level();
        match self.format {
            Format::Text => text(line, now, level, fields, self.sink.colour()),
            Format::Json => json(line, now, level, fields),
        }
        self.sink.write(line);
    }
}

/// What a line is made in, kept from one line to the next.
#[derive(Debug, Default)]
struct Scratch {
    fields: Fields,
    line: String,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// Adds the time in UTC, to the millisecond.
fn now(line: &mut String) {
    let start = line.len();
    // The subscriber's own clock: nothing is decided by it.
    if SystemTime.format_time(&mut Writer::new(line)).is_err() {
        line.truncate(start);
        line.push('-');
        return;
    }
    let fraction = line.get(start..).and_then(|time| time.find('.'));
    if let Some(fraction) = fraction {
        line.truncate(start + fraction + ".000".len());
        line.push('Z');
    }
}

fn text(line: &mut String, time: fn(&mut String), level: Level, fields: &Fields, colour: bool) {
    let (paint, dim, plain) = if colour {
        (colour_of(level), "\u{1b}[2m", "\u{1b}[0m")
    } else {
        ("", "", "")
    };
    line.push_str(dim);
    time(line);
    let _ = write!(line, "{plain} {paint}{level:<5}{plain} ");
    push_escaped(line, fields.message());
    for (name, value) in fields.pairs() {
        line.extend([" ", dim, name, "=", plain]);
        match value {
            Shown::Text(value) if is_plain(value) => line.push_str(value),
            Shown::Text(value) => push_quoted(line, value),
            Shown::Literal(value) => line.push_str(value),
        }
    }
    line.push('\n');
}

/// SPIRE's keys: log processors that read its lines read ours. A field with the name of one of them
/// moves to `fields.…`, as there.
fn json(line: &mut String, time: fn(&mut String), level: Level, fields: &Fields) {
    line.push_str("{\"level\":");
    push_json(line, name_of(level));
    line.push_str(",\"msg\":");
    push_json(line, fields.message());
    line.push_str(",\"time\":\"");
    time(line);
    line.push('"');
    for (name, value) in fields.pairs() {
        line.push(',');
        match name {
            "time" | "level" | "msg" => push_json(line, &format!("fields.{name}")),
            _ => push_json(line, name),
        }
        line.push(':');
        match value {
            Shown::Text(value) => push_json(line, value),
            Shown::Literal(value) => line.push_str(value),
        }
    }
    line.push_str("}\n");
}

/// A text in the notation of JSON.
fn push_json(line: &mut String, value: &str) {
    if value.bytes().all(is_ordinary) {
        line.extend(["\"", value, "\""]);
    } else {
        line.push_str(&Value::from(value).to_string());
    }
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

/// Printed ASCII that no notation escapes: nearly everything that is ever logged.
fn is_ordinary(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
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
    if message.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        line.push_str(message);
    } else {
        message.chars().for_each(|letter| push_letter(line, letter));
    }
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

/// Of a line of unusual length, what the next one finds.
const MOST_KEPT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_colours_and_the_level_has_a_column_of_its_own() {
        let mut fields = Fields::default();
        fields.add("port", 80);
        let shown = |level, colour| {
            let mut line = String::new();
            text(&mut line, |line| line.push('T'), level, &fields, colour);
            line
        };
        assert_eq!(
            shown(Level::WARN, true),
            "\u{1b}[2mT\u{1b}[0m \u{1b}[33mWARN \u{1b}[0m  \u{1b}[2mport=\u{1b}[0m80\n"
        );
        assert_eq!(shown(Level::ERROR, false), "T ERROR  port=80\n");
    }
}
