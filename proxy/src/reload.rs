//! The configuration as one that is read again: which settings take effect at once, and what is
//! checked before they do.

use signet_daemon::{config::Settings, log::LogConfig, reload::Reloadable};

use crate::{config::Config, source};

impl Reloadable for Config {
    const LIVE: &'static [&'static str] = &[
        "logLevel",
        "mesh",
        "inbound",
        "outbound",
        "outboundTrafficPolicy",
    ];

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn log(&self) -> &LogConfig {
        &self.log
    }

    /// The mesh's documents can be put in force too.
    fn check(&self) -> anyhow::Result<()> {
        source::check(self)
    }
}
