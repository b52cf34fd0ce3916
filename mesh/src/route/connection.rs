//! Routes of connections: `tls` by the server name that a client wants, `tcp` by where it called.

use std::sync::Arc;

use super::{
    client::Clients,
    destination::{From, OF_CONNECTIONS, WeightedDestinations},
    request::ConnectionCall,
};
use crate::{
    cidr::Cidr,
    problem::Problems,
    read::{
        HostName, scalar,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// A route of connections with TLS that is not ended here.
#[derive(Debug, Clone)]
pub struct TlsRoute {
    /// The line that it begins on.
    pub line: u64,
    pub(super) matches: Vec<Arc<ConnectionMatch>>,
    /// Where connections go.
    pub destinations: WeightedDestinations,
}

/// A route of connections of which only bytes are known.
#[derive(Debug, Clone)]
pub struct TcpRoute {
    /// The line that it begins on.
    pub line: u64,
    pub(super) matches: Vec<Arc<ConnectionMatch>>,
    /// Where connections go.
    pub destinations: WeightedDestinations,
}

/// Conditions that a connection must meet, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ConnectionMatch {
    pub(super) line: u64,
    pub(super) clients: Clients,
    /// One of them is the server name; `None` asks for none.
    sni: Option<Vec<HostName>>,
    /// One of them holds the address that was called; `None` asks for none.
    subnets: Option<Vec<Cidr>>,
    port: Option<u16>,
}

/// Of which `VirtualService` routes are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) namespace: &'a str,
    pub(super) hosts: &'a [HostName],
}

impl ConnectionMatch {
    /// Whether a connection of one of its clients meets the conditions.
    pub(super) fn holds(&self, call: &ConnectionCall<'_>, host: &str) -> bool {
        let sni = self.sni.as_ref();
        let subnets = self.subnets.as_ref();
        self.port.is_none_or(|port| port == call.port)
            && sni.is_none_or(|names| names.iter().any(|name| name.matches(host)))
            && subnets.is_none_or(|all| all.iter().any(|it| it.contains(call.destination_ip)))
    }

    pub(super) fn is_unconditional(&self) -> bool {
        self.clients.are_all()
            && self.sni.is_none()
            && self.subnets.is_none()
            && self.port.is_none()
    }
}

impl TlsRoute {
    pub(super) fn read(
        node: &Node,
        location: &str,
        of: Of<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let table = Table::open(node, location, ROUTE, problems);
        let remedy = "write `match: [{ sniHosts: [ … ] }]`";
        let list = table.need("match", remedy, problems);
        let location = table.name("match");
        let nodes = list.map_or(&[][..], |list| table::list(list, &location, problems));
        let mut matches = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let table = Table::open(node, &format!("{location}[{index}]"), TLS_MATCH, problems);
            let mut read = conditions(&table, problems);
            read.sni = sni_hosts(&table, of, problems);
            matches.push(Arc::new(read));
        }
        Some(Self {
            line: node.line,
            matches,
            destinations: destinations(&table, of, problems)?,
        })
    }
}

impl TcpRoute {
    pub(super) fn read(
        node: &Node,
        location: &str,
        of: Of<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let table = Table::open(node, location, ROUTE, problems);
        let mut matches = Vec::new();
        if let Some(list) = table.get("match") {
            let location = table.name("match");
            for (index, node) in table::list(list, &location, problems).iter().enumerate() {
                let location = format!("{location}[{index}]");
                let table = Table::open(node, &location, TCP_MATCH, problems);
                if table.was_empty() {
                    let what = format!("{location} asks for nothing");
                    let remedy = "write a condition, or a route without `match`";
                    problems.error(node.line, what, remedy);
                }
                matches.push(Arc::new(conditions(&table, problems)));
            }
        } else {
            matches.push(Arc::new(ConnectionMatch::default()));
        }
        Some(Self {
            line: node.line,
            matches,
            destinations: destinations(&table, of, problems)?,
        })
    }
}

fn conditions(table: &Table<'_>, problems: &mut Problems) -> ConnectionMatch {
    ConnectionMatch {
        line: table.line,
        clients: Clients::read(table, problems),
        sni: None,
        subnets: table.take("destinationSubnets", problems, subnets),
        port: table.take("port", problems, scalar::port),
    }
}

fn subnets(list: &Node, location: &str, problems: &mut Problems) -> Option<Vec<Cidr>> {
    let mut subnets = Vec::new();
    for node in table::list(list, location, problems) {
        let Some(text) = table::text(node, location, problems) else {
            continue;
        };
        match Cidr::parse(text) {
            Ok(subnet) => subnets.push(subnet),
            Err(why) => {
                let remedy = "write an address or a block, as in `10.0.0.0/8`";
                problems.error(node.line, format!("{location} {text:?}: {why}"), remedy);
            }
        }
    }
    Some(subnets)
}

/// Names outside of the hosts would never come here.
fn sni_hosts(table: &Table<'_>, of: Of<'_>, problems: &mut Problems) -> Option<Vec<HostName>> {
    let list = table.need("sniHosts", "name the servers", problems)?;
    let location = table.name("sniHosts");
    let mut names = Vec::new();
    for node in table::list(list, &location, problems) {
        let name = HostName::read(node, &location, of.namespace, problems);
        let within = |name: &HostName| of.hosts.iter().any(|host| host.covers(name));
        if let Some(name) = name.as_ref().filter(|name| !within(name)) {
            let what = format!("{location} {name} is none of spec.hosts");
            problems.error(node.line, what, "add it there, or remove it");
        }
        names.extend(name);
    }
    Some(names)
}

fn destinations(
    table: &Table<'_>,
    of: Of<'_>,
    problems: &mut Problems,
) -> Option<WeightedDestinations> {
    let remedy = "write `route: [{ destination: { host: … } }]`";
    table.need("route", remedy, problems)?;
    table.take("route", problems, |node, location, problems| {
        let from = From {
            namespace: of.namespace,
            schema: OF_CONNECTIONS,
        };
        WeightedDestinations::read(node, location, from, problems)
    })
}

const ROUTE: Schema = Schema {
    read: &["match", "route"],
    bookkeeping: &[],
    not_yet: &[],
};

const TLS_MATCH: Schema = Schema {
    read: &[
        "sniHosts",
        "destinationSubnets",
        "port",
        "sourceLabels",
        "sourceNamespace",
        "gateways",
    ],
    bookkeeping: &[],
    not_yet: &[],
};

const TCP_MATCH: Schema = Schema {
    read: &[
        "destinationSubnets",
        "port",
        "sourceLabels",
        "sourceNamespace",
        "gateways",
    ],
    bookkeeping: &[],
    not_yet: &[(
        "sourceSubnet",
        "choose clients by sourceLabels or sourceNamespace",
    )],
};
