//! One agent's view as it changes: everything first, or what it missed, then each change.

use std::{collections::BTreeSet, sync::Arc};

use signet_identity::{
    SpiffeId, TrustDomain,
    bundle::Bundle,
    entry::{Entry, EntryId},
};
use tokio::sync::watch;

use super::{Directory, history::Since, state::State};
use crate::store::{ChangeId, Delta};

/// The step from one state of an agent's view to the next.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Step {
    /// All that the agent held before is void.
    pub(crate) reset: bool,
    /// Of the entries: what is gone from the server, or is not the agent's any more, is gone.
    pub(crate) entries: Delta<EntryId, Arc<Entry>>,
    /// Of the bundles.
    pub(crate) bundles: Delta<TrustDomain, Arc<Bundle>>,
    /// Names the state after this step.
    pub(crate) resume_token: String,
}

/// Follows one agent.
#[derive(Debug)]
pub(crate) struct Follow {
    directory: Directory,
    agent: SpiffeId,
    position: Option<ChangeId>,
    wake: watch::Receiver<()>,
    started: bool,
}

impl Directory {
    /// Starts from `resume_token`, or anew if that is not known here (any more). `None` if
    /// there is no such agent.
    pub(crate) fn follow(&self, agent: &SpiffeId, resume_token: &str) -> Option<Follow> {
        let wake = self.lock().agents.get(agent)?.wake.subscribe();
        Some(Follow {
            directory: self.clone(),
            agent: agent.clone(),
            position: self.position(resume_token),
            wake,
            started: false,
        })
    }

    /// Tokens are good for this process only: the next one may read a database that was
    /// restored from a backup.
    fn resume_token(&self, position: ChangeId) -> String {
        format!("{:016x}-{}", self.epoch(), position.0)
    }

    fn position(&self, resume_token: &str) -> Option<ChangeId> {
        let (epoch, position) = resume_token.split_once('-')?;
        let known = u64::from_str_radix(epoch, 16).ok()? == self.epoch();
        known.then(|| position.parse().ok()).flatten().map(ChangeId)
    }
}

impl Follow {
    /// Waits for the next step; the first one comes at once. `None` when the agent is gone or
    /// banned.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        loop {
            // Marked as seen before the state is read: a change in between wakes us again.
            self.wake.mark_unchanged();
            let (step, position) = self.directory.step(&self.agent, self.position)?;
            self.position = Some(position);
            if !step.is_empty() || !self.started {
                self.started = true;
                return Some(step);
            }
            self.wake.changed().await.ok()?;
        }
    }
}

impl Directory {
    /// The step from `since` to now; `None` if the agent is gone or banned.
    pub(super) fn step(
        &self,
        agent: &SpiffeId,
        since: Option<ChangeId>,
    ) -> Option<(Step, ChangeId)> {
        let state = self.lock();
        let known = state
            .agents
            .get(agent)
            .filter(|known| !known.agent.banned)?;
        let touched = since.filter(|since| *since <= state.at);
        let mut step = match touched.and_then(|since| known.history.since(since)) {
            Some(touched) => delta(&state, agent, touched),
            None => whole(&state, agent, self.trust_domain()),
        };
        step.resume_token = self.resume_token(state.at);
        Some((step, state.at))
    }
}

impl Step {
    fn is_empty(&self) -> bool {
        !self.reset && self.entries.is_empty() && self.bundles.is_empty()
    }
}

fn whole(state: &State, agent: &SpiffeId, own: &TrustDomain) -> Step {
    let entries = state.authorized(agent);
    let federated = entries.iter().flat_map(|entry| &entry.federates_with);
    let wanted: BTreeSet<&TrustDomain> = federated.chain([own]).collect();
    let bundles = wanted
        .into_iter()
        .filter_map(|name| state.bundles.get(name))
        .cloned()
        .collect();
    Step {
        reset: true,
        entries: Delta::only(entries),
        bundles: Delta::only(bundles),
        ..Step::default()
    }
}

fn delta(state: &State, agent: &SpiffeId, touched: Since) -> Step {
    let mut entries = Delta::default();
    for id in touched.entries {
        match state.authorized_entry(agent, &id) {
            Some(entry) => entries.changed.push(Arc::clone(entry)),
            None => entries.gone.push(id),
        }
    }
    // An entry may bring a trust domain that the agent has not met, or met long ago.
    let mut concerned = touched.bundles;
    concerned.extend(
        entries
            .changed
            .iter()
            .flat_map(|entry| entry.federates_with.iter().cloned()),
    );
    let mut bundles = Delta::default();
    for trust_domain in concerned {
        match state.bundles.get(&trust_domain) {
            Some(bundle) => bundles.changed.push(Arc::clone(bundle)),
            None => bundles.gone.push(trust_domain),
        }
    }
    Step {
        entries,
        bundles,
        ..Step::default()
    }
}
