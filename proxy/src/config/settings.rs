//! What is set, as it was written: a reload compares it with what was set before.

use signet_daemon::config::Settings;

use super::RunFlags;

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
