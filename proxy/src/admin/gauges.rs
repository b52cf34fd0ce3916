//! Metrics that are read where they stand, at each scrape.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use signet_daemon::metrics::{Labels, Registry, Sample};
use tokio::time::Instant;

use super::Seen;
use crate::{
    cluster::ClusterState,
    overload::{Overload, Shortage, resident},
    source::SharedStatus,
};

/// Tells of everything that is not counted as calls end.
pub(super) fn register(seen: &Seen) {
    let registry = &seen.metrics;
    let connections = seen.connections.clone();
    registry.before_scrape(move || connections.count());
    of_proxy(registry, seen);
    of_overload(registry, &seen.overload);
    of_model(registry, &seen.status);
    of_clusters(registry, seen);
}

fn of_proxy(registry: &Registry, seen: &Seen) {
    let build = [("version", env!("CARGO_PKG_VERSION")), ("role", "proxy")];
    registry.gauge("signet_build_info", "Which build runs", move || {
        one(Labels::of(build), 1)
    });
    let identity = seen.sources.identity.clone();
    registry.gauge(
        "signet_proxy_svid_expiry_timestamp_seconds",
        "When the X509-SVID of the proxy expires; not there while it has none",
        move || {
            let held = identity.borrow().clone();
            held.map_or_else(Vec::new, |held| {
                let id = Labels::one("spiffe_id", held.id().to_string());
                one(id, seconds(held.not_after()))
            })
        },
    );
    let connections = seen.connections.clone();
    registry.gauge(
        "signet_proxy_connections",
        "Connections of clients that are open",
        move || {
            let open = connections.list().len();
            vec![Sample::of(u64::try_from(open).unwrap_or(u64::MAX))]
        },
    );
}

fn of_overload(registry: &Registry, overload: &Arc<Overload>) {
    registry.gauge(
        "process_resident_memory_bytes",
        "How much memory of the process is resident",
        || resident().map_or_else(|_| Vec::new(), |bytes| vec![Sample::of(bytes)]),
    );
    let reason = |shortage: Shortage| Labels::one("reason", shortage.as_str().to_owned());
    let now = Arc::clone(overload);
    registry.gauge(
        "signet_proxy_overloaded",
        "1 while what is new is refused, as the proxy has all that it may have of this",
        move || {
            let sample = |shortage| Sample {
                labels: reason(shortage),
                value: u64::from(now.lacks(shortage)),
            };
            Shortage::ALL.map(sample).into()
        },
    );
    let now = Arc::clone(overload);
    registry.counted(
        "signet_proxy_overload_refused_connections",
        "Connections that were refused, as the proxy had all that it may have of this",
        move || {
            let sample = |shortage| Sample {
                labels: reason(shortage),
                value: now.refused_connections(shortage),
            };
            Shortage::ALL.map(sample).into()
        },
    );
    let now = Arc::clone(overload);
    registry.counted(
        "signet_proxy_overload_refused_requests",
        "Requests that were refused, as the proxy held as much memory as it may",
        move || vec![Sample::of(now.refused_requests())],
    );
}

fn of_model(registry: &Registry, status: &SharedStatus) {
    let now = status.clone();
    registry.gauge(
        "signet_proxy_model_info",
        "The model in force, by its version",
        move || {
            let version = now.borrow().documents.version.clone();
            one(Labels::one("version", version), 1)
        },
    );
    let now = status.clone();
    registry.gauge(
        "signet_proxy_model_in_force_timestamp_seconds",
        "Since when the model is in force",
        move || vec![Sample::of(seconds(now.borrow().since))],
    );
    let now = status.clone();
    registry.gauge(
        "signet_proxy_model_refused",
        "1 while the last model that was read is refused, and an older one stays in force",
        move || vec![Sample::of(u64::from(now.borrow().refusal.is_some()))],
    );
    let now = status.clone();
    registry.counted(
        "signet_proxy_model_refusals",
        "Models that were refused",
        move || vec![Sample::of(now.borrow().refusals)],
    );
}

fn of_clusters(registry: &Registry, seen: &Seen) {
    let gauge = |name, help, value: fn(&ClusterState) -> u64| {
        let clusters = seen.clusters.clone();
        registry.gauge(name, help, move || {
            let states = clusters.states(Instant::now());
            let sample = |state: &ClusterState| Sample {
                labels: Labels::one("cluster", state.name.to_string()),
                value: value(state),
            };
            states.iter().map(sample).collect()
        });
    };
    gauge(
        "signet_proxy_cluster_active_requests",
        "Tries of requests that are under way",
        |state| state.under_way.requests.into(),
    );
    gauge(
        "signet_proxy_cluster_max_requests",
        "How many may be under way",
        |state| state.policy.connection_pool.http.max_requests.into(),
    );
    gauge(
        "signet_proxy_cluster_active_retries",
        "Tries after the first that are under way or wait",
        |state| state.under_way.retries.into(),
    );
    gauge(
        "signet_proxy_cluster_ejected_endpoints",
        "Endpoints that are not tried as others are, because they failed",
        |state| {
            let ejected = state.endpoints.iter().filter(|it| it.breaker != "closed");
            u64::try_from(ejected.count()).unwrap_or(u64::MAX)
        },
    );
    gauge(
        "signet_proxy_cluster_unhealthy_endpoints",
        "Endpoints that get no calls, because they fail their health checks",
        |state| {
            let checked = state.endpoints.iter();
            let unhealthy = checked.filter(|it| it.health_check == Some("unhealthy"));
            u64::try_from(unhealthy.count()).unwrap_or(u64::MAX)
        },
    );
    let clusters = seen.clusters.clone();
    registry.counted(
        "signet_proxy_breaker_transitions",
        "What changed at endpoints of a cluster: opened and reopened are ejections",
        move || {
            let states = clusters.states(Instant::now());
            states.iter().flat_map(transitions).collect()
        },
    );
}

fn transitions(state: &ClusterState) -> [Sample; 5] {
    state.changes.map(|happened| Sample {
        labels: Labels::of([
            ("cluster", state.name.to_string()),
            ("change", happened.change.to_owned()),
        ]),
        value: happened.times,
    })
}

fn one(labels: Labels, value: u64) -> Vec<Sample> {
    vec![Sample { labels, value }]
}

/// Since 1970.
fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
