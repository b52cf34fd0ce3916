//! How long an endpoint takes to answer, lately: a mean that rises at once with an answer that is
//! slower, and falls by and by. Known as the peak-sensitive EWMA of Finagle and Linkerd.

use std::time::Duration;

/// How long an endpoint takes to answer, lately. By default nothing is known of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeakEwma {
    /// As it was at that time; to a microsecond, 0 being that nothing is known.
    micros: u32,
    /// To a millisecond, which begins anew after 49 days.
    at: u32,
}

impl PeakEwma {
    /// The same after one more answer, which took so long. `now` is any time that runs on.
    #[must_use]
    pub fn with(self, latency: Duration, now: Duration) -> Self {
        let at = millis(now);
        let latency = latency.max(SHORTEST);
        if self.micros == 0 || latency >= self.mean(at) {
            let micros = micros(latency);
            return Self { micros, at };
        }
        let old = self.fade(at);
        let before = Duration::from_micros(self.micros.into());
        let mean = before
            .mul_f64(old)
            .saturating_add(latency.mul_f64(1.0 - old));
        Self {
            micros: micros(mean),
            at,
        }
    }

    /// How long the next answer is taken to need. One that had no call for a while is taken to be
    /// quicker, so that it gets one.
    /// None as long as nothing is known of it.
    pub fn latency(self, now: Duration) -> Option<Duration> {
        (self.micros > 0).then(|| self.mean(millis(now)).max(SHORTEST))
    }

    /// In one number, for atomics; 0 is that nothing is known.
    pub fn packed(self) -> u64 {
        u64::from(self.micros) << u32::BITS | u64::from(self.at)
    }

    /// What was packed.
    pub fn unpacked(packed: u64) -> Self {
        let half = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default();
        Self {
            micros: half(packed >> u32::BITS),
            at: half(packed),
        }
    }

    fn mean(self, now: u32) -> Duration {
        Duration::from_micros(self.micros.into()).mul_f64(self.fade(now))
    }

    /// What is left of it by then: from 1 down to 0.
    fn fade(self, now: u32) -> f64 {
        let age = Duration::from_millis(now.wrapping_sub(self.at).into());
        (-age.as_secs_f64() / DECAY.as_secs_f64()).exp()
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX).max(1)
}

fn millis(time: Duration) -> u32 {
    let millis = time.as_millis() & u128::from(u32::MAX);
    u32::try_from(millis).unwrap_or_default()
}

/// After so long without an answer a third of it is left, as in Linkerd.
const DECAY: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_micros(1);
