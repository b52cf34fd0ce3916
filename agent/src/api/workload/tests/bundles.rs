//! `FetchX509Bundles` and `FetchJWTBundles`.

use signet_proto::workload::{
    JwtBundlesRequest, JwtBundlesResponse, X509BundlesRequest, X509BundlesResponse,
};
use tonic::Code;

use super::*;

async fn x509(api: &Api) -> Result<Streaming<X509BundlesResponse>, tonic::Status> {
    let request = with_header(X509BundlesRequest {});
    Ok(api.client().fetch_x509_bundles(request).await?.into_inner())
}

async fn jwt(api: &Api) -> Result<Streaming<JwtBundlesResponse>, tonic::Status> {
    let request = with_header(JwtBundlesRequest {});
    Ok(api.client().fetch_jwt_bundles(request).await?.into_inner())
}

fn federating() -> Entry {
    Entry {
        federates_with: vec![TrustDomain::new("other.org").unwrap()],
        ..entry(1)
    }
}

#[tokio::test]
async fn bundles_need_an_entry_but_no_signed_svid() {
    let api = api().await;
    api.add([entry(1)]);
    let bundles = next(&mut x509(&api).await.unwrap()).await.bundles;
    assert_eq!(
        bundles.into_iter().collect::<Vec<_>>(),
        [("spiffe://example.org".to_owned(), "own root".into())]
    );
}

#[tokio::test]
async fn jwt_bundles_are_plain_key_sets_with_key_ids() {
    let api = api().await;
    api.add([entry(1)]);
    let bundles = next(&mut jwt(&api).await.unwrap()).await.bundles;
    let keys = bundles.get("spiffe://example.org").unwrap();
    let keys: serde_json::Value = serde_json::from_slice(keys).unwrap();
    assert_eq!(keys["keys"][0]["kid"], KEY_ID);
    assert_eq!(keys["keys"][0]["kty"], "EC");
    assert!(keys["keys"][0].get("use").is_none());
}

#[tokio::test]
async fn a_federated_bundle_comes_changes_and_goes_on_the_open_streams() {
    let api = api().await;
    api.add([federating()]);
    let mut stream = x509(&api).await.unwrap();
    assert_eq!(next(&mut stream).await.bundles.len(), 1);
    api.bundle(foreign_bundle("other.org", b"first"));
    assert_eq!(
        next(&mut stream).await.bundles["spiffe://other.org"],
        "first"
    );
    api.bundle(foreign_bundle("other.org", b"second"));
    let whole = next(&mut stream).await.bundles;
    assert_eq!(whole["spiffe://other.org"], "second");
    assert_eq!(whole["spiffe://example.org"], "own root");
    api.apply(Change {
        removed_bundles: vec![TrustDomain::new("other.org").unwrap()],
        ..Change::default()
    });
    assert_eq!(next(&mut stream).await.bundles.len(), 1);
}

#[tokio::test]
async fn a_domain_without_jwt_keys_is_listed_without_keys() {
    let api = api().await;
    api.bundle(foreign_bundle("other.org", b"x"));
    api.add([federating()]);
    let bundles = next(&mut jwt(&api).await.unwrap()).await.bundles;
    let keys: serde_json::Value = serde_json::from_slice(&bundles["spiffe://other.org"]).unwrap();
    assert_eq!(keys["keys"], serde_json::json!([]));
}

#[tokio::test]
async fn who_has_no_identity_gets_no_bundles() {
    let api = api().await;
    assert_eq!(x509(&api).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(jwt(&api).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_withdrawn_identity_ends_the_bundle_streams() {
    let api = api().await;
    api.add([entry(1)]);
    let mut x509 = x509(&api).await.unwrap();
    let mut jwt = jwt(&api).await.unwrap();
    next(&mut x509).await;
    next(&mut jwt).await;
    api.remove(&entry(1));
    assert_eq!(end(&mut x509).await.code(), Code::PermissionDenied);
    assert_eq!(end(&mut jwt).await.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn unauthenticated_verifiers_see_the_own_bundle_only_if_the_operator_says_so() {
    let api = api_with(open()).await;
    api.bundle(foreign_bundle("other.org", b"other root"));
    let mut stream = x509(&api).await.unwrap();
    let own = next(&mut stream).await.bundles;
    assert_eq!(
        own.into_keys().collect::<Vec<_>>(),
        ["spiffe://example.org"]
    );
    assert_eq!(next(&mut jwt(&api).await.unwrap()).await.bundles.len(), 1);

    // Once it has an identity, the same stream says what that may see.
    api.add([federating()]);
    assert_eq!(next(&mut stream).await.bundles.len(), 2);
}
