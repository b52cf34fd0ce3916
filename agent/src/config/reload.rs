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

/// What the document sets, with the flags laid over it.
pub(super) fn settings(document: &Document, flags: &RunFlags) -> Settings {
    let mut settings = document.settings();
    let texts = [
        ("join_token", &flags.join_token),
        ("log_format", &flags.log_format),
        ("log_level", &flags.log_level),
        ("server_address", &flags.server_address),
        ("trust_domain", &flags.trust_domain),
        ("trust_bundle_format", &flags.trust_bundle_format),
    ];
    for (name, flag) in texts {
        settings.lay_over(&format!("agent.{name}"), flag.as_ref());
    }
    let paths = [
        ("data_dir", &flags.data_dir),
        ("join_token_file", &flags.join_token_file),
        ("log_file", &flags.log_file),
        ("socket_path", &flags.socket_path),
        ("trust_bundle_path", &flags.trust_bundle),
    ];
    for (name, flag) in paths {
        let flag = flag.as_ref().map(|path| path.display());
        settings.lay_over(&format!("agent.{name}"), flag);
    }
    let switches = [
        ("log_source_location", flags.log_source_location),
        ("insecure_bootstrap", flags.insecure_bootstrap),
        (
            "allow_unauthenticated_verifiers",
            flags.allow_unauthenticated_verifiers,
        ),
    ];
    for (name, flag) in switches {
        settings.lay_over(&format!("agent.{name}"), flag.then_some(true));
    }
    settings.lay_over("agent.server_port", flags.server_port);
    for (path, value) in flags.of_one_effect() {
        settings.lay_over(path, Some(value));
    }
    settings
}
