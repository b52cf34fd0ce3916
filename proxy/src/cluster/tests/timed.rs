//! Endpoints that are chosen by how long they take to answer.

use std::time::Duration;

use tokio::time::advance;

use super::{outliers::of_text, *};

/// Two endpoints, of which the one gets a call that will have answered it sooner.
fn timed() -> Cluster {
    let model = of_text(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: r, annotations: { signet.io/load-balancer: PEAK_EWMA } }
spec: { host: shop.test }
"
        .to_owned(),
    );
    let host = model.obeyed_rules(|_| true).next().unwrap().host.clone();
    let part = model.destination(&host, None, 80).unwrap();
    let members = (1..3).map(|port| Member {
        endpoint: Arc::new(endpoint(port)),
        weight: 1,
    });
    let shared = Arc::new(Shared::new("shop".into(), Instant::now()));
    Cluster::new(members.collect(), Arc::clone(part.policy), shared)
}

fn choose(cluster: &Cluster) -> Chosen {
    cluster
        .choose(&[], fastrand::u64(..), Instant::now())
        .unwrap()
}

/// Makes calls until each endpoint had one, which the first answers quickly, and the other slowly.
async fn learn(cluster: &Cluster) {
    let first = Arc::clone(&cluster.members[0].endpoint);
    let mut met = [false; 2];
    while met != [true; 2] {
        let chosen = choose(cluster);
        let is_first = Arc::ptr_eq(&chosen.endpoint, &first);
        advance(Duration::from_millis(if is_first { 20 } else { 500 })).await;
        chosen.active.answered();
        met[usize::from(!is_first)] = true;
    }
}

fn of_first(cluster: &Cluster, calls: usize) -> usize {
    let first = &cluster.members[0].endpoint;
    let calls = (0..calls).map(|_| choose(cluster));
    calls.filter(|it| Arc::ptr_eq(&it.endpoint, first)).count()
}

#[tokio::test(start_paused = true)]
async fn the_quicker_of_two_gets_the_calls_until_the_other_was_left_alone_for_long() {
    let cluster = timed();
    learn(&cluster).await;
    assert_eq!(of_first(&cluster, 100), 100);
    // What it was like is forgotten by and by, and it is tried again.
    let mut of_other = 0;
    for _ in 0..100 {
        let chosen = choose(&cluster);
        let is_first = Arc::ptr_eq(&chosen.endpoint, &cluster.members[0].endpoint);
        advance(Duration::from_millis(if is_first { 20 } else { 500 })).await;
        chosen.active.answered();
        of_other += usize::from(!is_first);
        drop(chosen);
        advance(Duration::from_secs(1)).await;
    }
    assert!((1..10).contains(&of_other), "{of_other}");
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_at_once_is_not_quick() {
    let cluster = timed();
    learn(&cluster).await;
    let failing = loop {
        let chosen = choose(&cluster);
        if Arc::ptr_eq(&chosen.endpoint, &cluster.members[0].endpoint) {
            break chosen;
        }
    };
    failing.active.failed();
    drop(failing);
    assert_eq!(of_first(&cluster, 100), 0);
}
