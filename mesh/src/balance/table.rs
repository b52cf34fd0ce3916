//! Finds the endpoint of a key.

use super::{hash::TableEndpoint, maglev::Maglev, ring_hash::Ring};
use crate::destination::HashAlgorithm;

/// Finds the endpoint of a key: the same in every proxy that has the same endpoints.
#[derive(Debug, PartialEq, Eq)]
pub struct HashTable(Kind);

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Ring(Ring),
    Maglev(Maglev),
}

impl HashTable {
    /// A table of these endpoints. It takes some milliseconds for a thousand of them.
    pub fn new(algorithm: HashAlgorithm, endpoints: &[TableEndpoint<'_>]) -> Self {
        Self(match algorithm {
            HashAlgorithm::Ring(points) => Kind::Ring(Ring::new(points, endpoints)),
            HashAlgorithm::Maglev(size) => Kind::Maglev(Maglev::new(size, endpoints)),
        })
    }

    /// The endpoint of the key with this hash, then those that take its place one after another,
    /// by their places among the endpoints; some more than once.
    pub fn places(&self, hash: u64) -> impl Iterator<Item = usize> {
        let (ring, maglev) = match &self.0 {
            Kind::Ring(ring) => (Some(ring.places(hash)), None),
            Kind::Maglev(maglev) => (None, Some(maglev.places(hash))),
        };
        let ring = ring.into_iter().flatten();
        let places = ring.chain(maglev.into_iter().flatten());
        places.filter_map(|place| usize::try_from(place).ok())
    }
}
