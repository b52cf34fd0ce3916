//! Who comes into question for a call, and with which share.

use std::{sync::Arc, time::Duration};

use signet_mesh::{Candidates, Warmup};
use tokio::time::Instant;

use super::{Member, endpoint::Endpoint, warmth::Since};

/// Who comes into question for a call.
pub(super) struct Choice<'c> {
    pub(super) members: &'c [Member],
    pub(super) tried: &'c [Arc<Endpoint>],
    /// By place, who is not to be tried; nobody, if it is empty.
    pub(super) barred: &'c [bool],
    /// None if all have their whole share.
    pub(super) warmth: Option<Warming<'c>>,
    pub(super) now: Instant,
}

/// How those that are new get their shares.
#[derive(Clone, Copy)]
pub(super) struct Warming<'c> {
    pub(super) warmup: Warmup,
    /// By place.
    pub(super) since: &'c [Arc<Since>],
    pub(super) now: Duration,
}

impl Choice<'_> {
    /// Whether nothing is known against one.
    pub(super) fn is_well(&self, place: usize) -> bool {
        !self.barred.get(place).copied().unwrap_or_default()
    }
}

impl Candidates for Choice<'_> {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn weight(&self, place: usize) -> u64 {
        let fresh = |member: &&Member| {
            let mut tried = self.tried.iter();
            !tried.any(|endpoint| Arc::ptr_eq(endpoint, &member.endpoint))
        };
        let member = self.members.get(place).filter(fresh);
        let member = member.filter(|_| self.is_well(place));
        let weight = member.map_or(0, |member| u64::from(member.weight));
        match self.warmth {
            Some(warming) => weight.saturating_mul(warming.thousandths(place)),
            None => weight,
        }
    }

    fn active(&self, place: usize) -> usize {
        let member = self.members.get(place);
        member.map_or(0, |member| member.endpoint.active())
    }

    fn latency(&self, place: usize) -> Option<Duration> {
        self.members.get(place)?.endpoint.latency(self.now)
    }
}

impl Warming<'_> {
    fn thousandths(&self, place: usize) -> u64 {
        let age = self.since.get(place).map(|since| since.age(self.now));
        let part = age.map_or(1000, |age| self.warmup.thousandths(age));
        part.into()
    }
}
