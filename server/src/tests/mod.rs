//! The whole server in one process: real sockets, TLS, store and CA.

mod crowd;
mod debug;
mod strangers;
mod taken_over;
mod x509pop;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls::pki_types::{CertificateDer, ServerName};
use signet_daemon::reload::Reloader;
use signet_identity::{
    SpiffeId,
    bundle::Bundle,
    csr::{self, Subject},
    key::{KeyType, PrivateKey},
    tls::{self, Expect, Identity},
    trust::Trust,
};
use signet_proto::{
    google::rpc,
    spire::api::{
        server::{
            agent::v1::{
                AgentX509svidParams, AttestAgentRequest, BanAgentRequest, CountAgentsRequest,
                CreateJoinTokenRequest, ListAgentsRequest, PostStatusRequest, RenewAgentRequest,
                agent_client::AgentClient, attest_agent_request, attest_agent_response,
            },
            bundle::v1::{GetBundleRequest, bundle_client::BundleClient},
            entry::v1::{BatchCreateEntryRequest, entry_client::EntryClient},
            svid::v1::{
                BatchNewX509svidRequest, MintJwtsvidRequest, NewJwtsvidRequest, NewX509svidParams,
                svid_client::SvidClient,
            },
        },
        types::{self, PermissionDeniedDetails, permission_denied_details::Reason},
    },
};
use tempfile::TempDir;
use tokio::{
    net::{TcpStream, UnixStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;

use super::*;

/// A running server in a directory of its own.
struct Running {
    folder: TempDir,
    address: SocketAddr,
    reloader: Reloader<Config>,
    shutdown: CancellationToken,
    task: JoinSet<anyhow::Result<()>>,
}

fn flags(folder: &TempDir, address: SocketAddr) -> RunFlags {
    let at = |name: &str| folder.path().join(name);
    // What a test wants beside the least.
    let more = |name: &str| std::fs::read_to_string(at(name)).unwrap_or_default();
    let text = format!(
        "server {{\ntrust_domain = \"example.org\"\ndata_dir = \"{}\"\n{}\n}}\n{}",
        at("data").display(),
        more("settings.conf"),
        more("plugins.conf")
    );
    let config = at("server.conf");
    std::fs::write(&config, text).unwrap();
    RunFlags {
        config,
        expand_env: false,
        bind_address: Some(address.ip().to_string()),
        server_port: Some(address.port()),
        data_dir: None,
        socket_path: Some(at("api.sock")),
        trust_domain: None,
        log_file: None,
        log_format: None,
        log_level: None,
        log_source_location: false,
    }
}

fn free_address() -> SocketAddr {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap()
}

impl Running {
    async fn start() -> Self {
        Self::start_in(TempDir::new().unwrap()).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let address = free_address();
        let flags = flags(&folder, address);
        let config = Config::load(&flags).unwrap();
        let (reloader, config) = Reloader::new(config, move || Config::load(&flags));
        let shutdown = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(run(config, shutdown.clone()));
        let mut server = Self {
            folder,
            address,
            reloader,
            shutdown,
            task,
        };
        let bundle = timeout(Duration::from_secs(20), server.first_bundle()).await;
        bundle.expect("the server does not come up");
        server
    }

    async fn first_bundle(&mut self) {
        let mut tries = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                _ = tries.tick() => {}
                Some(ended) = self.task.join_next() => panic!("{ended:?}"),
            }
            let mut client = BundleClient::new(self.local());
            if client.get_bundle(GetBundleRequest::default()).await.is_ok() {
                return;
            }
        }
    }

    /// The local admin socket.
    fn local(&self) -> Channel {
        let path = self.folder.path().join("api.sock");
        let connect = move |_: Uri| {
            let path: PathBuf = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        };
        Endpoint::from_static("http://local").connect_with_connector_lazy(service_fn(connect))
    }

    /// The TLS listener, as somebody or as nobody.
    async fn remote(&self, identity: Option<Identity>) -> Channel {
        self.remote_again(identity.map(Arc::new)).await
    }

    /// One more connection of somebody.
    async fn remote_again(&self, identity: Option<Arc<Identity>>) -> Channel {
        let mut client = BundleClient::new(self.local());
        let bundle = client
            .get_bundle(GetBundleRequest::default())
            .await
            .unwrap()
            .into_inner();
        let bundle = Bundle::from_proto(&bundle).unwrap();
        let (_, trust) = watch::channel(Arc::new(Trust::new([&bundle])));
        let identity = identity.map(|identity| watch::channel(Some(identity)).1);
        let server = SpiffeId::new("spiffe://example.org/spire/server").unwrap();
        let expect = Expect::Exactly(vec![server]);
        let config = tls::client_config(identity, trust, expect, &[b"h2"]).unwrap();
        let (connector, address) = (TlsConnector::from(config), self.address);
        let connect = move |_: Uri| {
            let connector = connector.clone();
            async move {
                let tcp = TcpStream::connect(address).await?;
                let name = ServerName::try_from("server").unwrap();
                connector.connect(name, tcp).await.map(TokioIo::new)
            }
        };
        Endpoint::from_static("http://remote").connect_with_connector_lazy(service_fn(connect))
    }

    async fn token(&self) -> String {
        let request = CreateJoinTokenRequest {
            ttl: 600,
            ..Default::default()
        };
        let token = AgentClient::new(self.local())
            .create_join_token(request)
            .await;
        token.unwrap().into_inner().value
    }

    async fn attest(&self, token: &str) -> Result<Agent, Status> {
        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        let csr = csr::build(&key, Subject::spire(), None, &[]).unwrap();
        let svid = attest_with(self.remote(None).await, token, csr).await?;
        Ok(Agent::new(svid, &key))
    }

    async fn stop(mut self) -> TempDir {
        self.shutdown.cancel();
        let ended = timeout(Duration::from_secs(20), self.task.join_next())
            .await
            .unwrap();
        ended.unwrap().unwrap().unwrap();
        self.folder
    }
}

struct Agent {
    id: types::Spiffeid,
    identity: Identity,
}

impl Agent {
    fn new(svid: types::X509svid, key: &PrivateKey) -> Self {
        let chain = svid
            .cert_chain
            .into_iter()
            .map(CertificateDer::from)
            .collect();
        Self {
            id: svid.id.unwrap(),
            identity: Identity::new(chain, key).unwrap(),
        }
    }
}

async fn attest_with(
    channel: Channel,
    token: &str,
    csr: Vec<u8>,
) -> Result<types::X509svid, Status> {
    let params = attest_agent_request::Step::Params(attest_agent_request::Params {
        data: Some(types::AttestationData {
            r#type: "join_token".to_owned(),
            payload: token.as_bytes().to_vec(),
        }),
        params: Some(AgentX509svidParams { csr }),
    });
    let requests = tokio_stream::iter([AttestAgentRequest { step: Some(params) }]);
    let answers = AgentClient::new(channel).attest_agent(requests).await?;
    let answer = answers.into_inner().message().await?.unwrap();
    match answer.step.unwrap() {
        attest_agent_response::Step::Result(result) => Ok(result.svid.unwrap()),
        attest_agent_response::Step::Challenge(_) => panic!("a token needs no challenge"),
    }
}

fn reason(status: &Status) -> Option<Reason> {
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    let details = rpc::Status::decode(status.details()).unwrap().details;
    let detail = details.first()?;
    Some(
        PermissionDeniedDetails::decode(&detail.value[..])
            .unwrap()
            .reason(),
    )
}

fn version(text: &str) -> PostStatusRequest {
    PostStatusRequest {
        current_bundle_serial: 0,
        agent_version: text.to_owned(),
    }
}

impl Running {
    /// An entry for `/web` on this agent; its id.
    async fn entry_on(&self, agent: &types::Spiffeid) -> String {
        let entry = types::Entry {
            parent_id: Some(agent.clone()),
            spiffe_id: Some(types::Spiffeid {
                trust_domain: "example.org".to_owned(),
                path: "/web".to_owned(),
            }),
            selectors: vec![types::Selector {
                r#type: "unix".to_owned(),
                value: "uid:1000".to_owned(),
            }],
            ..Default::default()
        };
        let request = BatchCreateEntryRequest {
            entries: vec![entry],
            output_mask: None,
        };
        let created = EntryClient::new(self.local())
            .batch_create_entry(request)
            .await
            .unwrap();
        created.into_inner().results[0]
            .entry
            .as_ref()
            .unwrap()
            .id
            .clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_svids_for_its_entries_and_for_no_others() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let entry_id = server.entry_on(&agent.id).await;
    let mut client = SvidClient::new(server.remote(Some(agent.identity)).await);
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let good = csr::build(&key, Subject::spire(), None, &[]).unwrap();
    let params = |entry_id: &str, csr: &[u8]| NewX509svidParams {
        entry_id: entry_id.to_owned(),
        csr: csr.to_vec(),
    };
    let request = BatchNewX509svidRequest {
        params: vec![
            params(&entry_id, &good),
            params("other", &good),
            params(&entry_id, b"x"),
        ],
    };
    let results = client
        .batch_new_x509svid(request)
        .await
        .unwrap()
        .into_inner()
        .results;
    let codes: Vec<_> = results
        .iter()
        .map(|r| r.status.as_ref().unwrap().code)
        .collect();
    assert_eq!(
        codes,
        [
            0,
            i32::from(Code::NotFound),
            i32::from(Code::InvalidArgument)
        ]
    );
    assert_eq!(
        results[0].svid.as_ref().unwrap().id.as_ref().unwrap().path,
        "/web"
    );
    let request = NewJwtsvidRequest {
        entry_id,
        audience: vec!["db".to_owned()],
    };
    assert!(client.new_jwtsvid(request).await.is_ok());
    let mut too_many = BatchNewX509svidRequest::default();
    too_many.params.resize(501, params("x", b"x"));
    let refused = client.batch_new_x509svid(too_many).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_token_names_an_alias_gets_the_entries_below_it() {
    let server = Running::start().await;
    let alias = types::Spiffeid {
        trust_domain: "example.org".to_owned(),
        path: "/cluster".to_owned(),
    };
    let request = CreateJoinTokenRequest {
        ttl: 600,
        token: "my-token".to_owned(),
        agent_id: Some(alias.clone()),
    };
    let mut admin = AgentClient::new(server.local());
    admin.create_join_token(request.clone()).await.unwrap();
    let twice = admin.create_join_token(request).await.unwrap_err();
    assert_eq!(twice.code(), Code::AlreadyExists);
    let agent = server.attest("my-token").await.unwrap();
    assert_eq!(agent.id.path, "/spire/agent/join_token/my-token");
    let request = NewJwtsvidRequest {
        entry_id: server.entry_on(&alias).await,
        audience: vec!["db".to_owned()],
    };
    let mut client = SvidClient::new(server.remote(Some(agent.identity)).await);
    assert!(client.new_jwtsvid(request).await.is_ok());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_svid_replaces_the_old_one_at_its_first_use() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let csr = csr::build(&key, Subject::spire(), None, &[]).unwrap();
    let request = RenewAgentRequest {
        params: Some(AgentX509svidParams { csr }),
    };
    let mut old = AgentClient::new(server.remote(Some(agent.identity)).await);
    let renewed = old
        .renew_agent(request)
        .await
        .unwrap()
        .into_inner()
        .svid
        .unwrap();
    let still_good = old.post_status(version("1.0")).await;
    still_good.expect("the old SVID is good until the new one is used");
    let renewed = Agent::new(renewed, &key);
    let mut new = AgentClient::new(server.remote(Some(renewed.identity)).await);
    new.post_status(version("1.1")).await.unwrap();
    let refused = old.post_status(version("1.0")).await.unwrap_err();
    assert_eq!(reason(&refused), Some(Reason::AgentNotActive));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_agent_is_refused_and_told_so() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let id = Some(agent.id.clone());
    let mut client = AgentClient::new(server.remote(Some(agent.identity)).await);
    client.post_status(version("1.0")).await.unwrap();
    let mut admin = AgentClient::new(server.local());
    admin.ban_agent(BanAgentRequest { id }).await.unwrap();
    let refused = client.post_status(version("1.1")).await.unwrap_err();
    assert_eq!(reason(&refused), Some(Reason::AgentBanned));
    let listed = admin
        .list_agents(ListAgentsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(listed.agents[0].banned && listed.agents[0].x509svid_serial_number.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_survives_a_failed_attempt_and_admits_once() {
    let server = Running::start().await;
    let token = server.token().await;
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let mut forged = csr::build(&key, Subject::spire(), None, &[]).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    let refused = attest_with(server.remote(None).await, &token, forged)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(server.attest(&token).await.is_ok());
    let again = server.attest(&token).await.err().unwrap();
    assert_eq!(again.code(), Code::InvalidArgument);
    assert!(
        again
            .message()
            .contains("does not exist or has already been used")
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_knows_its_agents_and_keeps_its_authorities() {
    let server = Running::start().await;
    let agent = server.attest(&server.token().await).await.unwrap();
    let folder = server.stop().await;
    let server = Running::start_in(folder).await;
    let mut client = AgentClient::new(server.remote(Some(agent.identity)).await);
    client.post_status(version("1.0")).await.unwrap();
    let mut bundle = BundleClient::new(server.local());
    let bundle = bundle
        .get_bundle(GetBundleRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(bundle.x509_authorities.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_port_in_use_or_a_long_socket_path_stops_the_start_with_a_clear_error() {
    let folder = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut flags = flags(&folder, taken.local_addr().unwrap());
    let config = Config::load(&flags).unwrap();
    let error = format!(
        "{:#}",
        run(watch::channel(Arc::new(config)).1, CancellationToken::new())
            .await
            .unwrap_err()
    );
    assert!(
        error.contains("bind_port") && error.contains("in use"),
        "{error}"
    );
    drop(taken);
    flags.socket_path = Some(folder.path().join("s".repeat(120)));
    let config = Config::load(&flags).unwrap();
    let error = format!(
        "{:#}",
        run(watch::channel(Arc::new(config)).1, CancellationToken::new())
            .await
            .unwrap_err()
    );
    assert!(
        error.contains("socket_path") && error.contains("bytes long"),
        "{error}"
    );
}
