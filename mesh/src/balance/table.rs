//! Finds the endpoint of a key.

use twox_hash::XxHash64;

use super::{maglev::Maglev, ring::Ring};
use crate::destination::HashAlgorithm;

/// Finds the endpoint of a key: the same in every proxy that has the same endpoints.
#[derive(Debug, PartialEq, Eq)]
pub struct HashTable(Kind);

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Ring(Ring),
    Maglev(Maglev),
}

/// An endpoint, by what a table knows it.
#[derive(Debug, Clone, Copy)]
pub struct TableEndpoint<'n> {
    /// By which it is found again: its address and port.
    pub name: &'n str,
    /// Its share of all keys.
    pub weight: u32,
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

/// Envoy's hash, xxHash of 64 bits.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    hash_with(0, bytes)
}

/// Another one for each seed.
pub(super) fn hash_with(seed: u64, bytes: &[u8]) -> u64 {
    XxHash64::oneshot(seed, bytes)
}
