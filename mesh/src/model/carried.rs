//! What is read, but not carried by proxies yet: refused by name, or it would be left out silently.

use std::sync::Arc;

use crate::{
    destination::{Balancing, ClientTls, DestinationRule, TrafficPolicy},
    problem::DocumentError,
    route::{HttpAction, VirtualService},
    service::{Resolution, Service, Services},
    telemetry::NotCarried,
};

/// What of a `DestinationRule` is not carried.
pub(super) fn of_rule(rule: &DestinationRule, services: &Services) -> Vec<DocumentError> {
    let passes_through = || {
        let mut called = services.iter().filter(|it| rule.host.covers(&it.host));
        let is_where_called = |service: &Arc<Service>| service.resolution == Resolution::None;
        called.next().is_some_and(is_where_called) && called.all(is_where_called)
    };
    let mut keys: Vec<_> = rule
        .policies()
        .flat_map(|policy| of_policy(policy, passes_through))
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

/// What of a `VirtualService` is not carried.
pub(super) fn of_routes(routes: &VirtualService) -> Option<DocumentError> {
    let retries = routes.http.iter().filter_map(|route| match &route.action {
        HttpAction::Forward(forward) => forward.retries.as_ref(),
        HttpAction::Redirect(_) | HttpAction::Respond(_) => None,
    });
    let is_asked = { retries }.any(|retries| retries.remote_localities);
    is_asked.then(|| DocumentError {
        file: Arc::clone(&routes.file),
        line: routes.line,
        what: format!(
            "VirtualService {}: retries.retryRemoteLocalities is not carried by proxies yet",
            routes.name
        ),
        remedy: "remove it".to_owned(),
    })
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

/// `passes_through` is whether what is called is where its client called.
fn of_policy(policy: &TrafficPolicy, passes_through: impl Fn() -> bool) -> Vec<&'static str> {
    let balancer = &policy.load_balancer;
    let unverified = match &policy.tls {
        Some(ClientTls::Simple(server) | ClientTls::Mutual { server, .. }) => {
            server.verify.is_none()
        }
        Some(ClientTls::Disable | ClientTls::IstioMutual { .. }) | None => false,
    };
    let keys = [
        match balancer.balancing {
            Balancing::LeastRequest
            | Balancing::PeakEwma
            | Balancing::RoundRobin
            | Balancing::Random
            | Balancing::ConsistentHash(_) => None,
            Balancing::Passthrough if passes_through() => None,
            Balancing::Passthrough => Some("loadBalancer.simple PASSTHROUGH"),
        },
        unverified.then_some("tls.insecureSkipVerify"),
    ];
    keys.into_iter().flatten().collect()
}
