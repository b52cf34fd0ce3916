//! When authorities are prepared and activated, whatever the clock does.

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
