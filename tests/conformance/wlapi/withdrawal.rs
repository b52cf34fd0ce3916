//! What our clients do when the Workload API says less than before: each message replaces the last
//! one whole.

use std::time::Duration;

use signet_proto::workload::{X509Svid, X509SvidResponse};
use signet_tests::testbed::{Bed, eventually};
use tonic::Code;

use super::domain::Domain;
use crate::wlep::{
    hostile::{Act, Hostile, message},
    victim::Victim,
};

const W: &str = "spiffe://example.org/w";

/// A message with the bundles of other trust domains.
fn federated(svids: &[X509Svid], domains: &[&Domain]) -> X509SvidResponse {
    X509SvidResponse {
        federated_bundles: domains
            .iter()
            .map(|domain| (domain.id(), domain.root.clone().into()))
            .collect(),
        ..message(svids)
    }
}

/// Waits until a peer is served by the proxy as `id`, or is refused.
#[track_caller]
fn becomes(proxy: &Victim, peer: &X509Svid, domain: &Domain, id: Option<&str>) {
    eventually(&format!("{} sees {id:?}", peer.spiffe_id), || {
        (proxy.seen_by(peer, &[domain]).ok().as_deref() == id).then_some(())
    });
}

#[test]
fn wlapi_14_15_a_bundle_that_is_missing_in_the_next_message_is_trusted_no_more() {
    let bed = Bed::new();
    let (own, other) = (Domain::new("example.org"), Domain::new("other.org"));
    let hostile = Hostile::start(&bed);
    let proxy = Victim::start(&bed, &hostile);
    let svid = own.svid("/w");
    let peers = [own.svid("/peer"), other.svid("/peer")];
    hostile.act(Act::Send(federated(std::slice::from_ref(&svid), &[&other])));
    proxy.holds(W);
    for peer in &peers {
        becomes(&proxy, peer, &own, Some(W));
    }
    // The same SVID, without the other domain.
    hostile.send(std::slice::from_ref(&svid));
    becomes(&proxy, &peers[1], &own, None);
    becomes(&proxy, &peers[0], &own, Some(W));
    // It comes back, with a new authority: the old one's peers stay out.
    let rotated = Domain::new("other.org");
    hostile.act(Act::Send(federated(
        std::slice::from_ref(&svid),
        &[&rotated],
    )));
    becomes(&proxy, &rotated.svid("/peer"), &own, Some(W));
    assert!(proxy.seen_by(&peers[1], &[&own]).is_err());
    // A bundle that is there and empty trusts nobody either.
    let mut empty = federated(std::slice::from_ref(&svid), &[]);
    empty
        .federated_bundles
        .insert(other.id(), Vec::new().into());
    hostile.act(Act::Send(empty));
    becomes(&proxy, &rotated.svid("/peer"), &own, None);
    becomes(&proxy, &peers[0], &own, Some(W));
}

#[test]
fn wlapi_31_55_a_denied_proxy_stops_using_its_svid_and_its_trust_at_once() {
    let bed = Bed::new();
    let own = Domain::new("example.org");
    let hostile = Hostile::start(&bed);
    let proxy = Victim::start(&bed, &hostile);
    let peer = own.svid("/peer");
    hostile.send(&[own.svid("/w")]);
    proxy.holds(W);
    becomes(&proxy, &peer, &own, Some(W));
    let server = own.svid("/server");
    assert_eq!(proxy.reaches(&server, &[&own]), Ok(()));
    hostile.act(Act::Fail(Code::PermissionDenied));
    becomes(&proxy, &peer, &own, None);
    proxy.process.says("withdrawn");
    assert!(proxy.reaches(&server, &[&own]).is_err());
    // Other endings change nothing about a withdrawal, and the next SVID ends it.
    hostile.act(Act::Fail(Code::Unavailable));
    hostile.was_called(3);
    assert!(proxy.seen_by(&peer, &[&own]).is_err());
    hostile.send(&[own.svid("/w")]);
    becomes(&proxy, &peer, &own, Some(W));
    assert_eq!(proxy.reaches(&server, &[&own]), Ok(()));
}

#[test]
fn wlapi_31_other_endings_leave_the_svid_in_use_until_it_expires() {
    let bed = Bed::new();
    let own = Domain::new("example.org");
    let hostile = Hostile::start(&bed);
    let proxy = Victim::start(&bed, &hostile);
    let peer = own.svid("/peer");
    hostile.send(&[own.svid("/long")]);
    proxy.holds("spiffe://example.org/long");
    for (number, code) in [
        Code::Unavailable,
        Code::Unknown,
        Code::Internal,
        Code::DeadlineExceeded,
        Code::ResourceExhausted,
        Code::Unauthenticated,
    ]
    .into_iter()
    .enumerate()
    {
        hostile.act(Act::Fail(code));
        hostile.was_called(number + 2);
        let seen = proxy.seen_by(&peer, &[&own]);
        assert_eq!(seen.as_deref(), Ok("spiffe://example.org/long"), "{code:?}");
        // A word, so that the next pause is a short one.
        hostile.send(&[own.svid("/long")]);
    }
    let until = time::OffsetDateTime::now_utc() + Duration::from_secs(12);
    hostile.send(&[own.svid_of(W, Some(until))]);
    becomes(&proxy, &peer, &own, Some(W));
    hostile.act(Act::Fail(Code::Unavailable));
    becomes(&proxy, &peer, &own, None);
    proxy.process.says("expired");
}

#[test]
fn wlapi_15_31_a_smaller_message_takes_the_missing_identity_away() {
    let bed = Bed::new();
    let own = Domain::new("example.org");
    let hostile = Hostile::start(&bed);
    let proxy = Victim::start(&bed, &hostile);
    let (a, b, peer) = (own.svid("/a"), own.svid("/b"), own.svid("/peer"));
    hostile.send(&[a, b.clone()]);
    proxy.holds("spiffe://example.org/a");
    becomes(&proxy, &peer, &own, Some("spiffe://example.org/a"));
    hostile.send(&[b]);
    becomes(&proxy, &peer, &own, Some("spiffe://example.org/b"));
}
