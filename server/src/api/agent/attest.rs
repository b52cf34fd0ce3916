//! The conversation of AttestAgent: evidence, challenges, SVID.

use std::{net::SocketAddr, time::Duration};

use futures_util::{Stream, stream};
use signet_daemon::log::Scope;
use signet_proto::spire::api::server::agent::v1::{
    AttestAgentRequest, AttestAgentResponse, attest_agent_request as request,
    attest_agent_response as response,
};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use tracing::{Instrument as _, Span, field::Empty, info_span, warn};

use super::{AgentService, public_key, x509_svid};
use crate::{
    api::status::invalid,
    attest::{Attested, Evidence, Pending, Reattest},
    clock,
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
    let scope = Scope::current();
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
        scope.clone().around(answer.instrument(span.clone()))
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
                self.admit(attested, spki_der).await.map(Some)
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
        let attestors = &self.service.attestors;
        let evidence = attestors.begin(&data.r#type, &data.payload, clock::now());
        match evidence.await? {
            Evidence::Accepted(attested) => self.admit(attested, spki_der).await,
            Evidence::Challenged { challenge, pending } => {
                self.state = State::Challenged { pending, spki_der };
                let step = Some(response::Step::Challenge(challenge));
                Ok(AttestAgentResponse { step })
            }
        }
    }

    async fn admit(
        &self,
        attested: Attested,
        spki_der: Vec<u8>,
    ) -> Result<AttestAgentResponse, Status> {
        let id = attested.agent_id.clone();
        let reattestable = attested.again == Reattest::Possible;
        let agents = &self.service.agents;
        let svid = agents.admit(attested, spki_der, clock::now()).await?;
        let svid = Some(x509_svid(&id, &svid));
        let result = response::Result { svid, reattestable };
        Ok(AttestAgentResponse {
            step: Some(response::Step::Result(result)),
        })
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

const LONGEST_TYPE_LOGGED: usize = 64;

/// How long an agent may take for its next message.
const PATIENCE: Duration = Duration::from_secs(30);
