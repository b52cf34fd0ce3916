//! When our clients ask again, and how soon.

use std::time::{Duration, Instant};

use signet_tests::testbed::Bed;
use tonic::Code;

use super::{
    client_calls::start,
    hostile::{Act, Call, Hostile},
    victim::Victim,
};
use crate::wlapi::domain::Domain;

/// The time between one call and the next.
fn gaps(calls: &[Call]) -> Vec<Duration> {
    let pairs = calls.windows(2);
    pairs.map(|pair| pair[1].at - pair[0].at).collect()
}

#[test]
fn wlep_25_an_endpoint_that_is_away_or_unavailable_is_asked_again_more_and_more_slowly() {
    for client in ["proxy", "watch"] {
        let bed = Bed::new();
        let domain = Domain::new("example.org");
        let mut hostile = Hostile::absent(&bed);
        let running = start(client, &bed, &hostile);
        running.says(if client == "proxy" {
            "away"
        } else {
            "no agent listens"
        });
        for _ in 0..3 {
            hostile.act(Act::Fail(Code::Unavailable));
        }
        hostile.send(&[domain.svid("/w")]);
        hostile.appear();
        let calls = hostile.was_called(4);
        running.says("spiffe://example.org/w");
        let gaps = gaps(&calls);
        assert!(gaps[1] > gaps[0] && gaps[2] > gaps[1], "{client}: {gaps:?}");
        assert!(gaps[2] < Duration::from_secs(12), "{client}: {gaps:?}");
    }
}

#[test]
fn wlep_27_a_client_without_an_identity_asks_again_after_a_pause() {
    for client in ["proxy", "watch"] {
        let bed = Bed::new();
        let domain = Domain::new("example.org");
        let hostile = Hostile::start(&bed);
        for _ in 0..3 {
            hostile.act(Act::Fail(Code::PermissionDenied));
        }
        hostile.send(&[domain.svid("/w")]);
        let running = start(client, &bed, &hostile);
        let calls = hostile.was_called(4);
        running.says("spiffe://example.org/w");
        let gaps = gaps(&calls);
        assert!(gaps[0] > Duration::from_millis(700), "{client}: {gaps:?}");
        assert!(gaps[2] > gaps[0], "{client}: {gaps:?}");
    }
}

#[test]
fn wlapi_07_a_stream_is_kept_open_as_long_as_the_agent_keeps_it() {
    for client in ["proxy", "watch"] {
        let bed = Bed::new();
        let domain = Domain::new("example.org");
        let hostile = Hostile::start(&bed);
        hostile.send(&[domain.svid("/w")]);
        let running = start(client, &bed, &hostile);
        running.says("spiffe://example.org/w");
        hostile.is_left_alone(1, Duration::from_secs(4));
        hostile.send(&[domain.svid("/w2")]);
        running.says("spiffe://example.org/w2");
        assert_eq!(hostile.calls().len(), 1, "{client}");
    }
}

#[test]
fn wlapi_08_a_stream_that_ends_is_opened_again_at_once_and_the_svid_stays_in_use() {
    let bed = Bed::new();
    let domain = Domain::new("example.org");
    let mut hostile = Hostile::start(&bed);
    let proxy = Victim::start(&bed, &hostile);
    hostile.send(&[domain.svid("/w")]);
    proxy.holds("spiffe://example.org/w");
    let peer = domain.svid("/peer");
    let seen = || proxy.seen_by(&peer, &[&domain]);
    // Two attempts for each: a busy machine is not the client's delay.
    let mut calls = 1;
    for end in [Act::End, Act::Fail(Code::Unavailable)] {
        let mut fastest = Duration::MAX;
        for _ in 0..2 {
            let ended = Instant::now();
            hostile.act(end.clone());
            calls += 1;
            let call = hostile.was_called(calls).pop().unwrap();
            fastest = fastest.min(call.at - ended);
            // Nothing has come since: what is held is used.
            assert_eq!(seen().as_deref(), Ok("spiffe://example.org/w"), "{end:?}");
            hostile.send(&[domain.svid("/new")]);
            eventually_seen(&seen, "spiffe://example.org/new");
            hostile.send(&[domain.svid("/w")]);
            eventually_seen(&seen, "spiffe://example.org/w");
        }
        assert!(fastest < Duration::from_secs(1), "{end:?}: {fastest:?}");
    }
    // The connection is cut, and nobody listens for a while.
    hostile.vanish();
    proxy.process.says("away");
    assert_eq!(seen().as_deref(), Ok("spiffe://example.org/w"));
    hostile.send(&[domain.svid("/back")]);
    hostile.appear();
    eventually_seen(&seen, "spiffe://example.org/back");
}

fn eventually_seen(seen: &dyn Fn() -> Result<String, String>, id: &str) {
    signet_tests::testbed::eventually(&format!("peers see {id}"), || {
        (seen().as_deref() == Ok(id)).then_some(())
    });
}
