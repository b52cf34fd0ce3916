//! Where endpoints run, and since when they are there.

use std::time::Duration;

use signet_mesh::{Home, Locality};
use tokio::time::advance;

use super::{outliers::World, *};

/// How many of a thousand calls go to the first endpoint.
fn calls(cluster: &Cluster) -> usize {
    let first = Arc::clone(&cluster.members[0].endpoint);
    let picked = (0..1_000).map(|_| picked(cluster, &[], fastrand::u64(..)));
    picked.filter(|it| Arc::ptr_eq(it, &first)).count()
}

const WARMUP: &str = "outlierDetection: { consecutive5xxErrors: 1, baseEjectionTime: 1s, \
                      maxEjectionPercent: 50 }, \
                      loadBalancer: { simple: ROUND_ROBIN, warmup: { duration: 100s } }";

#[tokio::test(start_paused = true)]
async fn one_that_was_ejected_gets_its_share_by_and_by() {
    let world = World::of(WARMUP);
    let cluster = world.thread();
    // Both are new, so neither has less.
    assert_eq!(calls(&cluster), 500);
    let first = Arc::clone(&cluster.members[0].endpoint);
    let reach = || loop {
        let chosen = cluster
            .choose(&[], fastrand::u64(..), Instant::now())
            .unwrap();
        if Arc::ptr_eq(&chosen.endpoint, &first) {
            break chosen.trial;
        }
    };
    reach().answered(500, Instant::now());
    assert_eq!(calls(&cluster), 0);
    advance(Duration::from_secs(200)).await;
    reach().answered(200, Instant::now());
    for (after, share) in [(1, 91), (29, 231), (30, 375), (60, 500)] {
        advance(Duration::from_secs(after)).await;
        let calls = calls(&cluster);
        assert!(calls.abs_diff(share) <= 10, "{calls} for {share}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_into_a_cluster_gets_its_share_by_and_by_on_all_threads() {
    let world = World::of(WARMUP);
    let _before = world.thread();
    advance(Duration::from_secs(1_000)).await;
    world.has(&[3, 2], WARMUP);
    let (one, other) = (world.thread(), world.thread());
    advance(Duration::from_secs(25)).await;
    for cluster in [&one, &other] {
        let calls = calls(cluster);
        assert!(calls.abs_diff(200) <= 10, "{calls}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_near_has_all_calls_until_it_is_ejected() {
    let policy = "outlierDetection: { consecutive5xxErrors: 1, maxEjectionPercent: 50 }, \
                  loadBalancer: { localityLbSetting: { enabled: true } }";
    let world = World::of(policy);
    let places = ["us", "eu"].map(|text| Locality::parse(text).unwrap());
    let labels = std::collections::BTreeMap::new();
    let sites = [&places[0], &places[1]].map(|locality| signet_mesh::Site {
        locality: Some(locality),
        labels: &labels,
    });
    let home = Home {
        locality: Some(places[0].clone()),
        ..Home::default()
    };
    let cluster = world.thread();
    let setting = &cluster.policy.load_balancer.locality;
    let groups = setting.groups(&home, &sites, true);
    let cluster = cluster.in_groups(groups);
    assert_eq!(calls(&cluster), 1_000);
    let chosen = cluster.choose(&[], 1, Instant::now()).unwrap();
    chosen.trial.answered(500, Instant::now());
    assert_eq!(calls(&cluster), 0);
}
