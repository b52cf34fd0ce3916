//! The routes of a `VirtualService`, in the form in which they are looked up.

use std::sync::Arc;

use super::{
    by_path::ByPath,
    connection::{ConnectionMatch, TcpRoute, TlsRoute},
    destination::{WeightedDestination, WeightedDestinations},
    http_match::HttpMatch,
    http_route::HttpRoute,
    request::{ConnectionCall, HttpCall},
};
use crate::object::{ObjectRef, Workload};

/// The routes of a `VirtualService`.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) object: ObjectRef,
    pub(super) http: HttpRules,
    tls: Vec<Rule<ConnectionMatch, TlsRoute>>,
    tcp: Vec<Rule<ConnectionMatch, TcpRoute>>,
}

/// The routes of requests, in their order.
#[derive(Debug)]
pub(super) struct HttpRules {
    all: Vec<HttpRule>,
    /// Where there are many.
    by_path: Option<ByPath>,
}

/// A match of requests, and the route that is taken by it.
#[derive(Debug)]
pub(super) struct HttpRule {
    /// That of the route and of the match, as far as they have some: `route.match`.
    pub(super) name: Arc<str>,
    pub(super) rule: Rule<HttpMatch, HttpRoute>,
}

/// A match, and the route that is taken by it.
#[derive(Debug)]
pub(super) struct Rule<M, R> {
    pub(super) matched: Arc<M>,
    pub(super) route: Arc<R>,
}

/// The route that a connection takes.
#[derive(Debug, Clone, Copy)]
pub struct RoutedConnection<'r> {
    /// Whose route it is.
    pub virtual_service: &'r ObjectRef,
    /// Where it goes.
    pub to: &'r WeightedDestination,
    /// Where else it could have gone.
    pub destinations: &'r WeightedDestinations,
}

impl Rules {
    pub(super) fn new(
        object: ObjectRef,
        http: &[Arc<HttpRoute>],
        tls: &[Arc<TlsRoute>],
        tcp: &[Arc<TcpRoute>],
    ) -> Self {
        Self {
            object,
            http: http
                .iter()
                .flat_map(|route| Rule::of(&route.matches, route))
                .collect(),
            tls: tls
                .iter()
                .flat_map(|route| Rule::of(&route.matches, route))
                .collect(),
            tcp: tcp
                .iter()
                .flat_map(|route| Rule::of(&route.matches, route))
                .collect(),
        }
    }

    /// Where a connection with TLS of this client goes, which calls `host`.
    pub(super) fn tls(
        &self,
        call: &ConnectionCall<'_>,
        host: &str,
        client: &Workload,
        random: u64,
    ) -> Option<RoutedConnection<'_>> {
        let rule = first(&self.tls, call, host, client)?;
        Some(self.connection(&rule.route.destinations, random))
    }

    /// Where any other connection of it goes.
    pub(super) fn tcp(
        &self,
        call: &ConnectionCall<'_>,
        host: &str,
        client: &Workload,
        random: u64,
    ) -> Option<RoutedConnection<'_>> {
        let rule = first(&self.tcp, call, host, client)?;
        Some(self.connection(&rule.route.destinations, random))
    }

    fn connection<'r>(
        &'r self,
        destinations: &'r WeightedDestinations,
        random: u64,
    ) -> RoutedConnection<'r> {
        RoutedConnection {
            virtual_service: &self.object,
            to: destinations.pick(random),
            destinations,
        }
    }
}

fn first<'r, R>(
    rules: &'r [Rule<ConnectionMatch, R>],
    call: &ConnectionCall<'_>,
    host: &str,
    client: &Workload,
) -> Option<&'r Rule<ConnectionMatch, R>> {
    let takes = |it: &ConnectionMatch| it.clients.include(client) && it.holds(call, host);
    rules.iter().find(|rule| takes(&rule.matched))
}

impl HttpRules {
    /// The first whose match a request of this client meets.
    pub(super) fn find(&self, call: &HttpCall<'_>, client: &Workload) -> Option<&HttpRule> {
        let meets = |http: &&HttpRule| {
            let matched = &http.rule.matched;
            matched.is_for(client, call.port) && matched.holds(call)
        };
        match &self.by_path {
            None => self.all.iter().find(meets),
            Some(by_path) => {
                let mut places = by_path.of(call.path.as_str());
                places.find_map(|place| self.all.get(place).filter(meets))
            }
        }
    }

    /// Those for requests of this client to this port, in their order.
    pub(super) fn of<'r>(
        &'r self,
        client: &'r Workload,
        port: u16,
    ) -> impl Iterator<Item = &'r HttpRule> {
        let all = self.all.iter();
        all.filter(move |http| http.rule.matched.is_for(client, port))
    }
}

impl FromIterator<Rule<HttpMatch, HttpRoute>> for HttpRules {
    fn from_iter<I: IntoIterator<Item = Rule<HttpMatch, HttpRoute>>>(rules: I) -> Self {
        let all: Vec<_> = rules.into_iter().map(HttpRule::new).collect();
        let matches = all.iter().map(|http| &*http.rule.matched);
        Self {
            by_path: (all.len() > FEW).then(|| ByPath::new(matches)),
            all,
        }
    }
}

impl HttpRule {
    fn new(rule: Rule<HttpMatch, HttpRoute>) -> Self {
        let names = [rule.route.name.as_deref(), rule.matched.name.as_deref()];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        Self {
            name: names.join(".").into(),
            rule,
        }
    }
}

impl<M, R> Rule<M, R> {
    fn of(matches: &[Arc<M>], route: &Arc<R>) -> impl Iterator<Item = Self> {
        matches.iter().map(|matched| Self {
            matched: Arc::clone(matched),
            route: Arc::clone(route),
        })
    }
}

/// As many are tried one after the other as quickly as they are found by their paths.
const FEW: usize = 8;
