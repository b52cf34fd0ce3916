//! The header of every request, as the agent sees it.

use signet_tests::testbed::grpc;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::raw::{RPCS, TRUE, call, open, request_of};
use crate::wlapi::{
    soon,
    world::{Registered, World, code},
};

const NAME: &str = "workload.spiffe.io";

#[tokio::test(flavor = "multi_thread")]
async fn wlep_06_07_without_the_header_true_exactly_once_every_call_is_an_invalid_argument() {
    let shared = Registered::shared();
    let refused: &[&[(&str, &str)]] = &[
        &[],
        &[(NAME, "True")],
        &[(NAME, "TRUE")],
        &[(NAME, "1")],
        &[(NAME, "")],
        &[(NAME, " true")],
        &[(NAME, "true ")],
        &[(NAME, "false")],
        &[(NAME, "true,true")],
        &[("workload.spiffe.io-x", "true")],
        &[("workload-spiffe-io", "true")],
        // One value is what SPIRE asks for; two of them could be read in two ways.
        &[(NAME, "true"), (NAME, "true")],
        &[(NAME, "true"), (NAME, "false")],
        &[(NAME, "false"), (NAME, "true")],
    ];
    for rpc in RPCS {
        let channel = shared.world.channel();
        for metadata in refused {
            let answer = call(channel.clone(), rpc, metadata, &request_of(rpc)).await;
            assert_eq!(code(&answer), Code::InvalidArgument, "{rpc} {metadata:?}");
        }
        let answer = call(channel, rpc, TRUE, &request_of(rpc)).await;
        let expected = match rpc {
            "ValidateJWTSVID" => {
                // Past the header: what is wrong now is the token.
                let words = answer.as_ref().unwrap_err().message().to_owned();
                assert!(!words.contains("header"), "{words}");
                Code::InvalidArgument
            }
            "FetchWITSVID" | "FetchWITBundles" => Code::Unimplemented,
            _ => Code::Ok,
        };
        assert_eq!(code(&answer), expected, "{rpc}: {answer:?}");
    }
}

/// The standard says "every request"; like SPIRE we ask for the header on the Workload API, and let
/// health checkers and tools, which do not know it, call their own services, which say nothing of
/// anybody.
#[tokio::test(flavor = "multi_thread")]
async fn wlep_08_the_header_is_not_asked_for_by_health_and_reflection() {
    let shared = Registered::shared();
    let channel = shared.world.channel();
    let mut health = HealthClient::new(channel.clone());
    health.check(HealthCheckRequest::default()).await.unwrap();
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    // `list_services`, field 7.
    let mut stream = open(channel.clone(), path, &[], &[0x3a, 0]).await.unwrap();
    assert!(soon(stream.message()).await.unwrap().is_some());
    let unknown = call(channel.clone(), "NoSuch", &[], &[]).await;
    assert_eq!(code(&unknown), Code::InvalidArgument);
    let known = call(channel, "FetchX509SVID", TRUE, &[]).await;
    assert_eq!(code(&known), Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn wlep_09_26_the_header_is_looked_at_before_the_caller_is() {
    let world = World::new();
    for rpc in RPCS {
        let answer = call(world.channel(), rpc, &[], &request_of(rpc)).await;
        assert_eq!(code(&answer), Code::InvalidArgument, "{rpc}");
    }
    let me = format!("pid={}", std::process::id());
    let log = world.agent.process.log();
    assert!(!log.contains(&me), "somebody looked at the caller:\n{log}");
    // With the header, the caller is looked at, and found to have no identity.
    for rpc in ["FetchX509SVID", "FetchJWTSVID"] {
        let answer = call(world.channel(), rpc, TRUE, &request_of(rpc)).await;
        assert_eq!(code(&answer), Code::PermissionDenied, "{rpc}");
    }
    world.agent.process.says(&me);
    world.mine("/late", &[]);
    let served =
        crate::wlapi::until(async || call(world.channel(), "FetchX509SVID", TRUE, &[]).await.ok());
    assert!(!served.await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn wlep_02_10_19_30_plain_http2_without_any_credential_is_all_it_takes() {
    let shared = Registered::shared();
    let message = crate::wlapi::world::first(shared.world.client())
        .await
        .unwrap();
    assert_eq!(message.svids.len(), 3);
    // Whoever speaks TLS there is not understood.
    let socket = tokio::net::UnixStream::connect(&shared.world.agent.socket).await;
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    assert!(
        soon(connector.connect(name, socket.unwrap()))
            .await
            .is_err()
    );
    // Credentials that nobody asked for change nothing.
    let mut request = grpc::workload(signet_proto::workload::X509SvidRequest {});
    for (name, value) in [
        ("authorization", "Bearer spiffe://example.org/admin"),
        ("x-forwarded-client-cert", "URI=spiffe://example.org/admin"),
        ("spiffe-id", "spiffe://example.org/admin"),
    ] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    let forged = shared.world.client().fetch_x509svid(request).await;
    let forged = crate::wlapi::world::next(forged).await.unwrap();
    assert_eq!(
        crate::wlapi::world::ids(&forged),
        crate::wlapi::world::ids(&message)
    );
}

fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    signet_identity::crypto::provider()
}
