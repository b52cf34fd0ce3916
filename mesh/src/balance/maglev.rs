//! A Maglev table: each endpoint has its own order of slots, and in turns all take the first of
//! theirs that is left. All have nearly the same share, and a key is found by one look; but some
//! keys move between others when an endpoint comes or goes.

use super::hash::{TableEndpoint, hash, hash_with};

/// Which endpoint each slot has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Maglev {
    slots: Vec<u32>,
}

/// The order of slots of one endpoint, as far as it has taken some.
struct Order {
    place: u32,
    weight: u64,
    next: u64,
    skip: u64,
    /// What it has saved of its weight for its next turn.
    saved: u64,
}

impl Maglev {
    /// A table of `size` slots, which is a prime number.
    pub(super) fn new(size: u32, endpoints: &[TableEndpoint<'_>]) -> Self {
        let length = u64::from(size);
        let mut orders: Vec<_> = (0..)
            .zip(endpoints)
            .filter(|(_, endpoint)| endpoint.weight > 0)
            .collect();
        // The order of documents carries no meaning.
        orders.sort_by_key(|(_, endpoint)| endpoint.name);
        let mut orders: Vec<_> = orders
            .into_iter()
            .map(|(place, endpoint)| Order::new(place, endpoint, length))
            .collect();
        let heaviest = orders.iter().map(|order| order.weight).max().unwrap_or(0);
        let mut slots: Vec<Option<u32>> = Vec::new();
        if heaviest > 0 {
            slots.resize(usize::try_from(size).unwrap_or(0), None);
        }
        let mut left = slots.len();
        while left > 0 {
            for order in &mut orders {
                order.saved = order.saved.saturating_add(order.weight);
                let Some(saved) = order.saved.checked_sub(heaviest).filter(|_| left > 0) else {
                    continue;
                };
                order.saved = saved;
                order.take(&mut slots, length);
                left = left.saturating_sub(1);
            }
        }
        Self {
            slots: slots.into_iter().flatten().collect(),
        }
    }

    /// The places of endpoints, from the slot of a key on, once around.
    pub(super) fn places(&self, key: u64) -> impl Iterator<Item = u32> {
        let length = u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        let slot = key.checked_rem(length).unwrap_or(0);
        let slot = usize::try_from(slot).unwrap_or(0);
        let (before, after) = self.slots.split_at_checked(slot).unwrap_or_default();
        after.iter().chain(before).copied()
    }
}

impl Order {
    fn new(place: u32, endpoint: &TableEndpoint<'_>, length: u64) -> Self {
        let name = endpoint.name.as_bytes();
        let steps = length.saturating_sub(1);
        Self {
            place,
            weight: endpoint.weight.into(),
            next: hash(name).checked_rem(length).unwrap_or(0),
            skip: hash_with(1, name)
                .checked_rem(steps)
                .unwrap_or(0)
                .saturating_add(1),
            saved: 0,
        }
    }

    /// Takes the first slot that is left; there is one. As the length is prime, it comes by every
    /// slot.
    fn take(&mut self, slots: &mut [Option<u32>], length: u64) {
        for _ in 0..slots.len() {
            let index = usize::try_from(self.next).unwrap_or(usize::MAX);
            self.next = self.next.saturating_add(self.skip);
            self.next = self.next.checked_rem(length).unwrap_or(0);
            if let Some(slot @ None) = slots.get_mut(index) {
                *slot = Some(self.place);
                return;
            }
        }
    }
}
