//! Nodes that prove a certificate of the owner's PKI.

use std::fs;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use signet_tests::testbed::pki::{ATTESTOR, Pki};

use crate::testbed::{Agent, Bed, Options, Server, eventually, my_user};

#[test]
fn a_node_with_a_certificate_of_the_pki_attests_and_has_its_selectors() {
    let bed = Bed::new();
    let pki = Pki::new("factory");
    let server = start(&bed, &pki);
    let id = pki.issue(&bed, "rack-7", &PKCS_ECDSA_P256_SHA256);
    let agent = Agent::start(&server, "agent", ATTESTOR, &[], id);
    agent.is_healthy();
    let shown = server
        .run(&["agent", "show", "--spiffe-id", &agent.id])
        .ok();
    assert!(shown.contains("x509pop:subject:cn:rack-7"), "{shown}");
    assert!(shown.contains("x509pop:ca:fingerprint:"), "{shown}");
    // An alias by selector: whichever node has this certificate.
    server
        .run(&[
            "entry",
            "create",
            "--node",
            "--spiffe-id",
            "spiffe://example.org/racks",
            "--selector",
            "x509pop:subject:cn:rack-7",
        ])
        .ok();
    server.entry(
        "spiffe://example.org/racks",
        "spiffe://example.org/web",
        &my_user(),
        &[],
    );
    agent.serves("spiffe://example.org/web");
}

#[test]
fn an_rsa_node_key_is_good_too() {
    let bed = Bed::new();
    let pki = Pki::new("factory");
    let server = start(&bed, &pki);
    let key =
        signet_identity::key::PrivateKey::generate(signet_identity::key::KeyType::Rsa2048).unwrap();
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(
        &rustls_pki_types::PrivatePkcs8KeyDer::from(key.pkcs8_der()),
        &rcgen::PKCS_RSA_SHA256,
    )
    .unwrap();
    let id = pki.certify(&bed, "rack-8", &pair);
    let agent = Agent::start(&server, "agent", ATTESTOR, &[], id);
    agent.is_healthy();
}

#[test]
fn a_node_attests_again_as_often_as_it_likes() {
    let bed = Bed::new();
    let pki = Pki::new("factory");
    let server = start(&bed, &pki);
    let id = pki.issue(&bed, "rack-7", &PKCS_ECDSA_P256_SHA256);
    let agent = Agent::start(&server, "agent", ATTESTOR, &[], id);
    agent.is_healthy();
    server
        .run(&["agent", "evict", "--spiffe-id", &agent.id])
        .ok();
    server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    eventually("the node is attested again", || {
        server
            .run(&["agent", "list"])
            .ok()
            .contains(&agent.id)
            .then_some(())
    });
    agent.serves("spiffe://example.org/web");
}

#[test]
fn a_certificate_of_another_pki_is_refused() {
    let bed = Bed::new();
    let server = start(&bed, &Pki::new("factory"));
    let id = Pki::new("factory").issue(&bed, "rack-7", &PKCS_ECDSA_P256_SHA256);
    let agent = Agent::start(&server, "agent", ATTESTOR, &[], id);
    agent.process.says("certificate");
    let listed = server.run(&["agent", "list"]).ok();
    assert!(listed.contains("No attested agents found"), "{listed}");
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let bed = Bed::new();
    let pki = Pki::new("factory");
    let server = start(&bed, &pki);
    let id = pki.issue(&bed, "rack-7", &PKCS_ECDSA_P256_SHA256);
    let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    fs::write(bed.path("node.key"), other.serialize_pem()).unwrap();
    let agent = Agent::start(&server, "agent", ATTESTOR, &[], id);
    agent.process.says("node.key");
    let listed = server.run(&["agent", "list"]).ok();
    assert!(listed.contains("No attested agents found"), "{listed}");
}

fn start<'a>(bed: &'a Bed, pki: &Pki) -> Server<'a> {
    let plugins = pki.trusted(bed);
    let options = Options {
        plugins: &plugins,
        ..Options::default()
    };
    Server::start_with(bed, &options)
}
