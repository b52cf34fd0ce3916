//! The configuration as one that is read again: which settings take effect at once, and what the
//! flags hide.

use signet_daemon::{config::Settings, log::LogConfig, reload::Reloadable};

use super::{Config, RunFlags};
use crate::policy;

impl Reloadable for Config {
    const LIVE: &'static [&'static str] = &["logLevel", "policies", "inbound", "outbound"];

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn log(&self) -> &LogConfig {
        &self.log
    }

    /// The policies can be put in force too.
    fn check(&self) -> anyhow::Result<()> {
        policy::check(self)
    }
}

/// What the file sets, with the flags laid over it.
pub(super) fn settings(file: &serde_json::Value, flags: &RunFlags) -> Settings {
    let mut settings = Settings::of(file);
    settings.lay_over("workloadApi", flags.socket_path.as_ref());
    settings.lay_over("logLevel", flags.log_level.as_ref());
    settings.lay_over("logFormat", flags.log_format.as_ref());
    let log_file = flags.log_file.as_ref().map(|path| path.display());
    settings.lay_over("logFile", log_file);
    settings
}
