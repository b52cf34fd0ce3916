//! Times as the wire carries them: whole seconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `time` in seconds since 1970, rounded down; negative before that.
pub fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            let partial = i64::from(before.subsec_nanos() > 0);
            whole.saturating_neg().saturating_sub(partial)
        }
    }
}

/// The time `seconds` after 1970, or `None` when the system cannot represent it.
pub fn time(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fractions_round_down_on_both_sides_of_1970() {
        let half = Duration::from_millis(500);
        assert_eq!(seconds(UNIX_EPOCH + half), 0);
        assert_eq!(seconds(UNIX_EPOCH - half), -1);
    }

    proptest! {
        #[test]
        fn seconds_survive_the_round_trip(value in -100_000_000_000_i64..100_000_000_000) {
            prop_assert_eq!(time(value).map(seconds), Some(value));
        }
    }
}
