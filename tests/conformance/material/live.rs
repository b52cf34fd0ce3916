//! A real server and agent, and calls to their APIs as whoever the test wants to be.

use signet_identity::{
    csr::{self, Subject},
    key::PrivateKey,
};
use signet_proto::{
    spire::api::{
        server::{
            agent::v1::{
                AgentX509svidParams, AttestAgentRequest, agent_client::AgentClient,
                attest_agent_request, attest_agent_response,
            },
            svid::v1::{MintX509svidRequest, MintX509svidResponse, svid_client::SvidClient},
        },
        types,
    },
    workload::{X509Svid, X509SvidRequest},
};
use signet_tests::testbed::{Agent, Server, grpc};
use tokio_stream::StreamExt as _;
use tonic::{Status, transport::Channel};

use super::{Svid, certificate::key};

/// An attested agent that is no program of ours: it has its SVID, and may ask for anything.
pub(crate) struct Attested {
    pub(crate) id: String,
    pub(crate) svid: Svid,
}

impl Attested {
    pub(crate) async fn join(server: &Server<'_>) -> Self {
        let token = server.token(&[]);
        let key = key();
        let csr = csr::build(&key, Subject::spire(), None, &[]).unwrap();
        let answer = attest(grpc::to_server(server, None), &token, csr)
            .await
            .unwrap();
        Self {
            id: format!("spiffe://example.org/spire/agent/join_token/{token}"),
            svid: Svid {
                chain: answer.cert_chain,
                key,
            },
        }
    }

    /// The server's port, as this agent.
    pub(crate) fn channel(&self, server: &Server<'_>) -> Channel {
        to_server(server, &self.svid)
    }
}

pub(crate) fn to_server(server: &Server<'_>, svid: &Svid) -> Channel {
    grpc::to_server(server, Some(grpc::identity(&svid.chain, &svid.key)))
}

/// The server's admin socket.
pub(crate) fn admin(server: &Server<'_>) -> Channel {
    grpc::over_unix(server.socket.clone())
}

pub(crate) async fn attest(
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

/// An administrator's SVID for a request.
pub(crate) async fn mint(
    server: &Server<'_>,
    csr: Vec<u8>,
) -> Result<MintX509svidResponse, Status> {
    let request = MintX509svidRequest { csr, ttl: 0 };
    let answer = SvidClient::new(admin(server))
        .mint_x509svid(request)
        .await?;
    Ok(answer.into_inner())
}

/// What the agent gives this process first.
pub(crate) async fn fetched(agent: &Agent<'_>) -> Vec<X509Svid> {
    let request = grpc::workload(X509SvidRequest {});
    let stream = grpc::workload_api(agent.socket.clone())
        .fetch_x509svid(request)
        .await
        .unwrap();
    let first = stream.into_inner().next().await.unwrap().unwrap();
    first.svids
}

/// An SVID of the Workload API, taken apart.
pub(crate) fn svid_of(fetched: &X509Svid) -> Svid {
    Svid {
        chain: split(&fetched.x509_svid),
        key: PrivateKey::from_pkcs8(&fetched.x509_svid_key).unwrap(),
    }
}

/// Concatenated certificates, one by one.
pub(crate) fn split(certificates: &[u8]) -> Vec<Vec<u8>> {
    let chain = signet_identity::x509::split(certificates).unwrap();
    chain.iter().map(|der| der.to_vec()).collect()
}
