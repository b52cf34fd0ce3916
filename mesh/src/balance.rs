//! Which of the endpoints of a destination gets a call.

use crate::destination::Balancing;

/// The endpoints of a destination, by their places.
pub trait Candidates {
    /// How many there are.
    fn count(&self) -> usize;

    /// The share of one; 0 if it does not come into question now.
    fn weight(&self, place: usize) -> u32;

    /// How many calls it has in progress.
    fn active(&self, place: usize) -> usize;
}

/// The place of the endpoint that gets a call; `None` if none comes into question. `turn` counts
/// the calls of the destination, `random` is any number, each as likely as any other. A hash or the
/// called address choose elsewhere; here they are a lot.
pub fn pick(
    balancing: &Balancing,
    candidates: &impl Candidates,
    turn: u64,
    random: u64,
) -> Option<usize> {
    match balancing {
        Balancing::LeastRequest => less_busy_of_two(candidates, random),
        Balancing::RoundRobin => {
            let total = Drawing::new(candidates, None).total;
            at(candidates, None, turn.checked_rem(total)?)
        }
        Balancing::Random | Balancing::Passthrough | Balancing::ConsistentHash(_) => {
            Drawing::new(candidates, None).draw(low(random))
        }
    }
}

/// Of two that are drawn by their shares, the one with fewer calls for its share.
fn less_busy_of_two(candidates: &impl Candidates, random: u64) -> Option<usize> {
    let first = Drawing::new(candidates, None).draw(low(random))?;
    let Some(second) = Drawing::new(candidates, Some(first)).draw(low(random >> 32)) else {
        return Some(first);
    };
    let load = |place| {
        let active = u128::try_from(candidates.active(place)).unwrap_or(u128::MAX);
        active.saturating_add(1)
    };
    let weight = |place| u128::from(candidates.weight(place));
    let second_is_less =
        load(second).saturating_mul(weight(first)) < load(first).saturating_mul(weight(second));
    Some(if second_is_less { second } else { first })
}

/// A draw among candidates, each by its share.
struct Drawing<'c, C> {
    candidates: &'c C,
    without: Option<usize>,
    total: u64,
}

impl<'c, C: Candidates> Drawing<'c, C> {
    fn new(candidates: &'c C, without: Option<usize>) -> Self {
        let places = (0..candidates.count()).filter(|place| Some(*place) != without);
        let total = places
            .map(|place| u64::from(candidates.weight(place)))
            .sum();
        Self {
            candidates,
            without,
            total,
        }
    }

    /// `random` is any number of 32 bits.
    fn draw(&self, random: u64) -> Option<usize> {
        let point = (u128::from(random) * u128::from(self.total)) >> u32::BITS;
        at(self.candidates, self.without, u64::try_from(point).ok()?)
    }
}

/// The candidate that has this point of all shares, one after another.
fn at(candidates: &impl Candidates, without: Option<usize>, mut point: u64) -> Option<usize> {
    for place in (0..candidates.count()).filter(|place| Some(*place) != without) {
        match point.checked_sub(u64::from(candidates.weight(place))) {
            Some(beyond) => point = beyond,
            None => return Some(place),
        }
    }
    None
}

fn low(random: u64) -> u64 {
    random & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Endpoints(Vec<(u32, usize)>);

    impl Candidates for Endpoints {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn weight(&self, place: usize) -> u32 {
            self.0[place].0
        }

        fn active(&self, place: usize) -> usize {
            self.0[place].1
        }
    }

    const ALL: [Balancing; 3] = [
        Balancing::LeastRequest,
        Balancing::RoundRobin,
        Balancing::Random,
    ];

    /// Numbers that look random, always the same ones.
    fn numbers() -> impl Iterator<Item = u64> {
        std::iter::successors(Some(0x9e37_79b9_7f4a_7c15_u64), |number| {
            let mut next = *number;
            next ^= next << 13;
            next ^= next >> 7;
            next ^= next << 17;
            Some(next)
        })
    }

    fn shares(balancing: &Balancing, endpoints: &Endpoints, calls: usize) -> Vec<usize> {
        let mut got = vec![0; endpoints.count()];
        for (turn, random) in (0..).zip(numbers()).take(calls) {
            got[pick(balancing, endpoints, turn, random).unwrap()] += 1;
        }
        got
    }

    #[test]
    fn idle_endpoints_get_their_shares() {
        for balancing in [Balancing::RoundRobin, Balancing::Random] {
            let got = shares(
                &balancing,
                &Endpoints(vec![(1, 0), (3, 0), (0, 0), (6, 0)]),
                10_000,
            );
            for (got, expected) in got.iter().zip([1_000_usize, 3_000, 0, 6_000]) {
                assert!(
                    got.abs_diff(expected) <= 300,
                    "{balancing:?}: {got} for {expected}"
                );
            }
        }
        let got = shares(
            &Balancing::LeastRequest,
            &Endpoints(vec![(1, 0); 4]),
            10_000,
        );
        assert!(got.iter().all(|got| got.abs_diff(2_500) < 250), "{got:?}");
    }

    #[test]
    fn round_robin_goes_from_one_to_the_next() {
        let endpoints = Endpoints(vec![(1, 9), (1, 0), (1, 5)]);
        let picked = (0..6).map(|turn| pick(&Balancing::RoundRobin, &endpoints, turn, 7));
        assert_eq!(picked.flatten().collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn the_busier_of_two_waits_unless_its_share_is_larger() {
        let busy = Endpoints(vec![(1, 1), (1, 0)]);
        assert_eq!(shares(&Balancing::LeastRequest, &busy, 100), [0, 100]);
        let larger = Endpoints(vec![(3, 1), (1, 0)]);
        assert_eq!(shares(&Balancing::LeastRequest, &larger, 100), [100, 0]);
    }

    proptest! {
        #[test]
        fn one_that_comes_into_question_is_picked_if_there_is_one(
            endpoints in prop::collection::vec((0..3_u32, 0..5_usize), 0..6),
            turn: u64,
            random: u64,
        ) {
            let endpoints = Endpoints(endpoints);
            for balancing in ALL {
                let picked = pick(&balancing, &endpoints, turn, random);
                let any = endpoints.0.iter().any(|(weight, _)| *weight > 0);
                prop_assert_eq!(picked.is_some(), any);
                prop_assert!(picked.is_none_or(|place| endpoints.weight(place) > 0));
            }
        }
    }
}
