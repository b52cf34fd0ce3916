//! Which of several blocks holds.

use super::*;

const RULE: &str = "{ host: reviews, \
    trafficPolicy: { \
      loadBalancer: { simple: RANDOM }, \
      connectionPool: { tcp: { maxConnections: 7 } }, \
      retryBudget: { percent: 50 }, \
      portLevelSettings: [{ port: { number: 81 }, loadBalancer: { simple: ROUND_ROBIN } }] }, \
    subsets: [ \
      { name: plain, labels: { a: b } }, \
      { name: own, labels: { a: b }, trafficPolicy: { \
          connectionPool: { http: { http2MaxRequests: 9 } }, \
          portLevelSettings: [{ port: { number: 82 }, tls: { mode: DISABLE } }] } }] }";

/// Balancing, connections, requests, whether a TLS is written.
fn shown(subset: Option<&str>, port: u16) -> String {
    let policy = of(&rule("r", RULE), subset, port);
    let pool = &policy.connection_pool;
    let budget = policy.retry_budget.map(|it| it.share.to_string());
    assert_eq!(budget.as_deref(), Some("50%"), "a budget is of no port");
    let number = |number: u32| (number != u32::MAX).then_some(number);
    format!(
        "{:?} {:?} {:?} {}",
        policy.load_balancer.balancing,
        number(pool.tcp.max_connections),
        number(pool.http.max_requests),
        policy.tls.is_some()
    )
}

#[test]
fn a_port_replaces_everything_and_a_subset_each_block() {
    for (subset, port, wanted) in [
        (None, 80, "Random Some(7) None false"),
        (None, 81, "RoundRobin None None false"),
        (Some("plain"), 80, "Random Some(7) None false"),
        (Some("plain"), 81, "RoundRobin None None false"),
        (Some("own"), 80, "Random None Some(9) false"),
        (Some("own"), 81, "RoundRobin None Some(9) false"),
        (Some("own"), 82, "LeastRequest None None true"),
    ] {
        assert_eq!(shown(subset, port), wanted, "{subset:?} at {port}");
    }
}

#[test]
fn a_port_of_the_host_loses_to_each_block_of_a_subset_but_not_to_what_that_leaves_out() {
    let spec = "{ host: reviews, \
        trafficPolicy: { \
          outlierDetection: { consecutive5xxErrors: 1 }, \
          portLevelSettings: [{ port: { number: 81 }, outlierDetection: { interval: 2s } }] }, \
        subsets: [{ name: own, labels: { a: b }, trafficPolicy: { \
          connectionPool: { tcp: { maxConnections: 3 } } } }] }";
    let at = |port: u16| {
        let policy = of(&rule("r", spec), Some("own"), port);
        let outliers = policy.outlier_detection.expect("outlier detection");
        let most = policy.connection_pool.tcp.max_connections;
        (
            outliers.consecutive_errors,
            outliers.interval.as_secs(),
            most,
        )
    };
    assert_eq!(at(80), (Some(1), 10, 3));
    assert_eq!(at(81), (Some(5), 2, 3));
}
