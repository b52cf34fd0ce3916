//! Where the endpoints of a cluster are: at addresses, or wherever the DNS says.

use std::{collections::HashSet, net::SocketAddr};

use signet_mesh::{Address as Written, Called, Endpoint, Resolution};

use crate::{
    dns::{Lookup, Names},
    pool::Address,
};

/// Where one endpoint is.
#[derive(Debug)]
pub(super) struct Place {
    /// One or more, each an endpoint of the cluster.
    addresses: Vec<Address>,
    /// By what name, if others may take the place of these addresses.
    lookup: Option<Lookup>,
}

/// Where all of them are.
#[derive(Debug, Default)]
pub(super) struct Places {
    addresses: Vec<Address>,
    seen: HashSet<Address>,
    lookups: Vec<Lookup>,
}

impl Place {
    /// Where an endpoint of what is called is now.
    pub(super) fn of(endpoint: &Endpoint, called: Called<'_>, names: &Names) -> Self {
        let port = endpoint.port(called.port);
        let name = match &endpoint.address {
            Written::Ip(ip) => return Self::at(Address::Tcp(SocketAddr::new(*ip, port))),
            Written::Unix(path) => return Self::at(Address::Unix(path.as_ref().into())),
            Written::Name(name) => name,
        };
        let lookup = names.follow(name, port);
        match called.service.resolution {
            // One endpoint, of which each connection takes the first address that it gets.
            Resolution::DnsRoundRobin => Self::at(Address::Name(lookup)),
            Resolution::None | Resolution::Static | Resolution::Dns => {
                let known = lookup.endpoints();
                let known = known.map(|it| it.into_iter().map(Address::Tcp).collect());
                // Whoever calls it first waits for it to be known.
                let unknown = || vec![Address::Name(lookup.clone())];
                Self {
                    addresses: known.unwrap_or_else(unknown),
                    lookup: Some(lookup),
                }
            }
        }
    }

    /// Its addresses.
    pub(super) fn into_addresses(self) -> Vec<Address> {
        self.addresses
    }

    fn at(address: Address) -> Self {
        Self {
            addresses: vec![address],
            lookup: None,
        }
    }
}

impl Places {
    /// Adds where one more endpoint is: which of its addresses no other has.
    pub(super) fn add(&mut self, place: Place) -> Vec<Address> {
        let Place { addresses, lookup } = place;
        self.lookups.extend(lookup);
        let new = addresses.into_iter();
        let new: Vec<_> = new.filter(|it| self.seen.insert(it.clone())).collect();
        self.addresses.extend(new.iter().cloned());
        new
    }

    /// Each address, once.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Address> {
        self.addresses.iter().cloned()
    }

    /// The names that may come to be elsewhere.
    pub(super) fn into_lookups(self) -> Vec<Lookup> {
        self.lookups
    }
}
