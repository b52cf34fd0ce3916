//! Pauses between attempts: longer each time, up to a limit, and a little different on each node.

use std::time::{Duration, SystemTime};

use signet_identity::crypto;

/// Counts failures and says how long to wait.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// Forgets the failures.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Notes a failure; returns the pause before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        // Without randomness the pauses are still right, only not spread.
        let jitter = crypto::random::<1>().map_or(0, |[byte]| byte);
        self.pause_with(jitter)
    }

    /// Doubles from the first pause to the longest; the jitter takes up to a fifth away.
    fn pause_with(&mut self, jitter: u8) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let pause = self.first.saturating_mul(factor).min(self.longest);
        pause.mul_f64(1.0 - 0.2 * f64::from(jitter) / 255.0)
    }
}

/// How long to sleep towards a time of day. Sleeps are short, so that a clock that was set, or a
/// machine that was suspended, is noticed.
pub(crate) fn nap(until: Option<SystemTime>, now: SystemTime) -> Duration {
    let left = until.map(|until| until.duration_since(now).unwrap_or_default());
    left.map_or(LONGEST_NAP, |left| left.min(LONGEST_NAP))
}

const LONGEST_NAP: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_grow_to_the_limit_and_never_beyond(jitters: Vec<u8>) {
            let (first, longest) = (Duration::from_millis(500), Duration::from_secs(60));
            let mut backoff = Backoff::new(first, longest);
            for jitter in jitters {
                let pause = backoff.pause_with(jitter);
                prop_assert!(pause >= first.mul_f64(0.79) && pause <= longest);
            }
            backoff.reset();
            prop_assert_eq!(backoff.pause_with(0), first);
        }
    }

    #[test]
    fn naps_end_at_the_time_or_soon_enough_to_see_the_clock_jump() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let second = Duration::from_secs(1);
        assert_eq!(nap(Some(now + second), now), second);
        assert_eq!(nap(Some(now - second), now), Duration::ZERO);
        assert_eq!(nap(Some(now + second * 3600), now), LONGEST_NAP);
        assert_eq!(nap(None, now), LONGEST_NAP);
    }
}
