//! The Agent service: node attestation, renewal, and the administration of agents.

mod admin;
mod attest;
mod filter;
mod tokens;

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use signet_identity::{SpiffeId, csr, id, unix};
use signet_proto::spire::api::{
    server::agent::v1::{
        AgentX509svidParams, AttestAgentRequest, AttestAgentResponse, BanAgentRequest,
        CountAgentsRequest, CountAgentsResponse, CreateJoinTokenRequest, DeleteAgentRequest,
        GetAgentRequest, ListAgentsRequest, ListAgentsResponse, PostStatusRequest,
        PostStatusResponse, RenewAgentRequest, RenewAgentResponse, agent_server::Agent,
    },
    types,
};
use tonic::{Request, Response, Status, Streaming};

use super::{
    caller::{self, TlsPeer},
    calling_agent,
    limit::Limits,
    status::{bad_csr, invalid},
};
use crate::{agents::Agents, attest::Attestors, ca::X509Svid, clock, store};

/// Serves `spire.api.server.agent.v1.Agent`.
#[derive(Clone, Debug)]
pub(crate) struct AgentService {
    pub(crate) agents: Agents,
    pub(crate) attestors: Arc<Attestors>,
    pub(crate) limits: Arc<Limits>,
}

#[tonic::async_trait]
impl Agent for AgentService {
    type AttestAgentStream =
        Pin<Box<dyn Stream<Item = Result<AttestAgentResponse, Status>> + Send>>;

    async fn count_agents(
        &self,
        request: Request<CountAgentsRequest>,
    ) -> Result<Response<CountAgentsResponse>, Status> {
        self.count(request.into_inner()).map(Response::new)
    }

    async fn list_agents(
        &self,
        request: Request<ListAgentsRequest>,
    ) -> Result<Response<ListAgentsResponse>, Status> {
        self.list(request.into_inner()).map(Response::new)
    }

    async fn get_agent(
        &self,
        request: Request<GetAgentRequest>,
    ) -> Result<Response<types::Agent>, Status> {
        self.get(&request.into_inner()).map(Response::new)
    }

    async fn delete_agent(
        &self,
        request: Request<DeleteAgentRequest>,
    ) -> Result<Response<()>, Status> {
        self.evict(request.into_inner()).await.map(Response::new)
    }

    async fn ban_agent(&self, request: Request<BanAgentRequest>) -> Result<Response<()>, Status> {
        self.ban(request.into_inner()).await.map(Response::new)
    }

    async fn attest_agent(
        &self,
        request: Request<Streaming<AttestAgentRequest>>,
    ) -> Result<Response<Self::AttestAgentStream>, Status> {
        let source = caller::source(&request);
        self.limits.attest.wait(source, 1).await?;
        let peer = request
            .extensions()
            .get()
            .map(|peer: &TlsPeer| peer.address);
        let conversation = attest::conversation(self.clone(), peer, request.into_inner());
        Ok(Response::new(Box::pin(conversation)))
    }

    async fn renew_agent(
        &self,
        request: Request<RenewAgentRequest>,
    ) -> Result<Response<RenewAgentResponse>, Status> {
        let (agent, source) = (calling_agent(&request)?, caller::source(&request));
        self.limits.renew.wait(source, 1).await?;
        let spki_der = public_key(request.into_inner().params)?;
        let svid = self.agents.renew(&agent, spki_der, clock::now()).await?;
        let svid = Some(x509_svid(&agent, &svid));
        Ok(Response::new(RenewAgentResponse { svid }))
    }

    async fn create_join_token(
        &self,
        request: Request<CreateJoinTokenRequest>,
    ) -> Result<Response<types::JoinToken>, Status> {
        let token = self.create_token(request.into_inner(), clock::now());
        token.await.map(Response::new)
    }

    async fn post_status(
        &self,
        request: Request<PostStatusRequest>,
    ) -> Result<Response<PostStatusResponse>, Status> {
        let (agent, source) = (calling_agent(&request)?, caller::source(&request));
        self.limits.status.wait(source, 1).await?;
        let version = request.into_inner().agent_version;
        if version.chars().count() > LONGEST_VERSION {
            return Err(invalid(format!(
                "agent version is longer than {LONGEST_VERSION} characters"
            )));
        }
        self.agents.note_version(&agent, version).await?;
        Ok(Response::new(PostStatusResponse {}))
    }
}

impl AgentService {
    /// The agent that an administrator names.
    fn named(&self, id: Option<&types::Spiffeid>) -> Result<SpiffeId, Status> {
        let id =
            id::from_proto(id).map_err(|error| invalid(format!("invalid agent ID: {error}")))?;
        let trust_domain = self.agents.trust_domain();
        if !id.is_member_of(trust_domain) || !id.path().starts_with(AGENTS) {
            return Err(invalid(format!(
                "invalid agent ID: {id} is not below spiffe://{trust_domain}{AGENTS}"
            )));
        }
        Ok(id)
    }
}

/// The public key of an agent's CSR, whose signature proves that it has the private one.
fn public_key(params: Option<AgentX509svidParams>) -> Result<Vec<u8>, Status> {
    let csr = params.map(|params| params.csr).unwrap_or_default();
    if csr.is_empty() {
        return Err(invalid("missing CSR"));
    }
    Ok(csr::parse(&csr).map_err(bad_csr)?.spki_der)
}

fn x509_svid(id: &SpiffeId, svid: &X509Svid) -> types::X509svid {
    types::X509svid {
        cert_chain: svid.chain.iter().map(|der| der.to_vec()).collect(),
        id: Some(id::to_proto(id)),
        expires_at: unix::seconds(svid.not_after),
        hint: String::new(),
    }
}

/// An agent as the API shows it; the id is always there.
fn to_proto(agent: &store::Agent, mask: Option<&types::AgentMask>) -> types::Agent {
    let all = types::AgentMask {
        attestation_type: true,
        x509svid_serial_number: true,
        x509svid_expires_at: true,
        selectors: true,
        banned: true,
        can_reattest: true,
        agent_version: true,
    };
    let mask = mask.unwrap_or(&all);
    let text = |shown: bool, text: &str| {
        if shown {
            text.to_owned()
        } else {
            String::new()
        }
    };
    let serial = mask.x509svid_serial_number && !agent.banned;
    types::Agent {
        id: Some(id::to_proto(&agent.id)),
        attestation_type: text(mask.attestation_type, &agent.attestation_type),
        x509svid_serial_number: text(serial, &agent.serial),
        x509svid_expires_at: if mask.x509svid_expires_at {
            unix::seconds(agent.not_after)
        } else {
            0
        },
        selectors: if mask.selectors {
            agent.selectors.to_proto()
        } else {
            Vec::new()
        },
        banned: mask.banned && agent.banned,
        can_reattest: mask.can_reattest && agent.can_reattest,
        agent_version: text(mask.agent_version, &agent.version),
    }
}

const AGENTS: &str = "/spire/agent/";
const LONGEST_VERSION: usize = 255;
