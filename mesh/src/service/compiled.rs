//! A service, with the endpoints that it has.

use std::{net::IpAddr, sync::Arc};

use super::{
    check::{self, Unfit},
    endpoint::{Address, Endpoint},
    entry::{Location, Resolution, ServiceEntry},
    port::ServicePort,
};
use crate::{
    cidr::Cidr,
    object::{ExportTo, ObjectName, Scope, Selector},
    problem::Problems,
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

/// A block of addresses, and a port there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Without bits that its length cuts off.
    pub(super) addresses: Cidr,
    pub(super) port: u16,
}

/// A `WorkloadEntry` that is an object of its own.
#[derive(Debug)]
pub(crate) struct WorkloadEntry {
    pub(super) name: ObjectName,
    pub(super) file: Arc<str>,
    pub(super) line: u64,
    pub(super) endpoint: Arc<Endpoint>,
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

    /// To whom it is exported.
    pub(crate) fn export(&self) -> &ExportTo {
        &self.export
    }

    /// Whose clients see it.
    pub(super) fn scope(&self) -> Scope<'_> {
        Scope {
            own: self.name.namespace(),
            export: &self.export,
        }
    }

    /// The services of an entry, one for each host.
    pub(super) fn each(entry: ServiceEntry, selected: Vec<Arc<Endpoint>>) -> Vec<Arc<Self>> {
        let mut endpoints = entry.endpoints;
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
        entry.hosts.into_iter().map(of).map(Arc::new).collect()
    }
}

/// The endpoints that an entry selects.
pub(super) fn selected(
    entry: &ServiceEntry,
    selector: &Selector,
    workloads: &[WorkloadEntry],
    problems: &mut Problems,
) -> Vec<Arc<Endpoint>> {
    let mut endpoints = Vec::new();
    let near = |it: &&WorkloadEntry| it.name.namespace() == entry.name.namespace();
    for workload in workloads.iter().filter(near) {
        if !selector.selects(&workload.endpoint.labels) {
            continue;
        }
        if let Some(Unfit(why, remedy)) = check::unfit(entry, &workload.endpoint) {
            let what = format!(
                "ServiceEntry {} selects WorkloadEntry {}, which is at {}:{}: {why}",
                entry.name, workload.name, workload.file, workload.line
            );
            problems.enter(&entry.file);
            problems.error(entry.line, what, remedy);
        }
        endpoints.push(Arc::clone(&workload.endpoint));
    }
    endpoints
}

/// A host that is looked up itself.
fn itself(host: &HostName) -> Vec<Arc<Endpoint>> {
    let name = match host {
        HostName::Exact(name) => Address::parse(name),
        HostName::Below(_) => None,
    };
    name.map(Endpoint::at).map(Arc::new).into_iter().collect()
}
