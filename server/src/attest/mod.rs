//! Node attestation: an agent shows evidence, answers challenges, and gets the identity that the
//! evidence stands for.
//!
//! An attestor decides who a node is. What follows from it (is the agent banned, its SVID, its
//! row in the store) is the part of `agents`, so that a join token is spent by a success only.

mod error;
mod join_token;
mod x509pop;

use std::time::SystemTime;

use signet_identity::{SpiffeId, TrustDomain, id, selector::Selectors};

use crate::store::{Store, TokenHash};

pub(crate) use error::{AttestError, Malformed, Refused, TokenError};
pub(crate) use join_token::id_of as id_of_token;
pub(crate) use x509pop::{X509Pop, X509PopSettings};

/// One way to attest nodes.
#[derive(Debug)]
pub(crate) enum NodeAttestor {
    /// By a token that an administrator made for this node.
    JoinToken,
    /// By possession of the key of a certificate.
    X509Pop(X509Pop),
}

/// A node whose identity is established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attested {
    pub(crate) agent_id: SpiffeId,
    /// The attestor's name.
    pub(crate) kind: &'static str,
    pub(crate) selectors: Selectors,
    pub(crate) again: Reattest,
    /// The join token that the success consumes.
    pub(crate) token: Option<UsedToken>,
}

/// A join token that admits an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsedToken {
    pub(crate) hash: TokenHash,
    /// The SPIFFE ID that the agent also gets.
    pub(crate) alias: Option<SpiffeId>,
}

/// Whether the node can show its evidence again at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reattest {
    Possible,
    Impossible,
}

/// What became of the evidence.
#[derive(Debug)]
pub(crate) enum Evidence {
    /// It is sufficient.
    Accepted(Attested),
    /// The agent has to answer this first.
    Challenged {
        challenge: Vec<u8>,
        pending: Box<Pending>,
    },
}

/// An attestation that waits for the answer to a challenge.
#[derive(Debug)]
pub(crate) enum Pending {
    X509Pop(x509pop::PendingPop),
}

impl Pending {
    /// Judges the answer.
    pub(crate) fn finish(self, response: &[u8]) -> Result<Attested, AttestError> {
        match self {
            Self::X509Pop(pending) => pending.finish(response),
        }
    }
}

/// The configured attestors of a trust domain.
#[derive(Debug)]
pub(crate) struct Attestors {
    trust_domain: TrustDomain,
    attestors: Vec<NodeAttestor>,
    /// Knows the join tokens.
    store: Store,
}

impl Attestors {
    pub(crate) fn new(
        trust_domain: TrustDomain,
        attestors: Vec<NodeAttestor>,
        store: Store,
    ) -> Self {
        Self {
            trust_domain,
            attestors,
            store,
        }
    }

    /// Takes the evidence that an agent opens with.
    pub(crate) async fn begin(
        &self,
        kind: &str,
        payload: &[u8],
        now: SystemTime,
    ) -> Result<Evidence, AttestError> {
        let Some(attestor) = self.attestors.iter().find(|known| known.name() == kind) else {
            return Err(AttestError::UnknownType(kind.to_owned()));
        };
        match attestor {
            NodeAttestor::JoinToken => {
                let token = join_token::read(payload)?;
                let stored = self.store.join_token(TokenHash::of(token)).await?;
                join_token::check(token, stored, &self.trust_domain, now).map(Evidence::Accepted)
            }
            NodeAttestor::X509Pop(pop) => pop.begin(payload, &self.trust_domain, now),
        }
    }
}

impl NodeAttestor {
    /// The name that agents and the configuration use.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::JoinToken => join_token::NAME,
            Self::X509Pop(_) => x509pop::NAME,
        }
    }
}

fn agent_id(trust_domain: &TrustDomain, path: &str) -> Result<SpiffeId, AttestError> {
    let id = id::in_trust_domain(trust_domain, &format!("/spire/agent/{path}"));
    Ok(id.map_err(Malformed::Id)?)
}
