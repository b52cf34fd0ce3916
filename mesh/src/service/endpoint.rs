//! Istio's `WorkloadEntry`, which is an object of its own or stands in the `endpoints` of a
//! `ServiceEntry`: where a service really is.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use signet_identity::{SpiffeId, TrustDomain, id};

use super::port::{self, ServicePort};
use crate::{
    problem::Problems,
    read::{
        Locality,
        host::is_domain,
        labels, scalar,
        table::{self, Schema, Table},
        yaml::{Node, Value},
    },
};

/// A place at which a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect to.
    pub address: Address,
    /// What subsets choose by.
    pub labels: BTreeMap<String, String>,
    /// Where it runs, if that is known.
    pub locality: Option<Locality>,
    /// Its share among the endpoints of the service; at least 1.
    pub weight: u32,
    /// The path of the SPIFFE ID that it has in its trust domain, if its service account is known.
    pub id_path: Option<Box<str>>,
    /// Its own numbers of ports, by the names that the service has for them.
    ports: BTreeMap<Box<str>, u16>,
}

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An address.
    Ip(IpAddr),
    /// A name of the DNS, which the proxy looks up.
    Name(Box<str>),
    /// A Unix socket: a path, or `@` and an abstract name.
    Unix(Box<str>),
}

impl Endpoint {
    /// An endpoint of which only the address is known.
    pub(crate) fn at(address: Address) -> Self {
        Self {
            address,
            labels: BTreeMap::new(),
            locality: None,
            weight: 1,
            id_path: None,
            ports: BTreeMap::new(),
        }
    }

    /// Reads an endpoint; `namespace` is that of the document.
    pub(super) fn read(
        node: &Node,
        location: &str,
        namespace: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        let table = Table::open(node, location, ENDPOINT, problems);
        table.need("address", "write where it is", problems);
        let address = table.take("address", problems, Address::read);
        let ports = table.take("ports", problems, |node, location, problems| {
            Some(ports(node, location, problems))
        });
        if let (Some(Address::Unix(path)), Some(node)) = (&address, table.get("ports")) {
            let what = format!(
                "{} has no effect, as unix://{path} has none",
                table.name("ports")
            );
            problems.error(node.line, what, "remove it");
        }
        let labels = table.take("labels", problems, |node, location, problems| {
            Some(labels::read(node, location, problems))
        });
        let weight = table.take("weight", problems, |node, location, problems| {
            scalar::number(node, location, 1..=u32::MAX, problems)
        });
        let id_path = table.take("serviceAccount", problems, |node, location, problems| {
            id_path(node, location, namespace, problems)
        });
        let endpoint = Self {
            labels: labels.unwrap_or_default(),
            locality: table.take("locality", problems, Locality::read),
            weight: weight.unwrap_or(1),
            id_path,
            ports: ports.unwrap_or_default(),
            address: address?,
        };
        endpoint.check_tunnel(node.line, location, problems);
        Some(endpoint)
    }

    /// Whether it is reached over connections that carry many streams (HBONE), as Istio's label
    /// says.
    pub fn is_tunnelled(&self) -> bool {
        self.labels.contains_key(TUNNEL)
    }

    /// Refuses a tunnel of another kind, or one to what has no address and port.
    pub(super) fn check_tunnel(&self, line: u64, location: &str, problems: &mut Problems) {
        let Some(kind) = self.labels.get(TUNNEL) else {
            return;
        };
        if kind != "http" {
            let what = format!("{location}: the label {TUNNEL} is {kind:?}");
            problems.error(line, what, "write `http`, or remove it");
        }
        if !matches!(self.address, Address::Ip(_)) {
            let what = format!(
                "{location}: the label {TUNNEL} is for an IP address, and it is at {}",
                self.address
            );
            problems.error(line, what, "write its IP address, or remove the label");
        }
    }

    /// The number of one of the service's ports here.
    pub fn port(&self, port: &ServicePort) -> u16 {
        self.ports.get(&port.name).copied().unwrap_or(port.target)
    }

    /// Who it is, if its service account is known.
    pub fn id(&self, trust_domain: &TrustDomain) -> Option<SpiffeId> {
        let path = self.id_path.as_deref()?;
        id::in_trust_domain(trust_domain, path).ok()
    }

    /// The names of ports for which it has numbers.
    pub(super) fn port_names(&self) -> impl Iterator<Item = &str> {
        self.ports.keys().map(|name| &**name)
    }

    /// Whether a connection cannot tell them apart.
    pub(super) fn is_where(&self, other: &Self) -> bool {
        self.address == other.address && self.ports == other.ports
    }
}

impl Address {
    fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let text = table::text(node, location, problems)?;
        let address = Self::parse(text);
        if address.is_none() {
            let what = format!("{location} {text:?} is nowhere to connect to");
            let remedy = "write an IP address, a DNS name, or `unix:///path`; no port";
            problems.error(node.line, what, remedy);
        }
        address
    }

    /// IPv4 addresses that are mapped into IPv6 are IPv4.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix://") {
            let file = path.starts_with('/') && !path.ends_with('/');
            let named = file || path.starts_with('@') && path.len() > 1;
            return named.then(|| Self::Unix(path.into()));
        }
        let ip = text.parse().ok();
        if let Some(ip) = ip.map(|ip: IpAddr| ip.to_canonical()) {
            let one = !ip.is_unspecified() && !ip.is_multicast();
            return one.then_some(Self::Ip(ip));
        }
        let name = text.to_ascii_lowercase();
        // What ends in a number is a wrong address (WHATWG URL, "ends in a number").
        let last = name.rsplit('.').next().unwrap_or_default();
        let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
        (is_domain(&name) && !numeric).then(|| Self::Name(name.into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
            Self::Unix(path) => write!(f, "unix://{path}"),
        }
    }
}

fn ports(node: &Node, location: &str, problems: &mut Problems) -> BTreeMap<Box<str>, u16> {
    let mut ports = BTreeMap::new();
    let Value::Map(entries) = &node.value else {
        table::wrong_kind(node, location, "a mapping", problems);
        return ports;
    };
    if entries.is_empty() {
        let what = format!("{location} names no port");
        problems.error(node.line, what, "name one, or remove the key");
    }
    for entry in entries {
        let location = format!("{location}.{}", entry.key);
        if !port::is_name(&entry.key) {
            let what = format!("{location}: {:?} is not the name of a port", entry.key);
            problems.error(
                entry.line,
                what,
                "write the name that the service has for it",
            );
        }
        let Some(number) = scalar::port(&entry.node, &location, problems) else {
            continue;
        };
        if ports.insert(entry.key.as_str().into(), number).is_some() {
            let what = format!("{location} is given twice");
            problems.error(entry.line, what, "keep one of them");
        }
    }
    ports
}

/// Says that an endpoint takes tunnels (istio.io/api `label.NetworkingTunnel`).
const TUNNEL: &str = "networking.istio.io/tunnel";

/// `/ns/<namespace>/sa/<account>`, as Istio has it.
fn id_path(
    node: &Node,
    location: &str,
    namespace: &str,
    problems: &mut Problems,
) -> Option<Box<str>> {
    let account = table::text(node, location, problems)?;
    let path = format!("/ns/{namespace}/sa/{account}");
    let legal = !account.contains('/') && id::parse(&format!("spiffe://example.org{path}")).is_ok();
    if !legal {
        let what = format!("{location} {account:?} is not the name of a service account");
        let remedy = "write only the name; its namespace is that of the document";
        problems.error(node.line, what, remedy);
    }
    legal.then(|| path.into())
}

const ENDPOINT: Schema = Schema {
    read: &[
        "address",
        "ports",
        "labels",
        "locality",
        "weight",
        "serviceAccount",
    ],
    bookkeeping: &[],
    not_yet: &[(
        "network",
        "remove it; endpoints have to be reachable without a gateway",
    )],
};
