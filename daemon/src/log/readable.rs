//! Our own form of a line: time, level, sentence, `key=value`, in colours on a terminal.

use tracing::Level;

use super::{
    fields::{Fields, Shown},
    time,
};

pub(super) fn write(line: &mut String, level: Level, fields: &Fields, colour: bool) {
    text(line, time::milliseconds, level, fields, colour);
}

fn text(line: &mut String, time: fn(&mut String), level: Level, fields: &Fields, colour: bool) {
    let (paint, dim, plain) = if colour {
        (colour_of(level), "\u{1b}[2m", "\u{1b}[0m")
    } else {
        ("", "", "")
    };
    line.push_str(dim);
    time(line);
    line.extend([plain, " ", paint, name_of(level), plain, " "]);
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

/// Levels stand in a column of their own.
fn name_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN ",
        Level::INFO => "INFO ",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
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
    let is_plain = |letter: char| match letter {
        ' ' | '"' | '\'' | '=' | '\\' | '`' => false,
        '!'..='~' => true,
        _ => letter.is_alphanumeric(),
    };
    !value.is_empty() && value.chars().all(is_plain)
}

fn push_quoted(line: &mut String, value: &str) {
    line.push('"');
    if is_printable(value) && !value.contains(['"', '\\']) {
        line.push_str(value);
    } else {
        for letter in value.chars() {
            match letter {
                '"' | '\\' => line.extend(['\\', letter]),
                _ => push_letter(line, letter),
            }
        }
    }
    line.push('"');
}

/// Most text is, and goes over as a whole.
fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn push_escaped(line: &mut String, message: &str) {
    if is_printable(message) {
        line.push_str(message);
    } else {
        message.chars().for_each(|letter| push_letter(line, letter));
    }
}

/// Control characters could end the line or command the terminal; U+2028, U+2029 and the marks of
/// writing direction could disguise it.
fn push_letter(line: &mut String, letter: char) {
    let disguises = matches!(
        letter,
        '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
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
