//! `/clusters`: how the destinations of the proxy are, each endpoint with its health and breaker.

use std::fmt::Write as _;

use http::StatusCode;
use serde::Serialize;
use signet_daemon::http::{Answer, json, text};
use tokio::time::Instant;

use super::{Format, Seen, application};
use crate::{
    cluster::{ClusterState, EndpointState},
    config::{Connect, Forward},
};

#[derive(Debug, Serialize)]
struct Cluster {
    name: String,
    /// Over all threads; of the mesh alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Serialize)]
struct Load {
    active_requests: u32,
    max_requests: u32,
    active_retries: u32,
    max_retries: u32,
    ejections: u64,
}

#[derive(Debug, Serialize)]
struct Endpoint {
    address: String,
    health: &'static str,
    breaker: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    health_check: Option<&'static str>,
}

/// Text, a line for each fact, or JSON.
pub(super) fn tell(seen: &Seen, format: Format) -> Answer {
    let clusters = clusters(seen);
    match format {
        Format::Json => json(StatusCode::OK, &clusters),
        Format::Text => text(StatusCode::OK, lines(&clusters)),
    }
}

/// Those of the ports, and those of the mesh that have had calls.
fn clusters(seen: &Seen) -> Vec<Cluster> {
    let ports = seen.ports.borrow().clone();
    let inbound = ports.inbound.iter().filter_map(|open| {
        let Forward::To {
            target,
            policy_port,
        } = &open.config.forward
        else {
            return None;
        };
        let name = format!("inbound|{policy_port}|{}", open.config.name);
        let failing = open.health.is_failing();
        Some(of_port(name, application(target), failing))
    });
    let outbound = ports.outbound.iter().filter_map(|open| {
        let Connect::Fixed { address, .. } = &open.config.connect else {
            return None;
        };
        let name = format!("outbound|{}", open.config.name);
        let failing = open.health.is_failing();
        Some(of_port(name, address.clone(), failing))
    });
    let of_mesh = seen.clusters.states(Instant::now());
    let of_mesh = of_mesh.into_iter().map(|state| of_mesh_cluster(&state));
    inbound.chain(outbound).chain(of_mesh).collect()
}

fn of_port(name: String, address: String, is_failing: bool) -> Cluster {
    let endpoint = endpoint(&EndpointState {
        address,
        breaker: "closed",
        health_check: None,
        is_failing,
    });
    Cluster {
        name,
        load: None,
        endpoints: vec![endpoint],
    }
}

fn of_mesh_cluster(state: &ClusterState) -> Cluster {
    let pool = &state.policy.connection_pool.http;
    let requests = state.under_way.requests;
    let budget = state.policy.retry_budget.as_ref();
    Cluster {
        name: state.name.to_string(),
        load: Some(Load {
            active_requests: requests,
            max_requests: pool.max_requests,
            active_retries: state.under_way.retries,
            max_retries: budget.map_or(pool.max_retries, |budget| budget.most(requests)),
            ejections: state.ejections(),
        }),
        endpoints: state.endpoints.iter().map(endpoint).collect(),
    }
}

fn endpoint(state: &EndpointState) -> Endpoint {
    Endpoint {
        address: state.address.clone(),
        health: match state.is_failing {
            true => "unreachable",
            false => "healthy",
        },
        breaker: state.breaker,
        health_check: state.health_check,
    }
}

fn lines(clusters: &[Cluster]) -> String {
    let mut lines = String::new();
    for Cluster {
        name,
        load,
        endpoints,
    } in clusters
    {
        if let Some(load) = load {
            for (fact, value) in [
                ("active_requests", u64::from(load.active_requests)),
                ("max_requests", load.max_requests.into()),
                ("active_retries", load.active_retries.into()),
                ("max_retries", load.max_retries.into()),
                ("ejections", load.ejections),
            ] {
                // Writing into a text cannot fail.
                let _ = writeln!(lines, "{name}::{fact}::{value}");
            }
        }
        for endpoint in endpoints {
            let Endpoint {
                address,
                health,
                breaker,
                health_check,
            } = endpoint;
            let _ = writeln!(lines, "{name}::{address}::health::{health}");
            let _ = writeln!(lines, "{name}::{address}::breaker::{breaker}");
            if let Some(found) = health_check {
                let _ = writeln!(lines, "{name}::{address}::health_check::{found}");
            }
        }
    }
    lines
}
