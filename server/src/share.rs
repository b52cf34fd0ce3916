//! What one SPIFFE ID may hold at a time: a caller that has been taken over is authenticated, and
//! may still not take what all callers share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use signet_identity::SpiffeId;
use tokio::time::Instant;
use tracing::warn;

/// The caller holds as many as one may.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} has {most} {what} open, as many as one caller may; end some of them first")]
pub(crate) struct HasItsShare {
    id: SpiffeId,
    what: &'static str,
    most: usize,
}

/// A bound on what each caller holds of one thing. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    what: &'static str,
    most: usize,
    held: Arc<Mutex<Held>>,
}

/// The right to one more; it ends with the value.
#[derive(Debug)]
pub(crate) struct Permit {
    id: SpiffeId,
    held: Arc<Mutex<Held>>,
}

impl Limiter {
    /// At most `most` for each caller; `what` they are, for the log and the caller.
    pub(crate) fn new(what: &'static str, most: usize) -> Self {
        Self {
            what,
            most,
            held: Arc::default(),
        }
    }

    /// One more for `id`. Refusals are logged now and then; each of them would only fill the log.
    pub(crate) fn take(&self, id: &SpiffeId) -> Result<Permit, HasItsShare> {
        let mut held = lock(&self.held);
        let count = held.counts.get(id).copied().unwrap_or_default();
        if count < self.most {
            held.counts.insert(id.clone(), count.saturating_add(1));
            return Ok(Permit {
                id: id.clone(),
                held: Arc::clone(&self.held),
            });
        }
        let to_say = held.refused_at(Instant::now());
        drop(held);
        if let Some(refused) = to_say {
            warn!(caller_id = %id, most = self.most, refused, "a caller has as many {} open as one may", self.what);
        }
        Err(HasItsShare {
            id: id.clone(),
            what: self.what,
            most: self.most,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        let Some(count) = held.counts.get_mut(&self.id) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            held.counts.remove(&self.id);
        }
    }
}

#[derive(Debug, Default)]
struct Held {
    /// Those who hold something.
    counts: HashMap<SpiffeId, usize>,
    /// Refusals since the last one that was logged, of whomever.
    unsaid: u64,
    said: Option<Instant>,
}

impl Held {
    /// Counts one more refusal; the number to be logged, if it is time.
    fn refused_at(&mut self, now: Instant) -> Option<u64> {
        self.unsaid = self.unsaid.saturating_add(1);
        if self.said.is_some_and(|said| now < said + QUIET) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

fn lock(held: &Mutex<Held>) -> std::sync::MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

const QUIET: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> SpiffeId {
        SpiffeId::new(format!("spiffe://example.org/spire/agent/{name}")).unwrap()
    }

    #[tokio::test]
    async fn a_caller_at_its_bound_is_refused_and_no_other() {
        let limiter = Limiter::new("requests", 2);
        let first = limiter.take(&id("a")).unwrap();
        let _second = limiter.take(&id("a")).unwrap();
        let refused = limiter.take(&id("a")).unwrap_err();
        let told = "spiffe://example.org/spire/agent/a has 2 requests open, as many as one \
                    caller may; end some of them first";
        assert_eq!(refused.to_string(), told);
        let _other = limiter.take(&id("b")).unwrap();
        drop(first);
        let _third = limiter.take(&id("a")).unwrap();
    }

    #[tokio::test]
    async fn a_caller_that_holds_nothing_is_not_remembered() {
        let limiter = Limiter::new("requests", 1);
        for n in 0..1000 {
            drop(limiter.take(&id(&n.to_string())));
        }
        assert!(lock(&limiter.held).counts.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_told_now_and_then_with_their_number() {
        let mut held = Held::default();
        assert_eq!(held.refused_at(Instant::now()), Some(1));
        assert_eq!(held.refused_at(Instant::now()), None);
        tokio::time::advance(QUIET).await;
        assert_eq!(held.refused_at(Instant::now()), Some(2));
    }
}
