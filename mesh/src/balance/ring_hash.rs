//! A ring: each endpoint has points on it, by its weight, and a key belongs to the next point.
//!
//! An endpoint that comes or goes takes or leaves its own keys alone: how many points another has
//! does not depend on it. That holds until all together would have more than [`MOST`] points; from
//! there on all have fewer, the more there are.

use super::hash::{TableEndpoint, hash};

/// The points of all endpoints, in the order of their hashes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ring {
    hashes: Vec<u64>,
    places: Vec<u32>,
}

impl Ring {
    /// A ring on which an endpoint has `points` for each of its weight.
    pub(super) fn new(points: u32, endpoints: &[TableEndpoint<'_>]) -> Self {
        let total: u64 = endpoints.iter().map(|it| u64::from(it.weight)).sum();
        let most = MOST.max(u64::from(points));
        let mut all: Vec<(u64, u32)> = Vec::new();
        for (place, endpoint) in (0..).zip(endpoints) {
            let whole = u64::from(points).saturating_mul(total);
            let share = u64::from(endpoint.weight).saturating_mul(most.min(whole));
            // Each has one, however small its share is.
            let count = share.checked_div(total).unwrap_or(0).max(1);
            let counted = if endpoint.weight == 0 { 0 } else { count };
            let points = (0..counted).map(|point| format!("{}_{point}", endpoint.name));
            all.extend(points.map(|point| (hash(point.as_bytes()), place)));
        }
        all.sort_unstable();
        let (hashes, places) = all.into_iter().unzip();
        Self { hashes, places }
    }

    /// The places of endpoints, from the point of a key on, once around.
    pub(super) fn places(&self, key: u64) -> impl Iterator<Item = u32> {
        let next = self.hashes.partition_point(|hash| *hash < key);
        let (before, after) = self.places.split_at_checked(next).unwrap_or_default();
        after.iter().chain(before).copied()
    }
}

/// So many points together take 3 MiB, and some milliseconds to make.
const MOST: u64 = 1 << 18;
