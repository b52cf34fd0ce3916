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
mod rules;

use std::{collections::BTreeSet, sync::Arc};

use rpds::HashTrieMapSync;

pub use connection::{TcpRoute, TlsRoute};
pub use cors::{Cors, CorsDecision, UnmatchedPreflights};
pub use decision::{HttpDecision, PassedOver, Routed, To, WorkloadRoutes};
pub use destination::{Destination, WeightedDestination, WeightedDestinations};
pub use document::VirtualService;
pub(crate) use document::read;
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
pub use rules::RoutedConnection;

use crate::{
    object::{Change, Exported as _, Objects, Workload},
    problem::Problems,
    read::{HostName, by_host::ByHost},
};

/// Every `VirtualService`, compiled.
#[derive(Debug, Clone)]
pub struct VirtualServices {
    all: Objects<VirtualService>,
    /// Those that concern proxies beside workloads.
    by_host: ByHost<VirtualService>,
    /// The same by the hosts that they lead to.
    by_destination: HashTrieMapSync<HostName, Objects<VirtualService>>,
}

impl VirtualServices {
    /// Takes away what goes, and adds what comes.
    pub(crate) fn change(&mut self, change: &mut Change<VirtualService>, problems: &mut Problems) {
        self.all.change(change, problems);
        for service in change.gone.iter().filter(|it| it.in_mesh) {
            for host in &service.hosts {
                self.by_host.remove(host, service);
            }
            self.change_leading(service, |leading| leading.remove(service));
        }
        for service in change.come.iter().filter(|it| it.in_mesh) {
            self.add(service, problems);
        }
    }

    fn add(&mut self, service: &Arc<VirtualService>, problems: &mut Problems) {
        for host in &service.hosts {
            let mut others = self.by_host.exactly(host).iter();
            if let Some(other) = others.find(|it| it.scope().meets(service.scope())) {
                problems.enter(&service.file);
                let what = format!(
                    "VirtualService {} routes {host}, as {} does, which is at {}:{}",
                    service.name, other.name, other.file, other.line
                );
                let remedy = "make one of them, or let `exportTo` keep them apart";
                problems.error(service.line, what, remedy);
            }
            let is_before = |other: &VirtualService| other.name < service.name;
            self.by_host.add(host, service, is_before);
        }
        self.change_leading(service, |leading| leading.put(service));
    }

    /// Changes what leads to each host to which this one leads.
    fn change_leading(
        &mut self,
        service: &VirtualService,
        change: impl Fn(&mut Objects<VirtualService>),
    ) {
        let hosts: BTreeSet<_> = service.destinations().map(|(_, to)| &to.host).collect();
        for host in hosts {
            let known = self.by_destination.get(host);
            let mut leading = known.cloned().unwrap_or_default();
            change(&mut leading);
            if leading.len() == 0 {
                self.by_destination.remove_mut(host);
            } else {
                self.by_destination.insert_mut(host.clone(), leading);
            }
        }
    }

    /// Those that lead to exactly this host, sorted by name.
    pub(crate) fn leading_to(&self, host: &HostName) -> impl Iterator<Item = &Arc<VirtualService>> {
        let leading = self.by_destination.get(host).into_iter();
        leading.flat_map(Objects::iter)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Each that concerns proxies beside workloads, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VirtualService>> {
        self.all.iter().filter(|it| it.in_mesh)
    }

    /// The routes of one client: those that are exported to its namespace, without those that are
    /// for other clients.
    pub fn for_workload(&self, workload: Arc<Workload>) -> WorkloadRoutes {
        WorkloadRoutes::new(self.by_host.clone(), workload)
    }
}

impl Default for VirtualServices {
    fn default() -> Self {
        Self {
            all: Objects::default(),
            by_host: ByHost::default(),
            by_destination: HashTrieMapSync::new_sync(),
        }
    }
}

#[cfg(test)]
mod tests;
