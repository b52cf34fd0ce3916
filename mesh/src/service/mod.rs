//! Istio's `ServiceEntry` and `WorkloadEntry` (`networking.istio.io`): which services there are,
//! and where.
//!
//! Each host of a `ServiceEntry` is a service. What Istio leaves open or answers in a surprising
//! way is settled here:
//!
//! - One host is one service to a client: two that the same client would see are refused, except
//!   that those of a client's own namespace go before those that others export to it. So are two at
//!   the same address and port where the protocol does not tell them apart.
//! - The protocol of a port is written, never guessed.
//! - A service that goes where the client called (`resolution: NONE`) has addresses, unless HTTP or
//!   TLS says which host is meant: else one port would open the way to everywhere.
//! - A short name is a service of the document's namespace, as it is in a `VirtualService`.
//! - What is selected by `workloadSelector` fits, or nothing is loaded.

mod check;
mod client;
mod compiled;
mod document;
mod endpoint;
mod entry;
mod looked_up;
mod port;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

pub use client::WorkloadServices;
pub use compiled::Service;
pub use endpoint::{Address, Endpoint};
pub use entry::{Location, Resolution};
pub use looked_up::{AfterAnswer, FamilyAnswer, LookedUp, LookupPace, NameAnswer, NameNews};
pub use port::{Protocol, ServicePort};

use crate::{
    object::{Named, Object, Unique, Workload},
    problem::Problems,
    read::HostName,
};
use compiled::{Place, WorkloadEntry};
use entry::ServiceEntry;

/// Every service, with its endpoints.
#[derive(Debug, Clone, Default)]
pub struct Services {
    services: Vec<Arc<Service>>,
}

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Read {
    services: Unique<ServiceEntry>,
    workloads: Unique<WorkloadEntry>,
}

/// Reads the `ServiceEntry` that an object holds, and adds it to the others.
pub(crate) fn read_into(read: &mut Read, object: Object<'_>, problems: &mut Problems) {
    let (name, line) = (object.name.clone(), object.line);
    let value = document::service_entry(object, problems);
    let entry = Named { name, line, value };
    read.services.add("ServiceEntry", entry, problems);
}

/// Reads the `WorkloadEntry` that an object holds, and adds it to the others.
pub(crate) fn read_workload_into(read: &mut Read, object: Object<'_>, problems: &mut Problems) {
    let (name, line) = (object.name.clone(), object.line);
    if let Some(value) = document::workload_entry(object, problems) {
        let entry = Named { name, line, value };
        read.workloads.add("WorkloadEntry", entry, problems);
    }
}

impl Services {
    /// All of them, once every document was read.
    pub(crate) fn new(read: Read, problems: &mut Problems) -> Self {
        let workloads: Vec<_> = read.workloads.into_values().collect();
        let mut services = Vec::new();
        for entry in read.services.into_values() {
            let selected = entry
                .selector
                .as_ref()
                .map(|selector| compiled::selected(&entry, selector, &workloads, problems));
            services.extend(Service::each(entry, selected.unwrap_or_default()));
        }
        refuse_same_hosts(&services, problems);
        refuse_same_addresses(&services, problems);
        warn_of_unselected(&services, &workloads, problems);
        Self { services }
    }

    /// Each of them, sorted by the names of their documents.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.iter()
    }

    /// The services that one client sees: those that are exported to its namespace.
    pub fn for_workload(&self, workload: &Workload) -> WorkloadServices {
        let seen = |service: &&Arc<Service>| service.export.reaches(&workload.namespace);
        let own = |service: &&Arc<Service>| service.name.namespace() == workload.namespace;
        let (own, others): (Vec<_>, Vec<_>) = self.services.iter().filter(seen).partition(own);
        WorkloadServices::new(own.into_iter().chain(others), workload)
    }
}

/// Two for one host that the same client would see.
fn refuse_same_hosts(services: &[Arc<Service>], problems: &mut Problems) {
    let mut by_host: BTreeMap<&HostName, Vec<&Service>> = BTreeMap::new();
    for service in services {
        let others = by_host.entry(&service.host).or_default();
        if let Some(other) = others.iter().find(|it| it.scope().meets(service.scope())) {
            let what = format!(
                "ServiceEntry {} is for {}, as {} is, which is at {}:{}",
                service.name, service.host, other.name, other.file, other.line
            );
            problems.enter(&service.file);
            let remedy = "make one of them, or let `exportTo` keep them apart";
            problems.error(service.line, what, remedy);
        }
        others.push(service);
    }
}

/// A service that is at a place, by one of its ports.
struct Occupant<'s> {
    service: &'s Service,
    port: &'s ServicePort,
}

impl Occupant<'_> {
    /// Whether a client sees both, and what it says does not tell which one it means.
    fn is_confused_with(&self, other: &Self) -> bool {
        let told_apart = self.port.protocol.tells_host_apart(other.port.protocol);
        let scopes = (self.service.scope(), other.service.scope());
        self.service.name != other.service.name && !told_apart && scopes.0.meets(scopes.1)
    }
}

/// Two at one address and port that the same client would see and could not tell apart.
fn refuse_same_addresses(services: &[Arc<Service>], problems: &mut Problems) {
    let mut places: HashMap<Place, Vec<Occupant<'_>>> = HashMap::new();
    for service in services {
        for port in &service.ports {
            for block in &service.addresses {
                let place = Place {
                    addresses: block.normal(),
                    port: port.number,
                };
                let others = places.entry(place).or_default();
                let occupant = Occupant { service, port };
                let other = others.iter().find(|it| occupant.is_confused_with(it));
                if let Some(Occupant { service: other, .. }) = other {
                    refuse_place(place, service, other, problems);
                }
                others.push(occupant);
            }
        }
    }
}

fn refuse_place(place: Place, service: &Service, other: &Service, problems: &mut Problems) {
    let what = format!(
        "ServiceEntry {} is at {} port {}, as {} is, which is at {}:{}",
        service.name, place.addresses, place.port, other.name, other.file, other.line
    );
    problems.enter(&service.file);
    let remedy = "give one of them other addresses; only HTTP and TLS say which is meant";
    problems.error(service.line, what, remedy);
}

fn warn_of_unselected(
    services: &[Arc<Service>],
    workloads: &[WorkloadEntry],
    problems: &mut Problems,
) {
    let endpoints = services.iter().flat_map(|service| &service.endpoints);
    let selected: HashSet<*const Endpoint> = endpoints.map(Arc::as_ptr).collect();
    let unselected = |it: &&WorkloadEntry| !selected.contains(&Arc::as_ptr(&it.endpoint));
    for workload in workloads.iter().filter(unselected) {
        problems.enter(&workload.file);
        let what = format!(
            "no ServiceEntry selects WorkloadEntry {}, so nothing goes there",
            workload.name
        );
        let remedy = "write a `workloadSelector` with its labels, in its namespace";
        problems.warn(workload.line, what, remedy);
    }
}

#[cfg(test)]
mod tests;
