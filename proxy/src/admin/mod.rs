//! The admin endpoint of the proxy: what it has, and how its calls are.
//!
//! The paths are Envoy's where it has them.

mod certs;
mod clusters;
mod config_dump;
mod connections;
mod gauges;

use std::{future, sync::Arc};

use http::{StatusCode, request::Parts};
use signet_daemon::{
    admin::{AdminAddress, AdminError, AdminListener, AdminParts},
    health::{Health, State},
    http::{Answer, Router, text},
    metrics::Registry,
    socket::Inheritance,
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    cluster::SharedClusters, config::Target, flow::Connections, overload::Overload,
    ports::SharedPorts, reauthorize::Sources, source::SharedStatus,
};

/// What the admin endpoint tells of.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) metrics: Registry,
    pub(crate) sources: Sources,
    pub(crate) status: SharedStatus,
    pub(crate) ports: SharedPorts,
    pub(crate) clusters: SharedClusters,
    pub(crate) connections: Connections,
    pub(crate) overload: Arc<Overload>,
    /// Cancelled when nothing new is to be accepted.
    pub(crate) drain: CancellationToken,
    /// Cancelled when the proxy is to stop.
    pub(crate) quit: CancellationToken,
}

/// Opens the admin endpoint, or goes on with that of another process. Must be called inside the
/// runtime.
///
/// # Errors
/// The address or the socket is in use or not to be had.
pub(crate) fn open(
    address: &AdminAddress,
    seen: Seen,
    inheritance: &mut Inheritance,
) -> Result<AdminListener, AdminError> {
    gauges::register(&seen);
    let parts = AdminParts {
        health: health(&seen),
        metrics: seen.metrics.clone(),
        quit: seen.quit.clone(),
    };
    AdminListener::inherit(address, parts, router(seen), inheritance)
}

/// Ready with an identity and a model, without which it has not come this far, until it drains.
fn health(seen: &Seen) -> Health {
    let health = Health::new();
    let (identity, drain) = (seen.sources.identity.clone(), seen.drain.clone());
    health.register("identity", move || match *identity.borrow() {
        Some(_) => State::well(),
        None => State::unready("the Workload API has given no identity, or has withdrawn it"),
    });
    health.register("drain", move || match drain.is_cancelled() {
        false => State::well(),
        true => State::unready("nothing new is accepted"),
    });
    health
}

fn router(seen: Seen) -> Router {
    let seen = Arc::new(seen);
    let get = |tell: fn(&Seen, Format) -> Answer| {
        let seen = Arc::clone(&seen);
        move |head: Parts| future::ready(tell(&seen, Format::of(&head)))
    };
    let drained = Arc::clone(&seen);
    Router::new()
        .get("/config_dump", get(config_dump::tell))
        .get("/clusters", get(clusters::tell))
        .get("/certs", get(certs::tell))
        .get("/connections", get(connections::tell))
        .post("/drain", move |_| future::ready(drain(&drained)))
}

/// Nothing new is accepted from now on, and what is under way may end.
fn drain(seen: &Seen) -> Answer {
    info!("draining, as the admin endpoint was asked to: nothing new is accepted");
    seen.drain.cancel();
    let ports = Arc::clone(&seen.ports.borrow());
    ports.close();
    text(StatusCode::OK, "OK\n")
}

fn application(target: &Target) -> String {
    match target {
        Target::Tcp(address) => address.to_string(),
        Target::Unix(path) => format!("unix://{}", path.display()),
    }
}

/// In which form something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

impl Format {
    fn of(head: &Parts) -> Self {
        let mut asked = head.uri.query().into_iter().flat_map(|it| it.split('&'));
        match asked.any(|it| it == "format=json") {
            true => Self::Json,
            false => Self::Text,
        }
    }
}
