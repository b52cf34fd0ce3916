//! How much is let into a cluster.

use std::time::Duration;

use signet_mesh::{Http2Keepalive, TcpKeepalive};
use tokio::time::advance;

use super::{outliers::World, *};

#[tokio::test]
async fn all_threads_together_have_so_many_requests_and_the_next_is_refused_at_once() {
    let world = World::of("connectionPool: { http: { http2MaxRequests: 3 } }");
    let (one, other) = (world.thread(), world.thread());
    let choose = |cluster: &Cluster| cluster.choose(&[], 1, Instant::now());
    let under_way = [&one, &other, &one].map(|cluster| choose(cluster).unwrap());
    let end = choose(&other).unwrap_err();
    let End::Routing(Routing::Overloaded(why)) = &end else {
        panic!("{end:?}");
    };
    assert!(
        why.contains("outbound|80||shop.test has 3 requests"),
        "{why}"
    );
    drop(under_way);
    assert!(choose(&other).is_ok());
}

#[tokio::test]
async fn requests_are_counted_before_anybody_bounds_them() {
    let world = World::of("loadBalancer: { simple: RANDOM }");
    let before = world.thread().choose(&[], 1, Instant::now());
    world.says("connectionPool: { http: { http2MaxRequests: 1 } }");
    let thread = world.thread();
    assert!(thread.choose(&[], 1, Instant::now()).is_err());
    drop(before);
    assert!(thread.choose(&[], 1, Instant::now()).is_ok());
}

#[tokio::test]
async fn repetitions_are_bounded_by_their_number_or_by_their_share_of_requests() {
    let world = World::of("connectionPool: { http: { maxRetries: 2 } }");
    let (one, other) = (world.thread(), world.thread());
    let two = [one.retry(), other.retry()];
    assert!(two.iter().all(Option::is_some) && one.retry().is_none());
    drop(two);
    assert!(other.retry().is_some());

    let budget = "retryBudget: { percent: 50, minRetryConcurrency: 1 }, \
                  connectionPool: { http: { maxRetries: 1 } }";
    let world = World::of(budget);
    let thread = world.thread();
    let first = thread.retry();
    assert!(first.is_some() && thread.retry().is_none());
    let requests: Vec<_> = (0..6)
        .map(|_| thread.choose(&[], 1, Instant::now()).unwrap())
        .collect();
    let more: Vec<_> = (0..6).map_while(|_| thread.retry()).collect();
    assert_eq!(more.len(), 2, "with the first, half of {}", requests.len());
}

#[tokio::test]
async fn connections_are_made_and_kept_as_the_policy_says() {
    let world = World::of(
        "connectionPool: { tcp: { connectTimeout: 3s, maxConnectionDuration: 8s, \
         tcpKeepalive: { probes: 9 } }, http: { maxRequestsPerConnection: 7, idleTimeout: 5s, \
         maxConcurrentStreams: 6, http2KeepAlive: { interval: 1s, timeout: 2s }, \
         h2UpgradePolicy: UPGRADE } }",
    );
    let model = Arc::clone(&world.models.borrow());
    let service = model.services.of("shop.test").unwrap();
    let part = model.destination(&service.host, None, 80).unwrap();
    let wanted = Terms {
        connect: Duration::from_secs(3),
        idle: Duration::from_secs(5),
        requests: Some(7),
        life: Some(Duration::from_secs(8)),
        probes: Some(TcpKeepalive {
            probes: Some(9),
            time: None,
            interval: None,
        }),
        streams: Some(6),
        pings: Http2Keepalive {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
        },
    };
    assert_eq!(spoken::terms(part.policy), wanted);
    let upgraded = |protocol| spoken::upgraded(protocol, part.policy, Protocol::Http);
    assert_eq!(upgraded(Protocol::Http), Protocol::Http2);
    assert_eq!(upgraded(Protocol::Tcp), Protocol::Tcp);
}

#[tokio::test]
async fn requests_go_in_the_version_of_their_client_where_the_policy_says_so() {
    let world = World::of("connectionPool: { http: { useClientProtocol: true } }");
    let cluster = world.thread();
    let upgraded = |protocol, client| spoken::upgraded(protocol, &cluster.policy, client);
    let (one, two) = (Protocol::Http, Protocol::Http2);
    for spoken in [one, two] {
        assert_eq!(upgraded(spoken, one), one);
        assert_eq!(upgraded(spoken, two), two);
    }
    assert_eq!(upgraded(Protocol::Tcp, two), Protocol::Tcp);
}

#[tokio::test(start_paused = true)]
async fn the_share_of_repetitions_is_of_those_that_began_in_the_interval_too() {
    let world =
        World::of("retryBudget: { percent: 50, minRetryConcurrency: 1, budgetInterval: 10s }");
    let thread = world.thread();
    for _ in 0..6 {
        drop(thread.choose(&[], 1, Instant::now()).unwrap());
    }
    let most = || {
        (0..9)
            .map_while(|_| thread.retry())
            .collect::<Vec<_>>()
            .len()
    };
    assert_eq!(most(), 3);
    advance(Duration::from_secs(20)).await;
    assert_eq!(most(), 1);
}

#[tokio::test]
async fn all_threads_have_one_bulkhead_as_long_as_the_policy_asks_for_one() {
    let world = World::of("connectionPool: { tcp: { maxConnections: 1 } }");
    let bounds = |cluster: &Cluster| cluster.shared.bounds(&cluster.policy);
    let (one, other) = (bounds(&world.thread()), bounds(&world.thread()));
    assert!(one.0.is_some() && one == other);
    world.says("connectionPool: { http: { http1MaxPendingRequests: 9 } }");
    assert!(bounds(&world.thread()) == one);
    world.says("loadBalancer: { simple: RANDOM }");
    assert!(bounds(&world.thread()).0.is_none());
}
