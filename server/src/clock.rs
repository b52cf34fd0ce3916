//! The one place of the server that reads the clock. Loops and handlers ask here; logic takes
//! `now` as an argument.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

#[expect(
    clippy::disallowed_methods,
    reason = "the one reading of the clock; everything below takes the time as an argument"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// The clock, and beside it the one that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) now: SystemTime,
    steady: Instant,
}

impl Reading {
    pub(crate) fn take() -> Self {
        Self {
            now: now(),
            steady: Instant::now(),
        }
    }

    /// Whether the clock was set between `before` and this reading, or the machine slept. What
    /// cannot be undone should then wait, as the time may be wrong for a moment.
    pub(crate) fn jumped_since(&self, before: &Self) -> bool {
        let passed = self.steady.saturating_duration_since(before.steady);
        let Some(expected) = before.now.checked_add(passed) else {
            return true;
        };
        let off = self.now.duration_since(expected);
        off.unwrap_or_else(|ahead| ahead.duration()) > JUMP
    }
}

/// More than any clock drifts between two looks, less than any lifetime.
const JUMP: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_as_time_does_has_not_jumped() {
        let before = Reading::take();
        let after = |wall: SystemTime, passed| Reading {
            now: wall,
            steady: before.steady + Duration::from_secs(passed),
        };
        let seconds = Duration::from_secs;
        assert!(!after(before.now + seconds(300), 300).jumped_since(&before));
        assert!(!after(before.now + seconds(330), 300).jumped_since(&before));
        assert!(after(before.now + seconds(3600), 300).jumped_since(&before));
        assert!(after(before.now, 300).jumped_since(&before));
        assert!(after(before.now - seconds(3600), 10).jumped_since(&before));
    }
}
