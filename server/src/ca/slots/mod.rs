//! Decides when the CA's keys rotate: prepared → active → old.
//!
//! Pure: no clock and no I/O. Each kind of authority (X.509, JWT) has two slots, so that the next
//! one is known everywhere before it signs. The formulae are those of SPIRE: prepare the next
//! when less than half of the life (at most 30 days) is left, activate it when less than a sixth
//! (at most 7 days) is left.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::x509::BACKDATE;

/// One of the two slots that a kind of authority alternates between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    A,
    B,
}

impl Slot {
    /// The slot of the next authority.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// From when to when an authority lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) issued_at: SystemTime,
    pub(crate) not_after: SystemTime,
}

impl Lifetime {
    /// From here on the successor should be prepared.
    pub(crate) fn prepare_next_at(self) -> SystemTime {
        self.before_end((self.length() / 2).min(PREPARE_AT_MOST))
    }

    /// From here on the successor should sign.
    pub(crate) fn activate_next_at(self) -> SystemTime {
        self.before_end(longest_svid(self.length()))
    }

    /// Whether what it signs at `now` can be verified: it has not ended, and it has begun. It has
    /// not when the clock was far ahead as it was made and was put right since.
    pub(crate) fn holds_at(self, now: SystemTime) -> bool {
        let begun = now
            .checked_add(BACKDATE)
            .is_some_and(|now| now >= self.issued_at);
        begun && now < self.not_after
    }

    fn length(self) -> Duration {
        self.not_after
            .duration_since(self.issued_at)
            .unwrap_or_default()
    }

    fn before_end(self, margin: Duration) -> SystemTime {
        self.not_after.checked_sub(margin).unwrap_or(self.issued_at)
    }
}

/// The longest SVID that an authority of this lifetime is sure to honour in full: what is left
/// of it when its successor takes over.
pub(crate) fn longest_svid(authority: Duration) -> Duration {
    (authority / 6).min(ACTIVATE_AT_MOST)
}

/// The authority in a slot: `M` is its material, an issuer or a JWT key.
#[derive(Debug)]
pub(crate) struct Authority<M> {
    /// How the API and the bundle name it.
    pub(crate) id: String,
    pub(crate) slot: Slot,
    pub(crate) lifetime: Lifetime,
    pub(crate) material: M,
}

/// What stands in the slot that is not active.
#[derive(Debug)]
pub(crate) enum Next<M> {
    Empty,
    /// In the bundle, waiting to be activated.
    Prepared(Arc<Authority<M>>),
    /// Signs no more; what it signed is still valid.
    Old(Arc<Authority<M>>),
}

/// The two slots of one kind.
#[derive(Debug)]
pub(crate) struct Slots<M> {
    pub(crate) active: Option<Arc<Authority<M>>>,
    pub(crate) next: Next<M>,
}

/// What a kind of authority needs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make a new authority in this slot and publish it.
    Prepare(Slot),
    /// Let the prepared authority sign.
    Activate,
    /// Nothing before this time.
    Nothing { until: SystemTime },
}

impl<M> Slots<M> {
    /// Before the first authority.
    pub(crate) fn empty() -> Self {
        Self {
            active: None,
            next: Next::Empty,
        }
    }

    /// The id of the authority that signs, or of the first one that will.
    pub(crate) fn name(&self) -> Option<&str> {
        let next = match &self.next {
            Next::Prepared(next) | Next::Old(next) => Some(next),
            Next::Empty => None,
        };
        let named = self.active.as_ref().or(next)?;
        Some(&named.id)
    }

    /// The step that is due.
    pub(crate) fn due(&self, now: SystemTime) -> Step {
        match (&self.active, &self.next) {
            (None, Next::Empty) => Step::Prepare(Slot::A),
            (None, Next::Old(old)) => Step::Prepare(old.slot.other()),
            (None, Next::Prepared(next)) => activation(next, now),
            // One that expired while the server was down is of no use any more.
            (_, Next::Prepared(next)) if next.lifetime.not_after <= now => Step::Prepare(next.slot),
            (Some(active), Next::Prepared(next)) => {
                let at = active.lifetime.activate_next_at();
                waiting(active, at, now).unwrap_or_else(|| activation(next, now))
            }
            (Some(active), Next::Empty | Next::Old(_)) => {
                let at = active.lifetime.prepare_next_at();
                waiting(active, at, now).unwrap_or_else(|| Step::Prepare(active.slot.other()))
            }
        }
    }

    /// With `authority` waiting in the slot that is not active; what stood there is gone.
    pub(crate) fn prepared(&self, authority: impl Into<Arc<Authority<M>>>) -> Self {
        Self {
            active: self.active.clone(),
            next: Next::Prepared(authority.into()),
        }
    }

    /// With the prepared authority active and the former one old; unchanged if none is prepared.
    pub(crate) fn activated(&self) -> Self {
        let Next::Prepared(next) = &self.next else {
            return self.clone();
        };
        Self {
            active: Some(Arc::clone(next)),
            next: match &self.active {
                Some(former) => Next::Old(Arc::clone(former)),
                None => Next::Empty,
            },
        }
    }
}

// Derived, these would ask the material to be `Clone`, which it need not be behind its `Arc`.
impl<M> Clone for Slots<M> {
    fn clone(&self) -> Self {
        Self {
            active: self.active.clone(),
            next: self.next.clone(),
        }
    }
}

impl<M> Clone for Next<M> {
    fn clone(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Prepared(authority) => Self::Prepared(Arc::clone(authority)),
            Self::Old(authority) => Self::Old(Arc::clone(authority)),
        }
    }
}

/// Nothing, while the active authority can sign and its successor's time has not come.
fn waiting<M>(active: &Authority<M>, until: SystemTime, now: SystemTime) -> Option<Step> {
    let waits = active.lifetime.holds_at(now) && now < until;
    waits.then_some(Step::Nothing { until })
}

/// Activation of the prepared authority, which is of no use if it could not sign now.
fn activation<M>(next: &Authority<M>, now: SystemTime) -> Step {
    if next.lifetime.holds_at(now) {
        Step::Activate
    } else {
        Step::Prepare(next.slot)
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PREPARE_AT_MOST: Duration = DAY.saturating_mul(30);
const ACTIVATE_AT_MOST: Duration = DAY.saturating_mul(7);

#[cfg(test)]
mod tests;
