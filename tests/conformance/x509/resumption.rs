//! Each connection proves the peer anew: no ticket takes the place of a certificate (X509-SVID §5).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConfig, HandshakeKind,
    client::{ClientSessionMemoryCache, Resumption},
    crypto::aws_lc_rs::Ticketer,
    server::ServerSessionMemoryCache,
};
use signet_tests::testbed::eventually;

use crate::material::{
    Authority, OTHER, OURS, Stage, Svid, W,
    stage::{self, Outcome, client_config, server_config},
};

/// A client that keeps and offers every ticket that it is given.
fn eager(svid: &Svid) -> Arc<ClientConfig> {
    let mut config = client_config(svid);
    config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(100)));
    Arc::new(config)
}

#[test]
fn x509_54_the_proxy_gives_no_tickets_and_takes_none() {
    let (ours, other) = (Authority::root(OURS), Authority::root(OTHER));
    let stage = Stage::start(&stage::bundles(&ours, &other));
    let config = eager(&ours.leaf(W));
    for _ in 0..3 {
        let (outcome, session) = stage.session(&config);
        assert_eq!(outcome, Outcome::Carried(Some(W.to_owned())));
        assert_eq!(session.tls13_tickets_received(), 0);
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
    }
    // A client whose authority is gone comes back in vain.
    let own = ours.leaf("spiffe://example.org/proxy");
    let fresh = Authority::root(OURS);
    let told = stage::response(
        "spiffe://example.org/proxy",
        &own,
        &stage::bundles(&fresh, &other),
    );
    stage.serve(told);
    eventually("the client is refused", || {
        // One that met the change halfway is cut; the next one is not let in.
        let outcome = stage.session(&config).0;
        matches!(outcome, Outcome::Refused(why) if why.contains("not authenticated")).then_some(())
    });
    stage.accepts(W, &fresh.leaf(W));
}

#[test]
fn x509_54_a_client_whose_svid_ends_comes_back_in_vain() {
    let (ours, other) = (Authority::root(OURS), Authority::root(OTHER));
    let stage = Stage::start(&stage::bundles(&ours, &other));
    let brief = ours.leaf_with(W, |draft| {
        draft.not_after = SystemTime::now() + Duration::from_secs(5);
    });
    let config = eager(&brief);
    let first = stage.session(&config).0;
    assert_eq!(first, Outcome::Carried(Some(W.to_owned())));
    let refused = eventually("the client is refused", || match stage.session(&config).0 {
        Outcome::Refused(why) => Some(why),
        Outcome::Carried(_) => None,
    });
    assert!(refused.contains("Expired"), "{refused}");
}

#[test]
fn x509_54_the_proxy_offers_no_ticket_to_a_server_that_gives_them() {
    let (ours, other) = (Authority::root(OURS), Authority::root(OTHER));
    let stage = Stage::start(&stage::bundles(&ours, &other));
    let mut config = server_config(&ours.leaf(W));
    config.ticketer = Ticketer::new().unwrap();
    config.session_storage = ServerSessionMemoryCache::new(100);
    config.send_tls13_tickets = 4;
    let config = Arc::new(config);
    for _ in 0..3 {
        let outcome = stage.server_with(Arc::clone(&config));
        assert_eq!(outcome, Outcome::Carried(None));
    }
    assert_eq!(stage.handshakes(), [HandshakeKind::Full; 3]);
    let own = ours.leaf("spiffe://example.org/proxy");
    let fresh = Authority::root(OURS);
    let told = stage::response(
        "spiffe://example.org/proxy",
        &own,
        &stage::bundles(&fresh, &other),
    );
    stage.serve(told);
    eventually("the server is refused", || {
        let outcome = stage.server_with(Arc::clone(&config));
        matches!(outcome, Outcome::Refused(_)).then_some(())
    });
}
