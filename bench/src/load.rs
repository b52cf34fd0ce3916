//! Clients that make load: agents of their own over mTLS, and callers of local sockets.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, ensure};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use signet_identity::{
    SpiffeId, TrustDomain,
    bundle::Bundle,
    csr::{self, Subject},
    key::{KeyType, PrivateKey},
    tls::{Expect, Identity, client_config},
    trust::Trust,
};
use signet_proto::spire::api::{
    server::agent::v1::{
        AgentX509svidParams, AttestAgentRequest, CreateJoinTokenRequest,
        agent_client::AgentClient,
        attest_agent_request::{Params, Step},
        attest_agent_response,
    },
    types::{AttestationData, X509svid},
};
use tokio::{
    net::{TcpStream, UnixStream},
    sync::watch,
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// Where a server is, and what it is believed by.
#[derive(Clone, Debug)]
pub(crate) struct ServerAddress {
    port: u16,
    trust: watch::Receiver<Arc<Trust>>,
}

/// An agent that this process plays.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// Its path, as entries have it as their parent.
    pub(crate) path: String,
    /// Its connection to the server.
    pub(crate) channel: Channel,
}

impl ServerAddress {
    pub(crate) fn new(port: u16, bundle_pem: &str) -> anyhow::Result<Self> {
        let bundle = Bundle::from_pem(TrustDomain::new(TRUST_DOMAIN)?, bundle_pem)?;
        let (_, trust) = watch::channel(Arc::new(Trust::new(&[bundle])));
        Ok(Self { port, trust })
    }

    /// Attests a new agent by a join token that `admin` makes.
    pub(crate) async fn attest(&self, admin: &Channel) -> anyhow::Result<Agent> {
        let request = CreateJoinTokenRequest {
            ttl: 600,
            ..Default::default()
        };
        let mut client = AgentClient::new(admin.clone());
        let token = client.create_join_token(request).await?.into_inner().value;
        let key = PrivateKey::generate(KeyType::EcP256)?;
        let params = AgentX509svidParams {
            csr: csr::build(&key, Subject::spire(), None, &[])?,
        };
        let data = AttestationData {
            r#type: "join_token".to_owned(),
            payload: token.into_bytes(),
        };
        let step = Some(Step::Params(Params {
            data: Some(data),
            params: Some(params),
        }));
        let requests = tokio_stream::once(AttestAgentRequest { step });
        let mut client = AgentClient::new(self.channel(None)?);
        let answers = client.attest_agent(requests).await?;
        let answer = answers.into_inner().message().await?;
        let step = answer.and_then(|answer| answer.step);
        let Some(attest_agent_response::Step::Result(result)) = step else {
            anyhow::bail!("no result of an attestation");
        };
        self.agent(result.svid.context("no SVID")?, &key)
    }

    fn agent(&self, svid: X509svid, key: &PrivateKey) -> anyhow::Result<Agent> {
        let chain = svid.cert_chain.into_iter().map(Into::into).collect();
        Ok(Agent {
            path: svid.id.context("an agent without a name")?.path,
            channel: self.channel(Some(Identity::new(chain, key)?))?,
        })
    }

    fn channel(&self, identity: Option<Identity>) -> anyhow::Result<Channel> {
        let identity = identity.map(|identity| watch::channel(Some(Arc::new(identity))).1);
        let server = SpiffeId::new(format!("spiffe://{TRUST_DOMAIN}/spire/server"))?;
        let expect = Expect::Exactly(vec![server]);
        let config = client_config(identity, self.trust.clone(), expect, &[b"h2"])?;
        Ok(over_tls(self.port, config))
    }
}

fn over_tls(port: u16, config: Arc<ClientConfig>) -> Channel {
    let connector = TlsConnector::from(config);
    let connect = service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("http://server").connect_with_connector_lazy(connect)
}

/// A channel over a Unix socket, which connects when it is first used.
pub(crate) fn over_unix(path: PathBuf) -> Channel {
    let connect = service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://socket").connect_with_connector_lazy(connect)
}

/// An item of a batch that must have gone well.
pub(crate) fn went_well(
    status: Option<signet_proto::spire::api::types::Status>,
) -> anyhow::Result<()> {
    let status = status.context("no status")?;
    ensure!(status.code == 0, "{}", status.message);
    Ok(())
}

/// Of every question.
pub(crate) const TRUST_DOMAIN: &str = "bench.test";
