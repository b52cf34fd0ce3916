//! Where connections and requests go: a cluster has endpoints, an endpoint has a pool of
//! connections.
//!
//! Clusters, endpoints and pools belong to a thread; what all threads know of a cluster is its
//! [`Shared`] state, what they know of an endpoint is its [`Health`].

mod checks;
mod choice;
mod clusters;
mod copies;
mod endpoint;
mod ground;
mod hashing;
mod health;
mod load;
mod meters;
mod outliers;
mod places;
mod secured;
mod shared;
mod spoken;
mod to_check;
mod tunnelled;
mod warmth;

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use signet_mesh::{
    Balancing, ConsistentHash, Groups, HashTable, Keyed, LoadBalancer, Lot, RetryPolicy, TcpPool,
    TrafficPolicy, breaker::Outcome, pick,
};
use tokio::time::Instant;

pub(crate) use clusters::Clusters;
pub(crate) use copies::{Copies, Copy};
pub(crate) use endpoint::{Active, Endpoint};
pub(crate) use health::Health;
pub(crate) use load::Counted;
pub(crate) use meters::Meters;
pub(crate) use shared::{ClusterState, EndpointState, Shared, SharedClusters};

use crate::{
    flow::{End, Routing},
    metrics::Meter,
};
use choice::{Choice, Warming};
use warmth::Since;

/// What a thread knows of a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    members: Vec<Member>,
    policy: Arc<TrafficPolicy>,
    shared: Arc<Shared>,
    /// Where the endpoint of a key is found, if the policy chooses by one.
    table: Option<Arc<HashTable>>,
    /// Since when endpoints have their places, if the policy lets new ones begin with less.
    since: Vec<Arc<Since>>,
    /// None if it does not count where endpoints run.
    groups: Option<Groups>,
    /// How many calls it had.
    turn: AtomicU64,
    /// Who counts its calls, if anybody does.
    meters: Option<Meters>,
}

/// An endpoint, as one of a cluster.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) endpoint: Arc<Endpoint>,
    /// Its share among the endpoints of the cluster.
    pub(crate) weight: u32,
}

/// By what the endpoint of a call is chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    /// Any number, each as likely as any other.
    pub(crate) random: u64,
    /// The hash of the call's key, if the cluster chooses by one.
    pub(crate) hash: Option<u64>,
}

impl From<u64> for Draw {
    /// Of a call without a key.
    fn from(random: u64) -> Self {
        Self { random, hash: None }
    }
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

impl Cluster {
    /// A cluster of these endpoints.
    pub(crate) fn new(
        members: Vec<Member>,
        policy: Arc<TrafficPolicy>,
        shared: Arc<Shared>,
    ) -> Self {
        let table = |by: &ConsistentHash| shared.hashing().table(by.algorithm, &members);
        Self {
            table: hashes(&policy).map(table),
            since: shared.since(&policy, &members),
            groups: None,
            members,
            policy,
            shared,
            turn: AtomicU64::new(0),
            meters: None,
        }
    }

    /// The same, whose endpoints are in groups by where they run.
    pub(crate) fn in_groups(self, groups: Option<Groups>) -> Self {
        Self { groups, ..self }
    }

    /// The same, whose calls are counted.
    pub(crate) fn counted(self, meters: Meters) -> Self {
        Self {
            meters: Some(meters),
            ..self
        }
    }

    /// Who counts calls that get to none of its endpoints.
    pub(crate) fn meter(&self) -> Option<&Arc<Meter>> {
        self.meters.as_ref().map(Meters::of_none)
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
    /// `tried` is taken only if there is no other.
    ///
    /// # Errors
    /// The cluster has as many requests as it may have, or no endpoint, or every one is ejected.
    pub(crate) fn choose(
        &self,
        tried: &[Arc<Endpoint>],
        draw: impl Into<Draw>,
        now: Instant,
    ) -> Result<Chosen, End> {
        let draw = draw.into();
        let request = self
            .shared
            .load()
            .request(&self.policy, self.shared.time(now));
        let request = request.ok_or_else(|| self.overloaded())?;
        let chosen = match &self.policy.outlier_detection {
            None => {
                let unwell = self.unwell();
                let place = self.pick(tried, &unwell, draw, now);
                place.map(|place| (place, None))
            }
            Some(_) => {
                let addresses = self.members.iter().map(|member| member.endpoint.address());
                let pick = |ejected: &[bool]| {
                    let barred = either(ejected, self.unwell());
                    self.pick(tried, &barred, draw, now)
                };
                self.shared.outliers().choose(addresses, now, pick)
            }
        };
        let (place, trial) = chosen.ok_or_else(|| self.nobody())?;
        let member = self.members.get(place).ok_or_else(|| self.nobody())?;
        let policy = &self.policy;
        Ok(Chosen {
            active: member.endpoint.begin(request, self.timed(now)),
            endpoint: Arc::clone(&member.endpoint),
            trial: Trial(trial.map(|trial| Watched {
                trial,
                policy: Arc::clone(policy),
            })),
            meter: self.meters.as_ref().and_then(|it| it.of_member(place)),
        })
    }

    /// Since when a call that begins now runs, if endpoints are chosen by how long they take.
    fn timed(&self, now: Instant) -> Option<Instant> {
        let balancing = &self.policy.load_balancer.balancing;
        (*balancing == Balancing::PeakEwma).then_some(now)
    }

    /// Which endpoints are not to be tried, as they fail their checks; none if all may be.
    fn unwell(&self) -> Vec<bool> {
        if self.policy.health_check.is_none() {
            return Vec::new();
        }
        let addresses = self.members.iter().map(|member| member.endpoint.address());
        self.shared.checks().barred(addresses, &self.policy)
    }

    /// On what terms its connections carry bytes.
    pub(crate) fn tcp(&self) -> &TcpPool {
        &self.policy.connection_pool.tcp
    }

    /// What the key of a call is made of, if the cluster chooses by one.
    pub(crate) fn hashes(&self) -> Option<&ConsistentHash> {
        hashes(&self.policy)
    }

    /// Whether endpoints that were tried are passed over. Where a key says which endpoint it is,
    /// the same is tried again, unless the route says otherwise.
    pub(crate) fn passes_over(&self, retries: &RetryPolicy) -> bool {
        let usual = self.hashes().is_none();
        retries.ignore_previous_hosts.unwrap_or(usual)
    }

    /// The right to repeat a request; none if there are as many repetitions as there may be.
    pub(crate) fn retry(&self) -> Option<Counted> {
        let now = || self.shared.time(Instant::now());
        self.shared.load().retry(&self.policy, now)
    }

    fn pick(
        &self,
        tried: &[Arc<Endpoint>],
        barred: &[bool],
        draw: Draw,
        now: Instant,
    ) -> Option<usize> {
        let members = &*self.members;
        if let ([_only], None) = (members, &self.groups) {
            return (barred != [true]).then_some(0);
        }
        let key = self.table.as_deref().zip(draw.hash);
        let lot = Lot {
            turn: self.turn.fetch_add(1, Ordering::Relaxed),
            random: draw.random,
            key: key.map(|(table, hash)| Keyed { table, hash }),
        };
        let LoadBalancer {
            balancing, warmup, ..
        } = &self.policy.load_balancer;
        let warmth = warmup.map(|warmup| Warming {
            warmup,
            since: &self.since,
            now: self.shared.time(now),
        });
        let among = |tried| {
            let choice = Choice {
                members,
                tried,
                barred,
                warmth,
                now,
            };
            match &self.groups {
                None => pick(balancing, &choice, lot),
                Some(groups) => groups.pick(balancing, &choice, |it| choice.is_well(it), lot),
            }
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
            _ => format!("no healthy upstream: every endpoint of {name} is ejected or unhealthy"),
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

/// Who is barred by one of the two; either may be empty, which bars nobody.
fn either(ejected: &[bool], unwell: Vec<bool>) -> Cow<'_, [bool]> {
    if unwell.is_empty() {
        return Cow::Borrowed(ejected);
    }
    let mut barred = unwell;
    for (barred, is_ejected) in barred.iter_mut().zip(ejected) {
        *barred |= is_ejected;
    }
    Cow::Owned(barred)
}

fn hashes(policy: &TrafficPolicy) -> Option<&ConsistentHash> {
    match &policy.load_balancer.balancing {
        Balancing::ConsistentHash(by) => Some(by),
        Balancing::LeastRequest
        | Balancing::PeakEwma
        | Balancing::RoundRobin
        | Balancing::Random
        | Balancing::Passthrough => None,
    }
}

#[cfg(test)]
mod tests;
