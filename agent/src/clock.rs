//! The one place of the agent that reads the clock; all logic takes `now` as an argument.

use std::time::SystemTime;

/// The time of day, for loops and request handlers.
#[expect(
    clippy::disallowed_methods,
    reason = "the agent's loops read the clock here and hand it down"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
