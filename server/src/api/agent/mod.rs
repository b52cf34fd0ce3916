//! The Agent service: node attestation, renewal, and the administration of agents.

mod admin;
mod attest;
mod filter;
mod tokens;

use std::{pin::Pin, sync::Arc, time::SystemTime};

use futures_util::Stream;
use signet_identity::{SpiffeId, csr, id, unix};
use signet_proto::spire::api::{
    server::agent::v1::{
        AgentX509svidParams, AttestAgentRequest, AttestAgentResponse, BanAgentRequest,
        CountAgentsRequest, CountAgentsResponse, CreateJoinTokenRequest, DeleteAgentRequest,
        GetAgentRequest, ListAgentsRequest, ListAgentsResponse, PostStatusRequest,
        PostStatusResponse, RenewAgentRequest, RenewAgentResponse, agent_server::Agent,
    },
    types::{self, permission_denied_details::Reason},
};
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info};

use super::{
    caller::{self, TlsPeer},
    calling_agent,
    limit::Limits,
    status::{bad_csr, invalid, permission_denied},
};
use crate::{
    attest::Attestors,
    ca::{Ca, X509Svid, X509SvidRequest},
    clock,
    directory::Directory,
    store::{self, Renewed, Store},
};

/// Serves `spire.api.server.agent.v1.Agent`.
#[derive(Clone, Debug)]
pub(crate) struct AgentService {
    pub(crate) ca: Ca,
    pub(crate) attestors: Arc<Attestors>,
    pub(crate) store: Store,
    pub(crate) directory: Directory,
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
        let params = request.into_inner().params;
        let svid = self.renew(agent, params, clock::now()).await?;
        Ok(Response::new(RenewAgentResponse { svid: Some(svid) }))
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
        self.note_version(agent, request.into_inner().agent_version)
            .await?;
        Ok(Response::new(PostStatusResponse {}))
    }
}

impl AgentService {
    async fn renew(
        &self,
        id: SpiffeId,
        params: Option<AgentX509svidParams>,
        now: SystemTime,
    ) -> Result<types::X509svid, Status> {
        let spki_der = public_key(params)?;
        let gone = || refused("agent is not attested", Reason::AgentNotAttested);
        let agent = self.directory.agent(&id).ok_or_else(gone)?;
        if agent.can_reattest {
            let message = "agent cannot renew its SVID, it must attest again";
            return Err(refused(message, Reason::AgentMustReattest));
        }
        let svid = self.sign(id.clone(), spki_der, now).await?;
        let renewed = Renewed {
            serial: svid.serial.to_string(),
            not_after: svid.not_after,
        };
        let written = self.store.renew_agent(id.clone(), renewed).await?;
        if !self.directory.seen(written).await {
            return Err(gone());
        }
        info!(name: "agent_renewed", agent_id = %id, serial = %svid.serial, "renewed an agent SVID");
        Ok(x509_svid(&id, &svid))
    }

    async fn note_version(&self, id: SpiffeId, version: String) -> Result<(), Status> {
        if version.chars().count() > LONGEST_VERSION {
            return Err(invalid(format!(
                "agent version is longer than {LONGEST_VERSION} characters"
            )));
        }
        let known = self.directory.agent(&id);
        if known.is_none_or(|agent| agent.version != version) {
            let noted = self.store.set_agent_version(id.clone(), version.clone());
            self.directory.seen(noted.await?).await;
        }
        debug!(name: "agent_status_noted", agent_id = %id, version, "an agent told its version");
        Ok(())
    }

    /// Signs an agent's SVID; nothing but the key comes from the agent.
    async fn sign(
        &self,
        id: SpiffeId,
        spki_der: Vec<u8>,
        now: SystemTime,
    ) -> Result<X509Svid, Status> {
        let request = X509SvidRequest {
            id,
            spki_der,
            ttl: Some(self.ca.agent_ttl()),
            dns_names: Vec::new(),
            subject: None,
        };
        let work = move |ca: &Ca| ca.sign_x509(&request, now);
        Ok(self.ca.sign_one(work).await??)
    }

    /// The agent that an administrator names.
    fn named(&self, id: Option<&types::Spiffeid>) -> Result<SpiffeId, Status> {
        let id =
            id::from_proto(id).map_err(|error| invalid(format!("invalid agent ID: {error}")))?;
        if !id.is_member_of(self.ca.trust_domain()) || !id.path().starts_with(AGENTS) {
            return Err(invalid(format!(
                "invalid agent ID: {id} is not below spiffe://{}{AGENTS}",
                self.ca.trust_domain()
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

fn refused(message: &str, reason: Reason) -> Status {
    permission_denied(message.to_owned(), Some(reason))
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
