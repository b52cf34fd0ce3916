//! How much one identity may ask: a bucket of tokens for each, over all threads, which fills again
//! with time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use signet_identity::SpiffeId;
use tokio::time::Instant;

use crate::config::LocalRateLimit;

/// The buckets of all identities.
#[derive(Debug)]
pub(super) struct Rates {
    limit: LocalRateLimit,
    buckets: Mutex<HashMap<SpiffeId, Arc<Bucket>>>,
    /// Of those for whom there is no room.
    others: Arc<Bucket>,
}

/// What one identity may still ask.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: LocalRateLimit,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: u32,
    /// Up to when it was filled.
    filled: Instant,
}

impl Rates {
    pub(super) fn new(limit: LocalRateLimit, now: Instant) -> Self {
        Self {
            limit,
            buckets: Mutex::default(),
            others: Arc::new(Bucket::full(limit, now)),
        }
    }

    /// The bucket of an identity; those who have none share one. What it has used is not forgotten
    /// when it comes back on another connection.
    pub(super) fn of(&self, id: Option<&SpiffeId>, now: Instant) -> Arc<Bucket> {
        let Some(id) = id else {
            return Arc::clone(&self.others);
        };
        let mut buckets = lock(&self.buckets);
        if let Some(bucket) = buckets.get(id) {
            return Arc::clone(bucket);
        }
        if buckets.len() >= MOST_IDENTITIES {
            buckets.retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.is_full(now));
        }
        if buckets.len() >= MOST_IDENTITIES {
            return Arc::clone(&self.others);
        }
        let bucket = Arc::new(Bucket::full(self.limit, now));
        buckets.insert(id.clone(), Arc::clone(&bucket));
        bucket
    }
}

impl Bucket {
    fn full(limit: LocalRateLimit, now: Instant) -> Self {
        let state = State {
            tokens: limit.max_tokens,
            filled: now,
        };
        Self {
            limit,
            state: Mutex::new(state),
        }
    }

    /// Takes a token; false if there is none.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut state = lock(&self.state);
        state.fill(self.limit, now);
        let left = state.tokens.checked_sub(1);
        state.tokens = left.unwrap_or_default();
        left.is_some()
    }

    fn is_full(&self, now: Instant) -> bool {
        let mut state = lock(&self.state);
        state.fill(self.limit, now);
        state.tokens >= self.limit.max_tokens
    }
}

impl State {
    /// Adds what came in whole intervals since.
    fn fill(&mut self, limit: LocalRateLimit, now: Instant) {
        let since = now.saturating_duration_since(self.filled);
        let intervals = since.as_nanos() / limit.fill_interval.as_nanos().max(1);
        let Ok(intervals) = u32::try_from(intervals) else {
            (self.tokens, self.filled) = (limit.max_tokens, now);
            return;
        };
        if intervals == 0 {
            return;
        }
        let added = limit.tokens_per_fill.saturating_mul(intervals);
        self.tokens = self.tokens.saturating_add(added).min(limit.max_tokens);
        let filled = limit.fill_interval.checked_mul(intervals);
        self.filled += filled.unwrap_or(Duration::ZERO);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each with some 200 bytes; whoever comes then shares one bucket with the others.
const MOST_IDENTITIES: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: LocalRateLimit = LocalRateLimit {
        max_tokens: 3,
        tokens_per_fill: 2,
        fill_interval: Duration::from_secs(1),
    };

    fn id(name: &str) -> SpiffeId {
        format!("spiffe://example.org/{name}").parse().unwrap()
    }

    fn taken(rates: &Rates, name: &str, tries: usize, now: Instant) -> usize {
        let bucket = rates.of(Some(&id(name)), now);
        (0..tries).filter(|_| bucket.take(now)).count()
    }

    #[test]
    fn one_identity_has_its_tokens_and_gets_them_back_with_time() {
        let start = Instant::now();
        let rates = Rates::new(LIMIT, start);
        assert_eq!(taken(&rates, "a", 5, start), 3);
        assert_eq!(taken(&rates, "b", 5, start), 3, "another has its own");
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(taken(&rates, "a", 5, after(999)), 0);
        assert_eq!(taken(&rates, "a", 5, after(1000)), 2);
        assert_eq!(taken(&rates, "a", 5, after(1999)), 0);
        // Never more than the bucket holds.
        assert_eq!(taken(&rates, "a", 9, after(1_000_000_000_000)), 3);
    }

    #[test]
    fn identities_beyond_the_bound_share_one_bucket() {
        let start = Instant::now();
        let rates = Rates::new(LIMIT, start);
        for number in 0..MOST_IDENTITIES {
            assert_eq!(taken(&rates, &number.to_string(), 1, start), 1);
        }
        assert_eq!(taken(&rates, "late", 5, start), 3);
        assert_eq!(taken(&rates, "later", 5, start), 0);
        // When the others have rested, there is room again.
        let rested = start + Duration::from_secs(10);
        assert_eq!(taken(&rates, "later", 5, rested), 3);
        assert_eq!(lock(&rates.buckets).len(), 1);
    }
}
