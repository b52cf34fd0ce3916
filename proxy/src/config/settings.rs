//! What is set, as it was written: a reload compares it with what was set before.

use signet_daemon::config::Settings;

use super::RunFlags;

/// What the file sets, without what flags hide.
pub(super) fn settings(file: &serde_json::Value, flags: &RunFlags) -> Settings {
    Settings::of(file).without(flags.hidden())
}
