//! Istio's `VirtualService` (`networking.istio.io`): where the requests and connections of a client
//! go.
//!
//! The first route that matches is taken, in the order of the document. What Istio leaves open or
//! answers in a surprising way is settled here:
//!
//! - One host is routed by one `VirtualService`. Istio takes the oldest of several; here two that
//!   the same client would see are refused, except that those of a client's own namespace go before
//!   those that others export to it.
//! - A route, or a match, behind one that takes everything is an error, as is a field that has no
//!   effect where it stands.
//! - Headers are changed by the route first and then by the destination, whatever the number of
//!   destinations; what is removed is removed before anything is set. The authority that the route
//!   sets goes before that of the destination.
//! - `gateways` of a match restricts together with `sourceLabels` and `sourceNamespace`.
//! - A path that was rewritten is brought into normal form again: `/` in the place of `/api` makes
//!   `/items` of `/api/items`, not `//items`.

mod by_path;
mod client;
mod connection;
mod cors;
mod decision;
mod destination;
mod document;
mod fault;
mod headers;
mod http_match;
mod http_route;
mod mirror;
mod redirect;
mod repeat;
mod request;
mod response;
mod retry;
mod rewrite;

use std::{collections::BTreeMap, sync::Arc};

pub use connection::{TcpRoute, TlsRoute};
pub use cors::{Cors, CorsDecision, UnmatchedPreflights};
pub use decision::{HttpDecision, PassedOver, Routed, RoutedConnection, To, WorkloadRoutes};
pub use destination::{Destination, WeightedDestination, WeightedDestinations};
pub use document::VirtualService;
pub use fault::{Abort, AbortStatus, Delay, Fault};
pub use headers::{HeaderChanges, HeaderOperations};
pub use http_match::HttpMatch;
pub use http_route::{Forward, HttpAction, HttpRoute};
pub use mirror::Mirror;
pub use redirect::{Redirect, Scheme};
pub use repeat::{AttemptAnswer, AttemptOutcome};
pub use request::{ConnectionCall, HttpCall, host_and_port};
pub use response::DirectResponse;
pub use retry::{RetryCondition, RetryPolicy};
pub use rewrite::Rewrite;

use crate::{
    object::{Named, Object, Unique, Workload},
    problem::Problems,
    read::HostName,
};

/// Every `VirtualService` that concerns proxies beside workloads, compiled.
#[derive(Debug, Clone, Default)]
pub struct VirtualServices {
    services: Vec<Arc<VirtualService>>,
}

/// The `VirtualService`s that were read so far.
pub(crate) type Read = Unique<Arc<VirtualService>>;

/// Reads the `VirtualService` that an object holds, and adds it to the others.
pub(crate) fn read_into(services: &mut Read, object: Object<'_>, problems: &mut Problems) {
    let (name, line) = (object.name.clone(), object.line);
    if let Some(service) = document::read(object, problems) {
        let value = Arc::new(service);
        services.add("VirtualService", Named { name, line, value }, problems);
    }
}

impl VirtualServices {
    /// All of them, once every one was read.
    pub(crate) fn new(services: Read, problems: &mut Problems) -> Self {
        let services: Vec<_> = services.into_values().filter(|it| it.in_mesh).collect();
        refuse_conflicts(&services, problems);
        Self { services }
    }

    /// Each of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VirtualService>> {
        self.services.iter()
    }

    /// The routes of one client: those that are exported to its namespace, without those that are
    /// for other clients.
    pub fn for_workload(&self, workload: &Workload) -> WorkloadRoutes {
        let seen = |service: &&Arc<VirtualService>| service.export.reaches(&workload.namespace);
        let own = |service: &&Arc<VirtualService>| service.name.namespace() == workload.namespace;
        let (own, others): (Vec<_>, Vec<_>) = self.services.iter().filter(seen).partition(own);
        WorkloadRoutes::new(own.into_iter().chain(others), workload)
    }
}

/// Two that route the same host for the same client.
fn refuse_conflicts(services: &[Arc<VirtualService>], problems: &mut Problems) {
    let mut by_host: BTreeMap<&HostName, Vec<&VirtualService>> = BTreeMap::new();
    for service in services {
        for host in &service.hosts {
            let others = by_host.entry(host).or_default();
            if let Some(other) = others.iter().find(|it| it.scope().meets(service.scope())) {
                problems.enter(&service.file);
                let what = format!(
                    "VirtualService {} routes {host}, as {} does, which is at {}:{}",
                    service.name, other.name, other.file, other.line
                );
                let remedy = "make one of them, or let `exportTo` keep them apart";
                problems.error(service.line, what, remedy);
            }
            others.push(service);
        }
    }
}

#[cfg(test)]
mod tests;
