//! Endpoints that are chosen by how long they take to answer.

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// How long each takes, and how many calls it has.
struct Timed(Vec<(Duration, usize)>);

impl Candidates for Timed {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn weight(&self, _place: usize) -> u64 {
        1
    }

    fn active(&self, place: usize) -> usize {
        self.0[place].1
    }

    fn latency(&self, place: usize) -> Option<Duration> {
        Some(self.0[place].0)
    }
}

fn calls(endpoints: &Timed, of: usize) -> Vec<usize> {
    let mut got = vec![0; endpoints.count()];
    for (turn, random) in (0..).zip(numbers()).take(of) {
        got[pick(&Balancing::PeakEwma, endpoints, lot(turn, random)).unwrap()] += 1;
    }
    got
}

#[test]
fn of_two_the_one_gets_a_call_that_will_have_answered_it_sooner() {
    let (quick, slow) = (MILLISECOND * 10, MILLISECOND * 50);
    assert_eq!(calls(&Timed(vec![(quick, 0), (slow, 0)]), 100), [100, 0]);
    // Five calls of ten milliseconds, or none of fifty.
    assert_eq!(calls(&Timed(vec![(quick, 3), (slow, 0)]), 100), [100, 0]);
    assert_eq!(calls(&Timed(vec![(quick, 5), (slow, 0)]), 100), [0, 100]);
    let alike = calls(&Timed(vec![(quick, 1); 4]), 10_000);
    assert!(
        alike.iter().all(|got| got.abs_diff(2_500) < 250),
        "{alike:?}"
    );
}

#[test]
fn a_slow_answer_counts_at_once_and_is_forgotten_by_and_by() {
    let quick = PeakEwma::default().with(MILLISECOND, SECOND);
    let slow = quick.with(SECOND, SECOND * 2);
    assert_eq!(slow.latency(SECOND * 2), Some(SECOND));
    let after = |seconds: u32| slow.latency(SECOND * (2 + seconds)).unwrap().as_millis();
    assert_eq!([after(10), after(20), after(100)], [367, 135, 0]);
    let better = slow
        .with(MILLISECOND, SECOND * 3)
        .latency(SECOND * 3)
        .unwrap();
    assert!(better < SECOND && better > MILLISECOND * 900, "{better:?}");
}

#[test]
fn of_one_without_an_answer_nothing_is_known() {
    assert_eq!(PeakEwma::default().latency(SECOND), None);
    assert_eq!(PeakEwma::unpacked(0), PeakEwma::default());
}

proptest! {
    #[test]
    fn a_mean_is_between_what_was_seen_and_packs_whole(
        seen in proptest::collection::vec((1_u64..4_000_000_000, 0_u64..100_000), 1..40),
    ) {
        let (mut mean, mut now) = (PeakEwma::default(), Duration::ZERO);
        let most = seen.iter().map(|(micros, _)| *micros).max().unwrap();
        for (micros, pause) in seen {
            now += Duration::from_millis(pause);
            mean = mean.with(Duration::from_micros(micros), now);
            let latency = mean.latency(now).unwrap();
            prop_assert!(latency <= Duration::from_micros(most));
            prop_assert!(latency >= Duration::from_micros(1));
            prop_assert_eq!(PeakEwma::unpacked(mean.packed()), mean);
            let later = mean.latency(now + Duration::from_secs(3)).unwrap();
            prop_assert!(later <= latency);
        }
    }

    #[test]
    fn an_answer_that_is_slower_is_the_mean(before in 1_u64..1_000_000, more in 0_u64..1_000_000) {
        let first = PeakEwma::default().with(Duration::from_micros(before), SECOND);
        let latency = Duration::from_micros(before + more);
        prop_assert_eq!(first.with(latency, SECOND).latency(SECOND), Some(latency));
    }
}
