//! Node attestation: shows the server the evidence, answers its challenges, and receives the
//! agent's SVID.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use signet_identity::bundle::Bundle;
use signet_proto::spire::api::{
    server::agent::v1::{
        AgentX509svidParams, AttestAgentRequest, AttestAgentResponse,
        agent_client::AgentClient,
        attest_agent_request::{Params, Step as RequestStep},
        attest_agent_response::Step as ResponseStep,
    },
    types::AttestationData,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    join_token::{JoinToken, TokenError},
    x509pop::{Proof, X509Pop, X509PopError},
};
use crate::upstream::{CallError, LineError, bundle_over, chain};

/// How this node proves what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeAttestor {
    /// By a one-time token.
    JoinToken(JoinToken),
    /// By a certificate of another PKI.
    X509Pop(X509Pop),
}

/// What a successful attestation brings.
#[derive(Debug)]
pub(super) struct Attested {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) reattestable: bool,
    pub(super) bundle: Bundle,
}

/// Why an attestation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttestError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    X509Pop(#[from] X509PopError),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the server did not finish the attestation in {0:?}")]
    Slow(Duration),
}

impl NodeAttestor {
    /// The attestor's name on the wire.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::JoinToken(_) => "join_token",
            Self::X509Pop(_) => "x509pop",
        }
    }

    /// Whether the evidence is there at all.
    pub(super) fn check(&self) -> Result<(), AttestError> {
        self.evidence().map(|_| ())
    }

    /// Attests over a connection without client certificate, and asks for the bundle on the same.
    pub(super) async fn attest(
        &self,
        channel: Channel,
        csr: Vec<u8>,
    ) -> Result<Attested, AttestError> {
        let evidence = self.evidence()?;
        let dialogue = async {
            let (chain, reattestable) = converse(channel.clone(), &evidence, csr).await?;
            let bundle = bundle_over(channel).await?;
            Ok(Attested {
                chain,
                reattestable,
                bundle,
            })
        };
        match timeout(PATIENCE, dialogue).await {
            Ok(outcome) => outcome,
            Err(_) => Err(AttestError::Slow(PATIENCE)),
        }
    }

    fn evidence(&self) -> Result<Evidence, AttestError> {
        Ok(match self {
            Self::JoinToken(token) => Evidence::Token(token.payload()?),
            Self::X509Pop(files) => Evidence::Proof(files.proof()?),
        })
    }
}

enum Evidence {
    Token(Vec<u8>),
    Proof(Proof),
}

impl Evidence {
    fn data(&self) -> AttestationData {
        let (kind, payload) = match self {
            Self::Token(token) => ("join_token", token.clone()),
            Self::Proof(proof) => ("x509pop", proof.payload.clone()),
        };
        AttestationData {
            r#type: kind.to_owned(),
            payload,
        }
    }

    fn respond(&self, challenge: &[u8]) -> Result<Vec<u8>, AttestError> {
        match self {
            Self::Token(_) => {
                let message = "a challenge, which join tokens do not have".to_owned();
                Err(CallError::Answer(message).into())
            }
            Self::Proof(proof) => Ok(proof.respond(challenge)?),
        }
    }
}

/// The dialogue: parameters, challenges with their responses, the result.
async fn converse(
    channel: Channel,
    evidence: &Evidence,
    csr: Vec<u8>,
) -> Result<(Vec<CertificateDer<'static>>, bool), AttestError> {
    let (requests, outgoing) = mpsc::channel(1);
    let params = RequestStep::Params(Params {
        data: Some(evidence.data()),
        params: Some(AgentX509svidParams { csr }),
    });
    say(&requests, params).await?;
    let mut client = AgentClient::new(channel);
    let answers = client.attest_agent(ReceiverStream::new(outgoing)).await;
    let mut answers = answers.map_err(CallError::from)?.into_inner();
    for _ in 0..MOST_CHALLENGES {
        match hear(&mut answers).await? {
            ResponseStep::Result(result) => return Ok((chain(result.svid)?, result.reattestable)),
            ResponseStep::Challenge(challenge) => {
                let response = evidence.respond(&challenge)?;
                say(&requests, RequestStep::ChallengeResponse(response)).await?;
            }
        }
    }
    let message = format!("more than {MOST_CHALLENGES} challenges");
    Err(CallError::Answer(message).into())
}

async fn say(
    requests: &mpsc::Sender<AttestAgentRequest>,
    step: RequestStep,
) -> Result<(), CallError> {
    let request = AttestAgentRequest { step: Some(step) };
    let sent = requests.send(request).await;
    sent.map_err(|_closed| CallError::Failed("the connection ended".to_owned()))
}

async fn hear(answers: &mut Streaming<AttestAgentResponse>) -> Result<ResponseStep, CallError> {
    let answer: Result<_, Status> = answers.message().await;
    answer?
        .and_then(|answer| answer.step)
        .ok_or_else(|| CallError::Answer("no result of the attestation".to_owned()))
}

/// A server may make a node wait: SPIRE's limits hold calls back for up to half a minute.
const PATIENCE: Duration = Duration::from_secs(60);
const MOST_CHALLENGES: usize = 16;
