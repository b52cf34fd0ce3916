//! How an attested node becomes an agent.
//!
//! Everything is checked and the SVID is signed before the one transaction that stores the agent
//! and consumes its token: whatever fails leaves nothing behind.

use std::time::SystemTime;

use signet_identity::{
    SpiffeId,
    entry::{Attributes, Entry, EntryIdError, Rights},
    selector::{Selector, SelectorError},
};
use tracing::info;
use uuid::Uuid;

use super::Agents;
use crate::{
    attest::{Attested, Reattest, TokenError},
    ca::{IssueError, X509Svid},
    store::{Agent, Attest, Attestation, StoreError},
};

/// Why an attested node is not admitted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdmitError {
    /// An administrator has banned it.
    #[error("agent is banned")]
    Banned,
    /// Its join token has admitted another agent meanwhile, or its time is over.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Its ID makes no selector for the entry of its alias.
    #[error("the agent ID makes no selector")]
    Selector(#[from] SelectorError),
    /// A random id that is no id.
    #[error("no entry ID could be made")]
    EntryId(#[from] EntryIdError),
    /// Nothing could be signed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Agents {
    /// Admits an attested node as an agent, new or known, and signs its first SVID.
    pub(crate) async fn admit(
        &self,
        attested: Attested,
        spki_der: Vec<u8>,
        now: SystemTime,
    ) -> Result<X509Svid, AdmitError> {
        let id = attested.agent_id.clone();
        let kind = attested.kind;
        let known = self.directory.agent(&id);
        if known.is_some_and(|agent| agent.banned) {
            return Err(AdmitError::Banned);
        }
        let svid = self.sign(&id, spki_der, now).await?;
        let attestation = attestation(attested, &svid, now)?;
        let written = self.store.attest_agent(attestation).await?;
        match self.directory.seen(written).await {
            Attest::Attested => {}
            Attest::Banned => return Err(AdmitError::Banned),
            Attest::TokenGone => return Err(TokenError::UnknownOrUsed.into()),
        }
        info!(
            name: "agent_attested",
            agent_id = %id,
            attestor = kind,
            serial = %svid.serial,
            "attested an agent"
        );
        Ok(svid)
    }
}

/// What is to be stored.
fn attestation(
    attested: Attested,
    svid: &X509Svid,
    now: SystemTime,
) -> Result<Attestation, AdmitError> {
    let (token, alias) = match attested.token {
        Some(used) => (Some(used.hash), used.alias),
        None => (None, None),
    };
    let alias = alias.map(|alias| alias_entry(alias, &attested.agent_id, now));
    let agent = Agent {
        id: attested.agent_id.clone(),
        attestation_type: attested.kind.to_owned(),
        serial: svid.serial.to_string(),
        not_after: svid.not_after,
        renewed: None,
        selectors: attested.selectors,
        can_reattest: attested.again == Reattest::Possible,
        version: String::new(),
        banned: false,
    };
    Ok(Attestation {
        agent,
        alias: alias.transpose()?,
        at: now,
        token,
    })
}

/// The entry by which an agent that used a token also is what the token's maker named.
fn alias_entry(alias: SpiffeId, agent: &SpiffeId, now: SystemTime) -> Result<Entry, AdmitError> {
    let selector = Selector::new("spiffe_id", &agent.to_string())?;
    Ok(Entry {
        id: Uuid::new_v4().to_string().parse()?,
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
