//! The log of a daemon: one line per event, for people or for machines, on the terminal or in a
//! file.
//!
//! [`init`] is called once, by the command; from then on [`installed`] gives the handle that
//! changes the level and reopens the file.

use std::{
    error::Error as StdError,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tracing::Subscriber;
use tracing_subscriber::{Registry, layer::SubscriberExt, reload};

mod code;
mod fields;
mod gather;
mod levels;
mod line;
mod logrus;
mod names;
mod readable;
mod scope;
mod sink;
mod spire;
mod threshold;
mod time;

pub use code::code_name;
pub use gather::{gather, line, write_gathered};
pub use levels::{LevelError, levels, of_wire, reset_level, set_level, to_wire};
use line::Lines;
use names::Form;
pub use names::{Format, Level, Manner, NameError};
pub use scope::{Say, Scope};
use sink::Sink;
use threshold::Threshold;
pub use time::Moment;

/// How and where to log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// What is logged: this level and everything more severe.
    pub level: Level,
    /// The form of the lines.
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

impl From<Option<PathBuf>> for Destination {
    /// The log file of a configuration, if it names one.
    fn from(file: Option<PathBuf>) -> Self {
        file.map_or(Self::Stdout, Self::File)
    }
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

/// Starts logging for the whole process, in the program's manner where the configuration names no
/// format.
///
/// # Errors
///
/// When the log file cannot be opened, or there is a log already.
pub fn init(config: &LogConfig, manner: Manner) -> Result<LogHandle, LogError> {
    let (subscriber, handle) = build(config, manner)?;
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
    threshold: reload::Handle<Threshold, Registry>,
    level: Arc<Mutex<Levels>>,
    sink: Arc<Sink>,
}

#[derive(Debug)]
struct Levels {
    now: Level,
    /// What the configuration asks for.
    configured: Level,
}

impl LogHandle {
    /// The level at this moment.
    pub fn level(&self) -> Level {
        self.levels().now
    }

    /// The level that the configuration asks for.
    pub fn launch_level(&self) -> Level {
        self.levels().configured
    }

    /// Logs at another level from now on.
    pub fn set_level(&self, level: Level) {
        let mut levels = self.levels();
        // Fails only if the subscriber is gone, and then nothing is logged at any level.
        let _ = self.threshold.modify(|threshold| threshold.level = level);
        levels.now = level;
    }

    /// Logs at the level of a new configuration, and goes back to that from now on.
    pub fn configure_level(&self, level: Level) {
        self.levels().configured = level;
        self.set_level(level);
    }

    /// Goes back to the level of the configuration.
    pub fn reset_level(&self) {
        self.set_level(self.launch_level());
    }

    fn levels(&self) -> MutexGuard<'_, Levels> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the log file anew, after it was moved away. On error, the old one is written on.
    ///
    /// # Errors
    /// The file cannot be opened or created at its path.
    pub fn reopen(&self) -> Result<(), LogError> {
        self.sink.reopen()
    }
}

fn build(
    config: &LogConfig,
    manner: Manner,
) -> Result<(impl Subscriber + Send + Sync + use<>, LogHandle), LogError> {
    let sink = Arc::new(Sink::open(&config.destination)?);
    let form = Form::new(config.format, manner);
    let (threshold, reloading) = reload::Layer::new(Threshold::new(config.level, form));
    let lines = Lines::new(form, config.source_location, Arc::clone(&sink));
    let subscriber = Registry::default().with(threshold).with(lines);
    let levels = Levels {
        now: config.level,
        configured: config.level,
    };
    Ok((
        subscriber,
        LogHandle {
            threshold: reloading,
            level: Arc::new(Mutex::new(levels)),
            sink,
        },
    ))
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
