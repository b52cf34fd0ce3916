//! Calls with the same key.

use super::{outliers::World, *};

const BY_KEY: &str = "loadBalancer: { consistentHash: { useSourceIp: true } }, \
                      outlierDetection: { consecutive5xxErrors: 1 }";

/// Where a call with this key goes.
fn goes(cluster: &Cluster, hash: u64) -> Chosen {
    let random = fastrand::u64(..);
    let hash = Some(hash);
    let chosen = cluster.choose(&[], Draw { random, hash }, Instant::now());
    chosen.unwrap()
}

fn keys() -> impl Iterator<Item = u64> {
    (0..64_u64).map(|key| key << 58)
}

#[tokio::test]
async fn a_key_goes_to_the_same_endpoint_on_all_threads_until_that_is_ejected() {
    let world = World::of(BY_KEY);
    let (one, other) = (world.thread(), world.thread());
    let table = |cluster: &Cluster| Arc::clone(cluster.table.as_ref().unwrap());
    assert!(Arc::ptr_eq(&table(&one), &table(&other)), "one for both");
    let home = |key| goes(&one, key).endpoint.name().to_string();
    let homes: Vec<_> = keys().map(home).collect();
    for (key, home) in keys().zip(&homes) {
        assert_eq!(&**goes(&other, key).endpoint.name(), home);
    }
    let lost = goes(&one, 0);
    let name = Arc::clone(lost.endpoint.name());
    assert!(homes.iter().any(|home| **home != *name), "both have some");
    lost.trial.answered(500, Instant::now());
    for (key, home) in keys().zip(&homes) {
        let goes = goes(&other, key);
        assert_ne!(goes.endpoint.name(), &name);
        assert!(**home == *name || &**goes.endpoint.name() == home);
    }
}

#[tokio::test]
async fn a_table_is_made_again_only_if_something_of_it_is_another() {
    let world = World::of(BY_KEY);
    let before = world.thread().table.unwrap();
    world.says(&format!(
        "{BY_KEY}, connectionPool: {{ http: {{ http2MaxRequests: 1 }} }}"
    ));
    assert!(Arc::ptr_eq(&before, &world.thread().table.unwrap()));
    world.says("loadBalancer: { consistentHash: { useSourceIp: true, maglev: {} } }");
    assert_ne!(before, world.thread().table.unwrap());
    world.says("loadBalancer: { simple: RANDOM }");
    assert!(world.thread().table.is_none());
}
