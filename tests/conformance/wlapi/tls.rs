//! Peers are judged by the bundle of the trust domain that they claim, in both roles.

use signet_proto::workload::X509SvidResponse;
use signet_tests::testbed::Bed;

use super::domain::Domain;
use crate::wlep::{
    hostile::{Act, Hostile, message},
    victim::Victim,
};

#[test]
fn wlapi_18_19_a_peer_is_judged_by_its_own_trust_domains_bundle_or_refused() {
    let bed = Bed::new();
    let (own, other, third) = (
        Domain::new("example.org"),
        Domain::new("other.org"),
        Domain::new("third.org"),
    );
    let hostile = Hostile::start(&bed);
    let proxy = Victim::start(&bed, &hostile);
    let bundle = (other.id(), other.root.clone().into());
    hostile.act(Act::Send(X509SvidResponse {
        federated_bundles: [bundle].into(),
        ..message(&[own.svid("/w")])
    }));
    proxy.holds("spiffe://example.org/w");
    let all = [&own, &other, &third];
    // Clients of the inbound port.
    for peer in [own.svid("/peer"), other.svid("/peer")] {
        let seen = proxy.seen_by(&peer, &[&own]);
        assert_eq!(
            seen.as_deref(),
            Ok("spiffe://example.org/w"),
            "{}",
            peer.spiffe_id
        );
    }
    for (what, peer) in [
        ("a domain that nobody knows", third.svid("/peer")),
        (
            "the own domain, signed by a federated one",
            other.svid_of("spiffe://example.org/peer", None),
        ),
        (
            "a federated domain, signed by the own one",
            own.svid_of("spiffe://other.org/peer", None),
        ),
        (
            "the own domain, signed by nobody known",
            third.svid_of("spiffe://example.org/peer", None),
        ),
    ] {
        assert!(proxy.seen_by(&peer, &[&own]).is_err(), "{what}");
    }
    // Servers behind the outbound port, which expects `/server` of either domain.
    for server in [own.svid("/server"), other.svid("/server")] {
        assert_eq!(proxy.reaches(&server, &all), Ok(()), "{}", server.spiffe_id);
    }
    for (what, server) in [
        (
            "the own domain, signed by a federated one",
            other.svid_of("spiffe://example.org/server", None),
        ),
        (
            "a federated domain, signed by the own one",
            own.svid_of("spiffe://other.org/server", None),
        ),
        ("a domain that nobody knows", third.svid("/server")),
    ] {
        assert!(proxy.reaches(&server, &all).is_err(), "{what}");
    }
}
