//! The whole state at one position of the change log, and how a change moves it on. A change
//! costs what it affects: the agents above the entry, and what stands below it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use signet_identity::{
    SpiffeId, TrustDomain,
    bundle::Bundle,
    entry::{Entry, EntryId},
};

use super::{
    agents::Agents,
    entries::{Descent, Entries},
    history::Touched,
};
use crate::store::{ChangeId, Changes};

#[derive(Debug)]
pub(super) struct State {
    pub(super) at: ChangeId,
    pub(super) entries: Entries,
    pub(super) agents: Agents,
    pub(super) bundles: BTreeMap<TrustDomain, Arc<Bundle>>,
    trust_domain: TrustDomain,
    /// The parent of node aliases.
    server_id: SpiffeId,
}

impl State {
    pub(super) fn new(trust_domain: TrustDomain, server_id: SpiffeId) -> Self {
        Self {
            at: ChangeId::default(),
            entries: Entries::default(),
            agents: Agents::default(),
            bundles: BTreeMap::new(),
            trust_domain,
            server_id,
        }
    }

    /// Moves on to `changes.upto`. True if a bundle changed.
    pub(super) fn apply(&mut self, changes: Changes) -> bool {
        let Changes {
            upto: at,
            extent,
            entries,
            agents,
            bundles,
        } = changes;
        // Bundles first: entries that drop a federation with a deleted bundle still show who saw
        // it.
        let mut bundles_changed = false;
        let bundles = bundles.against(extent, self.bundles.keys());
        for (trust_domain, bundle) in bundles.into_each() {
            bundles_changed |= self.change_bundle(&trust_domain, bundle, at);
        }
        let agents = agents.against(extent, self.agents.ids());
        for (id, agent) in agents.into_each() {
            self.agents.change(&id, agent, at);
        }
        let entries = entries.against(extent, self.entries.ids());
        for (id, entry) in entries.into_each() {
            self.change_entry(&id, entry.map(Arc::new).as_ref(), at);
        }
        self.at = at;
        bundles_changed
    }

    /// What the agent may see: all below its ID and below its aliases.
    pub(super) fn authorized(&self, agent: &SpiffeId) -> Vec<Arc<Entry>> {
        let Some(known) = self.agents.get(agent) else {
            return Vec::new();
        };
        let mut seen = Descent::default();
        self.entries.below(agent, &mut seen);
        for alias in &known.aliases {
            self.entries.below(alias, &mut seen);
        }
        seen.entries.into_iter().map(|entry| entry.0).collect()
    }

    /// The entry, if the agent may see it.
    pub(super) fn authorized_entry(&self, agent: &SpiffeId, id: &EntryId) -> Option<&Arc<Entry>> {
        let known = self.agents.get(agent)?;
        let entry = self.entries.get(id)?;
        let reached = |id: &SpiffeId| id == agent || known.aliases.contains(id);
        self.entries
            .above(&entry.parent_id, reached)
            .then_some(entry)
    }

    fn change_entry(&mut self, id: &EntryId, new: Option<&Arc<Entry>>, at: ChangeId) {
        let old = self.entries.get(id).cloned();
        if old.as_deref() == new.map(Arc::as_ref) {
            return;
        }
        let places = |entry: &Arc<Entry>| (entry.spiffe_id.clone(), entry.parent_id.clone());
        let moved = old.as_ref().map(places) != new.map(places);
        let mut touched = BTreeSet::from([id.clone()]);
        let mut agents = BTreeSet::new();
        if let Some(old) = &old {
            self.reach(old, moved, &mut agents, &mut touched);
        }
        match new {
            Some(new) => self.entries.insert(new),
            None => self.entries.remove(id),
        }
        if let Some(new) = new {
            self.reach(new, moved, &mut agents, &mut touched);
        }
        for agent in &agents {
            self.touch(agent, at, touched.iter().cloned().map(Touched::Entry));
        }
        let is_alias = |entry: &&Arc<Entry>| entry.parent_id == self.server_id;
        let (old, new) = (old.as_ref().filter(is_alias), new.filter(is_alias));
        if old.is_some() || new.is_some() {
            self.agents.alias_changed(old.map(Arc::as_ref), new, at);
        }
    }

    /// The agents that see `entry`, and what else they gain or lose with it if it moves.
    fn reach(
        &self,
        entry: &Entry,
        moved: bool,
        agents: &mut BTreeSet<SpiffeId>,
        touched: &mut BTreeSet<EntryId>,
    ) {
        let before = agents.len();
        self.agents_above(&entry.parent_id, agents);
        if moved && (agents.len() > before || before > 0) {
            let mut below = Descent::default();
            self.entries.below(&entry.spiffe_id, &mut below);
            touched.extend(below.entries.iter().map(|entry| entry.0.id.clone()));
        }
    }

    /// Answers whether anything changed.
    fn change_bundle(
        &mut self,
        trust_domain: &TrustDomain,
        new: Option<Bundle>,
        at: ChangeId,
    ) -> bool {
        if self.bundles.get(trust_domain).map(Arc::as_ref) == new.as_ref() {
            return false;
        }
        match new {
            Some(bundle) => self.bundles.insert(trust_domain.clone(), Arc::new(bundle)),
            None => self.bundles.remove(trust_domain),
        };
        let mut agents = BTreeSet::new();
        if *trust_domain == self.trust_domain {
            agents.extend(self.agents.ids().cloned());
        }
        for entry in self.entries.federating_with(trust_domain) {
            self.agents_above(&entry.parent_id, &mut agents);
        }
        for agent in agents {
            self.touch(&agent, at, [Touched::Bundle(trust_domain.clone())]);
        }
        true
    }

    /// The agents from which `parent` is reached.
    fn agents_above(&self, parent: &SpiffeId, agents: &mut BTreeSet<SpiffeId>) {
        self.entries.above(parent, |id| {
            agents.extend(self.agents.at(id).cloned());
            false
        });
    }

    fn touch(
        &mut self,
        agent: &SpiffeId,
        at: ChangeId,
        touched: impl IntoIterator<Item = Touched>,
    ) {
        let Some(known) = self.agents.get_mut(agent) else {
            return;
        };
        for touched in touched {
            known.history.push(at, touched);
        }
        known.wake.send_replace(());
    }
}
