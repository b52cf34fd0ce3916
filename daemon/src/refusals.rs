//! Refusals as the log tells them: now and then, with their number. Each of them would only fill
//! it, and who is refused could then do that at will.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Counts the refusals that are not told yet.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Untold>);

impl Refusals {
    /// Counts one more at `now`; the number to be logged, if it is time.
    pub fn another(&self, now: Instant) -> Option<u64> {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        untold.count = untold.count.saturating_add(1);
        if untold.told.is_some_and(|told| now < told + QUIET) {
            return None;
        }
        untold.told = Some(now);
        Some(std::mem::take(&mut untold.count))
    }
}

#[derive(Debug, Default)]
struct Untold {
    count: u64,
    /// When some were told last.
    told: Option<Instant>,
}

const QUIET: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refusals_are_told_now_and_then_with_their_number() {
        let refusals = Refusals::default();
        assert_eq!(refusals.another(Instant::now()), Some(1));
        assert_eq!(refusals.another(Instant::now()), None);
        assert_eq!(refusals.another(Instant::now()), None);
        tokio::time::advance(QUIET).await;
        assert_eq!(refusals.another(Instant::now()), Some(3));
    }
}
