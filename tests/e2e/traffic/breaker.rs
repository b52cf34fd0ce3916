//! A version that fails is not called for a while, and comes back by one call.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use super::{Traffic, application::SLOW};
use crate::testbed::{Bed, eventually};

const RULE: &str = "outlierDetection: { consecutiveErrors: 5, interval: 10s, \
                    baseEjectionTime: 3s, maxEjectionPercent: 50 }";

#[test]
fn a_version_that_fails_is_ejected_and_comes_back_by_one_call_that_succeeds() {
    let bed = Bed::new();
    let traffic = Traffic::with_policy(&bed, RULE, "");
    let (one, two) = (&traffic.one.application, &traffic.two.application);
    one.fail(1_000);
    let mut failed = 0;
    eventually("the version has failed five times", || {
        failed += usize::from(traffic.get("/flaky").status == 503);
        (failed == 5).then_some(())
    });
    assert_eq!(one.asked().len(), 5);
    two.asked();
    assert_eq!(traffic.count(50, "v2"), 50);
    assert_eq!((one.asked().len(), two.asked().len()), (0, 50));
    let says = |what| traffic.client.process.says(what);
    says("the endpoint is ejected for 5 server errors in a row, time 1");

    one.fail(0);
    let is_back = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while !is_back.load(Ordering::Relaxed) {
                    let answer = traffic.get("/slow");
                    assert_eq!(answer.status, 200, "{answer:?}");
                    is_back.fetch_or(answer.body == "v1", Ordering::Relaxed);
                }
            });
        }
    });
    let asked = one.asked();
    let probe = &asked[0];
    // Nobody follows before it is answered.
    for other in &asked[1..] {
        assert!(other.at.duration_since(probe.at) >= SLOW, "{asked:?}");
    }
    says("the endpoint is back, as the probe was answered");
    assert!(traffic.count(50, "v1") > 0);
}

const BOUNDS: &str = "connectionPool: { http: { http2MaxRequests: 2 } }";

#[test]
fn what_is_more_than_a_service_may_have_is_refused_at_once() {
    let bed = Bed::new();
    let traffic = Traffic::with_policy(&bed, BOUNDS, "");
    let began = Instant::now();
    let answers: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let answer = traffic.get("/slow");
                    (answer, began.elapsed())
                })
            })
            .collect();
        let answers = asking.into_iter().map(|it| it.join().unwrap());
        answers.collect()
    });
    let (served, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(it, _)| it.status == 200);
    assert_eq!((served.len(), refused.len()), (2, 4), "{refused:?}");
    for (answer, took) in &refused {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(
            answer.head.contains("x-envoy-overloaded: true"),
            "{answer:?}"
        );
        assert!(*took < SLOW, "{took:?}");
    }
    traffic.client.process.says("response_flags=UO");
    // They are not counted for ever.
    assert_eq!(traffic.get("/").status, 200);
}

const CONNECTIONS: &str = "connectionPool: { tcp: { maxConnections: 2 }, \
                           http: { http1MaxPendingRequests: 2 } }";

#[test]
fn who_finds_no_connection_free_waits_for_one_and_who_finds_no_queue_is_refused_at_once() {
    let bed = Bed::new();
    let traffic = Traffic::with_policy(&bed, CONNECTIONS, "");
    let answers: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = (0..3)
            .flat_map(|_| {
                let both = [(); 2].map(|()| {
                    scope.spawn(|| {
                        let began = Instant::now();
                        (traffic.get("/slow"), began.elapsed())
                    })
                });
                // Those before have their connections, or stand in the queue.
                thread::sleep(SLOW / 4);
                both
            })
            .collect();
        let answers = asking.into_iter().map(|it| it.join().unwrap());
        answers.collect()
    });
    for (place, (answer, took)) in answers.iter().enumerate() {
        match place / 2 {
            0 => assert!(
                answer.status == 200 && *took < SLOW * 2,
                "{answer:?} {took:?}"
            ),
            1 => assert!(answer.status == 200 && *took > SLOW, "{answer:?} {took:?}"),
            _ => {
                assert!(answer.status == 503 && *took < SLOW, "{answer:?} {took:?}");
                let head = &answer.head;
                assert!(head.contains("x-envoy-overloaded: true"), "{head}");
                let why = "outbound|80||shop.test has 2 requests without a connection";
                assert!(answer.body.contains(why), "{answer:?}");
            }
        }
    }
    traffic.client.process.says("response_flags=UO");
    assert_eq!(traffic.get("/").status, 200);
}

const NO_MORE: &str = "retryBudget: { percent: 0, minRetryConcurrency: 1 }";
const RETRIES: &str = "  - retries: { attempts: 1, retryOn: '503', backoff: 2s }
    route: [{ destination: { host: shop.test, subset: v1 } }]
";

#[test]
fn what_is_not_repeated_because_too_much_is_gets_the_answer_that_there_was() {
    let bed = Bed::new();
    let traffic = Traffic::with_policy(&bed, NO_MORE, &super::routes(RETRIES));
    let one = &traffic.one.application;
    one.fail(1_000);
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(traffic.get("/flaky").body, "v1"));
        }
    });
    let asked = one.asked().len();
    assert!((21..30).contains(&asked), "{asked}");
    traffic.client.process.says("response_flags=UO");
}
