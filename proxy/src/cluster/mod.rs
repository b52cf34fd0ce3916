//! Where connections and requests go: a cluster has endpoints, an endpoint has a pool of
//! connections.
//!
//! Clusters, endpoints and pools belong to a thread; what all threads know of a cluster is its
//! [`Shared`] state, what they know of an endpoint is its [`Health`].

mod clusters;
mod copies;
mod endpoint;
mod health;
mod load;
mod outliers;
mod shared;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use signet_mesh::{Candidates, TrafficPolicy, breaker::Outcome, pick};
use tokio::time::Instant;

pub(crate) use clusters::Clusters;
pub(crate) use copies::{Copies, Copy};
pub(crate) use endpoint::{Active, Endpoint};
pub(crate) use health::Health;
pub(crate) use load::Counted;
pub(crate) use shared::{ClusterState, EndpointState, Shared, SharedClusters};

use crate::{
    flow::{End, Routing},
    metrics::Meter,
};

/// What a thread knows of a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    members: Vec<Member>,
    policy: Arc<TrafficPolicy>,
    shared: Arc<Shared>,
    /// How many calls it had.
    turn: AtomicU64,
    /// Who counts its calls, if anybody does.
    meters: Option<Meters>,
}

/// Who counts the calls of a cluster.
#[derive(Debug)]
struct Meters {
    /// Those that get to none of its endpoints.
    of_none: Arc<Meter>,
    /// Those of each endpoint, by its place.
    of_members: Vec<Arc<Meter>>,
}

/// An endpoint, as one of a cluster.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) endpoint: Arc<Endpoint>,
    /// Its share among the endpoints of the cluster.
    pub(crate) weight: u32,
}

/// The endpoint that a call goes to.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) active: Active,
    pub(crate) trial: Trial,
    /// Who counts the call, if anybody does.
    pub(crate) meter: Option<Arc<Meter>>,
}

/// The right to try an endpoint once. What comes of it is to be said; if it is dropped before, the
/// endpoint is not to blame.
#[derive(Debug, Default)]
pub(crate) struct Trial(Option<Watched>);

/// A try whose outcome counts.
#[derive(Debug)]
struct Watched {
    trial: outliers::Trial,
    policy: Arc<TrafficPolicy>,
}

/// Who comes into question for a call.
struct Choice<'c> {
    members: &'c [Member],
    tried: &'c [Arc<Endpoint>],
    /// By place, who is not to be tried; nobody, if it is empty.
    barred: &'c [bool],
}

impl Cluster {
    /// A cluster of these endpoints.
    pub(crate) fn new(
        members: Vec<Member>,
        policy: Arc<TrafficPolicy>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            members,
            policy,
            shared,
            turn: AtomicU64::new(0),
            meters: None,
        }
    }

    /// Its calls are counted: by the first of these if they get to none of its endpoints, else by
    /// that of the endpoint, which stand in the order of the members.
    pub(crate) fn counted(mut self, of_none: Arc<Meter>, of_members: Vec<Arc<Meter>>) -> Self {
        self.meters = Some(Meters {
            of_none,
            of_members,
        });
        self
    }

    /// Who counts calls that get to none of its endpoints.
    pub(crate) fn meter(&self) -> Option<&Arc<Meter>> {
        self.meters.as_ref().map(|meters| &meters.of_none)
    }

    /// A cluster of one endpoint, without a policy.
    pub(crate) fn of_one(name: Arc<str>, endpoint: Endpoint) -> Self {
        let member = Member {
            endpoint: Arc::new(endpoint),
            weight: 1,
        };
        let shared = Arc::new(Shared::new(name, Instant::now()));
        Self::new(vec![member], Arc::default(), shared)
    }

    /// Its name in logs.
    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(self.shared.name())
    }

    /// The endpoint for the next connection or request, of those that are not ejected. One that was
    /// `tried` is taken only if there is no other. `random` is any number, each as likely as any
    /// other.
    ///
    /// # Errors
    /// The cluster has as many requests as it may have, or no endpoint, or every one is ejected.
    pub(crate) fn choose(
        &self,
        tried: &[Arc<Endpoint>],
        random: u64,
        now: Instant,
    ) -> Result<Chosen, End> {
        let request = self.shared.load().request(&self.policy);
        let request = request.ok_or_else(|| self.overloaded())?;
        let chosen = match &self.policy.outlier_detection {
            None => self.pick(tried, &[], random).map(|place| (place, None)),
            Some(_) => {
                let addresses = self.members.iter().map(|member| member.endpoint.address());
                let pick = |barred: &[bool]| self.pick(tried, barred, random);
                self.shared.outliers().choose(addresses, now, pick)
            }
        };
        let (place, trial) = chosen.ok_or_else(|| self.nobody())?;
        let member = self.members.get(place).ok_or_else(|| self.nobody())?;
        let policy = &self.policy;
        Ok(Chosen {
            active: member.endpoint.begin(request),
            endpoint: Arc::clone(&member.endpoint),
            trial: Trial(trial.map(|trial| Watched {
                trial,
                policy: Arc::clone(policy),
            })),
            meter: self.meter_of(place),
        })
    }

    /// Who counts the calls of its endpoint, if it has but one.
    pub(crate) fn only_meter(&self) -> Option<&Arc<Meter>> {
        match &*self.meters.as_ref()?.of_members {
            [only] => Some(only),
            [] | [_, _, ..] => None,
        }
    }

    fn meter_of(&self, place: usize) -> Option<Arc<Meter>> {
        let meters = self.meters.as_ref()?;
        meters.of_members.get(place).map(Arc::clone)
    }

    /// The right to repeat a request; none if there are as many repetitions as there may be.
    pub(crate) fn retry(&self) -> Option<Counted> {
        self.shared.load().retry(&self.policy)
    }

    fn pick(&self, tried: &[Arc<Endpoint>], barred: &[bool], random: u64) -> Option<usize> {
        let members = &*self.members;
        if let [_only] = members {
            return (barred != [true]).then_some(0);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let among = |tried| {
            let choice = Choice {
                members,
                tried,
                barred,
            };
            pick(&self.policy.load_balancer.balancing, &choice, turn, random)
        };
        among(tried).or_else(|| among(&[]))
    }

    fn overloaded(&self) -> End {
        let most = self.policy.connection_pool.http.max_requests;
        let name = self.shared.name();
        let why =
            format!("{name} has {most} requests in progress, which is as many as it may have");
        End::Routing(Routing::Overloaded(why.into()))
    }

    fn nobody(&self) -> End {
        let name = self.shared.name();
        let why = match self.members.len() {
            0 => format!("no healthy upstream: {name} has no endpoint"),
            _ => format!("no healthy upstream: every endpoint of {name} is ejected"),
        };
        End::Routing(Routing::NoEndpoint(why.into()))
    }

    /// Voids kept connections, because they were made with an identity or trust that is past.
    pub(crate) fn renew(&self) {
        let members = self.members.iter();
        members.for_each(|member| member.endpoint.renew());
    }
}

impl Trial {
    /// Whether it matters what comes of it.
    pub(crate) fn counts(&self) -> bool {
        self.0.is_some()
    }

    /// The endpoint answered, with this status of HTTP.
    pub(crate) fn answered(self, status: u16, now: Instant) {
        if let Some(Watched { trial, policy }) = self.0 {
            let detection = policy.outlier_detection.as_ref();
            let outcome = detection.map_or(Outcome::Abandoned, |it| it.outcome(status));
            trial.record(outcome, now);
        }
    }

    /// A connection to the endpoint was made, and nothing is seen of what goes over it.
    pub(crate) fn connected(self, now: Instant) {
        if let Some(Watched { trial, .. }) = self.0 {
            trial.record(Outcome::Success, now);
        }
    }

    /// The endpoint was not reached, or did not answer in time or at all.
    pub(crate) fn failed(self, now: Instant) {
        if let Some(Watched { trial, .. }) = self.0 {
            trial.record(Outcome::LocalOrigin, now);
        }
    }
}

impl Candidates for Choice<'_> {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn weight(&self, place: usize) -> u32 {
        let fresh = |member: &&Member| {
            let mut tried = self.tried.iter();
            !tried.any(|endpoint| Arc::ptr_eq(endpoint, &member.endpoint))
        };
        let barred = self.barred.get(place).copied().unwrap_or_default();
        let member = self.members.get(place).filter(fresh);
        member.filter(|_| !barred).map_or(0, |member| member.weight)
    }

    fn active(&self, place: usize) -> usize {
        let member = self.members.get(place);
        member.map_or(0, |member| member.endpoint.active())
    }
}

#[cfg(test)]
mod tests;
