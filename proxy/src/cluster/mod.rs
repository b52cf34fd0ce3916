//! Where connections and requests go: a cluster has endpoints, an endpoint has a pool of
//! connections.
//!
//! Endpoints and pools belong to a thread; what all threads know of an endpoint is its [`Health`].

mod clusters;
mod endpoint;
mod health;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use signet_mesh::{Balancing, Candidates, pick};

pub(crate) use clusters::{Called, Clusters};
pub(crate) use endpoint::{Active, Endpoint};
pub(crate) use health::Health;

/// What a thread knows of a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    name: Arc<str>,
    members: Vec<Member>,
    balancing: Balancing,
    /// How many calls it had.
    turn: AtomicU64,
}

/// An endpoint, as one of a cluster.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) endpoint: Arc<Endpoint>,
    /// Its share among the endpoints of the cluster.
    pub(crate) weight: u32,
}

/// Who comes into question for a call.
struct Choice<'c> {
    members: &'c [Member],
    tried: &'c [Arc<Endpoint>],
}

impl Cluster {
    /// A cluster of these endpoints.
    pub(crate) fn new(name: Arc<str>, members: Vec<Member>, balancing: Balancing) -> Self {
        Self {
            name,
            members,
            balancing,
            turn: AtomicU64::new(0),
        }
    }

    /// A cluster of one endpoint.
    pub(crate) fn of_one(name: Arc<str>, endpoint: Endpoint) -> Self {
        let member = Member {
            endpoint: Arc::new(endpoint),
            weight: 1,
        };
        Self::new(name, vec![member], Balancing::default())
    }

    /// Its name in logs.
    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The endpoint for the next connection or request. One that was `tried` is taken only if
    /// there is no other; none, if the cluster has none. `random` is any number, each as likely as
    /// any other.
    pub(crate) fn pick(&self, tried: &[Arc<Endpoint>], random: u64) -> Option<&Arc<Endpoint>> {
        if let [only] = &*self.members {
            return Some(&only.endpoint);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let among = |tried| {
            let members = &*self.members;
            pick(&self.balancing, &Choice { members, tried }, turn, random)
        };
        let place = among(tried).or_else(|| among(&[]))?;
        self.members.get(place).map(|member| &member.endpoint)
    }

    /// Voids kept connections, because they were made with an identity or trust that is past.
    pub(crate) fn renew(&self) {
        let members = self.members.iter();
        members.for_each(|member| member.endpoint.renew());
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
        let member = self.members.get(place).filter(fresh);
        member.map_or(0, |member| member.weight)
    }

    fn active(&self, place: usize) -> usize {
        let member = self.members.get(place);
        member.map_or(0, |member| member.endpoint.active())
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::{
        config::Protocol,
        pool::{Address, Dialer},
    };

    fn endpoint(port: u16) -> Endpoint {
        let dialer = Dialer {
            address: Address::Tcp(([127, 0, 0, 1], port).into()),
            tls: None,
        };
        let health = Arc::new(Health::new("web"));
        Endpoint::new(dialer, Protocol::Http, health, TaskTracker::new())
    }

    fn cluster(count: u16) -> Cluster {
        let members = (0..count).map(|port| Member {
            endpoint: Arc::new(endpoint(port)),
            weight: 1,
        });
        Cluster::new("web".into(), members.collect(), Balancing::default())
    }

    #[test]
    fn of_two_the_one_with_less_to_do_is_picked() {
        let cluster = cluster(2);
        let (first, second) = (&cluster.members[0].endpoint, &cluster.members[1].endpoint);
        let busy = first.begin();
        for random in 0..100 {
            let picked = cluster.pick(&[], random << 20).unwrap();
            assert!(Arc::ptr_eq(picked, second));
        }
        drop(busy);
        let picked = (0..100).map(|random| cluster.pick(&[], random << 25).unwrap());
        assert!(picked.into_iter().any(|it| Arc::ptr_eq(it, first)));
    }

    #[test]
    fn one_that_was_tried_is_picked_only_if_there_is_no_other() {
        let cluster = cluster(3);
        let all: Vec<_> = cluster
            .members
            .iter()
            .map(|it| Arc::clone(&it.endpoint))
            .collect();
        let tried = [Arc::clone(&all[0]), Arc::clone(&all[2])];
        for random in 0..100 {
            let picked = cluster.pick(&tried, random << 25).unwrap();
            assert!(Arc::ptr_eq(picked, &all[1]));
            assert!(cluster.pick(&all, random << 25).is_some());
        }
        let nobody = Cluster::new("web".into(), Vec::new(), Balancing::default());
        assert!(nobody.pick(&[], 1).is_none());
    }

    #[test]
    fn a_cluster_of_one_endpoint_has_no_choice() {
        let cluster = Cluster::of_one("web".into(), endpoint(1));
        let only = Arc::clone(&cluster.members[0].endpoint);
        let picked = cluster.pick(std::slice::from_ref(&only), 1).unwrap();
        assert!(Arc::ptr_eq(picked, &only));
    }
}
