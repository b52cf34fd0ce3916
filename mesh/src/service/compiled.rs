//! A service, with the endpoints that it has.

use std::{net::IpAddr, sync::Arc};

use super::{
    endpoint::{Address, Endpoint},
    entry::{Location, Resolution, ServiceEntry},
    port::ServicePort,
};
use crate::{
    cidr::Cidr,
    object::{ExportTo, Exported, ObjectName, Scope},
    read::{HostName, SubjectAltName},
};

/// One host of a `ServiceEntry`.
#[derive(Debug, Clone)]
pub struct Service {
    /// The name of the `ServiceEntry`.
    pub name: ObjectName,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line its document begins on.
    pub line: u64,
    /// What clients call it; a wildcard is a service for all hosts below a name.
    pub host: HostName,
    /// Its ports; there is one at least.
    pub ports: Vec<ServicePort>,
    /// Whether it is one of the mesh.
    pub location: Location,
    /// How its endpoints are found.
    pub resolution: Resolution,
    /// Where it is; none with [`Resolution::None`], and none if no `WorkloadEntry` is selected.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Whom the certificate of an endpoint may name, beside the ID of the endpoint itself.
    pub subject_alt_names: Vec<SubjectAltName>,
    pub(super) addresses: Vec<Cidr>,
    pub(super) export: ExportTo,
}

impl Service {
    /// Its port with a number.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// Whether clients that call the address call it.
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|block| block.contains(address))
    }

    /// An address that clients of it call, if it has any.
    pub fn address(&self) -> Option<IpAddr> {
        self.addresses.first().map(Cidr::network)
    }

    /// The services of an entry, one for each host.
    pub(super) fn each(entry: &ServiceEntry, selected: Vec<Arc<Endpoint>>) -> Vec<Arc<Self>> {
        let mut endpoints = entry.endpoints.clone();
        endpoints.extend(selected);
        let looked_up = matches!(
            entry.resolution,
            Resolution::Dns | Resolution::DnsRoundRobin
        ) && endpoints.is_empty()
            && entry.selector.is_none();
        let of = |host: HostName| Self {
            name: entry.name.clone(),
            file: Arc::clone(&entry.file),
            line: entry.line,
            ports: entry.ports.clone(),
            location: entry.location,
            resolution: entry.resolution,
            endpoints: if looked_up {
                itself(&host)
            } else {
                endpoints.clone()
            },
            subject_alt_names: entry.subject_alt_names.clone(),
            addresses: entry.addresses.clone(),
            export: entry.export.clone(),
            host,
        };
        entry.hosts.iter().cloned().map(of).map(Arc::new).collect()
    }
}

impl Exported for Service {
    fn scope(&self) -> Scope<'_> {
        Scope {
            own: self.name.namespace(),
            export: &self.export,
        }
    }
}

/// A host that is looked up itself.
fn itself(host: &HostName) -> Vec<Arc<Endpoint>> {
    let name = match host {
        HostName::Exact(name) => Address::parse(name),
        HostName::Below(_) => None,
    };
    name.map(Endpoint::at).map(Arc::new).into_iter().collect()
}
