//! What the agent's X.509 messages are made of.

use std::{collections::BTreeSet, time::SystemTime};

use signet_identity::{
    TrustDomain,
    bundle::Bundle,
    key::PrivateKey,
    trust::{Trust, Usage},
    x509,
};
use signet_proto::workload::{X509BundlesRequest, X509Svid};
use signet_tests::testbed::grpc::workload;

use super::world::{Registered, first, ids, next, selector_of};

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_21_27_each_identity_once_and_each_hint_once() {
    let shared = Registered::shared();
    let message = first(shared.world.client()).await.unwrap();
    // Four entries match; two of them claim the hint `internal`, and one of these is left out.
    assert_eq!(message.svids.len(), 3, "{:?}", ids(&message));
    let hints: Vec<&str> = message
        .svids
        .iter()
        .map(|svid| svid.hint.as_str())
        .collect();
    assert_eq!(hints.iter().filter(|hint| **hint == "internal").count(), 1);
    assert_eq!(hints.iter().filter(|hint| hint.is_empty()).count(), 2);
    let found = BTreeSet::from_iter(ids(&message));
    assert!(found.contains("spiffe://example.org/w2") && found.contains("spiffe://example.org/w3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_22_23_24_25_every_field_is_filled_and_fits_the_others() {
    let shared = Registered::shared();
    let message = first(shared.world.client()).await.unwrap();
    for svid in &message.svids {
        let chain = x509::split(&svid.x509_svid).unwrap();
        let leaf = x509::check_svid_leaf(&chain[0]).unwrap();
        assert_eq!(leaf.id.to_string(), svid.spiffe_id);
        // One certificate after the other to the last byte, the leaf first; `trusted` follows the
        // signatures.
        assert_eq!(x509::concatenated(&chain), svid.x509_svid);
        // Unencrypted PKCS #8: a version, an algorithm, a key; neither PEM nor the key alone.
        let key = PrivateKey::from_pkcs8(&svid.x509_svid_key).unwrap();
        assert_eq!(key.spki_der(), x509::public_key(&chain[0]).unwrap());
        assert_eq!(svid.x509_svid_key[0], 0x30, "DER");
        let pkcs8 = rustls::pki_types::PrivatePkcs8KeyDer::from(svid.x509_svid_key.to_vec());
        rcgen::KeyPair::try_from(&pkcs8).unwrap();
        let authorities = x509::split(&svid.bundle).unwrap();
        assert!(!authorities.is_empty());
        trusted(svid, &chain);
    }
}

#[track_caller]
fn trusted(svid: &X509Svid, chain: &[rustls::pki_types::CertificateDer<'_>]) {
    let domain = TrustDomain::new("example.org").unwrap();
    let pem = x509::chain_to_pem(&x509::split(&svid.bundle).unwrap());
    let trust = Trust::new(&[Bundle::from_pem(domain, &pem).unwrap()]);
    for usage in [Usage::Client, Usage::Server] {
        trust.verify(chain, usage, SystemTime::now()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_26_54_bundles_are_named_by_the_ids_of_their_trust_domains() {
    let shared = Registered::shared();
    let message = first(shared.world.client()).await.unwrap();
    let keys: Vec<&String> = message.federated_bundles.keys().collect();
    assert_eq!(keys, ["spiffe://other.org"]);
    let request = workload(X509BundlesRequest {});
    let bundles = next(shared.world.client().fetch_x509_bundles(request).await)
        .await
        .unwrap();
    let keys: BTreeSet<&str> = bundles.bundles.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        BTreeSet::from(["spiffe://example.org", "spiffe://other.org"])
    );
    assert_eq!(
        bundles.bundles["spiffe://example.org"],
        message.svids[0].bundle
    );
    assert_eq!(
        bundles.bundles["spiffe://other.org"].to_vec(),
        shared.other.root
    );
}

#[test]
fn wlapi_06_20_a_caller_sees_what_its_own_entries_federate_with() {
    let shared = Registered::shared();
    let world = &shared.world;
    let program = world.bed.program("local-only");
    let id = "spiffe://example.org/local-only";
    world
        .server
        .entry(&world.agent.id, id, &selector_of(&program), &[]);
    let fetch = |verb: &[&str]| {
        let socket = ["--socket-path", world.agent.socket.to_str().unwrap()];
        let mut command = std::process::Command::new(&program);
        command
            .args(["agent", "api", "fetch"])
            .args(verb)
            .args(socket);
        world.bed.run(&mut command)
    };
    let printed = signet_tests::testbed::eventually("the program is served", || {
        let run = fetch(&["x509"]);
        (run.code == Some(0)).then_some(run.stdout)
    });
    // Another program on the same socket, another identity; this test's own federates, it does not.
    assert!(
        printed.contains(id) && !printed.contains("example.org/w\n"),
        "{printed}"
    );
    assert!(!printed.contains("other.org"), "{printed}");
    let printed = fetch(&["jwt", "--audience", "orders"]).ok();
    assert!(
        printed.contains("bundle(spiffe://example.org)"),
        "{printed}"
    );
    assert!(!printed.contains("other.org"), "{printed}");
    let mine = super::block_on(async { first(world.client()).await }).unwrap();
    assert!(mine.federated_bundles.contains_key("spiffe://other.org"));
}
