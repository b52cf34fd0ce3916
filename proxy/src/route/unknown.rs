//! Calls of what no document names: they are refused, or passed on to where their clients called,
//! as `outboundTrafficPolicy` says. Both have Istio's names in the access log and in metrics.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use signet_mesh::{NotCalled, WorkloadModel, host_and_port};

use super::{
    How, Route,
    passthrough::{PASSTHROUGH, Passthrough},
};
use crate::{
    cluster::Cluster,
    config::OutboundTrafficPolicy,
    flow::{End, Flow, Observer, Routing},
    http::request::HttpRequest,
    metrics::{Between, Meter, Party, Service},
    port::Thread,
};

/// What becomes of calls of what no document names.
#[derive(Debug)]
pub(crate) struct Unknown {
    what: Becomes,
    observer: Option<Observer>,
    /// The hosts that metrics know by name.
    hosts: Mutex<HashSet<String>>,
}

#[derive(Debug)]
enum Becomes {
    /// They are refused.
    Refused,
    /// They might pass, if it were known where they were to go.
    NotRedirected,
    /// They pass, unless their destination is the proxy itself.
    Passed { on: Passthrough, never: Vec<u16> },
}

/// A call of which no document says where it goes.
#[derive(Debug)]
pub(super) struct Nowhere<'m> {
    model: &'m WorkloadModel,
    why: NotCalled,
    /// Where its client called, if that is known.
    called: Option<SocketAddr>,
}

impl<'m> Nowhere<'m> {
    pub(super) fn new(
        model: &'m WorkloadModel,
        why: NotCalled,
        called: Option<SocketAddr>,
    ) -> Self {
        Self { model, why, called }
    }

    /// It is refused, and `more` is why it is not passed on.
    fn refused(self, more: &str) -> End {
        match self.why {
            NotCalled::NoService(_) | NotCalled::NothingAt(..) => {
                End::Routing(Routing::BlackHole(format!("{}{more}", self.why).into()))
            }
            NotCalled::NoPort(..)
            | NotCalled::NotHttp(..)
            | NotCalled::IsHttp(..)
            | NotCalled::Anywhere(_)
            | NotCalled::NoSubset(..)
            | NotCalled::NobodyExpected(..) => self.why.into(),
        }
    }
}

impl Unknown {
    /// Of a port to which connections are redirected.
    pub(crate) fn of_redirected(policy: &OutboundTrafficPolicy, thread: &Thread) -> Self {
        let what = match policy {
            OutboundTrafficPolicy::RegistryOnly => Becomes::Refused,
            OutboundTrafficPolicy::AllowAny { never } => Becomes::Passed {
                on: Passthrough::new(&thread.tasks, thread.clusters.own_connections()),
                never: never.iter().copied().chain(thread.admin_port).collect(),
            },
        };
        Self::new(what, thread)
    }

    /// Of a port whose clients call the port itself.
    pub(crate) fn of_others(policy: &OutboundTrafficPolicy, thread: &Thread) -> Self {
        let what = match policy {
            OutboundTrafficPolicy::RegistryOnly => Becomes::Refused,
            OutboundTrafficPolicy::AllowAny { .. } => Becomes::NotRedirected,
        };
        Self::new(what, thread)
    }

    fn new(what: Becomes, thread: &Thread) -> Self {
        Self {
            what,
            observer: thread.observer.clone(),
            hosts: Mutex::default(),
        }
    }

    /// What becomes of a request.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn request(
        &self,
        nowhere: Nowhere<'_>,
        request: HttpRequest,
        flow: &mut Flow,
    ) -> Result<Route, End> {
        let passed = self.passed(nowhere);
        let host = self.known_host(request.host());
        match passed {
            Ok((on, address)) => {
                flow.counted_by(self.meter(PASSTHROUGH, host).as_ref());
                let how = How {
                    route: Some(Arc::clone(&ALLOW_ANY)),
                    ..How::default()
                };
                let cluster = on.requests(address, request.protocol());
                Ok(Route::forward(request, cluster, how))
            }
            Err(end) => {
                if let End::Routing(Routing::BlackHole(_)) = &end {
                    flow.routed(&BLOCK_ALL, BLACK_HOLE.into());
                    flow.counted_by(self.meter(BLACK_HOLE, host).as_ref());
                }
                Err(end)
            }
        }
    }

    /// What becomes of a connection.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn connection(
        &self,
        nowhere: Nowhere<'_>,
        flow: &mut Flow,
    ) -> Result<Arc<Cluster>, End> {
        match self.passed(nowhere) {
            Ok((on, address)) => {
                flow.routed(&ALLOW_ANY, PASSTHROUGH.into());
                flow.carries(self.meter(PASSTHROUGH, None).as_ref());
                Ok(on.connection(address))
            }
            Err(end) => {
                if let End::Routing(Routing::BlackHole(_)) = &end {
                    flow.routed(&BLOCK_ALL, BLACK_HOLE.into());
                    flow.carries(self.meter(BLACK_HOLE, None).as_ref());
                }
                Err(end)
            }
        }
    }

    /// Where a call goes on to. What a document names, by whatever the client says of it or by its
    /// address, is never called otherwise than that document says.
    fn passed(&self, nowhere: Nowhere<'_>) -> Result<(&Passthrough, SocketAddr), End> {
        let (on, never) = match &self.what {
            Becomes::Refused => return Err(nowhere.refused("")),
            Becomes::NotRedirected => return Err(nowhere.refused(NOT_REDIRECTED)),
            Becomes::Passed { on, never } => (on, never),
        };
        let Some(called) = nowhere.called.filter(|_| nowhere.why.is_unknown()) else {
            return Err(nowhere.refused(""));
        };
        if nowhere.model.names(called.ip(), called.port()) {
            let more = format!(
                "; and it is not passed on, as documents name what is at {} port {}",
                called.ip(),
                called.port()
            );
            return Err(nowhere.refused(&more));
        }
        if never.contains(&called.port()) && is_of_this_host(called.ip()) {
            let more = format!("; and it is not passed on to {called}, which is the proxy itself");
            return Err(nowhere.refused(&more));
        }
        Ok((on, called))
    }

    /// Who counts the calls of what has this name; and this host, if that is known.
    fn meter(&self, name: &str, host: Option<String>) -> Option<Arc<Meter>> {
        let service = Service {
            host,
            name: Some(name.to_owned()),
            namespace: None,
        };
        let between = || Between::to(Party::default(), service);
        self.observer.as_ref().map(|it| it.meter(between()))
    }

    /// The host of a request, for metrics: a client that makes hosts up must not fill them.
    fn known_host(&self, authority: &str) -> Option<String> {
        self.observer.as_ref()?;
        let (host, _) = host_and_port(authority);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if !hosts.contains(&*host) {
            if hosts.len() >= MOST_HOSTS {
                return None;
            }
            hosts.insert(host.clone().into_owned());
        }
        Some(host.into_owned())
    }
}

/// Whether this host has the address, so that a socket can be bound to it. In doubt it has.
fn is_of_this_host(address: IpAddr) -> bool {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::AddrNotAvailable,
    }
}

/// Istio's name of where they go that are refused.
const BLACK_HOLE: &str = "BlackHoleCluster";
/// Istio's names of the routes there.
static ALLOW_ANY: LazyLock<Arc<str>> = LazyLock::new(|| "allow_any".into());
static BLOCK_ALL: LazyLock<Arc<str>> = LazyLock::new(|| "block_all".into());
const NOT_REDIRECTED: &str = "; ALLOW_ANY passes on only what was redirected to the proxy, and \
                              this port takes what calls itself";
const MOST_HOSTS: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use signet_mesh::{HostName, Model, Source, Workload};
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::pool::OwnConnections;

    /// Whether a call of this address is passed on, or why not.
    fn passed(what: Becomes, why: NotCalled, called: &str) -> Result<SocketAddr, String> {
        let service = Source {
            name: "a.yaml".to_owned(),
            text: SERVICE.to_owned(),
        };
        let workload = Workload {
            namespace: "shop".to_owned(),
            labels: BTreeMap::new(),
        };
        let model = Model::parse(&[service]).unwrap();
        let model = model.for_workload(&workload, "root");
        let unknown = Unknown {
            what,
            observer: None,
            hosts: Mutex::default(),
        };
        let nowhere = Nowhere::new(&model, why, called.parse().ok());
        let passed = unknown.passed(nowhere);
        passed.map(|(_, to)| to).map_err(|end| end.why().to_owned())
    }

    fn onward() -> Becomes {
        Becomes::Passed {
            on: Passthrough::new(&TaskTracker::new(), &OwnConnections::default()),
            never: vec![15001],
        }
    }

    fn nobody() -> NotCalled {
        NotCalled::NoService("elsewhere.test".into())
    }

    const SERVICE: &str = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n\
        metadata: { name: web, namespace: shop }\nspec: { hosts: [web.test], resolution: STATIC, \
        addresses: [10.1.1.1], ports: [{ number: 80, name: http, protocol: HTTP }], \
        endpoints: [{ address: 10.0.0.1 }] }\n";

    #[test]
    fn what_no_document_names_goes_on_to_where_it_was_called_if_that_may_be() {
        let there = "192.0.2.1:80".parse().unwrap();
        assert_eq!(passed(onward(), nobody(), "192.0.2.1:80"), Ok(there));
        for what in [Becomes::Refused, Becomes::NotRedirected] {
            passed(what, nobody(), "192.0.2.1:80").unwrap_err();
        }
        // Nobody knows where.
        passed(onward(), nobody(), "").unwrap_err();
    }

    #[test]
    fn what_a_document_names_is_called_as_it_says_or_not_at_all() {
        let why = passed(onward(), nobody(), "10.1.1.1:80").unwrap_err();
        assert!(
            why.contains("documents name what is at 10.1.1.1 port 80"),
            "{why}"
        );
        let why = NotCalled::IsHttp(HostName::Exact("web.test".into()), 80);
        passed(onward(), why, "192.0.2.1:80").unwrap_err();
    }

    #[test]
    fn nothing_goes_on_to_the_proxys_own_ports_and_to_the_same_ports_elsewhere_it_does() {
        let why = passed(onward(), nobody(), "127.0.0.1:15001").unwrap_err();
        assert!(why.contains("which is the proxy itself"), "{why}");
        passed(onward(), nobody(), "127.0.0.1:15002").unwrap();
        passed(onward(), nobody(), "192.0.2.1:15001").unwrap();
    }

    #[test]
    fn the_addresses_of_this_host_are_told_from_those_of_others() {
        let here = ["127.0.0.1", "127.0.0.2", "::1"];
        assert!(here.iter().all(|it| is_of_this_host(it.parse().unwrap())));
        let there = ["192.0.2.1", "2001:db8::1"];
        assert!(!there.iter().any(|it| is_of_this_host(it.parse().unwrap())));
    }
}
