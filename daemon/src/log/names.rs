//! What levels and forms are called in configurations, and which form a line takes when the
//! configuration does not say.

use std::{fmt, str::FromStr};

use serde::Deserialize;

/// The form of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Format {
    /// As the [`Manner`] of the program has it.
    #[default]
    Unsaid,
    /// Ours, for people: time, level, sentence, `key=value`.
    Readable,
    /// SPIRE's `key=value`, its messages and its names of fields.
    Text,
    /// SPIRE's JSON: one object with `time`, `level`, `msg` and the fields.
    Json,
}

/// Whose lines a program writes when its configuration does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Ours: of `signet` under its own name.
    Ours,
    /// SPIRE's: of a program that stands in the place of one of its daemons.
    Spire,
}

/// The form that was settled on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Readable,
    Text(Fraction),
    Json,
}

/// How exact the time of SPIRE's text is: it has whole seconds when nobody asks for a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fraction {
    Shown,
    Cut,
}

impl Form {
    pub(super) fn new(format: Format, manner: Manner) -> Self {
        match (format, manner) {
            (Format::Unsaid, Manner::Ours) | (Format::Readable, _) => Self::Readable,
            (Format::Unsaid, Manner::Spire) => Self::Text(Fraction::Cut),
            (Format::Text, _) => Self::Text(Fraction::Shown),
            (Format::Json, _) => Self::Json,
        }
    }

    pub(super) fn is_of_spire(self) -> bool {
        match self {
            Self::Readable => false,
            Self::Text(_) | Self::Json => true,
        }
    }
}

/// SPIRE's levels. `Panic` and `Fatal` are accepted and kept, but silence nothing that is an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
#[expect(missing_docs, reason = "the names say all there is")]
pub enum Level {
    Panic,
    Fatal,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// A text that names no level or format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no log {what}; choose one of {choices}")]
pub struct NameError {
    given: String,
    what: &'static str,
    choices: &'static str,
}

impl FromStr for Level {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "panic" => Self::Panic,
            "fatal" => Self::Fatal,
            "error" => Self::Error,
            "warn" | "warning" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => {
                return Err(NameError {
                    given: text.to_owned(),
                    what: "level",
                    choices: "ERROR, WARN, INFO, DEBUG, TRACE",
                });
            }
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panic => "panic",
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warn => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

impl FromStr for Format {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.to_ascii_lowercase().as_str() {
            "" => Ok(Self::Unsaid),
            "readable" => Ok(Self::Readable),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(NameError {
                given: text.to_owned(),
                what: "format",
                choices: "text, json, readable",
            }),
        }
    }
}

impl TryFrom<String> for Level {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl TryFrom<String> for Format {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}
