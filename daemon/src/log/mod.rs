//! The log of a daemon: one line per event, for people or for machines, on the terminal or in a
//! file.
//!
//! [`init`] is called once, by the command; from then on [`installed`] gives the handle that
//! changes the level and reopens the file.

use std::{
    error::Error as StdError,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use serde::Deserialize;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Registry, filter::Targets, layer::SubscriberExt, reload};

mod fields;
mod line;
mod sink;

use line::Lines;
use sink::Sink;

/// How and where to log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// What is logged: this level and everything more severe.
    pub level: Level,
    /// For people or for machines.
    pub format: Format,
    /// Where the lines go.
    pub destination: Destination,
    /// Whether each line says where in the source it was written.
    pub source_location: bool,
}

/// Where log lines go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Destination {
    /// Standard output, as SPIRE does without a log file.
    #[default]
    Stdout,
    /// Standard error, for commands whose output is read by scripts.
    Stderr,
    /// A file, which is appended to.
    File(PathBuf),
}

/// The form of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Format {
    /// Time, level, sentence, `key=value`.
    #[default]
    Text,
    /// One JSON object with `time`, `level`, `msg` and the fields.
    Json,
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

/// Why there is no log, or no new log file.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened for appending.
    #[error("cannot open the log file {}: {}", .path.display(), crate::file::remedy(.source))]
    File {
        /// The log file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There is a log already; a process has one.
    #[error("the log of this process is already set up")]
    Twice,
}

/// A text that names no level or format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no log {what}; choose one of {choices}")]
pub struct NameError {
    given: String,
    what: &'static str,
    choices: &'static str,
}

/// Starts logging for the whole process.
pub fn init(config: &LogConfig) -> Result<LogHandle, LogError> {
    let (subscriber, handle) = build(config)?;
    // Whoever set a subscriber before us owns the log; the error says no more than that.
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        return Err(LogError::Twice);
    }
    Ok(INSTALLED.get_or_init(|| handle).clone())
}

/// The handle of the log that [`init`] started, if it did.
pub fn installed() -> Option<&'static LogHandle> {
    INSTALLED.get()
}

static INSTALLED: OnceLock<LogHandle> = OnceLock::new();

/// Changes a running log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogHandle {
    filter: reload::Handle<Targets, Registry>,
    level: Arc<Mutex<Level>>,
    launch_level: Level,
    sink: Arc<Sink>,
}

impl LogHandle {
    /// The level at this moment.
    pub fn level(&self) -> Level {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The level that the configuration asked for.
    pub fn launch_level(&self) -> Level {
        self.launch_level
    }

    /// Logs at another level from now on.
    pub fn set_level(&self, level: Level) {
        let mut current = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        // Fails only if the subscriber is gone, and then nothing is logged at any level.
        let _ = self.filter.reload(filter(level));
        *current = level;
    }

    /// Goes back to the level of the configuration.
    pub fn reset_level(&self) {
        self.set_level(self.launch_level);
    }

    /// Opens the log file anew, after it was moved away. On error, the old one is written on.
    pub fn reopen(&self) -> Result<(), LogError> {
        self.sink.reopen()
    }
}

fn build(
    config: &LogConfig,
) -> Result<(impl Subscriber + Send + Sync + use<>, LogHandle), LogError> {
    let sink = Arc::new(Sink::open(&config.destination)?);
    let (filter, reloading) = reload::Layer::new(filter(config.level));
    let lines = Lines::new(config.format, config.source_location, Arc::clone(&sink));
    let subscriber = Registry::default().with(filter).with(lines);
    let level = Arc::new(Mutex::new(config.level));
    Ok((
        subscriber,
        LogHandle {
            filter: reloading,
            level,
            launch_level: config.level,
            sink,
        },
    ))
}

/// Our own events at the level that was asked for. Those of libraries tell about frames and polls;
/// they are one level quieter from INFO on.
fn filter(level: Level) -> Targets {
    let (ours, libraries) = match level {
        Level::Panic | Level::Fatal | Level::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        Level::Warn => (LevelFilter::WARN, LevelFilter::WARN),
        Level::Info => (LevelFilter::INFO, LevelFilter::WARN),
        Level::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
        Level::Trace => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    Targets::new()
        .with_target("signet", ours)
        .with_default(libraries)
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

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
            "" | "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(NameError {
                given: text.to_owned(),
                what: "format",
                choices: "text, json",
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

/// An error and its causes on one line, as log lines and messages show it. A cause that its parent
/// already quotes is not said again.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
