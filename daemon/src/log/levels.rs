//! What SPIRE's Logger services do, of which the server and the agent have one each.

use signet_proto::spire::api::types::{LogLevel, Logger};
use tracing::info;

use super::{Level, LogHandle, installed};

/// Why a level was not told or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// This process logs through somebody else's subscriber.
    #[error("this process has no log of its own")]
    NoLog,
    /// The caller did not say which.
    #[error("newLevel value cannot be LogLevel_UNSPECIFIED")]
    Unspecified,
    /// A number that names no level.
    #[error("log level {0} is not known")]
    Unknown(i32),
}

/// The level now, and that of the start.
///
/// # Errors
/// There is no log.
pub fn levels() -> Result<Logger, LevelError> {
    let told = told(handle()?);
    info!(name: "log_level_read", "the log level was read");
    Ok(told)
}

/// Logs at this level of the wire from now on.
///
/// # Errors
/// The level is none, or there is no log.
pub fn set_level(asked: i32) -> Result<Logger, LevelError> {
    let level = of_wire(asked)?;
    let handle = handle()?;
    handle.set_level(level);
    info!(name: "log_level_set", level = %level, "the log level was changed");
    Ok(told(handle))
}

/// Logs at the level of the configuration again.
///
/// # Errors
/// There is no log.
pub fn reset_level() -> Result<Logger, LevelError> {
    let handle = handle()?;
    handle.reset_level();
    info!(
        name: "log_level_reset",
        launch_log_level = %handle.launch_level(),
        "the log level was reset"
    );
    Ok(told(handle))
}

/// A level as the wire has it.
#[must_use]
pub fn to_wire(level: Level) -> LogLevel {
    match level {
        Level::Panic => LogLevel::Panic,
        Level::Fatal => LogLevel::Fatal,
        Level::Error => LogLevel::Error,
        Level::Warn => LogLevel::Warn,
        Level::Info => LogLevel::Info,
        Level::Debug => LogLevel::Debug,
        Level::Trace => LogLevel::Trace,
    }
}

/// A level that came over the wire.
///
/// # Errors
/// It is none of them.
pub fn of_wire(asked: i32) -> Result<Level, LevelError> {
    match LogLevel::try_from(asked) {
        Ok(LogLevel::Panic) => Ok(Level::Panic),
        Ok(LogLevel::Fatal) => Ok(Level::Fatal),
        Ok(LogLevel::Error) => Ok(Level::Error),
        Ok(LogLevel::Warn) => Ok(Level::Warn),
        Ok(LogLevel::Info) => Ok(Level::Info),
        Ok(LogLevel::Debug) => Ok(Level::Debug),
        Ok(LogLevel::Trace) => Ok(Level::Trace),
        Ok(LogLevel::Unspecified) => Err(LevelError::Unspecified),
        Err(_unknown) => Err(LevelError::Unknown(asked)),
    }
}

fn handle() -> Result<&'static LogHandle, LevelError> {
    installed().ok_or(LevelError::NoLog)
}

fn told(handle: &LogHandle) -> Logger {
    Logger {
        current_level: to_wire(handle.level()).into(),
        launch_level: to_wire(handle.launch_level()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_reads_back_and_none_and_unknown_ones_are_refused() {
        for asked in 1..=7 {
            assert_eq!(i32::from(to_wire(of_wire(asked).unwrap())), asked);
        }
        assert_eq!(of_wire(0), Err(LevelError::Unspecified));
        assert_eq!(of_wire(8), Err(LevelError::Unknown(8)));
    }
}
