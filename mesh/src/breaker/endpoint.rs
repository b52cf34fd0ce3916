//! The breaker of one endpoint.

use std::time::Duration;

use super::{
    change::Change,
    outcome::{Count, Outcome, Reason},
    settings::Settings,
};

/// Whether an endpoint is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is.
    Closed,
    /// It is ejected.
    Open {
        /// When it may be probed, in the breaker's time.
        until: Duration,
    },
    /// One request may probe it.
    HalfOpen {
        /// Whether one does.
        is_probed: bool,
    },
}

/// An endpoint, and what is known of it.
#[derive(Debug)]
pub(super) struct Endpoint {
    phase: Phase,
    /// What a ticket has to have to be heeded: it changes with the phase, so that what was sent
    /// before an ejection does not count after it.
    epoch: u64,
    count: Count,
    /// Ejections in a row, without those that time has forgiven since.
    ejections: u32,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed { since: Duration },
    Open { until: Duration },
    Probed { until: Duration },
}

/// What an outcome is to the breaker of an endpoint.
pub(super) enum Judgement {
    Nothing,
    /// It is to be ejected, if it may.
    Eject(Reason),
    Changed(Change),
}

/// A moment, with what is drawn and which epoch begins if something changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Duration,
    pub(super) random: u64,
    pub(super) epoch: u64,
}

impl Endpoint {
    pub(super) fn new(now: Duration, epoch: u64) -> Self {
        Self {
            phase: Phase::Closed { since: now },
            epoch,
            count: Count::default(),
            ejections: 0,
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.ends().is_some()
    }

    /// When the ejection, or the time of the probe, is over.
    pub(super) fn ends(&self) -> Option<Duration> {
        match self.phase {
            Phase::Closed { .. } => None,
            Phase::Open { until } | Phase::Probed { until } => Some(until),
        }
    }

    pub(super) fn state(&self, now: Duration) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { until } if now < until => State::Open { until },
            Phase::Open { .. } => State::HalfOpen { is_probed: false },
            Phase::Probed { until } => State::HalfOpen {
                is_probed: now < until,
            },
        }
    }

    /// From here on the one request that has this epoch is the probe.
    pub(super) fn probe(&mut self, until: Duration, epoch: u64) {
        self.phase = Phase::Probed { until };
        self.epoch = epoch;
    }

    /// What the outcome of a try of this epoch means.
    pub(super) fn judge(
        &mut self,
        outcome: Outcome,
        settings: &Settings,
        moment: Moment,
    ) -> Judgement {
        match self.phase {
            Phase::Closed { .. } => match self.count.record(outcome, settings) {
                Some(why) => {
                    self.count = Count::default();
                    Judgement::Eject(why)
                }
                None => Judgement::Nothing,
            },
            Phase::Open { .. } => Judgement::Nothing,
            Phase::Probed { .. } if outcome == Outcome::Abandoned => {
                self.phase = Phase::Open { until: moment.now };
                self.epoch = moment.epoch;
                Judgement::Nothing
            }
            Phase::Probed { .. } if outcome.is_failure(settings) => {
                let until = self.open(settings, moment);
                let times = self.ejections;
                let why = outcome;
                Judgement::Changed(Change::Reopened { until, times, why })
            }
            Phase::Probed { .. } => {
                self.close(moment.now, moment.epoch);
                self.ejections /= 2;
                Judgement::Changed(Change::Closed)
            }
        }
    }

    pub(super) fn eject(&mut self, why: Reason, settings: &Settings, moment: Moment) -> Change {
        if let Phase::Closed { since } = self.phase {
            let quiet = moment.now.saturating_sub(since);
            self.ejections = self.ejections.saturating_sub(settings.forgiven(quiet));
        }
        let until = self.open(settings, moment);
        let times = self.ejections;
        Change::Opened { until, times, why }
    }

    pub(super) fn close(&mut self, now: Duration, epoch: u64) {
        self.phase = Phase::Closed { since: now };
        self.epoch = epoch;
        self.count = Count::default();
    }

    fn open(&mut self, settings: &Settings, moment: Moment) -> Duration {
        self.ejections = self.ejections.saturating_add(1);
        let long = settings.ejection(self.ejections, moment.random);
        let until = moment.now.saturating_add(long);
        self.phase = Phase::Open { until };
        self.epoch = moment.epoch;
        until
    }
}
