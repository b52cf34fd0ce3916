//! Documents as people have them are read without a warning, and mean what they mean there.

use super::*;

const BOOKINFO: &str = r"
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: reviews
  namespace: shop
spec:
  host: reviews
  trafficPolicy:
    tls:
      mode: ISTIO_MUTUAL
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
    trafficPolicy:
      loadBalancer:
        simple: ROUND_ROBIN
";

const BREAKER: &str = r"
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata:
  name: reviews-breaker
  namespace: shop
spec:
  host: reviews.shop.svc.cluster.local
  trafficPolicy:
    connectionPool:
      tcp:
        maxConnections: 100
        connectTimeout: 30ms
        tcpKeepalive:
          time: 7200s
          interval: 75s
      http:
        http2MaxRequests: 1000
        maxRequestsPerConnection: 10
    outlierDetection:
      consecutive5xxErrors: 7
      interval: 5m
      baseEjectionTime: 15m
";

#[test]
fn the_versions_of_a_service() {
    let model = model(BOOKINFO);
    assert_eq!(model.warnings(), []);
    let rules = seen_by(&model, &client("shop", &[]));
    let reviews = host("reviews.shop.svc.cluster.local");
    let v1 = rules.destination(&reviews, Some("v1"), 9080).expect("v1");
    assert_eq!(
        v1.labels
            .and_then(|it| it.get("version"))
            .map(String::as_str),
        Some("v1")
    );
    assert_eq!(v1.policy.load_balancer.balancing, Balancing::LeastRequest);
    let endpoint = |version: &str| BTreeMap::from([("version".into(), version.into())]);
    assert!(v1.has(&endpoint("v1")) && !v1.has(&endpoint("v2")) && !v1.has(&BTreeMap::new()));
    let v2 = rules.destination(&reviews, Some("v2"), 9080).expect("v2");
    assert_eq!(v2.policy.load_balancer.balancing, Balancing::RoundRobin);
    assert!(matches!(v2.policy.tls, Some(ClientTls::IstioMutual { .. })));
    assert!(rules.destination(&reviews, Some("v3"), 9080).is_none());
    let whole = rules
        .destination(&reviews, None, 9080)
        .expect("without a subset");
    assert!(whole.labels.is_none() && whole.has(&endpoint("v2")) && whole.rule.is_some());
}

#[test]
fn a_circuit_breaker() {
    let model = model(BREAKER);
    assert_eq!(model.warnings(), []);
    let policy = of(BREAKER, None, 80);
    let tcp = policy.connection_pool.tcp;
    assert_eq!(tcp.max_connections, 100);
    assert_eq!(tcp.connect_timeout, Duration::from_millis(30));
    assert_eq!(tcp.idle_timeout, Some(Duration::from_secs(3600)));
    let http = policy.connection_pool.http;
    assert_eq!(http.max_requests, 1000);
    assert_eq!(http.max_requests_per_connection, Some(10));
    assert_eq!(http.max_retries, u32::MAX);
    let outliers = policy.outlier_detection.expect("outlier detection");
    assert_eq!(outliers.consecutive_errors, Some(7));
    assert_eq!(outliers.consecutive_gateway_errors, None);
    assert_eq!(outliers.base_ejection_time, Duration::from_secs(900));
    assert_eq!(
        (outliers.max_ejection_percent, outliers.min_health_percent),
        (10, 0)
    );
}

#[test]
fn the_defaults_are_those_of_istio() {
    let policy = of(BREAKER, None, 80);
    assert_eq!(policy.load_balancer, LoadBalancer::default());
    assert_eq!(policy.load_balancer.balancing, Balancing::LeastRequest);
    assert_eq!(policy.load_balancer.locality, LocalityBalancing::Off);
    assert_eq!((policy.tls, policy.retry_budget), (None, None));
    let plain = of(BREAKER.replace("reviews.shop", "a.shop").as_str(), None, 80);
    assert_eq!(plain, TrafficPolicy::default());
    let tcp = plain.connection_pool.tcp;
    assert_eq!(tcp.max_connections, u32::MAX);
    assert_eq!(tcp.connect_timeout, Duration::from_secs(10));
    assert_eq!((tcp.keepalive, tcp.max_connection_duration), (None, None));
    let http = plain.connection_pool.http;
    assert_eq!(
        (
            http.max_pending_requests,
            http.max_requests,
            http.max_retries
        ),
        (None, u32::MAX, u32::MAX)
    );
    assert_eq!(http.max_requests_per_connection, None);
    assert_eq!(http.idle_timeout, Duration::from_secs(3600));
    assert_eq!(http.upgrade, Upgrade::Default);
    assert_eq!(http.max_concurrent_streams, 2_147_483_647);
}

#[test]
fn zeros_that_mean_something_are_taken() {
    let text = policy(
        "connectionPool: { tcp: { idleTimeout: 0s, tcpKeepalive: {} }, \
         http: { maxRequestsPerConnection: 0 } }",
    );
    let pool = of(&text, None, 80).connection_pool;
    assert_eq!(pool.tcp.idle_timeout, None);
    let system = TcpKeepalive {
        probes: None,
        time: None,
        interval: None,
    };
    assert_eq!(pool.tcp.keepalive, Some(system));
    assert_eq!(pool.http.max_requests_per_connection, None);
}

#[test]
fn a_retry_budget_has_the_defaults_of_envoy() {
    let budget = |fields: &str| {
        let text = policy(&format!("retryBudget: {{ {fields} }}"));
        let budget = of(&text, None, 80).retry_budget.expect("a budget");
        let interval = budget.interval.map(|it| it.as_secs());
        (
            budget.share.to_string(),
            budget.min_retry_concurrency,
            interval,
        )
    };
    assert_eq!(budget(""), ("20%".to_owned(), 3, None));
    assert_eq!(
        budget("percent: 12.5, minRetryConcurrency: 1, budgetInterval: 10s"),
        ("12.5%".to_owned(), 1, Some(10))
    );
    assert_eq!(budget("budgetInterval: 0s").2, None);
}
