//! The conversation of AttestAgent: evidence, challenges, SVID.
//!
//! Everything is checked and the SVID is signed before the one transaction that stores the agent
//! and consumes its token: whatever fails leaves nothing behind.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use futures_util::{Stream, stream};
use signet_identity::{
    SpiffeId,
    entry::{Attributes, Entry, EntryIdError, Rights},
    selector::Selector,
};
use signet_proto::spire::api::server::agent::v1::{
    AttestAgentRequest, AttestAgentResponse, attest_agent_request as request,
    attest_agent_response as response,
};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use tracing::{Instrument as _, Span, field::Empty, info, info_span, warn};

use super::{AgentService, public_key, x509_svid};
use crate::{
    api::status::{internal, invalid},
    attest::{AttestError, Attested, Evidence, Pending, Reattest, Refused, TokenError},
    clock,
    store::{Agent, Attest, Attestation},
};

/// Answers each message of the agent until it is attested or refused.
pub(super) fn conversation(
    service: AgentService,
    address: Option<SocketAddr>,
    incoming: Streaming<AttestAgentRequest>,
) -> impl Stream<Item = Result<AttestAgentResponse, Status>> + Send {
    let talk = Talk {
        service,
        incoming,
        state: State::Opening,
    };
    // The stream outlives the call that opened it; its lines are still the caller's.
    let span = info_span!(
        "attestation",
        address = address.map(display),
        attestor = Empty
    );
    stream::unfold(talk, move |mut talk| {
        let answer = async move {
            let answer = talk.next().await.transpose()?;
            if let Err(status) = &answer {
                log_refusal(status);
            }
            Some((answer, talk))
        };
        answer.instrument(span.clone())
    })
}

fn log_refusal(status: &Status) {
    let (code, reason) = (status.code(), status.message());
    if code == Code::InvalidArgument {
        warn!(name: "attestation_invalid", ?code, reason, "refused an attestation");
    } else {
        warn!(name: "attestation_refused", ?code, reason, "refused an attestation");
    }
}

struct Talk {
    service: AgentService,
    incoming: Streaming<AttestAgentRequest>,
    state: State,
}

enum State {
    Opening,
    Challenged {
        pending: Box<Pending>,
        spki_der: Vec<u8>,
    },
    Over,
}

impl Talk {
    async fn next(&mut self) -> Result<Option<AttestAgentResponse>, Status> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Opening => self.open().await.map(Some),
            State::Challenged { pending, spki_der } => {
                let Some(request::Step::ChallengeResponse(answer)) = self.receive().await? else {
                    return Err(invalid("expected a challenge response"));
                };
                let attested = pending.finish(&answer)?;
                let admitted = self.service.admit(attested, spki_der, clock::now());
                admitted.await.map(Some)
            }
            State::Over => Ok(None),
        }
    }

    async fn open(&mut self) -> Result<AttestAgentResponse, Status> {
        let malformed = |what| move || invalid(format!("malformed param: {what}"));
        let Some(request::Step::Params(params)) = self.receive().await? else {
            return Err(malformed("missing params")());
        };
        let data = params
            .data
            .ok_or_else(malformed("missing attestation data"))?;
        if data.r#type.is_empty() {
            return Err(malformed("missing attestation data type")());
        }
        // Said by somebody whom nobody knows yet: not more of it than a name takes.
        let attestor: String = data.r#type.chars().take(LONGEST_TYPE_LOGGED).collect();
        Span::current().record("attestor", attestor);
        if data.payload.is_empty() {
            return Err(malformed("missing attestation data payload")());
        }
        let csr = params
            .params
            .ok_or_else(malformed("missing X509-SVID parameters"))?;
        if csr.csr.is_empty() {
            return Err(malformed("missing CSR")());
        }
        let spki_der = public_key(Some(csr))?;
        let now = clock::now();
        let AgentService {
            attestors, store, ..
        } = &self.service;
        let evidence = attestors.begin((&data.r#type, &data.payload), store, now);
        match evidence.await? {
            Evidence::Accepted(attested) => self.service.admit(attested, spki_der, now).await,
            Evidence::Challenged { challenge, pending } => {
                self.state = State::Challenged { pending, spki_der };
                let step = Some(response::Step::Challenge(challenge));
                Ok(AttestAgentResponse { step })
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<request::Step>, Status> {
        match timeout(PATIENCE, self.incoming.message()).await {
            Ok(message) => Ok(message?.and_then(|message| message.step)),
            Err(_elapsed) => Err(Status::deadline_exceeded(
                "the agent did not send the next message of its attestation in time",
            )),
        }
    }
}

impl AgentService {
    async fn admit(
        &self,
        attested: Attested,
        spki_der: Vec<u8>,
        now: SystemTime,
    ) -> Result<AttestAgentResponse, Status> {
        let id = attested.agent_id.clone();
        let known = self.directory.agent(&id);
        if known.is_some_and(|agent| agent.banned) {
            return Err(AttestError::from(Refused::Banned).into());
        }
        let svid = self.sign(id.clone(), spki_der, now).await?;
        let reattestable = attested.again == Reattest::Possible;
        let agent = Agent {
            id: id.clone(),
            attestation_type: attested.kind.to_owned(),
            serial: svid.serial.to_string(),
            not_after: svid.not_after,
            renewed: None,
            selectors: attested.selectors,
            can_reattest: reattestable,
            version: String::new(),
            banned: false,
        };
        let alias = attested
            .token
            .as_ref()
            .and_then(|token| token.alias.clone());
        let attestation = Attestation {
            agent,
            alias: alias
                .map(|alias| alias_entry(alias, &id, now))
                .transpose()?,
            at: now,
            token: attested.token.map(|token| token.hash),
        };
        let written = self.store.attest_agent(attestation).await?;
        match self.directory.seen(written).await {
            Attest::Attested => {}
            Attest::Banned => return Err(AttestError::from(Refused::Banned).into()),
            Attest::TokenGone => return Err(AttestError::from(TokenError::UnknownOrUsed).into()),
        }
        info!(
            name: "agent_attested",
            agent_id = %id,
            attestor = attested.kind,
            serial = %svid.serial,
            "attested an agent"
        );
        let svid = Some(x509_svid(&id, &svid));
        let result = response::Result { svid, reattestable };
        Ok(AttestAgentResponse {
            step: Some(response::Step::Result(result)),
        })
    }
}

/// The entry by which an agent that used a token also is what the token's maker named.
fn alias_entry(alias: SpiffeId, agent: &SpiffeId, now: SystemTime) -> Result<Entry, Status> {
    let selector = Selector::new("spiffe_id", &agent.to_string())
        .map_err(|error| internal("an agent ID makes no selector", &error))?;
    let id = uuid::Uuid::new_v4().to_string();
    let id = id
        .parse()
        .map_err(|error: EntryIdError| internal("no entry ID could be made", &error))?;
    Ok(Entry {
        id,
        spiffe_id: alias,
        parent_id: agent.clone(),
        selectors: [selector].into_iter().collect(),
        x509_svid_ttl: None,
        jwt_svid_ttl: None,
        federates_with: Vec::new(),
        rights: Rights::default(),
        store_svid: false,
        attributes: Attributes::default(),
        dns_names: Vec::new(),
        hint: String::new(),
        expires_at: None,
        revision: 0,
        created_at: now,
    })
}

const LONGEST_TYPE_LOGGED: usize = 64;

/// How long an agent may take for its next message.
const PATIENCE: Duration = Duration::from_secs(30);
