//! The health checks of a cluster: each endpoint is asked by one task for all threads, beside the
//! requests, as long as the model has it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use signet_mesh::{CheckedHealth, HealthCheck, TrafficPolicy};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::{
    ground::Ground,
    to_check::{CheckedAs, ToCheck},
};
use crate::pool::{Address, Probe};

/// The health checks of a cluster.
#[derive(Debug)]
pub(super) struct Checks {
    /// Its name in logs.
    cluster: Arc<str>,
    /// How many endpoints are unwell.
    unwell: Arc<AtomicUsize>,
    checked: Mutex<HashMap<Address, Checked>>,
}

/// An endpoint that is checked.
#[derive(Debug)]
struct Checked {
    of: CheckedAs,
    health: Arc<EndpointHealth>,
    _task: AbortOnDropHandle<()>,
}

/// What is known of an endpoint.
#[derive(Debug, Default)]
pub(super) struct EndpointHealth {
    found: Mutex<CheckedHealth>,
    /// Of its cluster.
    unwell: Arc<AtomicUsize>,
}

impl Checks {
    /// None yet.
    pub(super) fn new(cluster: Arc<str>) -> Self {
        Self {
            cluster,
            unwell: Arc::default(),
            checked: Mutex::default(),
        }
    }

    /// From now on these are checked. What is known of those that are checked as they were is kept.
    #[expect(
        clippy::mutable_key_type,
        reason = "an address is known by its text, which never changes"
    )]
    pub(super) fn follow(&self, wanted: Vec<ToCheck>, ground: &Ground) {
        let mut checked = self.lock();
        let mut before = std::mem::take(&mut *checked);
        for to_check in wanted {
            let same = before.remove(&to_check.address);
            let same = same.filter(|it| it.of == to_check.of);
            if let Some(now) = same.or_else(|| self.start(&to_check, ground)) {
                checked.insert(to_check.address, now);
            }
        }
    }

    /// None if it cannot be asked: then it cannot be called, either, and calls say why.
    fn start(&self, to_check: &ToCheck, ground: &Ground) -> Option<Checked> {
        let probe = to_check.probe(ground).ok()?;
        let health = Arc::new(EndpointHealth {
            found: Mutex::default(),
            unwell: Arc::clone(&self.unwell),
        });
        let (cluster, of) = (Arc::clone(&self.cluster), to_check.of.clone());
        let checking = checking(cluster, probe, Arc::clone(&of.check), Arc::clone(&health));
        Some(Checked {
            of,
            health,
            _task: AbortOnDropHandle::new(ground.runtime.spawn(checking)),
        })
    }

    /// Which of these endpoints are unwell, by their places; none if all may be tried, as they are
    /// well, or so few are that the policy heeds no check.
    pub(super) fn barred<'e>(
        &self,
        endpoints: impl Iterator<Item = &'e Address>,
        policy: &TrafficPolicy,
    ) -> Vec<bool> {
        if self.unwell.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let checked = self.lock();
        let is_unwell = |address| {
            let found = checked.get(address).map(|it| it.health.verdict());
            found.flatten() == Some(false)
        };
        let barred: Vec<bool> = endpoints.map(is_unwell).collect();
        drop(checked);
        let well = barred.iter().filter(|is_barred| !**is_barred).count();
        let least = policy.outlier_detection.as_ref();
        let least = least.map_or(0, |it| usize::from(it.min_health_percent));
        match well.saturating_mul(100) < least.saturating_mul(barred.len()) {
            true => Vec::new(),
            false => barred,
        }
    }

    /// What the checks of an endpoint found; none if it is not checked.
    pub(super) fn verdict(&self, address: &Address) -> Option<&'static str> {
        let checked = self.lock();
        let verdict = checked.get(address)?.health.verdict();
        Some(match verdict {
            None => "pending",
            Some(true) => "healthy",
            Some(false) => "unhealthy",
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, Checked>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EndpointHealth {
    fn verdict(&self) -> Option<bool> {
        self.lock().verdict()
    }

    /// Whether it is well, if that is news.
    fn take(&self, passed: bool, check: &HealthCheck) -> Option<bool> {
        let news = self.lock().take(passed, check)?;
        match news {
            true => self.unwell.fetch_sub(1, Ordering::Relaxed),
            false => self.unwell.fetch_add(1, Ordering::Relaxed),
        };
        Some(news)
    }

    fn lock(&self) -> MutexGuard<'_, CheckedHealth> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for EndpointHealth {
    fn drop(&mut self) {
        if self.verdict() == Some(false) {
            self.unwell.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Asks an endpoint again and again. The first time is at once.
pub(super) async fn checking(
    cluster: Arc<str>,
    probe: Probe,
    check: Arc<HealthCheck>,
    health: Arc<EndpointHealth>,
) {
    let endpoint = probe.way.name();
    loop {
        let found = probe.ask().await;
        match (health.take(found.is_ok(), &check), found) {
            (Some(false), Err(why)) => warn!(
                cluster = &*cluster,
                endpoint, why, "the endpoint is unhealthy: its health checks fail"
            ),
            (Some(true), _) => info!(
                cluster = &*cluster,
                endpoint, "the endpoint is healthy again: its health checks pass"
            ),
            (Some(false) | None, _) => {}
        }
        sleep(check.pause(fastrand::u64(..))).await;
    }
}
