//! What the parts of a `ServiceEntry` must be, each for the sake of another.

use super::{
    endpoint::{Address, Endpoint},
    entry::{Location, Resolution, ServiceEntry},
};
use crate::{
    problem::Problems,
    read::{HostName, table::Table, yaml::Value},
};

/// Why an endpoint cannot be one of a service, and the remedy.
pub(super) struct Unfit(pub(super) String, pub(super) &'static str);

/// Checks an entry that was read from `table`.
pub(super) fn check(entry: &ServiceEntry, table: &Table<'_>, problems: &mut Problems) {
    let checks = Checks { entry, table };
    match entry.resolution {
        Resolution::None => checks.where_the_client_called(problems),
        Resolution::Static => checks.listed(problems),
        Resolution::Dns | Resolution::DnsRoundRobin => checks.looked_up(problems),
    }
    checks.endpoints(problems);
    checks.selector(problems);
    checks.told_apart(problems);
}

/// Why the endpoint cannot be one of this service, whichever others there are.
pub(super) fn unfit(entry: &ServiceEntry, endpoint: &Endpoint) -> Option<Unfit> {
    match (entry.resolution, &endpoint.address) {
        (Resolution::Static, Address::Name(name)) => Some(Unfit(
            format!("{name} is a name, which resolution STATIC does not look up"),
            "write `resolution: DNS`, or an IP address",
        )),
        (Resolution::Dns | Resolution::DnsRoundRobin, Address::Unix(path)) => Some(Unfit(
            format!("unix://{path} is not looked up in the DNS"),
            "write `resolution: STATIC`",
        )),
        (Resolution::Static, Address::Unix(path)) if entry.ports.len() != 1 => Some(Unfit(
            format!(
                "unix://{path} is one port, but spec.ports has {}",
                entry.ports.len()
            ),
            "keep one port, or write an IP address",
        )),
        (Resolution::None, _)
        | (Resolution::Static, Address::Ip(_) | Address::Unix(_))
        | (Resolution::Dns | Resolution::DnsRoundRobin, Address::Ip(_) | Address::Name(_)) => None,
    }
}

struct Checks<'a, 'n> {
    entry: &'a ServiceEntry,
    table: &'a Table<'n>,
}

impl Checks<'_, '_> {
    fn where_the_client_called(&self, problems: &mut Problems) {
        for key in ["endpoints", "workloadSelector"] {
            if self.table.has(key) {
                let what = format!(
                    "spec.{key} has no effect with resolution NONE, which goes where the client called"
                );
                problems.error(
                    self.line(key),
                    what,
                    "write `resolution: STATIC`, or remove it",
                );
            }
        }
        let opaque = self.entry.ports.iter().find(|it| it.protocol.is_opaque());
        if let Some(port) = opaque.filter(|_| !self.table.has("addresses")) {
            let what = format!(
                "port {} would lead to every address, as spec.addresses is missing",
                port.number
            );
            problems.error(
                self.line("ports"),
                what,
                "write the addresses that are meant",
            );
        }
    }

    fn listed(&self, problems: &mut Problems) {
        if !self.table.has("endpoints") && !self.table.has("workloadSelector") {
            let what = "with resolution STATIC the service is nowhere";
            problems.error(self.table.line, what, "write endpoints or workloadSelector");
        }
    }

    fn looked_up(&self, problems: &mut Problems) {
        let blocks = self.entry.addresses.iter();
        for block in blocks.filter(|block| !block.is_one()) {
            let what = format!("spec.addresses {block} is a block, which cannot be looked up");
            let remedy = "write addresses, or resolution NONE or STATIC";
            problems.error(self.line("addresses"), what, remedy);
        }
        if !self.table.has("endpoints") && !self.table.has("workloadSelector") {
            self.names(problems);
        }
        let one = self.entry.resolution == Resolution::DnsRoundRobin;
        if one && self.entry.endpoints.len() > 1 {
            let what = "resolution DNS_ROUND_ROBIN looks up one name, but there are more endpoints";
            problems.error(
                self.line("endpoints"),
                what,
                "keep one, or write `resolution: DNS`",
            );
        }
        if one && self.table.has("workloadSelector") {
            let what = "spec.workloadSelector may select several, and DNS_ROUND_ROBIN looks up one";
            problems.error(
                self.line("workloadSelector"),
                what,
                "write `resolution: DNS`",
            );
        }
    }

    /// Without endpoints the hosts are looked up themselves.
    fn names(&self, problems: &mut Problems) {
        for host in &self.entry.hosts {
            if matches!(host, HostName::Below(_)) {
                let what = format!("{host} stands for many hosts, so it cannot be looked up");
                let remedy = "name each host, or write endpoints";
                problems.error(self.line("hosts"), what, remedy);
            }
        }
        let Some(Value::List(nodes)) = self.table.get("hosts").map(|node| &node.value) else {
            return;
        };
        for node in nodes {
            if let Value::Text(text) = &node.value
                && !text.contains(['.', ':'])
            {
                let what = format!("{text:?} is a short name, which is not one of the DNS");
                let remedy =
                    format!("write its whole name, or `endpoints: [{{ address: {text} }}]`");
                problems.error(node.line, what, remedy);
            }
        }
    }

    fn endpoints(&self, problems: &mut Problems) {
        if self.table.has("endpoints") && self.table.has("workloadSelector") {
            let what = "spec has both endpoints and workloadSelector";
            problems.error(self.line("workloadSelector"), what, "keep one of them");
        }
        for endpoint in &self.entry.endpoints {
            if let Some(Unfit(why, remedy)) = unfit(self.entry, endpoint) {
                problems.error(
                    self.line("endpoints"),
                    format!("spec.endpoints: {why}"),
                    remedy,
                );
            }
            for name in endpoint.port_names() {
                if !self.entry.ports.iter().any(|port| *port.name == *name) {
                    let what = format!(
                        "spec.endpoints: {} has a port {name:?}, which spec.ports does not have",
                        endpoint.address
                    );
                    let remedy = "write the name of one of the ports";
                    problems.error(self.line("endpoints"), what, remedy);
                }
            }
        }
    }

    fn selector(&self, problems: &mut Problems) {
        if self.table.has("workloadSelector") && self.entry.location == Location::External {
            let what = "spec.workloadSelector selects workloads of the mesh, but the location is \
                        MESH_EXTERNAL";
            let remedy = "write `location: MESH_INTERNAL`";
            problems.warn(self.line("workloadSelector"), what, remedy);
        }
    }

    /// Hosts of which a connection does not say which one it means.
    fn told_apart(&self, problems: &mut Problems) {
        let many = self.entry.hosts.len() > 1 && self.entry.resolution != Resolution::None;
        let opaque = self.entry.ports.iter().find(|it| it.protocol.is_opaque());
        if let Some(port) = opaque.filter(|_| many) {
            let what = format!(
                "port {} does not tell the hosts apart, as it is neither HTTP nor TLS",
                port.number
            );
            problems.error(
                self.line("ports"),
                what,
                "make a ServiceEntry for each host",
            );
        }
    }

    fn line(&self, key: &str) -> u64 {
        self.table
            .get(key)
            .map_or(self.table.line, |node| node.line)
    }
}
