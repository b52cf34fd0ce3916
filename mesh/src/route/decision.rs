//! Which route a call takes, and to which destination.

use std::sync::Arc;

use super::{
    by_path::ByPath,
    connection::{ConnectionMatch, TcpRoute, TlsRoute},
    destination::{WeightedDestination, WeightedDestinations},
    document::VirtualService,
    http_match::HttpMatch,
    http_route::{Forward, HttpAction, HttpRoute},
    redirect::Redirect,
    request::{ConnectionCall, HttpCall, normal},
    response::DirectResponse,
};
use crate::{
    object::{ObjectRef, Workload},
    read::by_host::ByHost,
};

/// The routes of one client, by the host that is called: what others there are costs nothing.
#[derive(Debug, Clone, Default)]
pub struct WorkloadRoutes(ByHost<Arc<Routes>>);

/// The routes of a `VirtualService`, without those for other clients.
#[derive(Debug)]
struct Routes {
    object: ObjectRef,
    http: HttpRules,
    tls: Vec<Rule<ConnectionMatch, TlsRoute>>,
    tcp: Vec<Rule<ConnectionMatch, TcpRoute>>,
}

/// The routes of requests, in their order.
#[derive(Debug)]
struct HttpRules {
    all: Vec<HttpRule>,
    /// Where there are many.
    by_path: Option<ByPath>,
}

/// A match of requests, and the route that is taken by it.
#[derive(Debug)]
struct HttpRule {
    /// That of the route and of the match, as far as they have some: `route.match`.
    name: Arc<str>,
    rule: Rule<HttpMatch, HttpRoute>,
}

/// A match, and the route that is taken by it.
#[derive(Debug)]
struct Rule<M, R> {
    matched: Arc<M>,
    route: Arc<R>,
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

impl WorkloadRoutes {
    /// Of two that route one host, the first counts.
    pub(super) fn new<'s>(
        services: impl Iterator<Item = &'s Arc<VirtualService>>,
        workload: &Workload,
    ) -> Self {
        let mut all = ByHost::default();
        for service in services {
            let routes = Arc::new(Routes::new(service, workload));
            for host in &service.hosts {
                all.add(host, Arc::clone(&routes));
            }
        }
        all.add_short_names(&workload.namespace);
        Self(all)
    }

    /// Where a request goes. `random` is any number, each as likely as any other.
    pub fn http(&self, call: &HttpCall<'_>, random: u64) -> HttpDecision<'_> {
        let Some(routes) = self.0.of(&call.host()) else {
            return HttpDecision::Unrouted;
        };
        match routes.http.find(call) {
            Some(HttpRule { name, rule }) => HttpDecision::Routed(Routed {
                virtual_service: &routes.object,
                name,
                route: &rule.route,
                matched: &rule.matched,
                to: To::new(&rule.route.action, random),
            }),
            None if routes.http.concern(call.port) => HttpDecision::NoRoute(&routes.object),
            None => HttpDecision::Unrouted,
        }
    }

    /// The matches that a request is asked before the one by which it is routed, each with its
    /// route: it meets none of them.
    pub fn passed_over(&self, call: &HttpCall<'_>) -> impl Iterator<Item = PassedOver<'_>> {
        let routes = self.0.of(&call.host());
        let rules = routes.into_iter().flat_map(|routes| &routes.http.all);
        rules
            .map(|http| &http.rule)
            .filter(|rule| rule.matched.port.is_none_or(|port| port == call.port))
            .take_while(|rule| !rule.matched.holds(call))
            .map(|Rule { matched, route }| PassedOver { route, matched })
    }

    /// Where a connection with TLS goes; `None` if nothing routes it.
    pub fn tls(&self, call: &ConnectionCall<'_>, random: u64) -> Option<RoutedConnection<'_>> {
        let host = normal(call.host);
        let routes = self.0.of(&host)?;
        let rule = routes
            .tls
            .iter()
            .find(|rule| rule.matched.holds(call, &host))?;
        Some(routes.connection(&rule.route.destinations, random))
    }

    /// Where any other connection goes; `None` if nothing routes it.
    pub fn tcp(&self, call: &ConnectionCall<'_>, random: u64) -> Option<RoutedConnection<'_>> {
        let host = normal(call.host);
        let routes = self.0.of(&host)?;
        let rule = routes
            .tcp
            .iter()
            .find(|rule| rule.matched.holds(call, &host))?;
        Some(routes.connection(&rule.route.destinations, random))
    }
}

impl Routes {
    fn new(service: &VirtualService, workload: &Workload) -> Self {
        let http = service
            .http
            .iter()
            .flat_map(|route| Rule::of(&route.matches, route));
        let tls = service
            .tls
            .iter()
            .flat_map(|route| Rule::of(&route.matches, route));
        let tcp = service
            .tcp
            .iter()
            .flat_map(|route| Rule::of(&route.matches, route));
        Self {
            object: ObjectRef {
                name: service.name.clone(),
                file: Arc::clone(&service.file),
                line: service.line,
            },
            http: http
                .filter(|rule| rule.matched.clients.include(workload))
                .collect(),
            tls: tls
                .filter(|rule| rule.matched.clients.include(workload))
                .collect(),
            tcp: tcp
                .filter(|rule| rule.matched.clients.include(workload))
                .collect(),
        }
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

impl HttpRules {
    /// The first whose match a request meets.
    fn find(&self, call: &HttpCall<'_>) -> Option<&HttpRule> {
        let meets = |http: &&HttpRule| {
            let matched = &http.rule.matched;
            matched.port.is_none_or(|port| port == call.port) && matched.holds(call)
        };
        match &self.by_path {
            None => self.all.iter().find(meets),
            Some(by_path) => {
                let mut places = by_path.of(call.path.as_str());
                places.find_map(|place| self.all.get(place).filter(meets))
            }
        }
    }

    /// Whether there are any for requests to this port.
    fn concern(&self, port: u16) -> bool {
        let mut ports = self.all.iter().map(|http| http.rule.matched.port);
        ports.any(|it| it.is_none_or(|it| it == port))
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

/// As many are tried one after the other as quickly as they are found by their paths.
const FEW: usize = 8;
