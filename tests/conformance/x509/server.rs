//! The server as validator: whoever connects to its port with a certificate has a good one.

use std::sync::Arc;

use signet_proto::spire::api::{
    server::bundle::v1::{AppendBundleRequest, GetBundleRequest, bundle_client::BundleClient},
    types,
};
use signet_tests::testbed::{Bed, Server, grpc};
use tonic::Status;

use crate::material::{
    Authority, Extension, OURS, Svid, W,
    certificate::minutes_ago,
    extension::{DIGITAL_SIGNATURE, KEY_CERT_SIGN, KEY_USAGE, Name},
    live,
    stage::client_config,
};

/// Asks what anybody may ask, showing this SVID.
async fn ask(server: &Server<'_>, svid: &Svid) -> Result<(), Status> {
    let mut config = client_config(svid);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let channel = grpc::over_tls(server.port, Arc::new(config));
    let request = GetBundleRequest::default();
    BundleClient::new(channel)
        .get_bundle(request)
        .await
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn x509_02_14_33_35_36_37_a_client_of_the_server_has_a_good_certificate_or_none() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let ours = Authority::root(OURS);
    let request = AppendBundleRequest {
        x509_authorities: vec![types::X509Certificate {
            asn1: ours.der.clone(),
            tainted: false,
        }],
        ..AppendBundleRequest::default()
    };
    let mut client = BundleClient::new(live::admin(&server));
    client.append_bundle(request).await.unwrap();
    let with = |extension: Extension| {
        ours.leaf_with(W, |draft| {
            draft.set(extension);
        })
    };
    let two = [Name::Uri(W), Name::Uri("spiffe://example.org/spire/server")];
    let faulty = [
        ("2 URI names", with(Extension::names(&two))),
        ("is an authority", ours.as_svid()),
        ("has no path", with(Extension::uri("spiffe://example.org"))),
        ("is an authority", with(Extension::authority(None))),
        (
            "keyCertSign",
            with(Extension::key_usage(DIGITAL_SIGNATURE | KEY_CERT_SIGN)),
        ),
        (
            "no key usage",
            ours.leaf_with(W, |draft| {
                draft.remove(KEY_USAGE);
            }),
        ),
        (
            "Expired",
            ours.leaf_with(W, |draft| draft.not_after = minutes_ago(1)),
        ),
        (
            "does not lead to a trusted authority",
            Authority::root(OURS).leaf(W),
        ),
    ];
    for (fault, svid) in faulty {
        assert!(ask(&server, &svid).await.is_err(), "{fault}: let in");
        server.process.says(fault);
    }
    ask(&server, &ours.leaf(W)).await.unwrap();
}
