//! Decides when the CA's keys turn: prepared → active → old.
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

/// One of the two places that a kind of authority alternates between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    A,
    B,
}

impl Slot {
    /// The place where the next authority goes.
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

/// The turn of the prepared authority, which is of no use if it could not sign now.
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
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn authority(slot: Slot, issued_at: SystemTime, ttl: Duration) -> Authority<()> {
        Authority {
            id: format!("{slot:?}"),
            slot,
            lifetime: Lifetime {
                issued_at,
                not_after: issued_at + ttl,
            },
            material: (),
        }
    }

    const HOUR: u64 = 3600;

    #[test]
    fn a_day_long_authority_is_followed_at_noon_and_relieved_at_eight_in_the_evening() {
        let lifetime = authority(Slot::A, at(0), DAY).lifetime;
        assert_eq!(lifetime.prepare_next_at(), at(12 * HOUR));
        assert_eq!(lifetime.activate_next_at(), at(20 * HOUR));
    }

    #[test]
    fn a_year_long_authority_is_followed_a_month_and_relieved_a_week_before_its_end() {
        let lifetime = authority(Slot::A, at(0), DAY * 365).lifetime;
        assert_eq!(lifetime.prepare_next_at(), lifetime.not_after - DAY * 30);
        assert_eq!(lifetime.activate_next_at(), lifetime.not_after - DAY * 7);
    }

    #[test]
    fn the_first_authority_is_prepared_and_activated_at_once() {
        let slots = Slots::<()>::empty();
        assert_eq!(slots.due(at(5)), Step::Prepare(Slot::A));
        let slots = slots.prepared(authority(Slot::A, at(5), DAY));
        assert_eq!(slots.due(at(5)), Step::Activate);
        assert!(matches!(slots.activated().next, Next::Empty));
    }

    #[test]
    fn a_prepared_authority_that_expired_during_downtime_is_replaced() {
        let slots = Slots::empty()
            .prepared(authority(Slot::A, at(0), DAY))
            .activated()
            .prepared(authority(Slot::B, at(12 * HOUR), DAY));
        assert_eq!(slots.due(at(100 * HOUR)), Step::Prepare(Slot::B));
    }

    #[test]
    fn a_clock_that_steps_back_within_the_life_of_the_authority_changes_nothing() {
        let slots = Slots::empty()
            .prepared(authority(Slot::A, at(50 * HOUR), DAY))
            .activated();
        let until = at(62 * HOUR);
        for now in [at(61 * HOUR), at(50 * HOUR), at(50 * HOUR) - BACKDATE] {
            assert_eq!(slots.due(now), Step::Nothing { until });
        }
    }

    #[test]
    fn an_authority_from_the_future_is_replaced_when_the_clock_is_put_right() {
        let slots = Slots::empty()
            .prepared(authority(Slot::A, at(900 * HOUR), DAY))
            .activated();
        assert_eq!(slots.due(at(0)), Step::Prepare(Slot::B));
        let prepared = slots.prepared(authority(Slot::B, at(800 * HOUR), DAY));
        assert_eq!(prepared.due(at(0)), Step::Prepare(Slot::B));
        let prepared = slots.prepared(authority(Slot::B, at(0), DAY));
        assert_eq!(prepared.due(at(0)), Step::Activate);
        let until = at(12 * HOUR);
        assert_eq!(prepared.activated().due(at(0)), Step::Nothing { until });
    }

    #[test]
    fn a_successor_from_the_future_waits_for_its_turn() {
        let slots = Slots::empty()
            .prepared(authority(Slot::A, at(0), DAY))
            .activated()
            .prepared(authority(Slot::B, at(13 * HOUR), DAY));
        let until = at(20 * HOUR);
        assert_eq!(slots.due(at(HOUR)), Step::Nothing { until });
        assert_eq!(slots.due(until), Step::Activate);
    }

    proptest! {
        /// Runs the loop with a clock that goes, leaps weeks ahead and falls days back.
        #[test]
        fn whatever_the_clock_does_a_published_authority_that_holds_is_active(
            ttl in 600_u64..400 * 24 * HOUR,
            moves in prop::collection::vec(
                prop_oneof![
                    (0_i64..3600),
                    (-600_i64..0),
                    (-10 * 86_400_i64..0),
                    (0..60 * 86_400_i64),
                ],
                60,
            ),
        ) {
            let length = Duration::from_secs(ttl);
            let mut now = at(1_900_000_000);
            let mut slots = Slots::empty();
            let mut published = Vec::new();
            for seconds in moves {
                let by = Duration::from_secs(seconds.unsigned_abs());
                now = if seconds < 0 { now - by } else { now + by };
                let mut steps = 0;
                loop {
                    match slots.due(now) {
                        Step::Prepare(slot) => {
                            if let Some(active) = &slots.active {
                                prop_assert_ne!(active.slot, slot, "the active key is overwritten");
                            }
                            let mut next = authority(slot, now, length);
                            next.id = published.len().to_string();
                            published.push(next.id.clone());
                            slots = slots.prepared(next);
                        }
                        Step::Activate => {
                            prop_assert!(matches!(slots.next, Next::Prepared(_)));
                            slots = slots.activated();
                            let active = slots.active.as_ref().unwrap();
                            prop_assert!(published.contains(&active.id));
                        }
                        Step::Nothing { until } => {
                            prop_assert!(until > now);
                            break;
                        }
                    }
                    steps += 1;
                    prop_assert!(steps <= 4, "does not settle");
                }
                let active = slots.active.as_ref().unwrap();
                prop_assert!(active.lifetime.holds_at(now), "{:?} at {now:?}", active.lifetime);
            }
        }

        /// Runs the loop through many lives with ticks of any length up to a tenth of a life.
        #[test]
        fn rotation_never_leaves_a_gap(
            ttl in 600_u64..400 * 24 * HOUR,
            ticks in prop::collection::vec(1_u64..=100, 200),
        ) {
            let length = Duration::from_secs(ttl);
            let mut now = at(1_000_000);
            let mut slots = Slots::empty();
            let mut published = now;
            for tick in ticks {
                let mut steps = 0;
                loop {
                    match slots.due(now) {
                        Step::Prepare(slot) => {
                            if let Some(active) = &slots.active {
                                prop_assert_ne!(active.slot, slot, "the active key is overwritten");
                            }
                            slots = slots.prepared(authority(slot, now, length));
                            published = now;
                        }
                        Step::Activate => {
                            if slots.active.is_some() {
                                // Agents had time to learn it: a third of a life less one tick,
                                // or 23 days of a long one.
                                let known = now.duration_since(published).unwrap();
                                let least = (length / 3).min(DAY * 23);
                                prop_assert!(known + length / 30 >= least, "{known:?} of {length:?}");
                            }
                            slots = slots.activated();
                        }
                        Step::Nothing { until } => {
                            prop_assert!(until > now);
                            break;
                        }
                    }
                    steps += 1;
                    prop_assert!(steps <= 4, "does not settle");
                }
                let active = slots.active.as_ref().unwrap();
                let left = active.lifetime.not_after.duration_since(now).unwrap();
                prop_assert!(left >= longest_svid(length), "{left:?} of {length:?}");
                // Ticks up to a thirtieth of a life, and never so long that a window is missed.
                now += (length / 3000 * u32::try_from(tick).unwrap()).min(DAY);
            }
        }
    }
}
