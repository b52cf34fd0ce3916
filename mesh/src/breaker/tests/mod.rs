//! Tests of the breaker: its numbers, its ways, and what holds whatever happens.

mod counts;
mod properties;
mod ways;

use std::time::Duration;

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The article's: five in a row, every ten seconds, for thirty seconds, at most half of them.
fn article() -> Settings {
    Settings {
        consecutive_5xx: Some(5),
        interval: seconds(10),
        base_ejection_time: seconds(30),
        max_ejection_percent: 50,
        ..Settings::default()
    }
}

/// A breaker of endpoints with these names.
fn breaker(settings: Settings, endpoints: &[&'static str]) -> Breaker<&'static str> {
    let mut breaker = Breaker::new(settings);
    assert_eq!(breaker.resize(endpoints.iter().copied(), seconds(0)), None);
    breaker
}

/// Tries an endpoint, without a chance's part in anything.
fn once(
    breaker: &mut Breaker<&'static str>,
    endpoint: &'static str,
    outcome: Outcome,
    at: u64,
) -> Option<Change> {
    match breaker.may_try(&endpoint, seconds(at)) {
        Admission::Yes(ticket) | Admission::Probe(ticket) => {
            let transition = breaker.record(ticket, outcome, seconds(at), 0)?;
            assert_eq!(transition.endpoint, endpoint);
            Some(transition.change)
        }
        Admission::No { until } => panic!("{endpoint} may not be tried before {until:?}"),
    }
}

/// Fails an endpoint until something happens.
fn fail(breaker: &mut Breaker<&'static str>, endpoint: &'static str, at: u64) -> Change {
    let mut tries = (0..100).map(|_| once(breaker, endpoint, Outcome::ServerError, at));
    tries.find_map(|change| change).expect("a change")
}

fn probe(breaker: &mut Breaker<&'static str>, at: u64) -> Ticket<&'static str> {
    let Admission::Probe(ticket) = breaker.may_try(&"a", seconds(at)) else {
        panic!("no probe at {at}");
    };
    ticket
}
