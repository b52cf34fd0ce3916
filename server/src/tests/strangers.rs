//! What callers may do who have a good SVID and no rights.

use prost_types::FileDescriptorSet;
use signet_proto::spire::api::server::{
    bundle::v1::BatchSetFederatedBundleRequest, svid::v1::MintX509svidRequest,
};

use super::*;

/// The authority of `other.test`.
struct Other(rcgen::CertifiedIssuer<'static, PrivateKey>);

impl Other {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        Self(rcgen::CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn svid(&self, id: &str) -> Identity {
        let mut params = rcgen::CertificateParams::default();
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        let uri = id.try_into().unwrap();
        params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        Identity::new(vec![leaf.der().clone()], &key).unwrap()
    }
}

impl Running {
    async fn federate_with(&self, other: &Other) {
        let bundle = types::Bundle {
            trust_domain: "other.test".to_owned(),
            x509_authorities: vec![types::X509Certificate {
                asn1: other.0.der().to_vec(),
                tainted: false,
            }],
            ..Default::default()
        };
        let request = BatchSetFederatedBundleRequest {
            bundle: vec![bundle],
            output_mask: None,
        };
        let mut admin = BundleClient::new(self.local());
        let set = admin.batch_set_federated_bundle(request).await.unwrap();
        let status = set.into_inner().results[0].status.clone();
        assert_eq!(status.unwrap().code, 0);
    }

    async fn workload(&self) -> Identity {
        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        let id = SpiffeId::new("spiffe://example.org/workload").unwrap();
        let csr = csr::build(&key, Subject::spire(), Some(&id), &[]).unwrap();
        let minted = SvidClient::new(self.local())
            .mint_x509svid(MintX509svidRequest { csr, ttl: 0 })
            .await;
        Agent::new(minted.unwrap().into_inner().svid.unwrap(), &key).identity
    }
}

/// Every method that the server may have, by its path.
fn methods() -> Vec<http::uri::PathAndQuery> {
    let files = FileDescriptorSet::decode(signet_proto::DESCRIPTORS).unwrap();
    let mut paths = Vec::new();
    for file in files.file {
        let package = file.package().to_owned();
        if !package.starts_with("spire.api.server.") && !package.starts_with("signet.server.") {
            continue;
        }
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{package}.{}/{}", service.name(), method.name());
                paths.push(path.parse().unwrap());
            }
        }
    }
    paths
}

/// Calls with an empty message; a stream of one is what every kind of method can read.
async fn call(channel: &Channel, path: http::uri::PathAndQuery) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = tonic_prost::ProstCodec::<types::BundleMask, types::Bundle>::default();
    let request = Request::new(types::BundleMask::default());
    client.unary(request, path, codec).await.map(|_answer| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_may_call_only_what_is_open_to_everybody() {
    let server = Running::start().await;
    let other = Other::new();
    server.federate_with(&other).await;
    let callers = [
        ("own workload", server.workload().await),
        ("federated", other.svid("spiffe://other.test/workload")),
        (
            "federated agent",
            other.svid("spiffe://other.test/spire/agent/join_token/x"),
        ),
    ];
    let open = ["Bundle/GetBundle", "Agent/AttestAgent"];
    for (name, identity) in callers {
        let channel = server.remote(Some(identity)).await;
        let methods = methods();
        assert!(methods.len() > 50);
        for path in methods {
            if open.iter().any(|open| path.as_str().ends_with(open)) {
                continue;
            }
            let refused = call(&channel, path.clone()).await.unwrap_err();
            let local = LOCAL_SERVICES.iter().any(|own| path.as_str().contains(own));
            let wanted = match local {
                true => Code::Unimplemented,
                false => Code::PermissionDenied,
            };
            assert_eq!(refused.code(), wanted, "{name} {path}");
        }
        let bundle = BundleClient::new(channel)
            .get_bundle(GetBundleRequest::default())
            .await;
        assert!(bundle.is_ok(), "{name}: {bundle:?}");
    }
    server.stop().await;
}

/// As in SPIRE, not served on the TCP port.
const LOCAL_SERVICES: [&str; 3] = ["server.logger.v1.", "server.debug.v1.", "grpc.health.v1."];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_on_the_local_socket_alone_does_not_exist_on_the_port() {
    let folder = TempDir::new().unwrap();
    let settings = "admin_ids = [\"spiffe://example.org/workload\"]";
    std::fs::write(folder.path().join("settings.conf"), settings).unwrap();
    let server = Running::start_in(folder).await;
    let admin = server.remote(Some(server.workload().await)).await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let agent = server.remote(Some(agent.identity)).await;
    for path in [
        "/spire.api.server.logger.v1.Logger/GetLogger",
        "/spire.api.server.debug.v1.Debug/GetInfo",
        "/grpc.health.v1.Health/Check",
    ] {
        let path = http::uri::PathAndQuery::from_static(path);
        for channel in [&admin, &agent, &server.remote(None).await] {
            let refused = call(channel, path.clone()).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unimplemented, "{path}");
        }
        let served = call(&server.local(), path.clone()).await;
        assert_ne!(
            served.map_or_else(|status| status.code(), |()| Code::Ok),
            Code::Unimplemented,
            "{path}"
        );
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_of_a_federated_trust_domain_has_to_be_listed() {
    let folder = TempDir::new().unwrap();
    let settings = "admin_ids = [\"spiffe://other.test/admin\"]";
    std::fs::write(folder.path().join("settings.conf"), settings).unwrap();
    let server = Running::start_in(folder).await;
    let other = Other::new();
    let count = |channel| async move {
        let mut client = AgentClient::new(channel);
        client.count_agents(CountAgentsRequest::default()).await
    };
    let admin = || other.svid("spiffe://other.test/admin");
    let stranger = server.remote(Some(admin())).await;
    let not_federated = count(stranger).await;
    assert!(not_federated.is_err(), "the handshake refuses it");
    server.federate_with(&other).await;
    let channel = server.remote(Some(admin())).await;
    assert!(count(channel.clone()).await.is_ok());
    let refused = AgentClient::new(channel)
        .post_status(version("1.0"))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), Some(Reason::AgentNotAttested));
    let colleague = other.svid("spiffe://other.test/admin/colleague");
    let refused = count(server.remote(Some(colleague)).await).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_one_from_the_reload_on_that_lists_it_until_one_that_does_not() {
    let server = Running::start().await;
    let other = Other::new();
    server.federate_with(&other).await;
    let channel = server
        .remote(Some(other.svid("spiffe://other.test/admin")))
        .await;
    let count = async || {
        let mut client = AgentClient::new(channel.clone());
        client.count_agents(CountAgentsRequest::default()).await
    };
    let file = server.folder.path().join("server.conf");
    let before = std::fs::read_to_string(&file).unwrap();
    assert_eq!(count().await.unwrap_err().code(), Code::PermissionDenied);
    let listed = before.replace(
        "server {",
        "server {\nadmin_ids = [\"spiffe://other.test/admin\"]",
    );
    std::fs::write(&file, listed).unwrap();
    server.reloader.reload();
    // The setting is followed by a task of its own.
    let granted = timeout(Duration::from_secs(20), async {
        while count().await.is_err() {
            task::yield_now().await;
        }
    });
    granted.await.unwrap();
    std::fs::write(&file, before).unwrap();
    server.reloader.reload();
    let withdrawn = timeout(Duration::from_secs(20), async {
        while count().await.is_ok() {
            task::yield_now().await;
        }
    });
    withdrawn.await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_that_was_renewed_away_is_good_for_no_method_of_agents() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let old = server.remote(Some(agent.identity)).await;
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let csr = csr::build(&key, Subject::spire(), None, &[]).unwrap();
    let request = RenewAgentRequest {
        params: Some(AgentX509svidParams { csr }),
    };
    let renewed = AgentClient::new(old.clone()).renew_agent(request).await;
    let renewed = Agent::new(renewed.unwrap().into_inner().svid.unwrap(), &key);
    let new = server.remote(Some(renewed.identity)).await;
    let used = AgentClient::new(new).post_status(version("1.1")).await;
    used.unwrap();
    for path in methods() {
        let open_to_agents = [
            "/RenewAgent",
            "/PostStatus",
            "/GetAuthorizedEntries",
            "/SyncAuthorizedEntries",
            "/BatchNewX509SVID",
            "/NewJWTSVID",
            "/Watch",
        ];
        if !open_to_agents
            .iter()
            .any(|open| path.as_str().ends_with(open))
        {
            continue;
        }
        let refused = call(&old, path.clone()).await.unwrap_err();
        assert_eq!(reason(&refused), Some(Reason::AgentNotActive), "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_may_only_attest_and_read_the_bundle() {
    let server = Running::start().await;
    let channel = server.remote(None).await;
    let mut bundle = BundleClient::new(channel.clone());
    assert!(bundle.get_bundle(GetBundleRequest::default()).await.is_ok());
    let refused = AgentClient::new(channel.clone())
        .count_agents(CountAgentsRequest::default())
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(
        reason_free(&refused),
        "authorization denied for method /spire.api.server.agent.v1.Agent/CountAgents"
    );
    let request = MintJwtsvidRequest::default();
    let refused = SvidClient::new(channel)
        .mint_jwtsvid(request)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_does_not_exist_is_unimplemented_for_everybody() {
    let server = Running::start().await;
    for channel in [server.local(), server.remote(None).await] {
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static("/signet.server.sync.v2.Sync/Watch");
        let codec = tonic_prost::ProstCodec::<types::Status, types::Status>::default();
        let answer = client
            .unary(Request::new(types::Status::default()), path, codec)
            .await;
        assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
    }
    server.stop().await;
}

fn reason_free(status: &Status) -> &str {
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.details().is_empty());
    status.message()
}
