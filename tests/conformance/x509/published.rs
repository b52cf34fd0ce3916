//! The bundle document that we publish, as far as X.509 goes (X509-SVID §6.1).

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;
use signet_proto::spire::api::{
    server::bundle::v1::{AppendBundleRequest, bundle_client::BundleClient},
    types,
};
use signet_tests::testbed::{Bed, Options, Server};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _, public_key::PublicKey};

use crate::material::{Authority, OURS, live};

/// The entries of the published document, by their use.
fn published(server: &Server<'_>, usage: &str) -> Vec<Value> {
    let text = server.run(&["bundle", "show", "--format", "spiffe"]).ok();
    let document: Value = serde_json::from_str(&text).unwrap();
    let keys = document["keys"].as_array().unwrap().clone();
    keys.into_iter().filter(|key| key["use"] == usage).collect()
}

fn certificate(entry: &Value) -> Vec<u8> {
    let chain = entry["x5c"].as_array().unwrap();
    assert_eq!(chain.len(), 1, "{entry}");
    STANDARD.decode(chain[0].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn x509_42_43_44_each_authority_has_an_entry_of_its_own() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    assert_eq!(published(&server, "x509-svid").len(), 1);
    let second = Authority::root(OURS);
    let request = AppendBundleRequest {
        x509_authorities: vec![types::X509Certificate {
            asn1: second.der.clone(),
            tainted: false,
        }],
        ..AppendBundleRequest::default()
    };
    let mut client = BundleClient::new(live::admin(&server));
    client.append_bundle(request).await.unwrap();
    let entries = published(&server, "x509-svid");
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().any(|entry| certificate(entry) == second.der));
    for entry in &entries {
        assert!(entry.get("kid").is_none(), "{entry}");
        // RFC 7517 §4.1: every JWK says its type.
        assert_eq!(entry["kty"], "EC");
    }
    let jwt = published(&server, "jwt-svid");
    assert!(jwt.iter().all(|entry| entry["kid"].is_string()), "{jwt:?}");
    assert!(
        jwt.iter().all(|entry| entry.get("x5c").is_none()),
        "{jwt:?}"
    );
}

#[test]
fn x509_45_46_the_certificate_is_whole_self_signed_and_of_the_key_beside_it() {
    for settings in [
        "",
        "ca_key_type = \"rsa-2048\"",
        "ca_key_type = \"ec-p384\"",
    ] {
        let bed = Bed::new();
        let options = Options {
            settings,
            ..Options::default()
        };
        let server = Server::start_with(&bed, &options);
        let entries = published(&server, "x509-svid");
        let der = certificate(&entries[0]);
        let (rest, parsed) = X509Certificate::from_der(&der).unwrap();
        assert!(rest.is_empty());
        assert_eq!(parsed.issuer().as_raw(), parsed.subject().as_raw());
        parsed.verify_signature(None).unwrap();
        let member = |name: &str| {
            let text = entries[0][name].as_str().unwrap();
            URL_SAFE_NO_PAD.decode(text).unwrap()
        };
        let key = parsed.public_key().parsed().unwrap();
        if let PublicKey::RSA(key) = key {
            assert_eq!(member("n"), without_zeros(key.modulus));
            assert_eq!(member("e"), without_zeros(key.exponent));
            continue;
        }
        let (x, y) = (member("x"), member("y"));
        let point = [&[4], &x[..], &y].concat();
        assert!(matches!(&key, PublicKey::EC(key) if key.data() == point));
        let curve = if x.len() == 32 { "P-256" } else { "P-384" };
        assert_eq!(entries[0]["crv"], curve);
    }
}

fn without_zeros(number: &[u8]) -> Vec<u8> {
    let bytes = number.iter().copied();
    bytes.skip_while(|byte| *byte == 0).collect()
}
