//! `/logging`: the level of the log, read and changed.

use http::StatusCode;
use tracing::info;

use crate::{
    http::{Answer, text},
    log::{self, Level},
};

/// The level now.
pub(super) fn level() -> Answer {
    match log::installed() {
        Some(handle) => text(StatusCode::OK, format!("level: {}\n", handle.level())),
        None => no_log(),
    }
}

/// Logs at the level of the query from now on, until it is changed again or the daemon restarts.
pub(super) fn set_level(query: Option<&str>) -> Answer {
    let given = query.and_then(|query| query.strip_prefix("level="));
    let Some(given) = given else {
        let remedy = "name a level: POST /logging?level=debug\n";
        return text(StatusCode::BAD_REQUEST, remedy);
    };
    let level: Level = match given.parse() {
        Ok(level) => level,
        Err(unknown) => return text(StatusCode::BAD_REQUEST, format!("{unknown}\n")),
    };
    let Some(handle) = log::installed() else {
        return no_log();
    };
    handle.set_level(level);
    info!(%level, "the log level was changed by the admin endpoint");
    text(StatusCode::OK, format!("level: {level}\n"))
}

fn no_log() -> Answer {
    text(
        StatusCode::SERVICE_UNAVAILABLE,
        "this process has no log of its own\n",
    )
}
