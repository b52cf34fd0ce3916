//! Which route a call takes, and to which destination.

use std::sync::Arc;

use super::{
    destination::WeightedDestination,
    document::VirtualService,
    http_match::HttpMatch,
    http_route::{Forward, HttpAction, HttpRoute},
    redirect::Redirect,
    request::{ConnectionCall, HttpCall, normal},
    response::DirectResponse,
    rules::{HttpRule, RoutedConnection, Rule, Rules},
};
use crate::{
    object::{ObjectRef, Workload, seen_from},
    read::by_host::ByHost,
};

/// The routes of one client, by the host that is called: what others there are costs nothing.
#[derive(Debug, Clone)]
pub struct WorkloadRoutes {
    by_host: ByHost<VirtualService>,
    client: Arc<Workload>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub enum HttpDecision<'r> {
    /// Nothing routes the host at this port: it goes to the service of that host, if there is one.
    Unrouted,
    /// No route of this `VirtualService` matches: there is no such thing (404).
    NoRoute(&'r ObjectRef),
    /// It takes a route.
    Routed(Routed<'r>),
}

/// The route that a request takes.
#[derive(Debug, Clone, Copy)]
pub struct Routed<'r> {
    /// Whose route it is.
    pub virtual_service: &'r ObjectRef,
    /// The name of the route and of the match, as far as they have some: `route.match`.
    pub name: &'r Arc<str>,
    /// The route.
    pub route: &'r Arc<HttpRoute>,
    /// The match by which it takes that.
    pub matched: &'r HttpMatch,
    /// Where it goes.
    pub to: To<'r>,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub enum To<'r> {
    /// To this destination.
    Destination(&'r Forward, &'r WeightedDestination),
    /// Elsewhere, if the client follows.
    Redirect(&'r Redirect),
    /// Nowhere: this is the answer.
    Response(&'r DirectResponse),
}

/// A match that a request does not meet.
#[derive(Debug, Clone, Copy)]
pub struct PassedOver<'r> {
    /// The route that it would take.
    pub route: &'r HttpRoute,
    /// The match.
    pub matched: &'r HttpMatch,
}

impl WorkloadRoutes {
    /// Of all, those that the client sees.
    pub(super) fn new(by_host: ByHost<VirtualService>, client: Arc<Workload>) -> Self {
        Self { by_host, client }
    }

    /// Where a request goes. `random` is any number, each as likely as any other.
    pub fn http(&self, call: &HttpCall<'_>, random: u64) -> HttpDecision<'_> {
        let Some(rules) = self.of_host(&call.host()) else {
            return HttpDecision::Unrouted;
        };
        if let Some(HttpRule { name, rule }) = rules.http.find(call, &self.client) {
            return HttpDecision::Routed(Routed {
                virtual_service: &rules.object,
                name,
                route: &rule.route,
                matched: &rule.matched,
                to: To::new(&rule.route.action, random),
            });
        }
        match rules.http.of(&self.client, call.port).next() {
            Some(_) => HttpDecision::NoRoute(&rules.object),
            None => HttpDecision::Unrouted,
        }
    }

    /// The matches that a request is asked before the one by which it is routed, each with its
    /// route: it meets none of them.
    pub fn passed_over(&self, call: &HttpCall<'_>) -> impl Iterator<Item = PassedOver<'_>> {
        let rules = self.of_host(&call.host()).into_iter();
        rules
            .flat_map(|rules| rules.http.of(&self.client, call.port))
            .map(|http| &http.rule)
            .take_while(|rule| !rule.matched.holds(call))
            .map(|Rule { matched, route }| PassedOver { route, matched })
    }

    /// Where a connection with TLS goes; `None` if nothing routes it.
    pub fn tls(&self, call: &ConnectionCall<'_>, random: u64) -> Option<RoutedConnection<'_>> {
        let host = normal(call.host);
        self.of_host(&host)?.tls(call, &host, &self.client, random)
    }

    /// Where any other connection goes; `None` if nothing routes it.
    pub fn tcp(&self, call: &ConnectionCall<'_>, random: u64) -> Option<RoutedConnection<'_>> {
        let host = normal(call.host);
        self.of_host(&host)?.tcp(call, &host, &self.client, random)
    }

    fn of_host(&self, host: &str) -> Option<&Rules> {
        let own = &self.client.namespace;
        let seen = self
            .by_host
            .called(host, own, &|several| seen_from(several, own));
        Some(&seen?.rules)
    }
}

impl<'r> To<'r> {
    fn new(action: &'r HttpAction, random: u64) -> Self {
        match action {
            HttpAction::Forward(forward) => {
                Self::Destination(forward, forward.destinations.pick(random))
            }
            HttpAction::Redirect(redirect) => Self::Redirect(redirect),
            HttpAction::Respond(response) => Self::Response(response),
        }
    }
}

impl<'r> Routed<'r> {
    /// The authority that the request goes with; `None` if it keeps its own.
    pub fn authority(&self) -> Option<&'r str> {
        match self.to {
            To::Destination(forward, destination) => {
                let of_route = forward.authority.as_deref();
                of_route.or(destination.headers.authority.as_deref())
            }
            To::Redirect(_) | To::Response(_) => None,
        }
    }
}
