//! Which endpoint is picked, by their shares and by what they have to do.

use super::*;

struct Endpoints(Vec<(u32, usize)>);

impl Candidates for Endpoints {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn weight(&self, place: usize) -> u64 {
        self.0[place].0.into()
    }

    fn active(&self, place: usize) -> usize {
        self.0[place].1
    }

    fn latency(&self, _place: usize) -> Option<std::time::Duration> {
        None
    }
}

const ALL: [Balancing; 3] = [
    Balancing::LeastRequest,
    Balancing::RoundRobin,
    Balancing::Random,
];

fn shares(balancing: &Balancing, endpoints: &Endpoints, calls: usize) -> Vec<usize> {
    let mut got = vec![0; endpoints.count()];
    for (turn, random) in (0..).zip(numbers()).take(calls) {
        got[pick(balancing, endpoints, lot(turn, random)).unwrap()] += 1;
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
    let picked = (0..6).map(|turn| pick(&Balancing::RoundRobin, &endpoints, lot(turn, 7)));
    assert_eq!(picked.flatten().collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn who_has_more_turns_than_others_does_not_have_them_in_a_row() {
    let endpoints = Endpoints(vec![(3_000, 0), (1_000, 0)]);
    let picked = (0..400).map(|turn| pick(&Balancing::RoundRobin, &endpoints, lot(turn, 7)));
    let picked: Vec<_> = picked.flatten().collect();
    for four in picked.windows(8) {
        let second = four.iter().filter(|place| **place == 1).count();
        assert!((1..=3).contains(&second), "{four:?}");
    }
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
            let picked = pick(&balancing, &endpoints, lot(turn, random));
            let any = endpoints.0.iter().any(|(weight, _)| *weight > 0);
            prop_assert_eq!(picked.is_some(), any);
            prop_assert!(picked.is_none_or(|place| endpoints.weight(place) > 0));
        }
    }
}
