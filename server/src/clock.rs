//! The one place of the server that reads the clock. Loops and handlers ask here; logic takes
//! `now` as an argument.

use std::time::SystemTime;

#[expect(
    clippy::disallowed_methods,
    reason = "the one reading of the clock; everything below takes the time as an argument"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
