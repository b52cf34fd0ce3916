//! The services that one client sees.

use std::{net::IpAddr, sync::Arc};

use super::{compiled::Service, places::Places};
use crate::{
    object::{Workload, seen_from},
    read::{HostName, by_host::ByHost},
};

/// The services that one client sees, by host and by address: what others there are costs nothing.
#[derive(Debug, Clone)]
pub struct WorkloadServices {
    hosts: ByHost<Service>,
    places: Places,
    client: Arc<Workload>,
}

impl WorkloadServices {
    /// Of all, those that the client sees.
    pub(super) fn new(hosts: ByHost<Service>, places: Places, client: Arc<Workload>) -> Self {
        Self {
            hosts,
            places,
            client,
        }
    }

    /// Each of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        let of_hosts = self.hosts.iter();
        of_hosts.filter_map(|several| seen_from(several, &self.client.namespace))
    }

    /// The service of a host, which is in lower case and without a port: the one that has this
    /// name, or else the one for all hosts of the nearest domain above it.
    pub fn of(&self, host: &str) -> Option<&Arc<Service>> {
        let own = &self.client.namespace;
        self.hosts
            .called(host, own, &|several| seen_from(several, own))
    }

    /// The service of a destination.
    pub fn named(&self, host: &HostName) -> Option<&Arc<Service>> {
        match host {
            HostName::Exact(name) => self.of(name),
            HostName::Below(_) => {
                let own = &self.client.namespace;
                self.hosts.named(host, &|several| seen_from(several, own))
            }
        }
    }

    /// The services that may be meant by who calls this address and port: those of the smallest
    /// block that holds it. Of several, what is spoken there says which.
    pub fn at(&self, address: IpAddr, port: u16) -> Vec<&Arc<Service>> {
        let is_seen = |service: &Arc<Service>| {
            let several = self.hosts.exactly(&service.host);
            let seen = seen_from(several, &self.client.namespace);
            seen.is_some_and(|seen| Arc::ptr_eq(seen, service))
        };
        self.places.at(address, port, is_seen)
    }
}
