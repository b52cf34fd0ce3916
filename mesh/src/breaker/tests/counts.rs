//! Which outcomes eject an endpoint, and how many may be.

use Outcome::{Abandoned, GatewayError, GatewayErrorOnly, LocalOrigin, ServerError, Success};

use super::*;

#[test]
fn statuses_are_answers_or_server_errors_or_those_of_a_gateway() {
    for (status, outcome) in [
        (200, Success),
        (404, Success),
        (499, Success),
        (500, ServerError),
        (501, ServerError),
        (502, GatewayError),
        (503, GatewayError),
        (504, GatewayError),
        (505, ServerError),
        (599, ServerError),
        (600, Success),
    ] {
        assert_eq!(Outcome::of_status(status), outcome, "{status}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is one table")]
fn failures_in_a_row_eject_and_others_between_them_begin_anew() {
    let only = |five: u32, gateway: u32, local: u32, split: bool| Settings {
        consecutive_5xx: Some(five),
        consecutive_gateway: Some(gateway),
        consecutive_local_origin: Some(local),
        split_local_origin: split,
        ..article()
    };
    let (five, gateway) = (only(3, 0, 0, false), only(0, 3, 0, false));
    let local = only(0, 0, 3, true);
    let both = only(4, 2, 0, false);
    let three = Reason::Consecutive5xx(3);
    for (settings, outcomes, wanted) in [
        (&five, vec![ServerError; 3], Some(three)),
        (&five, vec![ServerError; 2], None),
        (
            &five,
            vec![ServerError, GatewayError, LocalOrigin],
            Some(three),
        ),
        (
            &five,
            vec![ServerError, ServerError, Success, ServerError],
            None,
        ),
        (
            &five,
            vec![ServerError, ServerError, Abandoned, ServerError],
            Some(three),
        ),
        (&gateway, vec![ServerError; 9], None),
        (
            &gateway,
            vec![GatewayError; 3],
            Some(Reason::ConsecutiveGateway(3)),
        ),
        (
            &gateway,
            vec![GatewayError, LocalOrigin, GatewayError],
            Some(Reason::ConsecutiveGateway(3)),
        ),
        (
            &gateway,
            vec![GatewayError, GatewayError, ServerError, GatewayError],
            None,
        ),
        (&five, vec![GatewayErrorOnly; 9], None),
        (
            &five,
            vec![ServerError, ServerError, GatewayErrorOnly, ServerError],
            None,
        ),
        (
            &gateway,
            vec![GatewayErrorOnly; 3],
            Some(Reason::ConsecutiveGateway(3)),
        ),
        (
            &local,
            vec![LocalOrigin; 3],
            Some(Reason::ConsecutiveLocalOrigin(3)),
        ),
        (
            &local,
            vec![LocalOrigin, LocalOrigin, ServerError, LocalOrigin],
            None,
        ),
        (&local, vec![ServerError; 9], None),
        (&only(3, 3, 0, true), vec![LocalOrigin; 9], None),
        (
            &only(3, 0, 0, true),
            vec![ServerError, LocalOrigin, ServerError, ServerError],
            Some(three),
        ),
        (&only(0, 0, 3, false), vec![LocalOrigin; 9], None),
        (
            &both,
            vec![GatewayError; 2],
            Some(Reason::ConsecutiveGateway(2)),
        ),
        (&both, vec![ServerError; 4], Some(Reason::Consecutive5xx(4))),
        (&only(0, 0, 0, true), vec![ServerError; 9], None),
    ] {
        let mut breaker = breaker(settings.clone(), &["a", "b"]);
        let mut found = None;
        for outcome in &outcomes {
            assert_eq!(found, None, "{outcomes:?}");
            found = match once(&mut breaker, "a", *outcome, 0) {
                Some(Change::Opened { why, .. }) => Some(why),
                None => None,
                Some(other) => panic!("{outcomes:?}: {other:?}"),
            };
        }
        assert_eq!(found, wanted, "{outcomes:?}");
    }
}

#[test]
fn only_so_many_are_ejected_and_the_last_one_only_if_that_was_asked_for() {
    const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    for (endpoints, percent, ejected) in [
        (1, 10, 0),
        (1, 50, 0),
        (1, 99, 0),
        (1, 100, 1),
        (2, 10, 1),
        (2, 49, 1),
        (2, 50, 1),
        (2, 99, 1),
        (2, 100, 2),
        (3, 50, 1),
        (3, 67, 2),
        (4, 10, 1),
        (4, 50, 2),
        (9, 10, 1),
        (10, 10, 1),
        (10, 25, 2),
        (10, 99, 9),
        (10, 100, 10),
        (10, 0, 0),
    ] {
        let settings = Settings {
            max_ejection_percent: percent,
            ..article()
        };
        let mut breaker = breaker(settings, &NAMES[..endpoints]);
        let spared = NAMES[..endpoints]
            .iter()
            .filter(|name| matches!(fail(&mut breaker, name, 0), Change::Spared { .. }))
            .count();
        assert_eq!(breaker.ejected(), ejected, "{percent}% of {endpoints}");
        assert_eq!(spared, endpoints - ejected, "{percent}% of {endpoints}");
    }
}
