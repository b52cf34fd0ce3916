//! Which endpoint a call goes to.

mod checks;
mod hashing;
mod load;
mod near;
mod outliers;
mod timed;

use std::net::SocketAddr;

use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    config::Protocol,
    pool::{Address, Dialer, Terms},
};

fn endpoint(port: u16) -> Endpoint {
    let dialer = Dialer::new(SocketAddr::from(([127, 0, 0, 1], port)), None);
    let health = Arc::new(Health::new("web"));
    let terms = Terms::default();
    Endpoint::new(dialer, Protocol::Http, terms, health, TaskTracker::new())
}

fn of_members(members: Vec<Member>) -> Cluster {
    let shared = Shared::new("web".into(), Instant::now());
    Cluster::new(members, Arc::default(), Arc::new(shared))
}

/// The endpoint that a call goes to.
fn picked(cluster: &Cluster, tried: &[Arc<Endpoint>], random: u64) -> Arc<Endpoint> {
    let chosen = cluster.choose(tried, random, Instant::now());
    chosen.unwrap().endpoint
}

fn cluster(count: u16) -> Cluster {
    let members = (0..count).map(|port| Member {
        endpoint: Arc::new(endpoint(port)),
        weight: 1,
    });
    of_members(members.collect())
}

#[test]
fn of_two_the_one_with_less_to_do_is_picked() {
    let cluster = cluster(2);
    let (first, second) = (&cluster.members[0].endpoint, &cluster.members[1].endpoint);
    let request = cluster
        .shared
        .load()
        .request(&cluster.policy, std::time::Duration::ZERO)
        .unwrap();
    let busy = first.begin(request, None);
    for random in 0..100 {
        let picked = picked(&cluster, &[], random << 20);
        assert!(Arc::ptr_eq(&picked, second));
    }
    drop(busy);
    let mut picked = (0..100).map(|random| picked(&cluster, &[], random << 25));
    assert!(picked.any(|it| Arc::ptr_eq(&it, first)));
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
        let other = picked(&cluster, &tried, random << 25);
        assert!(Arc::ptr_eq(&other, &all[1]));
        let again = picked(&cluster, &all, random << 25);
        assert!(all.iter().any(|it| Arc::ptr_eq(it, &again)));
    }
    let nobody = of_members(Vec::new()).choose(&[], 1, Instant::now());
    assert!(nobody.is_err());
}

#[test]
fn a_cluster_of_one_endpoint_has_no_choice() {
    let cluster = Cluster::of_one("web".into(), endpoint(1));
    let only = Arc::clone(&cluster.members[0].endpoint);
    let picked = picked(&cluster, std::slice::from_ref(&only), 1);
    assert!(Arc::ptr_eq(&picked, &only));
}
