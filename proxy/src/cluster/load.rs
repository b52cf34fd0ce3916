//! How much is under way in a cluster, over all threads, and how much may be.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use signet_mesh::{RecentRequests, TrafficPolicy};

/// What is under way in a cluster.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Tries of requests and connections, until the answer has ended.
    requests: Arc<Count>,
    /// Those among them that are repetitions, or will be after a pause.
    retries: Arc<Count>,
    /// Those that began a short while ago, if the policy asks for them.
    recent: Mutex<RecentRequests>,
}

/// How much is under way in a cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnderWay {
    pub(crate) requests: u32,
    pub(crate) retries: u32,
}

/// How many of something there are.
#[derive(Debug, Default)]
struct Count(AtomicU32);

/// One of what is counted, until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Count>);

impl Load {
    /// Counts one more request; none if there are as many as may be.
    pub(super) fn request(&self, policy: &TrafficPolicy, now: Duration) -> Option<Counted> {
        let counted = Count::take(&self.requests, policy.connection_pool.http.max_requests)?;
        if let Some(interval) = interval(policy) {
            self.recent().add(now, interval);
        }
        Some(counted)
    }

    /// Counts one more repetition; none if there are as many as may be.
    pub(super) fn retry(
        &self,
        policy: &TrafficPolicy,
        now: impl FnOnce() -> Duration,
    ) -> Option<Counted> {
        let mut requests = self.requests.0.load(Ordering::Relaxed);
        if let Some(interval) = interval(policy) {
            requests = requests.max(self.recent().count(now(), interval));
        }
        let most = match &policy.retry_budget {
            Some(budget) => budget.most(requests),
            None => policy.connection_pool.http.max_retries,
        };
        Count::take(&self.retries, most)
    }

    /// How many requests are under way, and how many repetitions among them.
    pub(super) fn now(&self) -> UnderWay {
        let now = |count: &Count| count.0.load(Ordering::Relaxed);
        UnderWay {
            requests: now(&self.requests),
            retries: now(&self.retries),
        }
    }

    fn recent(&self) -> MutexGuard<'_, RecentRequests> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn interval(policy: &TrafficPolicy) -> Option<Duration> {
    policy.retry_budget?.interval
}

impl Count {
    fn take(count: &Arc<Self>, most: u32) -> Option<Counted> {
        let more = |count: u32| (count < most).then(|| count.saturating_add(1));
        let counted = count
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        counted.ok().map(|_before| Counted(Arc::clone(count)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
