//! The breaker of all endpoints of a cluster.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    time::Duration,
};

use super::{
    change::{Change, Transition},
    endpoint::{Endpoint, Judgement, Moment, State},
    outcome::Outcome,
    settings::Settings,
};

/// Says which endpoints of a cluster are tried. `E` is what an endpoint is known by; `now` is the
/// time since any fixed start, and never goes back.
#[derive(Debug)]
pub struct Breaker<E> {
    settings: Settings,
    endpoints: HashMap<E, Endpoint>,
    /// How many of them are.
    ejected: usize,
    /// The last that was given to anybody.
    epoch: u64,
}

/// Whether an endpoint may be tried.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the outcome of the try is to be recorded"]
pub enum Admission<E> {
    /// It may.
    Yes(Ticket<E>),
    /// It may, by this one request, which decides whether others follow.
    Probe(Ticket<E>),
    /// It may not.
    No {
        /// When to ask again, in the breaker's time.
        until: Duration,
    },
}

/// The right to try an endpoint once, and to say what came of it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the outcome of the try is to be recorded"]
pub struct Ticket<E> {
    endpoint: E,
    /// `None` if the outcome is not to count.
    epoch: Option<u64>,
}

impl<E: Clone + Eq + Hash> Breaker<E> {
    /// A breaker without endpoints.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            endpoints: HashMap::new(),
            ejected: 0,
            epoch: 0,
        }
    }

    /// The settings are these from now on. Ejections that run keep their end. If no endpoint could
    /// be tried, and that is not asked for, the one whose ejection ends first is taken back.
    pub fn configure(&mut self, settings: Settings, now: Duration) -> Option<Transition<E>> {
        self.settings = settings;
        self.recount(now)
    }

    /// The endpoints are these from now on. What is known of those that stay is kept. If none of
    /// them could be tried, the one whose ejection ends first is taken back.
    pub fn resize(
        &mut self,
        endpoints: impl IntoIterator<Item = E>,
        now: Duration,
    ) -> Option<Transition<E>> {
        let endpoints: HashSet<E> = endpoints.into_iter().collect();
        self.endpoints.retain(|known, _| endpoints.contains(known));
        for endpoint in endpoints {
            let epoch = self.next_epoch();
            let fresh = || Endpoint::new(now, epoch);
            self.endpoints.entry(endpoint).or_insert_with(fresh);
        }
        self.recount(now)
    }

    /// An endpoint is gone. If none of the others could be tried, the one whose ejection ends first
    /// is taken back.
    pub fn forget(&mut self, endpoint: &E, now: Duration) -> Option<Transition<E>> {
        self.endpoints.remove(endpoint);
        self.recount(now)
    }

    /// Whether an endpoint is tried; `None` if there is no such one.
    pub fn state(&self, endpoint: &E, now: Duration) -> Option<State> {
        Some(self.endpoints.get(endpoint)?.state(now))
    }

    /// Whether [`Self::may_try`] would let an endpoint be tried.
    pub fn admits(&self, endpoint: &E, now: Duration) -> bool {
        let ends = self.endpoints.get(endpoint).and_then(Endpoint::ends);
        ends.is_none_or(|until| now >= until || self.is_panic())
    }

    /// Asks for a try. An endpoint that is not known, as it was just forgotten, may be tried; the
    /// outcome does not count.
    pub fn may_try(&mut self, endpoint: &E, now: Duration) -> Admission<E> {
        let is_panic = self.is_panic();
        let epoch = self.next_epoch();
        let ticket = |epoch| Ticket {
            endpoint: endpoint.clone(),
            epoch,
        };
        let Some(known) = self.endpoints.get_mut(endpoint) else {
            return Admission::Yes(ticket(None));
        };
        match known.ends() {
            None => Admission::Yes(ticket(Some(known.epoch()))),
            Some(until) if now >= until => {
                known.probe(now.saturating_add(self.settings.interval), epoch);
                Admission::Probe(ticket(Some(epoch)))
            }
            Some(_) if is_panic => Admission::Yes(ticket(None)),
            Some(until) => Admission::No { until },
        }
    }

    /// Takes what came of a try. `random` is any number, each as likely as any other.
    pub fn record(
        &mut self,
        ticket: Ticket<E>,
        outcome: Outcome,
        now: Duration,
        random: u64,
    ) -> Option<Transition<E>> {
        let epoch = self.next_epoch();
        let moment = Moment { now, random, epoch };
        let may_eject = self.ejected < self.settings.most_ejected(self.endpoints.len());
        let Ticket { endpoint, epoch } = ticket;
        let known = self.endpoints.get_mut(&endpoint)?;
        if epoch != Some(known.epoch()) {
            return None;
        }
        let was_ejected = known.is_ejected();
        let change = match known.judge(outcome, &self.settings, moment) {
            Judgement::Nothing => None,
            Judgement::Changed(change) => Some(change),
            Judgement::Eject(why) if may_eject => Some(known.eject(why, &self.settings, moment)),
            Judgement::Eject(why) => Some(Change::Spared {
                why,
                ejected: self.ejected,
            }),
        };
        match (was_ejected, known.is_ejected()) {
            (false, true) => self.ejected = self.ejected.saturating_add(1),
            (true, false) => self.ejected = self.ejected.saturating_sub(1),
            (true, true) | (false, false) => {}
        }
        Some(Transition {
            endpoint,
            change: change?,
        })
    }

    /// How many endpoints are ejected; those that are being probed still are.
    pub fn ejected(&self) -> usize {
        self.ejected
    }

    /// Each endpoint, in no order, with its state.
    pub fn states(&self, now: Duration) -> impl Iterator<Item = (&E, State)> {
        let endpoints = self.endpoints.iter();
        endpoints.map(move |(endpoint, known)| (endpoint, known.state(now)))
    }

    /// After endpoints went: at least one has to be left.
    fn recount(&mut self, now: Duration) -> Option<Transition<E>> {
        let ejected = self.endpoints.values().filter(|it| it.is_ejected());
        self.ejected = ejected.count();
        if self.ejected < self.endpoints.len() || !self.settings.keeps_one() {
            return None;
        }
        let epoch = self.next_epoch();
        let first = |known: &Endpoint| (known.ends(), known.epoch());
        let (endpoint, known) = self.endpoints.iter_mut().min_by_key(|(_, it)| first(it))?;
        known.close(now, epoch);
        self.ejected = self.ejected.saturating_sub(1);
        Some(Transition {
            endpoint: endpoint.clone(),
            change: Change::Released,
        })
    }

    /// Whether ejections are not heeded, as too few endpoints are left.
    fn is_panic(&self) -> bool {
        let all = self.endpoints.len();
        self.settings
            .is_panic(all.saturating_sub(self.ejected), all)
    }

    fn next_epoch(&mut self) -> u64 {
        self.epoch = self.epoch.wrapping_add(1);
        self.epoch
    }
}

impl<E> Ticket<E> {
    /// The endpoint that may be tried.
    pub fn endpoint(&self) -> &E {
        &self.endpoint
    }
}
