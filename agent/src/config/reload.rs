//! The configuration as one that is read again: which settings take effect at once, and what the
//! flags hide.

use signet_daemon::{
    config::{Document, Settings},
    log::LogConfig,
    reload::Reloadable,
};

use super::{Config, RunFlags};

impl Reloadable for Config {
    const LIVE: &'static [&'static str] = &["agent.log_level"];

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn log(&self) -> &LogConfig {
        &self.log
    }
}

/// What the document sets, without what flags hide.
pub(super) fn settings(document: &Document, flags: &RunFlags) -> Settings {
    document.settings().without(flags.hidden())
}
