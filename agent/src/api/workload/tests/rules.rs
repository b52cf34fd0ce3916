//! What holds for every call: the header, the health service, limits and the end.

use signet_proto::{
    WitBundlesRequest, WitsvidRequest,
    workload::{
        JwtBundlesRequest, JwtSvidRequest, ValidateJwtSvidRequest, X509BundlesRequest,
        X509SvidRequest,
    },
};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::*;
use crate::api::ProbeError;

#[tokio::test]
async fn no_call_is_answered_without_the_header_even_to_strangers() {
    let api = api().await;
    let mut client = api.client();
    let codes = [
        client
            .fetch_x509svid(X509SvidRequest {})
            .await
            .unwrap_err()
            .code(),
        client
            .fetch_x509_bundles(X509BundlesRequest {})
            .await
            .unwrap_err()
            .code(),
        client
            .fetch_jwtsvid(JwtSvidRequest::default())
            .await
            .unwrap_err()
            .code(),
        client
            .fetch_jwt_bundles(JwtBundlesRequest {})
            .await
            .unwrap_err()
            .code(),
        client
            .validate_jwtsvid(ValidateJwtSvidRequest::default())
            .await
            .unwrap_err()
            .code(),
        client
            .fetch_witsvid(WitsvidRequest::default())
            .await
            .unwrap_err()
            .code(),
        client
            .fetch_wit_bundles(WitBundlesRequest {})
            .await
            .unwrap_err()
            .code(),
    ];
    assert_eq!(codes, [Code::InvalidArgument; 7]);
}

#[tokio::test]
async fn both_calls_of_the_wit_profile_are_unimplemented() {
    let api = api().await;
    let svid = api
        .client()
        .fetch_witsvid(with_header(WitsvidRequest::default()))
        .await;
    assert_eq!(svid.unwrap_err().code(), Code::Unimplemented);
    let bundles = api
        .client()
        .fetch_wit_bundles(with_header(WitBundlesRequest {}))
        .await;
    assert_eq!(bundles.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn health_needs_no_header() {
    let api = api().await;
    let mut client = HealthClient::new(api.channel.clone());
    for service in ["", "SpiffeWorkloadAPI"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = client.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
}

#[tokio::test]
async fn a_probe_is_content_without_an_identity_and_not_without_an_agent() {
    let api = api().await;
    probe(&api.path, SOON).await.unwrap();
    api.add([entry(1)]);
    probe(&api.path, SOON).await.unwrap();
    let nobody = api.path.with_file_name("nobody.sock");
    let error = probe(&nobody, SOON).await.unwrap_err();
    assert!(matches!(error, ProbeError::Connect(_)), "{error}");
}

#[tokio::test]
async fn a_shutdown_ends_open_streams_without_taking_identities_away() {
    let api = api().await;
    api.add_signed([entry(1)]);
    let request = with_header(X509SvidRequest {});
    let mut stream = api
        .client()
        .fetch_x509svid(request)
        .await
        .unwrap()
        .into_inner();
    next(&mut stream).await;
    api.shutdown.cancel();
    assert_eq!(end(&mut stream).await.code(), Code::Unavailable);
    drop((stream, api.channel));
    tokio::time::timeout(SOON, api.served)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(!api.path.exists(), "the socket file is removed");
}
