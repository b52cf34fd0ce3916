//! What is read, but not carried by proxies yet: refused by name, or it would be left out silently.

use crate::{
    destination::{
        Balancing, ClientTls, DestinationRule, HttpPool, LocalityBalancing, TcpPool, TrafficPolicy,
    },
    object::ObjectRef,
    problem::DocumentError,
    route::VirtualService,
    telemetry::NotCarried,
};

/// What of a `VirtualService` is not carried.
pub(super) fn of_service(service: &VirtualService) -> Vec<DocumentError> {
    let tls = service.tls.iter().map(|route| (route.line, "tls"));
    let tcp = service.tcp.iter().map(|route| (route.line, "tcp"));
    let refused = tls.chain(tcp);
    let error = |(line, key): (u64, &str)| DocumentError {
        file: service.file.clone(),
        line,
        what: format!(
            "VirtualService {}: {key} is not carried by proxies yet",
            service.name
        ),
        remedy: "remove it".to_owned(),
    };
    refused.map(error).collect()
}

/// What of a `DestinationRule` is not carried.
pub(super) fn of_rule(rule: &DestinationRule) -> Vec<DocumentError> {
    let mut keys: Vec<_> = rule
        .policies()
        .flat_map(|policy| of_policy(policy))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let error = |key: &str| DocumentError {
        file: rule.file.clone(),
        line: rule.line,
        what: format!(
            "DestinationRule {}: {key} is not carried by proxies yet",
            rule.name
        ),
        remedy: "remove it".to_owned(),
    };
    keys.into_iter().map(error).collect()
}

/// A part of a `Telemetry` that is not carried.
pub(super) fn of_telemetry(part: NotCarried<'_>) -> DocumentError {
    let NotCarried { object, key } = part;
    DocumentError {
        file: object.file.clone(),
        line: object.line,
        what: format!(
            "Telemetry {}: {key} is not carried by proxies yet",
            object.name
        ),
        remedy: "remove it".to_owned(),
    }
}

/// A document of which something is not carried.
pub(super) fn of_object(object: &ObjectRef, what: &str) -> DocumentError {
    DocumentError {
        file: object.file.clone(),
        line: object.line,
        what: format!("{what} {}: it is not carried by proxies yet", object.name),
        remedy: "remove it".to_owned(),
    }
}

fn of_policy(policy: &TrafficPolicy) -> Vec<&'static str> {
    let balancer = &policy.load_balancer;
    let by_files = matches!(
        policy.tls,
        Some(ClientTls::Simple(_) | ClientTls::Mutual { .. })
    );
    let keys = [
        match balancer.balancing {
            Balancing::LeastRequest | Balancing::RoundRobin | Balancing::Random => None,
            Balancing::Passthrough => Some("loadBalancer.simple PASSTHROUGH"),
            Balancing::ConsistentHash(_) => Some("loadBalancer.consistentHash"),
        },
        match balancer.locality {
            LocalityBalancing::Nearest | LocalityBalancing::Off => None,
            LocalityBalancing::Distribute(_)
            | LocalityBalancing::Failover(_)
            | LocalityBalancing::Priority(_) => Some("loadBalancer.localityLbSetting"),
        },
        balancer.warmup.map(|_| "loadBalancer.warmup"),
        by_files.then_some("tls.mode SIMPLE or MUTUAL"),
        policy
            .retry_budget
            .and_then(|budget| budget.interval)
            .map(|_| "retryBudget.budgetInterval"),
    ];
    let pool = &policy.connection_pool;
    let of_pool = of_connections(&pool.tcp).chain(of_requests(&pool.http));
    keys.into_iter().flatten().chain(of_pool).collect()
}

fn of_connections(pool: &TcpPool) -> impl Iterator<Item = &'static str> {
    let plain = TcpPool::default();
    let keys = [
        (pool.max_connections != plain.max_connections)
            .then_some("connectionPool.tcp.maxConnections"),
        (pool.keepalive != plain.keepalive).then_some("connectionPool.tcp.tcpKeepalive"),
        (pool.max_connection_duration != plain.max_connection_duration)
            .then_some("connectionPool.tcp.maxConnectionDuration"),
        (pool.idle_timeout != plain.idle_timeout).then_some("connectionPool.tcp.idleTimeout"),
    ];
    keys.into_iter().flatten()
}

fn of_requests(pool: &HttpPool) -> impl Iterator<Item = &'static str> {
    let plain = HttpPool::default();
    let keys = [
        (pool.max_pending_requests != plain.max_pending_requests)
            .then_some("connectionPool.http.http1MaxPendingRequests"),
        (pool.upgrade != plain.upgrade)
            .then_some("connectionPool.http.h2UpgradePolicy or useClientProtocol"),
        (pool.max_concurrent_streams != plain.max_concurrent_streams)
            .then_some("connectionPool.http.maxConcurrentStreams"),
        (pool.keepalive != plain.keepalive).then_some("connectionPool.http.http2KeepAlive"),
    ];
    keys.into_iter().flatten()
}
