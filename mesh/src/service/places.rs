//! Which services are at an address and port.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use rpds::HashTrieMapSync;

use super::{compiled::Service, port::ServicePort};
use crate::{cidr::Cidr, object::Exported as _, problem::Problems, read::by_host::Several};

/// The services that have addresses, by these and by their ports. A copy shares what it has with
/// the other, so that it costs nothing, and a change of it no more than what is changed.
#[derive(Debug, Clone)]
pub(super) struct Places {
    services: HashTrieMapSync<Place, Several<Service>>,
    /// The lengths of the blocks of those that are there or were.
    lengths: BTreeSet<u8>,
}

/// A block of addresses, and a port there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    /// Without bits that its length cuts off.
    addresses: Cidr,
    port: u16,
}

impl Places {
    /// Adds a service. One that a client sees beside it at the same place, and could not tell apart
    /// from it, is an error.
    pub(super) fn add(&mut self, service: &Arc<Service>, problems: &mut Problems) {
        for (place, port) in places(service) {
            let known = self.of(place);
            let mut others = known.iter();
            if let Some(other) = others.find(|it| is_confused(service, port, it)) {
                refuse(place, service, other, problems);
            }
            if known.iter().any(|it| Arc::ptr_eq(it, service)) {
                continue;
            }
            let mut all: Vec<_> = known.iter().chain([service]).cloned().collect();
            all.sort_by(|one, other| (&one.name, &one.host).cmp(&(&other.name, &other.host)));
            self.services.insert_mut(place, all.into());
            self.lengths.insert(place.addresses.length());
        }
    }

    /// Takes a service away.
    pub(super) fn remove(&mut self, service: &Arc<Service>) {
        for (place, _) in places(service) {
            let others = self.of(place).iter().filter(|it| !Arc::ptr_eq(it, service));
            let others: Several<_> = others.cloned().collect();
            if others.is_empty() {
                self.services.remove_mut(&place);
            } else {
                self.services.insert_mut(place, others);
            }
        }
    }

    /// Those of the smallest block that holds the address, of those that are `seen`.
    pub(super) fn at(
        &self,
        address: IpAddr,
        port: u16,
        seen: impl Fn(&Arc<Service>) -> bool,
    ) -> Vec<&Arc<Service>> {
        let lengths = self.lengths.iter().rev();
        let mut blocks = lengths.map(|length| {
            let addresses = Cidr::around(address, *length);
            let services = self.of(Place { addresses, port }).iter();
            services.filter(|it| seen(it)).collect::<Vec<_>>()
        });
        let smallest = blocks.find(|services| !services.is_empty());
        smallest.unwrap_or_default()
    }

    fn of(&self, place: Place) -> &[Arc<Service>] {
        self.services.get(&place).map_or(&[], |services| services)
    }
}

impl Default for Places {
    fn default() -> Self {
        Self {
            services: HashTrieMapSync::new_sync(),
            lengths: BTreeSet::new(),
        }
    }
}

fn places(service: &Service) -> impl Iterator<Item = (Place, &ServicePort)> {
    service.ports.iter().flat_map(|port| {
        service.addresses.iter().map(move |block| {
            let place = Place {
                addresses: block.normal(),
                port: port.number,
            };
            (place, port)
        })
    })
}

/// Whether a client sees both where this port is, and what it says does not tell which one it
/// means.
fn is_confused(service: &Service, port: &ServicePort, other: &Service) -> bool {
    let is_told_apart = |it: &ServicePort| port.protocol.tells_host_apart(it.protocol);
    service.name != other.name
        && !other.port(port.number).is_some_and(is_told_apart)
        && service.scope().meets(other.scope())
}

fn refuse(place: Place, service: &Service, other: &Service, problems: &mut Problems) {
    let what = format!(
        "ServiceEntry {} is at {} port {}, as {} is, which is at {}:{}",
        service.name, place.addresses, place.port, other.name, other.file, other.line
    );
    problems.enter(&service.file);
    let remedy = "give one of them other addresses; only HTTP and TLS say which is meant";
    problems.error(service.line, what, remedy);
}
