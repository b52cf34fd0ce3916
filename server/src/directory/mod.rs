//! The whole state of the server in memory: entries, agents and bundles, indexed so that no
//! call reads the database and a change costs what it affects.
//!
//! A task ([`Follower`]) takes over what the change log names. Who writes waits with
//! [`Directory::seen`], so that a client reads its own writes. All methods are short and
//! take one lock; what they hand out are shared pointers to values that never change.

mod agents;
mod entries;
mod follow;
mod follower;
mod history;
mod order;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use signet_identity::{
    SpiffeId, TrustDomain,
    bundle::Bundle,
    crypto,
    entry::{Entry, EntryId, Rights},
    tls::SharedTrust,
    trust::Trust,
};
use tokio::sync::watch;

pub(crate) use entries::Among;
pub(crate) use follow::{Follow, Step};
pub(crate) use follower::Follower;

use self::state::State;
use crate::store::{Agent, ChangeId, Changes, Followed, Store, StoreError, Written};

/// A handle on the state. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Directory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    followed: Followed,
    trust: watch::Sender<Arc<Trust>>,
    trust_domain: TrustDomain,
    /// Random, so that resume tokens of another process are not mistaken for ours.
    epoch: u64,
}

/// Why there is no directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The trust domain makes no server ID.
    #[error("the server has no SPIFFE ID: {0}")]
    ServerId(#[source] signet_identity::id::IdError),
    /// No randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(#[source] signet_identity::key::KeyError),
}

impl Directory {
    /// Reads everything. The follower must run, or the directory stays as it is.
    pub(crate) async fn load(
        store: &Store,
        followed: Followed,
        trust_domain: TrustDomain,
    ) -> Result<(Self, Follower), LoadError> {
        let directory = Self::empty(followed, trust_domain)?;
        directory.apply(store.everything().await?);
        let follower = Follower::new(store.clone(), directory.clone());
        Ok((directory, follower))
    }

    fn empty(followed: Followed, trust_domain: TrustDomain) -> Result<Self, LoadError> {
        let server_id = signet_identity::id::in_trust_domain(&trust_domain, SERVER_PATH)
            .map_err(LoadError::ServerId)?;
        let epoch = u64::from_be_bytes(crypto::random().map_err(LoadError::Random)?);
        Ok(Self(Arc::new(Shared {
            state: Mutex::new(State::new(trust_domain.clone(), server_id)),
            followed,
            trust: watch::Sender::new(Arc::new(Trust::new([]))),
            trust_domain,
            epoch,
        })))
    }

    /// The trust domain that this server is the authority of.
    pub(crate) fn trust_domain(&self) -> &TrustDomain {
        &self.0.trust_domain
    }

    /// What a write answers, once it is seen here.
    pub(crate) async fn seen<T>(&self, written: Written<T>) -> T {
        self.0.followed.open(written).await
    }

    /// The agent, whatever its state.
    pub(crate) fn agent(&self, id: &SpiffeId) -> Option<Arc<Agent>> {
        self.lock()
            .agents
            .get(id)
            .map(|known| Arc::clone(&known.agent))
    }

    /// All agents, in the order of their IDs.
    pub(crate) fn agents(&self) -> Vec<Arc<Agent>> {
        self.lock().agents.iter().cloned().collect()
    }

    /// How many agents there are.
    pub(crate) fn agent_count(&self) -> usize {
        self.lock().agents.len()
    }

    /// The entry with this id.
    pub(crate) fn entry(&self, id: &EntryId) -> Option<Arc<Entry>> {
        self.lock().entries.get(id).cloned()
    }

    /// How many entries there are.
    pub(crate) fn entry_count(&self) -> usize {
        self.lock().entries.len()
    }

    /// Entries in the order of their ids: at most `limit` of those after `after` that `keep`
    /// accepts. Looks at a bounded number under the lock at a time.
    pub(crate) fn entries(
        &self,
        among: &Among,
        after: Option<&EntryId>,
        limit: usize,
        keep: impl Fn(&Entry) -> bool,
    ) -> Vec<Arc<Entry>> {
        let mut found = Vec::new();
        let mut last = after.cloned();
        while found.len() < limit {
            let chunk: Vec<_> = self
                .lock()
                .entries
                .after(among, last.as_ref())
                .take(CHUNK)
                .cloned()
                .collect();
            let Some(end) = chunk.last() else { break };
            last = Some(end.id.clone());
            let room = limit.saturating_sub(found.len());
            found.extend(chunk.into_iter().filter(|entry| keep(entry)).take(room));
        }
        found
    }

    /// All entries that an agent may see: below its ID and its node aliases, in the order of
    /// their ids, without those that have expired and are not removed yet.
    pub(crate) fn authorized_entries(&self, agent: &SpiffeId, now: SystemTime) -> Vec<Arc<Entry>> {
        let mut entries = self.lock().authorized(agent);
        entries.retain(|entry| !expired(entry, now));
        entries
    }

    /// The entry, if the agent may see it and it has not expired.
    pub(crate) fn authorized_entry(
        &self,
        agent: &SpiffeId,
        entry: &EntryId,
        now: SystemTime,
    ) -> Option<Arc<Entry>> {
        let state = self.lock();
        let entry = state.authorized_entry(agent, entry)?;
        (!expired(entry, now)).then(|| Arc::clone(entry))
    }

    /// What entries with this SPIFFE ID allow its bearer.
    pub(crate) fn rights_of(&self, id: &SpiffeId, now: SystemTime) -> Rights {
        let state = self.lock();
        let mut rights = Rights::default();
        for entry in state
            .entries
            .with_spiffe_id(id)
            .filter(|entry| !expired(entry, now))
        {
            rights.admin |= entry.rights.admin;
            rights.downstream |= entry.rights.downstream;
        }
        rights
    }

    /// The bundle of a trust domain, the own one or a federated one.
    pub(crate) fn bundle(&self, trust_domain: &TrustDomain) -> Option<Arc<Bundle>> {
        self.lock().bundles.get(trust_domain).cloned()
    }

    /// All bundles, in the order of their trust domains.
    pub(crate) fn bundles(&self) -> Vec<Arc<Bundle>> {
        self.lock().bundles.values().cloned().collect()
    }

    /// For TLS listeners: the authorities of all bundles, each for its trust domain.
    pub(crate) fn trust(&self) -> SharedTrust {
        self.0.trust.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn epoch(&self) -> u64 {
        self.0.epoch
    }

    fn at(&self) -> ChangeId {
        self.0.followed.at()
    }

    fn apply(&self, changes: Changes) {
        let (at, bundles) = {
            let mut state = self.lock();
            let changed = state.apply(changes);
            let bundles = changed.then(|| state.bundles.values().cloned().collect::<Vec<_>>());
            (state.at, bundles)
        };
        if let Some(bundles) = bundles {
            let trust = Trust::new(bundles.iter().map(Arc::as_ref));
            self.0.trust.send_replace(Arc::new(trust));
        }
        self.0.followed.reached(at);
    }
}

fn expired(entry: &Entry, now: SystemTime) -> bool {
    entry.expires_at.is_some_and(|end| end <= now)
}

const SERVER_PATH: &str = "/spire/server";
const CHUNK: usize = 4096;
