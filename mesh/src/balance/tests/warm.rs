//! The share of an endpoint that is new.

use std::time::Duration;

use super::*;
use crate::destination::Warmup;

fn warmup(minimum_percent: f64, aggression: f64) -> Warmup {
    Warmup {
        duration: Duration::from_secs(100),
        minimum_percent,
        aggression,
    }
}

#[test]
fn a_share_grows_from_the_least_to_all() {
    let at = |warmup: Warmup, seconds| warmup.thousandths(Duration::from_secs(seconds));
    let even = warmup(10.0, 1.0);
    let ages = [0, 5, 20, 50, 99, 100, 1_000];
    assert_eq!(
        ages.map(|age| at(even, age)),
        [100, 100, 200, 500, 990, 1_000, 1_000]
    );
    // Quick at first.
    assert_eq!(at(warmup(10.0, 2.0), 25), 500);
    // Nobody has nothing, or it would never be found out how it does.
    assert_eq!(at(warmup(0.0, 1.0), 0), 1);
}

proptest! {
    #[test]
    fn it_never_shrinks_and_is_never_more_than_all(
        least in 0.0..=100.0_f64,
        aggression in 1.0..20.0_f64,
        ages in prop::collection::vec(0..200_000_u64, 1..20),
    ) {
        let warmup = warmup(least, aggression);
        let mut ages = ages;
        ages.sort_unstable();
        let at = |age: &u64| warmup.thousandths(Duration::from_millis(*age));
        let shares: Vec<_> = ages.iter().map(at).collect();
        prop_assert!(shares.is_sorted(), "{:?}", shares);
        prop_assert!(shares.iter().all(|share| (1..=1000).contains(share)));
    }
}
