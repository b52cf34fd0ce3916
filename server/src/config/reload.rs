//! The configuration as one that is read again: which settings take effect at once, and what the
//! flags hide.

use signet_daemon::{
    config::{Document, Settings},
    log::LogConfig,
    reload::Reloadable,
};

use super::{Config, RunFlags};

impl Reloadable for Config {
    const LIVE: &'static [&'static str] =
        &["server.log_level", "server.admin_ids", "server.ratelimit"];

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn log(&self) -> &LogConfig {
        &self.log
    }
}

/// What the document sets, with the flags laid over it.
pub(super) fn settings(document: &Document, flags: &RunFlags) -> Settings {
    let mut settings = document.settings();
    let texts = [
        ("bind_address", &flags.bind_address),
        ("trust_domain", &flags.trust_domain),
        ("log_format", &flags.log_format),
        ("log_level", &flags.log_level),
    ];
    for (name, flag) in texts {
        settings.lay_over(&format!("server.{name}"), flag.as_ref());
    }
    let paths = [
        ("data_dir", &flags.data_dir),
        ("socket_path", &flags.socket_path),
        ("log_file", &flags.log_file),
    ];
    for (name, flag) in paths {
        let flag = flag.as_ref().map(|path| path.display());
        settings.lay_over(&format!("server.{name}"), flag);
    }
    settings.lay_over("server.bind_port", flags.server_port);
    let location = flags.log_source_location.then_some(true);
    settings.lay_over("server.log_source_location", location);
    settings
}
