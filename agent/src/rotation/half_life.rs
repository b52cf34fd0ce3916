//! When to replace an SVID: around the half of its life, at a moment that is fixed for each SVID,
//! so that the renewals of a fleet that started together spread out and stay spread out.

use std::time::{Duration, SystemTime};

use signet_identity::crypto;

/// What is known of an SVID's life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life<'a> {
    /// From when it counts: when the SVID was received, or began, whichever is later. A
    /// certificate's own beginning is set back a little against clocks that differ, and half of
    /// a very short life would be over on arrival.
    pub(crate) from: SystemTime,
    /// When the SVID ends.
    pub(crate) until: SystemTime,
    /// The serial number, which decides the jitter.
    pub(crate) serial: &'a [u8],
}

/// When to replace the SVID: when 45 to 55 % of its life have passed. With an availability target
/// that is well below the lifetime, when the rest is the target and up to ten minutes more.
pub(crate) fn renew_at(life: Life<'_>, availability_target: Option<Duration>) -> SystemTime {
    let lifetime = life.until.duration_since(life.from).unwrap_or_default();
    let jitter = fraction(life.serial);
    let rest = match availability_target {
        Some(target) if lifetime.saturating_sub(target) > TARGET_MARGIN => {
            target + TARGET_JITTER.mul_f64(jitter)
        }
        Some(_) | None => lifetime.mul_f64(0.45 + 0.1 * jitter),
    };
    let earliest = life.from + SHORTEST_PAUSE;
    let at = life.until.checked_sub(rest).unwrap_or(life.from);
    at.max(earliest)
}

/// A number from 0 up to 1 that belongs to this serial number.
fn fraction(serial: &[u8]) -> f64 {
    let hash = crypto::sha256(serial);
    let [a, b, c, d, ..] = hash;
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
}

/// The availability target needs this much room to be of use, as in SPIRE.
const TARGET_MARGIN: Duration = Duration::from_secs(12 * 60 * 60);
const TARGET_JITTER: Duration = Duration::from_secs(10 * 60);
/// However short the life or wrong the clock: no SVID is replaced more often than this.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn life(serial: &[u8], from: u64, lifetime: u64) -> Life<'_> {
        Life {
            from: at(from),
            until: at(from + lifetime),
            serial,
        }
    }

    proptest! {
        #[test]
        fn renewal_falls_between_45_and_55_percent(
            serial: [u8; 16],
            from in 0..4_000_000_000_u64,
            lifetime in 10..100_000_000_u64,
        ) {
            let due = renew_at(life(&serial, from, lifetime), None);
            let passed = due.duration_since(at(from)).unwrap().as_secs_f64();
            let lifetime = f64::from(u32::try_from(lifetime).unwrap());
            prop_assert!(passed >= lifetime * 0.4499 && passed <= lifetime * 0.5501);
        }

        #[test]
        fn renewal_of_one_svid_never_moves(serial: [u8; 16], lifetime in 1..1_000_000_u64) {
            let life = life(&serial, 1_000_000, lifetime);
            prop_assert_eq!(renew_at(life, None), renew_at(life, None));
        }

        #[test]
        fn no_svid_is_renewed_at_once_however_odd_its_life(
            serial: [u8; 16], from in 0..4_000_000_000_u64, until in 0..4_000_000_000_u64,
        ) {
            let life = Life { from: at(from), until: at(until), serial: &serial };
            prop_assert!(renew_at(life, None) >= at(from + 1));
            prop_assert!(renew_at(life, Some(Duration::from_secs(86_400))) >= at(from + 1));
        }

        #[test]
        fn the_availability_target_remains(serial: [u8; 16], days in 2..100_u64) {
            let target = Duration::from_secs(24 * 3600);
            let life = life(&serial, 1_000_000, days * 86_400);
            let rest = life.until.duration_since(renew_at(life, Some(target))).unwrap();
            prop_assert!(rest >= target && rest <= target + Duration::from_secs(600));
        }
    }

    #[test]
    fn renewals_of_a_fleet_spread_over_the_whole_window() {
        let hour = 3600;
        let mut tenths = [0_u32; 10];
        for serial in 0..10_000_u32 {
            let serial = serial.to_be_bytes();
            let due = renew_at(life(&serial, 0, hour), None);
            let passed = due.duration_since(at(0)).unwrap().as_secs_f64() / 3600.0;
            let tenth = (0..9).take_while(|i| passed > 0.45 + 0.01 * f64::from(i + 1));
            tenths[tenth.count()] += 1;
        }
        assert!(tenths.iter().all(|n| (800..1200).contains(n)), "{tenths:?}");
    }

    #[test]
    fn a_target_close_to_the_lifetime_is_left_aside() {
        let target = Duration::from_secs(24 * 3600);
        let life = life(&[1], 0, 30 * 3600);
        assert_eq!(renew_at(life, Some(target)), renew_at(life, None));
    }
}
