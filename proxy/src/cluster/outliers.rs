//! The breaker of a cluster: which of its endpoints are ejected, and which request probes one.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use signet_mesh::{
    OutlierDetection,
    breaker::{Admission, Breaker, Change, Outcome, State as Circuit, Ticket, Transition},
};
use tokio::time::Instant;
use tracing::{info, warn};

use super::warmth::Warmth;
use crate::pool::Address;

/// The breaker of a cluster, which all threads ask and tell.
#[derive(Debug)]
pub(super) struct Outliers {
    /// Its name in logs.
    cluster: Arc<str>,
    /// When its time begins.
    start: Instant,
    /// Who comes back is as if it were new.
    warmth: Arc<Warmth>,
    state: Mutex<State>,
    changes: Changes,
}

/// How often something changed.
#[derive(Debug, Default)]
struct Changes {
    opened: AtomicU64,
    reopened: AtomicU64,
    closed: AtomicU64,
    spared: AtomicU64,
    released: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// None while no policy asks for one.
    breaker: Option<Breaker<Address>>,
    /// Of whom it was said that they are not ejected because others are.
    spared: HashSet<Address>,
}

/// An endpoint that is not tried as others are.
#[derive(Clone, Debug)]
pub(super) struct Ejected {
    pub(super) address: Address,
    /// Of its breaker.
    pub(super) state: &'static str,
}

/// How often a breaker changed in one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happened {
    pub(crate) change: &'static str,
    pub(crate) times: u64,
}

/// The right to try an endpoint once. What comes of it is to be said; if it is dropped before,
/// the endpoint is not to blame.
#[derive(Debug)]
pub(super) struct Trial {
    outliers: Arc<Outliers>,
    ticket: Option<Ticket<Address>>,
}

impl Outliers {
    /// Ejects nobody yet.
    pub(super) fn new(cluster: Arc<str>, start: Instant, warmth: Arc<Warmth>) -> Self {
        Self {
            cluster,
            start,
            warmth,
            state: Mutex::default(),
            changes: Changes::default(),
        }
    }

    /// From now on this is asked for, of these endpoints. What is known of those that stay is kept.
    pub(super) fn follow(
        &self,
        detection: Option<&OutlierDetection>,
        endpoints: Vec<Address>,
        now: Instant,
    ) {
        let mut state = self.lock();
        let Some(detection) = detection else {
            *state = State::default();
            return;
        };
        let (settings, time) = (detection.settings(), self.time(now));
        let new = || Breaker::new(settings.clone());
        let breaker = state.breaker.get_or_insert_with(new);
        let released = [
            breaker.resize(endpoints, time),
            breaker.configure(settings, time),
        ];
        drop(state);
        for transition in released.into_iter().flatten() {
            self.say(&transition, time);
        }
    }

    /// Lets `pick` choose among these endpoints, by their places; it is told which of them are not
    /// to be tried, or nothing if all may be.
    pub(super) fn choose<'e>(
        self: &Arc<Self>,
        endpoints: impl Iterator<Item = &'e Address> + Clone,
        now: Instant,
        pick: impl FnOnce(&[bool]) -> Option<usize>,
    ) -> Option<(usize, Option<Trial>)> {
        let time = self.time(now);
        let mut state = self.lock();
        let Some(breaker) = &mut state.breaker else {
            drop(state);
            return pick(&[]).map(|place| (place, None));
        };
        let barred: Vec<bool> = match breaker.ejected() {
            0 => Vec::new(),
            _ => endpoints
                .clone()
                .map(|it| !breaker.admits(it, time))
                .collect(),
        };
        let place = pick(&barred)?;
        let endpoint = { endpoints }.nth(place)?;
        match breaker.may_try(endpoint, time) {
            Admission::Yes(ticket) => Some((place, Some(self.trial(ticket)))),
            Admission::Probe(ticket) => {
                drop(state);
                let (cluster, endpoint) = (&*self.cluster, endpoint.to_string());
                info!(cluster, endpoint, "the endpoint is probed by one request");
                Some((place, Some(self.trial(ticket))))
            }
            Admission::No { .. } => None,
        }
    }

    fn trial(self: &Arc<Self>, ticket: Ticket<Address>) -> Trial {
        Trial {
            outliers: Arc::clone(self),
            ticket: Some(ticket),
        }
    }

    fn record(&self, ticket: Ticket<Address>, outcome: Outcome, now: Instant) {
        let time = self.time(now);
        let mut state = self.lock();
        let breaker = state.breaker.as_mut();
        let changed = breaker.and_then(|it| it.record(ticket, outcome, time, fastrand::u64(..)));
        let Some(transition) = changed else {
            return;
        };
        let is_news = match transition.change {
            Change::Spared { .. } => state.spared.insert(transition.endpoint.clone()),
            Change::Opened { .. } | Change::Reopened { .. } | Change::Closed | Change::Released => {
                state.spared.clear();
                true
            }
        };
        drop(state);
        if matches!(transition.change, Change::Closed) {
            self.warmth.renew(&transition.endpoint, time);
        }
        if is_news {
            self.say(&transition, time);
        }
    }

    /// Says what changed, in the breaker's words.
    fn say(&self, transition: &Transition<Address>, time: Duration) {
        let Transition { endpoint, change } = transition;
        self.changes.of(change).fetch_add(1, Ordering::Relaxed);
        let (cluster, endpoint) = (&*self.cluster, endpoint.to_string());
        match change {
            Change::Opened { until, .. } | Change::Reopened { until, .. } => {
                let ejected_for = until.saturating_sub(time);
                warn!(cluster, endpoint, ?ejected_for, "the endpoint is {change}");
            }
            Change::Spared { .. } => warn!(cluster, endpoint, "the endpoint is {change}"),
            Change::Closed | Change::Released => {
                info!(cluster, endpoint, "the endpoint is {change}");
            }
        }
    }

    /// The endpoints that are not tried as others are.
    pub(super) fn ejected(&self, now: Instant) -> Vec<Ejected> {
        let time = self.time(now);
        let state = self.lock();
        let states = state.breaker.iter().flat_map(|it| it.states(time));
        let ejected = states.filter_map(|(address, state)| {
            let state = match state {
                Circuit::Closed => return None,
                Circuit::Open { .. } => "open",
                Circuit::HalfOpen { .. } => "half-open",
            };
            let address = address.clone();
            Some(Ejected { address, state })
        });
        ejected.collect()
    }

    /// How often each change happened.
    pub(super) fn changes(&self) -> [Happened; 5] {
        let Changes {
            opened,
            reopened,
            closed,
            spared,
            released,
        } = &self.changes;
        let changes = [
            ("opened", opened),
            ("reopened", reopened),
            ("closed", closed),
            ("spared", spared),
            ("released", released),
        ];
        changes.map(|(change, times)| Happened {
            change,
            times: times.load(Ordering::Relaxed),
        })
    }

    fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn of(&self, change: &Change) -> &AtomicU64 {
        match change {
            Change::Opened { .. } => &self.opened,
            Change::Reopened { .. } => &self.reopened,
            Change::Closed => &self.closed,
            Change::Spared { .. } => &self.spared,
            Change::Released => &self.released,
        }
    }
}

impl Trial {
    /// Says what came of it.
    pub(super) fn record(mut self, outcome: Outcome, now: Instant) {
        if let Some(ticket) = self.ticket.take() {
            self.outliers.record(ticket, outcome, now);
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.outliers
                .record(ticket, Outcome::Abandoned, Instant::now());
        }
    }
}
