//! The ways from one state to another.

use Outcome::{Abandoned, ServerError, Success};

use super::*;

/// What is done to `a` at a second, and what comes of it.
enum Step {
    Fail(u64, Option<Change>),
    Answer(u64, Option<Change>),
    Refused(u64, u64),
}

#[test]
fn two_hosts_with_the_numbers_of_the_article() {
    use Step::{Answer, Fail, Refused};
    let mut breaker = breaker(article(), &["a", "b"]);
    let opened = |until, times| Change::Opened {
        until: seconds(until),
        times,
        why: Reason::Consecutive5xx(5),
    };
    let reopened = |until, times| Change::Reopened {
        until: seconds(until),
        times,
        why: ServerError,
    };
    for step in [
        Fail(1, None),
        Fail(1, None),
        Fail(2, None),
        Fail(2, None),
        // The fifth ejects at once, for 30 s.
        Fail(3, Some(opened(33, 1))),
        Refused(3, 33),
        Refused(32, 33),
        // The probe fails: twice as long, and so on.
        Fail(33, Some(reopened(93, 2))),
        Refused(92, 93),
        Fail(93, Some(reopened(183, 3))),
        // The probe succeeds, and one success is enough.
        Answer(183, Some(Change::Closed)),
        Answer(184, None),
        Fail(185, None),
        Fail(185, None),
        Fail(185, None),
        Fail(185, None),
        // Three in a row were halved to one, so this is the second.
        Fail(186, Some(opened(246, 2))),
        Answer(246, Some(Change::Closed)),
        Fail(257, None),
        Fail(257, None),
        Fail(257, None),
        Fail(257, None),
        // An interval without an ejection has forgiven the one that was left.
        Fail(257, Some(opened(287, 1))),
    ] {
        match step {
            Fail(at, change) => assert_eq!(once(&mut breaker, "a", ServerError, at), change),
            Answer(at, change) => assert_eq!(once(&mut breaker, "a", Success, at), change),
            Refused(at, until) => {
                let until = seconds(until);
                assert_eq!(breaker.may_try(&"a", seconds(at)), Admission::No { until });
            }
        }
        // Half of two is one, so the other is not ejected meanwhile.
        if breaker.ejected() == 1 {
            let why = Reason::Consecutive5xx(5);
            let spared = Change::Spared { why, ejected: 1 };
            assert_eq!(fail(&mut breaker, "b", 0), spared);
        }
    }
}

#[test]
fn exactly_one_request_probes() {
    let mut breaker = breaker(article(), &["a", "b"]);
    fail(&mut breaker, "a", 0);
    let state = |breaker: &Breaker<_>, at| breaker.state(&"a", seconds(at)).expect("it is known");
    assert_eq!(state(&breaker, 29), State::Open { until: seconds(30) });
    assert_eq!(state(&breaker, 30), State::HalfOpen { is_probed: false });
    let ticket = probe(&mut breaker, 30);
    assert_eq!(*ticket.endpoint(), "a");
    assert_eq!(state(&breaker, 30), State::HalfOpen { is_probed: true });
    let until = seconds(40);
    for at in [30, 39] {
        assert_eq!(breaker.may_try(&"a", seconds(at)), Admission::No { until });
    }
    let closed = breaker.record(ticket, Success, seconds(39), 0);
    assert_eq!(closed.map(|it| it.change), Some(Change::Closed));
    assert_eq!(state(&breaker, 39), State::Closed);
    assert_eq!(breaker.ejected(), 0);
}

#[test]
fn a_probe_of_which_nothing_comes_makes_way_for_another() {
    let mut breaker = breaker(article(), &["a", "b"]);
    fail(&mut breaker, "a", 0);
    let abandoned = probe(&mut breaker, 30);
    assert_eq!(breaker.record(abandoned, Abandoned, seconds(31), 0), None);
    let silent = probe(&mut breaker, 31);
    let until = seconds(41);
    assert_eq!(breaker.may_try(&"a", seconds(40)), Admission::No { until });
    let second = probe(&mut breaker, 41);
    // What comes of the first after all is no longer asked for.
    assert_eq!(breaker.record(silent, Success, seconds(42), 0), None);
    let closed = breaker.record(second, Success, seconds(42), 0);
    assert_eq!(closed.map(|it| it.change), Some(Change::Closed));
    // It is, if no other probe has gone.
    fail(&mut breaker, "a", 100);
    let late = probe(&mut breaker, 200);
    let closed = breaker.record(late, Success, seconds(300), 0);
    assert_eq!(closed.map(|it| it.change), Some(Change::Closed));
}

#[test]
fn what_was_sent_before_an_ejection_does_not_count_after_it() {
    let mut breaker = breaker(article(), &["a", "b"]);
    let mut early = Vec::new();
    for _ in 0..3 {
        let Admission::Yes(ticket) = breaker.may_try(&"a", seconds(0)) else {
            panic!("it is not ejected");
        };
        early.push(ticket);
    }
    fail(&mut breaker, "a", 0);
    let mut early = early.into_iter();
    let mut record = |breaker: &mut Breaker<_>, outcome, at| {
        breaker.record(early.next().expect("a ticket"), outcome, seconds(at), 0)
    };
    assert_eq!(record(&mut breaker, Success, 1), None);
    let ticket = probe(&mut breaker, 30);
    assert_eq!(record(&mut breaker, ServerError, 31), None);
    let closed = breaker.record(ticket, Success, seconds(32), 0);
    assert_eq!(closed.map(|it| it.change), Some(Change::Closed));
    assert_eq!(record(&mut breaker, ServerError, 33), None);
    for _ in 0..4 {
        assert_eq!(once(&mut breaker, "a", ServerError, 33), None);
    }
}

#[test]
fn a_failure_that_is_not_counted_is_none_of_a_probe_either() {
    let settings = Settings {
        consecutive_5xx: None,
        consecutive_gateway: Some(1),
        ..article()
    };
    let mut breaker = breaker(settings, &["a", "b"]);
    let gateway = Outcome::GatewayError;
    assert!(once(&mut breaker, "a", gateway, 0).is_some());
    let again = once(&mut breaker, "a", Outcome::LocalOrigin, 30);
    assert!(matches!(again, Some(Change::Reopened { times: 2, .. })));
    let closed = once(&mut breaker, "a", ServerError, 90);
    assert_eq!(closed, Some(Change::Closed));
}

#[test]
fn chance_adds_up_to_a_tenth_and_nothing_to_the_longest() {
    let settings = Settings {
        max_ejection_time: seconds(300),
        ..article()
    };
    for (times, random, milliseconds) in [
        (1, 0, 30_000),
        (1, u64::MAX / 2, 31_499),
        (1, u64::MAX, 32_999),
        (2, u64::MAX, 65_999),
        (10, 0, 300_000),
        (10, u64::MAX, 300_000),
        (u32::MAX, u64::MAX, 300_000),
    ] {
        let long = settings.ejection(times, random);
        assert_eq!(
            long,
            Duration::from_millis(milliseconds),
            "{times} {random}"
        );
    }
}

#[test]
fn endpoints_come_and_go() {
    let mut breaker = breaker(article(), &["a", "b", "c"]);
    fail(&mut breaker, "a", 0);
    assert_eq!(breaker.resize(["a", "b", "d"], seconds(1)), None);
    assert_eq!(breaker.state(&"c", seconds(1)), None);
    assert_eq!(breaker.state(&"d", seconds(1)), Some(State::Closed));
    assert_eq!(breaker.ejected(), 1);
    assert_eq!(breaker.forget(&"d", seconds(2)), None);
    // The last one that is left is taken back.
    let released = Transition {
        endpoint: "a",
        change: Change::Released,
    };
    assert_eq!(breaker.forget(&"b", seconds(3)), Some(released));
    assert_eq!(breaker.state(&"a", seconds(3)), Some(State::Closed));
    assert_eq!(breaker.ejected(), 0);
    assert_eq!(breaker.forget(&"a", seconds(4)), None);
    let Admission::Yes(ticket) = breaker.may_try(&"a", seconds(5)) else {
        panic!("who is not known may be tried");
    };
    assert_eq!(breaker.resize(["a", "b"], seconds(6)), None);
    assert_eq!(breaker.record(ticket, ServerError, seconds(6), 0), None);
    assert_eq!(breaker.states(seconds(6)).count(), 2);
}

#[test]
fn all_may_be_ejected_if_that_was_asked_for_and_are_tried_below_the_health_that_was() {
    let settings = |health| Settings {
        max_ejection_percent: 100,
        min_health_percent: health,
        ..article()
    };
    let mut lost = breaker(settings(0), &["a", "b"]);
    fail(&mut lost, "a", 0);
    fail(&mut lost, "b", 0);
    let until = seconds(30);
    for endpoint in ["a", "b"] {
        assert_eq!(lost.may_try(&endpoint, seconds(1)), Admission::No { until });
    }
    assert_eq!(lost.forget(&"b", seconds(1)), None);
    assert_eq!(lost.ejected(), 1);
    let released = lost.configure(article(), seconds(2));
    assert_eq!(released.map(|it| it.change), Some(Change::Released));
    assert_eq!(lost.state(&"a", seconds(2)), Some(State::Closed));
    let mut kept = breaker(settings(50), &["a", "b"]);
    fail(&mut kept, "a", 0);
    assert_eq!(kept.may_try(&"a", seconds(1)), Admission::No { until });
    fail(&mut kept, "b", 0);
    for endpoint in ["a", "b"] {
        assert_eq!(once(&mut kept, endpoint, ServerError, 1), None);
    }
    assert_eq!(once(&mut kept, "a", Success, 30), Some(Change::Closed));
}

#[test]
fn each_change_reads_as_a_sentence() {
    let why = Reason::ConsecutiveLocalOrigin(5);
    let until = seconds(30);
    for (change, wanted) in [
        (
            Change::Opened {
                until,
                times: 1,
                why,
            },
            "ejected for 5 failures to reach it in a row, time 1",
        ),
        (
            Change::Reopened {
                until,
                times: 2,
                why: Outcome::GatewayError,
            },
            "still ejected, as the probe brought a gateway error, time 2",
        ),
        (Change::Closed, "back, as the probe was answered"),
        (
            Change::Spared {
                why: Reason::Consecutive5xx(5),
                ejected: 1,
            },
            "not ejected for 5 server errors in a row, as 1 are already",
        ),
        (Change::Released, "back, as no other is left"),
    ] {
        assert_eq!(change.to_string(), wanted);
    }
}
