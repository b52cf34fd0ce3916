//! The services that one client sees.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use super::compiled::{Place, Service};
use crate::{
    cidr::Cidr,
    object::Workload,
    read::{HostName, by_host::ByHost},
};

/// The services that one client sees, by host and by address: what others there are costs nothing.
#[derive(Debug, Clone, Default)]
pub struct WorkloadServices {
    services: Vec<Arc<Service>>,
    hosts: ByHost<Arc<Service>>,
    places: HashMap<Place, Vec<Arc<Service>>>,
    /// The lengths of the blocks of those.
    lengths: BTreeSet<u8>,
}

impl WorkloadServices {
    /// Of two for the same host, the first counts.
    pub(super) fn new<'s>(
        services: impl Iterator<Item = &'s Arc<Service>>,
        workload: &Workload,
    ) -> Self {
        let mut all = Self::default();
        for service in services {
            let known = all.hosts.named(&service.host);
            if known.is_some_and(|other| other.host == service.host) {
                continue;
            }
            all.hosts.add(&service.host, Arc::clone(service));
            all.add_addresses(service);
            all.services.push(Arc::clone(service));
        }
        all.hosts.add_short_names(&workload.namespace);
        all
    }

    /// Each of them, those of the client's own namespace first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.iter()
    }

    /// The service of a host, which is in lower case and without a port: the one that has this
    /// name, or else the one for all hosts of the nearest domain above it.
    pub fn of(&self, host: &str) -> Option<&Arc<Service>> {
        self.hosts.of(host)
    }

    /// The service of a destination.
    pub fn named(&self, host: &HostName) -> Option<&Arc<Service>> {
        self.hosts.named(host)
    }

    /// The services that may be meant by who calls this address and port: those of the smallest
    /// block that holds it. Of several, what is spoken there says which.
    pub fn at(&self, address: IpAddr, port: u16) -> &[Arc<Service>] {
        let mut blocks = self
            .lengths
            .iter()
            .rev()
            .map(|length| Cidr::around(address, *length));
        blocks
            .find_map(|addresses| self.places.get(&Place { addresses, port }))
            .map_or(&[], |services| services)
    }

    fn add_addresses(&mut self, service: &Arc<Service>) {
        for block in &service.addresses {
            self.lengths.insert(block.length());
            for port in &service.ports {
                let place = Place {
                    addresses: block.normal(),
                    port: port.number,
                };
                let services = self.places.entry(place).or_default();
                services.push(Arc::clone(service));
            }
        }
    }
}
