//! The agent's JWT-SVIDs and JWT bundles.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use signet_proto::workload::{JwtBundlesRequest, JwtSvidRequest, JwtSvidResponse};
use signet_tests::testbed::grpc::workload;
use tonic::{Code, Status};

use super::{
    domain::JWT_KEY,
    world::{Registered, code, next},
};

async fn fetch(
    shared: &Registered,
    audience: &[&str],
    id: &str,
) -> Result<JwtSvidResponse, Status> {
    let request = JwtSvidRequest {
        audience: audience.iter().map(ToString::to_string).collect(),
        spiffe_id: id.to_owned(),
    };
    let answer = shared.world.client().fetch_jwtsvid(workload(request)).await;
    answer.map(tonic::Response::into_inner)
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_34_the_token_is_for_the_audiences_asked_for_and_no_others() {
    let shared = Registered::shared();
    for audience in [&["a"][..], &["a", "b"], &["https://x.example/?y=1"]] {
        let answer = fetch(&shared, audience, "spiffe://example.org/w")
            .await
            .unwrap();
        let found = &claims(&answer.svids[0].svid)["aud"];
        // One value may stand alone or in an array.
        let several = found.as_array().map(Vec::as_slice);
        let several = several.unwrap_or_else(|| std::slice::from_ref(found));
        let found: BTreeSet<&str> = several.iter().filter_map(Value::as_str).collect();
        assert_eq!(found, audience.iter().copied().collect());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_35_38_without_an_id_there_is_a_token_for_each_identity_and_hints_are_unique() {
    let shared = Registered::shared();
    let answer = fetch(&shared, &["orders"], "").await.unwrap();
    // As with X.509: four entries, two with one hint.
    assert_eq!(answer.svids.len(), 3, "{answer:?}");
    let mut hints = BTreeSet::new();
    for svid in &answer.svids {
        assert_eq!(claims(&svid.svid)["sub"], svid.spiffe_id.as_str());
        assert!(
            svid.hint.is_empty() || hints.insert(svid.hint.clone()),
            "{answer:?}"
        );
    }
    assert_eq!(hints, BTreeSet::from(["internal".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_36_37_an_id_asks_for_that_identity_which_has_to_be_ones_own() {
    let shared = Registered::shared();
    let answer = fetch(&shared, &["orders"], "spiffe://example.org/w2")
        .await
        .unwrap();
    assert_eq!(answer.svids.len(), 1);
    assert_eq!(answer.svids[0].spiffe_id, "spiffe://example.org/w2");
    for (id, expected) in [
        ("spiffe://example.org/somebody-else", Code::PermissionDenied),
        ("spiffe://other.org/w", Code::PermissionDenied),
        ("spiffe://example.org/W", Code::PermissionDenied),
        ("example.org/w", Code::InvalidArgument),
        ("spiffe://example.org/w/", Code::InvalidArgument),
        ("spiffe://example.org//w", Code::InvalidArgument),
        ("spiffe://Example.org/w", Code::InvalidArgument),
        ("spiffe://", Code::InvalidArgument),
        (" ", Code::InvalidArgument),
    ] {
        let answer = fetch(&shared, &["orders"], id).await;
        assert_eq!(code(&answer), expected, "{id:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_39_40_41_jwt_bundles_are_key_sets_of_jwt_keys_alone() {
    let shared = Registered::shared();
    let request = workload(JwtBundlesRequest {});
    let message = next(shared.world.client().fetch_jwt_bundles(request).await)
        .await
        .unwrap();
    let domains: BTreeSet<&str> = message.bundles.keys().map(String::as_str).collect();
    assert_eq!(
        domains,
        BTreeSet::from(["spiffe://example.org", "spiffe://other.org"])
    );
    for (domain, bytes) in &message.bundles {
        let set: Value = serde_json::from_slice(bytes).unwrap();
        let keys = set["keys"].as_array().unwrap();
        assert!(!keys.is_empty(), "{domain}");
        for key in keys {
            assert!(key["kty"].is_string() && !key["kid"].as_str().unwrap().is_empty());
            assert!(
                key.get("use").is_none_or(|used| used == "jwt-svid"),
                "{key}"
            );
            assert!(key.get("x5c").is_none() && key.get("d").is_none(), "{key}");
        }
        // A plain library for key sets reads it.
        let domain = domain.strip_prefix("spiffe://").unwrap();
        let domain = spiffe::TrustDomain::new(domain).unwrap();
        let authorities = spiffe::JwtBundle::from_jwt_authorities(domain, bytes).unwrap();
        assert_eq!(authorities.jwt_authorities().count(), keys.len());
    }
    // The foreign bundle has an X.509, a JWT and a WIT key.
    let foreign: Value = serde_json::from_slice(&message.bundles["spiffe://other.org"]).unwrap();
    let names: Vec<&Value> = foreign["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["kid"])
        .collect();
    assert_eq!(names, [JWT_KEY]);
}
