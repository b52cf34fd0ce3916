//! The one place where the proxy reads the clock.

use std::time::SystemTime;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The wall clock.
#[expect(
    clippy::disallowed_methods,
    reason = "connections ask for the time here and pass it on"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// A time for people, RFC 3339.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    OffsetDateTime::from(time)
        .format(&Rfc3339)
        .unwrap_or_else(|_| "?".to_owned())
}
