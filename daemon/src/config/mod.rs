//! Configuration files: HCL version 1 or JSON, read into a tree that knows the line of every key.
//!
//! A daemon writes down which settings it has as one constant [`Table`], lets [`Document::check`]
//! compare the file with it, and then reads each block into a type of its own with
//! [`Document::section`]. Every mistake is reported with file and line, all in one error.

use std::{io::Read, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

mod block;
mod de;
mod duration;
mod env;
mod error;
mod flag;
mod nearest;
mod parse;
mod scan;
mod schema;
mod settings;
mod telemetry;
mod tree;
mod without_effect;

pub use block::Block;
pub use duration::{DurationError, Period, duration};
pub use error::{ConfigError, Problem};
pub use flag::{FlagError, lay_over};
pub use nearest::nearest;
pub use schema::{Key, Table};
pub use settings::Settings;
pub use telemetry::TELEMETRY;
pub use without_effect::WithoutEffect;

use tree::Node;

/// One configuration file, parsed but not yet interpreted.
#[derive(Debug, Clone)]
pub struct Document {
    name: String,
    root: Node,
}

impl Document {
    /// Reads the file at `path`. With `expand_env`, `$VAR` and `${VAR}` are replaced in the text
    /// before it is parsed.
    ///
    /// # Errors
    /// A file that cannot be read, is too large for a configuration or is no UTF-8; every variable
    /// that is not set (`expand_env`); or what [`Self::parse`] says.
    pub fn read(path: &Path, expand_env: bool) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = read_text(path, &name)?;
        if !expand_env {
            return Self::parse(&text, &name);
        }
        let text = env::expand(&text, &name, env::variable)?;
        Self::parse(&text, &name)
    }

    /// Parses `text`; `name` is what error messages call it. JSON is told by its opening brace, or
    /// by the name's ending.
    ///
    /// # Errors
    /// The first place at which `text` is neither HCL nor JSON, with its line.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let json = text.trim_start().starts_with('{') || name.ends_with(".json");
        let root = if json {
            parse::json(text)
        } else {
            parse::hcl(text)
        };
        match root {
            Ok(root) => Ok(Self {
                name: name.to_owned(),
                root,
            }),
            Err(fault) => Err(fault.in_file(name)),
        }
    }

    /// What error messages call this document: its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Compares every key of the document with `table` and reports all mistakes together. What is
    /// returned are the settings that are taken without an effect ([`Key::Tuning`]).
    ///
    /// # Errors
    /// Every key that is unknown, not supported, or of another kind, with its line.
    pub fn check(&self, table: Table) -> Result<WithoutEffect, ConfigError> {
        schema::check(&self.name, &self.root, table)
    }

    /// Reads the block at `path` (`"server"`, `"plugins.KeyManager.disk.plugin_data"`) into `T`. A
    /// block that is absent reads as an empty one, so that defaults apply and a missing required
    /// setting is reported by its name.
    ///
    /// # Errors
    /// As [`Block::section`].
    pub fn section<T: DeserializeOwned>(&self, path: &str) -> Result<T, ConfigError> {
        self.root().section(path)
    }

    /// Whether anything is written at `path`.
    pub fn contains(&self, path: &str) -> bool {
        self.root().contains(path)
    }

    /// The labelled blocks below `path` in the order of the file: for `"plugins.NodeAttestor"`, one
    /// for each node attestor.
    ///
    /// # Errors
    /// As [`Block::blocks`].
    pub fn blocks(&self, path: &str) -> Result<Vec<Block<'_>>, ConfigError> {
        self.root().blocks(path)
    }

    /// The labelled blocks below `path` that are not switched off with `enabled = false`.
    ///
    /// # Errors
    /// What is not a block, and an `enabled` that is neither true nor false.
    pub fn enabled_blocks(&self, path: &str) -> Result<Vec<Block<'_>>, ConfigError> {
        let mut enabled = Vec::new();
        for block in self.blocks(path)? {
            let switch: Switch = block.body()?;
            if switch.enabled != Some(false) {
                enabled.push(block);
            }
        }
        Ok(enabled)
    }

    /// An error about the setting at `path`, with the line where it stands (or of the nearest block
    /// that exists).
    pub fn problem(&self, path: &str, message: impl Into<String>) -> ConfigError {
        self.root().problem(path, message)
    }

    /// The whole document as a block without a label.
    pub fn root(&self) -> Block<'_> {
        Block::root(&self.name, &self.root)
    }
}

/// What every plugin's block may say.
#[derive(Deserialize)]
struct Switch {
    enabled: Option<bool>,
}

/// Far above any real configuration; a path such as `/dev/zero` ends in an error, not in an
/// exhausted machine.
const LARGEST: u64 = 1 << 20;

fn read_text(path: &Path, name: &str) -> Result<String, ConfigError> {
    let unreadable = |error: std::io::Error| {
        ConfigError::whole(name, format!("cannot read the configuration file: {error}"))
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(ConfigError::whole(
            name,
            "the file is larger than 1 MiB, so it is not a configuration file",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error
            .as_bytes()
            .iter()
            .take(at)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        ConfigError::at(name, line, "the text is not UTF-8 from here on")
    })
}

#[cfg(test)]
mod tests;
