//! A version that fails is not called for a while, and comes back by one call.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
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
