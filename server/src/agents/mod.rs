//! Agents: admitted once a node is attested, renewed, looked at, banned and evicted; and the join
//! tokens that admit them. Reading is from memory; writing goes to the store and comes back when
//! the directory has seen it.

mod admit;
mod filter;
#[cfg(test)]
mod tests;
mod tokens;

use std::{sync::Arc, time::SystemTime};

use signet_identity::{SpiffeId, TrustDomain};
use tracing::{debug, info};

pub(crate) use admit::AdmitError;
pub(crate) use filter::Filter;
pub(crate) use tokens::{CreateTokenError, NewToken};

use crate::{
    ca::{Ca, IssueError, SvidKind, X509Svid, X509SvidRequest},
    directory::Directory,
    store::{Agent, Renewed, Store, StoreError},
};

/// The agents of this server.
#[derive(Clone, Debug)]
pub(crate) struct Agents {
    ca: Ca,
    store: Store,
    directory: Directory,
}

/// Why an administrator's word about an agent has no effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentsError {
    /// There is none.
    #[error("agent not found")]
    NotFound,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an agent is not given another SVID.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenewError {
    /// It was evicted or banned, perhaps a moment ago.
    #[error("agent is not attested")]
    NotAttested,
    /// It can show its evidence again, and has to.
    #[error("agent cannot renew its SVID, it must attest again")]
    MustReattest,
    /// Nothing could be signed.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Agents {
    pub(crate) fn new(ca: Ca, store: Store, directory: Directory) -> Self {
        Self {
            ca,
            store,
            directory,
        }
    }

    /// The trust domain that the agents are in.
    pub(crate) fn trust_domain(&self) -> &TrustDomain {
        self.directory.trust_domain()
    }

    /// Signs an agent's next SVID, which replaces the current one at its first use.
    pub(crate) async fn renew(
        &self,
        id: &SpiffeId,
        spki_der: Vec<u8>,
        now: SystemTime,
    ) -> Result<X509Svid, RenewError> {
        let agent = self.directory.agent(id).ok_or(RenewError::NotAttested)?;
        if agent.can_reattest {
            return Err(RenewError::MustReattest);
        }
        let svid = self.sign(id, spki_der, now).await?;
        let renewed = Renewed {
            serial: svid.serial.to_string(),
            not_after: svid.not_after,
        };
        let written = self.store.renew_agent(id.clone(), renewed).await?;
        if !self.directory.seen(written).await {
            return Err(RenewError::NotAttested);
        }
        info!(
            name: "agent_renewed",
            agent_id = %id,
            serial = %svid.serial,
            "renewed an agent SVID",
        );
        Ok(svid)
    }

    /// Notes that an agent uses a renewed SVID for the first time: from now on it is the current
    /// one.
    pub(crate) async fn promote(&self, id: SpiffeId, serial: String) -> Result<(), StoreError> {
        let written = self.store.promote_agent_serial(id, serial).await?;
        self.directory.seen(written).await;
        Ok(())
    }

    /// Notes the version that an agent tells.
    pub(crate) async fn note_version(
        &self,
        id: &SpiffeId,
        version: String,
    ) -> Result<(), StoreError> {
        let known = self.directory.agent(id);
        if known.is_none_or(|agent| agent.version != version) {
            let noted = self.store.set_agent_version(id.clone(), version.clone());
            self.directory.seen(noted.await?).await;
        }
        debug!(name: "agent_status_noted", agent_id = %id, version, "an agent told its version");
        Ok(())
    }

    /// Bans an agent: it is refused until it is evicted.
    pub(crate) async fn ban(&self, id: &SpiffeId) -> Result<(), AgentsError> {
        let written = self.store.ban_agent(id.clone()).await?;
        if !self.directory.seen(written).await {
            return Err(AgentsError::NotFound);
        }
        info!(name: "agent_banned", agent_id = %id, "banned an agent");
        Ok(())
    }

    /// Forgets an agent, and its ban with it: it may attest again.
    pub(crate) async fn evict(&self, id: &SpiffeId) -> Result<(), AgentsError> {
        let written = self.store.delete_agent(id.clone()).await?;
        if !self.directory.seen(written).await {
            return Err(AgentsError::NotFound);
        }
        info!(name: "agent_deleted", agent_id = %id, "evicted an agent");
        Ok(())
    }

    /// The agent with this ID.
    pub(crate) fn get(&self, id: &SpiffeId) -> Result<Arc<Agent>, AgentsError> {
        self.directory.agent(id).ok_or(AgentsError::NotFound)
    }

    /// At most `size` agents after `after` that pass the filter, in the order of their IDs.
    pub(crate) fn list(
        &self,
        filter: &Filter,
        after: Option<&SpiffeId>,
        size: usize,
    ) -> Vec<Arc<Agent>> {
        let agents = self.directory.agents().into_iter();
        agents
            .filter(|agent| after.is_none_or(|after| agent.id > *after))
            .filter(|agent| filter.accepts(agent))
            .take(size)
            .collect()
    }

    /// How many agents pass the filter.
    pub(crate) fn count(&self, filter: &Filter) -> usize {
        let agents = self.directory.agents();
        agents.iter().filter(|agent| filter.accepts(agent)).count()
    }

    /// Signs an agent's SVID; nothing but the key comes from the agent.
    async fn sign(
        &self,
        id: &SpiffeId,
        spki_der: Vec<u8>,
        now: SystemTime,
    ) -> Result<X509Svid, IssueError> {
        let request = X509SvidRequest {
            id: id.clone(),
            spki_der,
            ttl: Some(self.ca.agent_ttl()),
            dns_names: Vec::new(),
            subject: None,
        };
        let work = move |ca: &Ca| ca.sign_x509(&request, now);
        self.ca.sign_one(SvidKind::X509, work).await?
    }
}
