//! Where client and endpoints run, as Istio's `localityLbSetting` has it count.
//!
//! As in Envoy, a level takes all calls as long as 5 of 7 of its endpoints are well; what fewer of
//! them are not enough for goes to the next level.

use std::{collections::BTreeMap, time::Duration};

use super::{
    candidates::Candidates,
    pick::{Lot, pick},
};
use crate::{
    destination::{Balancing, LocalityBalancing, PriorityLabel, RegionOf},
    read::Locality,
};

/// The client, as far as it counts where it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Home {
    /// Where it runs, if that is known.
    pub locality: Option<Locality>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An endpoint, as far as it counts where it runs.
#[derive(Debug, Clone, Copy)]
pub struct Site<'e> {
    /// Where it runs, if that is known.
    pub locality: Option<&'e Locality>,
    /// Its labels.
    pub labels: &'e BTreeMap<String, String>,
}

/// Endpoints in groups, one of which gets a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Groups {
    /// By place; those without a group get nothing.
    of: Vec<Option<usize>>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// So many: the first, and others only for what that cannot take.
    Levels(usize),
    /// Each has so many percent.
    Shares(Vec<u8>),
}

/// Candidates of one group.
struct Within<'c, C> {
    candidates: &'c C,
    groups: &'c Groups,
    group: usize,
}

impl LocalityBalancing {
    /// The groups of endpoints that a client has, by the endpoints' places; `None` if it does not
    /// count where they run. `knows_health` is whether anything says which of them are well.
    pub fn groups(&self, home: &Home, sites: &[Site<'_>], knows_health: bool) -> Option<Groups> {
        let by = |level: &dyn Fn(&Site<'_>) -> usize| {
            let levels: Vec<_> = sites.iter().map(level).collect();
            let count = levels.iter().max().map_or(0, |last| last.saturating_add(1));
            Groups {
                of: levels.into_iter().map(Some).collect(),
                kind: Kind::Levels(count),
            }
        };
        match self {
            Self::Off => None,
            Self::Nearest => {
                let own = home.locality.as_ref().filter(|_| knows_health)?;
                let none = RegionOf::new();
                Some(by(&|site| distance(own, site.locality, &none)))
            }
            Self::Failover(regions) => {
                let own = home.locality.as_ref()?;
                Some(by(&|site| distance(own, site.locality, regions)))
            }
            Self::Priority(labels) => Some(by(&|site| {
                labels.len().saturating_sub(in_common(labels, home, site))
            })),
            Self::Distribute(all) => {
                let own = home.locality.as_ref();
                let distribution = all.iter().find(|it| it.from.has(own))?;
                let to = &distribution.to;
                let group = |site: &Site<'_>| to.iter().position(|it| it.to.has(site.locality));
                Some(Groups {
                    of: sites.iter().map(group).collect(),
                    kind: Kind::Shares(to.iter().map(|share| share.percent).collect()),
                })
            }
        }
    }
}

impl Groups {
    /// The place of the endpoint that gets a call, of the group that does; `None` if none comes
    /// into question. A key that calls have in common leads to the same group.
    pub fn pick(
        &self,
        balancing: &Balancing,
        candidates: &impl Candidates,
        is_well: impl Fn(usize) -> bool,
        lot: Lot<'_>,
    ) -> Option<usize> {
        let random = lot.key.map_or(lot.random, |key| key.hash);
        // Other bits than those by which endpoints are drawn.
        let group = self.draw(is_well, random.wrapping_mul(MIXED) >> u32::BITS)?;
        let within = Within {
            candidates,
            groups: self,
            group,
        };
        pick(balancing, &within, lot)
    }

    /// A group, by what each can take; `random` is any number of 32 bits.
    fn draw(&self, is_well: impl Fn(usize) -> bool, random: u64) -> Option<usize> {
        let count = match &self.kind {
            Kind::Levels(count) => *count,
            Kind::Shares(shares) => shares.len(),
        };
        let mut left = 100;
        let share = |group: usize| {
            let health = self.health(group, &is_well);
            match &self.kind {
                Kind::Levels(_) => {
                    let taken = health.min(left);
                    left = left.saturating_sub(taken);
                    taken
                }
                Kind::Shares(shares) => {
                    let percent = shares.get(group).copied().unwrap_or(0);
                    health.saturating_mul(percent.into())
                }
            }
        };
        let shares: Vec<u64> = (0..count).map(share).collect();
        let total: u64 = shares.iter().sum();
        let mut point = random.saturating_mul(total) >> u32::BITS;
        shares
            .into_iter()
            .position(|share| match point.checked_sub(share) {
                Some(beyond) => {
                    point = beyond;
                    false
                }
                None => true,
            })
    }

    /// How many percent of its calls a group can take.
    fn health(&self, group: usize, is_well: impl Fn(usize) -> bool) -> u64 {
        let (mut all, mut well) = (0_u64, 0_u64);
        for (place, _) in (0..).zip(&self.of).filter(|(_, of)| **of == Some(group)) {
            all = all.saturating_add(1);
            well = well.saturating_add(is_well(place).into());
        }
        let health = well.saturating_mul(OVERPROVISIONED).checked_div(all);
        health.unwrap_or(0).min(100)
    }
}

impl<C: Candidates> Candidates for Within<'_, C> {
    fn count(&self) -> usize {
        self.candidates.count()
    }

    fn weight(&self, place: usize) -> u64 {
        let group = self.groups.of.get(place).copied().flatten();
        match group == Some(self.group) {
            true => self.candidates.weight(place),
            false => 0,
        }
    }

    fn active(&self, place: usize) -> usize {
        self.candidates.active(place)
    }

    fn latency(&self, place: usize) -> Option<Duration> {
        self.candidates.latency(place)
    }
}

/// 0 is the same place; then the same zone, the same region, the region that takes its place if
/// there is one, and everywhere else.
fn distance(own: &Locality, other: Option<&Locality>, regions: &RegionOf) -> usize {
    let Some(other) = other else {
        return ELSEWHERE;
    };
    if own.region == other.region {
        return match (own.zone == other.zone, own.subzone == other.subzone) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => 2,
        };
    }
    match regions.get(&own.region) {
        Some(next) if *next == other.region => 3,
        Some(_) | None => ELSEWHERE,
    }
}

/// How many labels an endpoint has in common with the client, from the first until one differs.
fn in_common(labels: &[PriorityLabel], home: &Home, site: &Site<'_>) -> usize {
    let same = |label: &&PriorityLabel| {
        let own = label_of(&home.labels, home.locality.as_ref(), &label.key);
        let wanted = label.value.as_deref().or(own);
        wanted.is_some() && wanted == label_of(site.labels, site.locality, &label.key)
    };
    labels.iter().take_while(same).count()
}

/// A label, or what Kubernetes has labels for.
fn label_of<'l>(
    labels: &'l BTreeMap<String, String>,
    locality: Option<&'l Locality>,
    key: &str,
) -> Option<&'l str> {
    if let Some(value) = labels.get(key) {
        return Some(value);
    }
    let locality = locality?;
    match key {
        "topology.kubernetes.io/region" => Some(&locality.region),
        "topology.kubernetes.io/zone" => locality.zone.as_deref(),
        "topology.istio.io/subzone" => locality.subzone.as_deref(),
        _ => None,
    }
}

const ELSEWHERE: usize = 4;
/// Envoy's `overprovisioning_factor`, in percent.
const OVERPROVISIONED: u64 = 140;
/// An odd number whose bits look random.
const MIXED: u64 = 0x9e37_79b9_7f4a_7c15;
