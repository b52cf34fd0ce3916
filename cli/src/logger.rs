//! `logger get`, `set` and `reset`: the level of a running daemon's log.

use anyhow::{Context as _, bail};
use signet_daemon::log::{Level, of_wire, to_wire};
use signet_proto::spire::api::types::Logger;

use crate::output::{Answer, Text};

/// The level to set.
#[derive(Debug, clap::Args)]
pub(crate) struct NewLevel {
    /// The new log level, one of panic, fatal, error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
}

impl NewLevel {
    /// As the wire has it.
    pub(crate) fn to_wire(&self) -> anyhow::Result<i32> {
        let Some(name) = self.level.as_deref().filter(|name| !name.is_empty()) else {
            bail!("a value (-level) must be set");
        };
        let level: Option<Level> = name.parse().ok();
        let level = level.with_context(|| format!("the value {name:?} is not a valid setting"))?;
        Ok(to_wire(level).into())
    }
}

/// What a daemon says of its log.
pub(crate) fn answer(logger: &Logger) -> anyhow::Result<Answer> {
    let text = format!(
        "Logger Level : {}\nLaunch Level : {}\n\n",
        word(logger.current_level, "current")?,
        word(logger.launch_level, "launch")?
    );
    Answer::message(logger, "spire.api.types.Logger", Text::out(text))
}

/// A level in the words of SPIRE's commands.
fn word(level: i32, which: &str) -> anyhow::Result<Level> {
    of_wire(level).with_context(|| format!("the daemon's answer names no {which} log level"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_that_spires_commands_take_in_any_case() {
        let level = |name: &str| {
            NewLevel {
                level: Some(name.to_owned()),
            }
            .to_wire()
        };
        for (name, expected) in [("warn", 4), ("Warning", 4), ("DEBUG", 6), ("panic", 1)] {
            assert_eq!(level(name).unwrap(), expected, "{name}");
        }
        let refused = |name| level(name).unwrap_err().to_string();
        assert_eq!(refused(""), "a value (-level) must be set");
        assert_eq!(refused("loud"), "the value \"loud\" is not a valid setting");
    }

    #[test]
    fn an_answer_without_a_level_is_no_answer() {
        assert!(answer(&Logger::default()).is_err());
    }
}
