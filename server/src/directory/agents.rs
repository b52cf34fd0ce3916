//! The agents, and which node aliases each of them has: entries whose parent is the server and
//! whose selectors the agent all has give the agent that entry's SPIFFE ID as a further root.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use signet_identity::{
    SpiffeId,
    entry::Entry,
    selector::{Selector, Selectors},
};
use tokio::sync::watch;

use super::{
    entries::{self, ById, EntrySet},
    history::History,
};
use crate::store::{Agent, ChangeId};

/// All agents and alias entries.
#[derive(Debug, Default)]
pub(super) struct Agents {
    all: BTreeMap<SpiffeId, Known>,
    by_selector: HashMap<Selector, BTreeSet<SpiffeId>>,
    by_alias: HashMap<SpiffeId, BTreeSet<SpiffeId>>,
    /// Alias entries under one of their selectors: an agent which has them all has that one.
    aliases: HashMap<Selector, EntrySet>,
}

/// An agent, and what is kept for it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) agent: Arc<Agent>,
    pub(super) aliases: BTreeSet<SpiffeId>,
    pub(super) history: History,
    /// Woken when something that the agent sees has changed.
    pub(super) wake: watch::Sender<()>,
}

impl Agents {
    pub(super) fn get(&self, id: &SpiffeId) -> Option<&Known> {
        self.all.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &SpiffeId) -> Option<&mut Known> {
        self.all.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.all.values().map(|known| &known.agent)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &SpiffeId> {
        self.all.keys()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The agents that `id` names: the agent itself, or all that have it as an alias.
    pub(super) fn at<'a>(&'a self, id: &'a SpiffeId) -> impl Iterator<Item = &'a SpiffeId> {
        let itself = self.all.get_key_value(id).map(|(id, _)| id);
        itself
            .into_iter()
            .chain(self.by_alias.get(id).into_iter().flatten())
    }

    /// Takes note of what an agent is now; nothing if it is gone.
    pub(super) fn change(&mut self, id: &SpiffeId, new: Option<Agent>, at: ChangeId) {
        match new {
            Some(agent) => self.insert(agent, at),
            None => self.remove(id),
        }
    }

    /// Takes in a new agent, or a new state of a known one.
    fn insert(&mut self, agent: Agent, at: ChangeId) {
        let id = agent.id.clone();
        let agent = Arc::new(agent);
        let Some(known) = self.all.get_mut(&id) else {
            let known = Known {
                agent: Arc::clone(&agent),
                aliases: BTreeSet::new(),
                history: History::starting(at),
                wake: watch::Sender::new(()),
            };
            self.all.insert(id.clone(), known);
            self.index(&agent.selectors, &id);
            self.refresh_aliases(&id, at);
            return;
        };
        if *known.agent == *agent {
            return;
        }
        let before = std::mem::replace(&mut known.agent, Arc::clone(&agent));
        if before.banned != agent.banned {
            known.wake.send_replace(());
        }
        if before.selectors != agent.selectors {
            self.unindex(&before.selectors, &id);
            self.index(&agent.selectors, &id);
            self.refresh_aliases(&id, at);
        }
    }

    /// Forgets an agent; who follows it is told by the end of its channel.
    fn remove(&mut self, id: &SpiffeId) {
        let Some(known) = self.all.remove(id) else {
            return;
        };
        self.unindex(&known.agent.selectors, id);
        for alias in &known.aliases {
            drop_from(&mut self.by_alias, alias, id);
        }
    }

    /// Takes note of a changed alias entry, and gives or takes what it gives.
    pub(super) fn alias_changed(
        &mut self,
        old: Option<&Entry>,
        new: Option<&Arc<Entry>>,
        at: ChangeId,
    ) {
        let mut concerned = BTreeSet::new();
        if let Some(old) = old {
            concerned.extend(self.having(&old.selectors));
            if let Some(pivot) = old.selectors.iter().next() {
                entries::take(&mut self.aliases, pivot, &old.id);
            }
        }
        if let Some(new) = new {
            concerned.extend(self.having(&new.selectors));
            if let Some(pivot) = new.selectors.iter().next() {
                entries::add(&mut self.aliases, pivot, &ById(Arc::clone(new)));
            }
        }
        for agent in concerned {
            self.refresh_aliases(&agent, at);
        }
    }

    /// The agents that have all of these selectors.
    fn having(&self, selectors: &Selectors) -> Vec<SpiffeId> {
        let smallest = selectors
            .iter()
            .map(|selector| self.by_selector.get(selector))
            .min_by_key(|agents| agents.map_or(0, BTreeSet::len))
            .flatten();
        let has_all = |id: &&SpiffeId| {
            self.all
                .get(*id)
                .is_some_and(|known| selectors.is_subset_of(&known.agent.selectors))
        };
        smallest
            .into_iter()
            .flatten()
            .filter(has_all)
            .cloned()
            .collect()
    }

    fn refresh_aliases(&mut self, id: &SpiffeId, at: ChangeId) {
        let Some(known) = self.all.get_mut(id) else {
            return;
        };
        let selectors = &known.agent.selectors;
        let now: BTreeSet<SpiffeId> = selectors
            .iter()
            .filter_map(|selector| self.aliases.get(selector))
            .flatten()
            .filter(|alias| alias.0.selectors.is_subset_of(selectors))
            .map(|alias| alias.0.spiffe_id.clone())
            .collect();
        if now == known.aliases {
            return;
        }
        // A whole tree comes or goes: what the agent was told before is no base for a delta.
        known.history.forget(at);
        known.wake.send_replace(());
        let before = std::mem::replace(&mut known.aliases, now.clone());
        for alias in before.difference(&now) {
            drop_from(&mut self.by_alias, alias, id);
        }
        for alias in now.difference(&before) {
            self.by_alias
                .entry(alias.clone())
                .or_default()
                .insert(id.clone());
        }
    }

    fn index(&mut self, selectors: &Selectors, id: &SpiffeId) {
        for selector in selectors {
            self.by_selector
                .entry(selector.clone())
                .or_default()
                .insert(id.clone());
        }
    }

    fn unindex(&mut self, selectors: &Selectors, id: &SpiffeId) {
        for selector in selectors {
            drop_from(&mut self.by_selector, selector, id);
        }
    }
}

fn drop_from<K: std::hash::Hash + Eq>(
    index: &mut HashMap<K, BTreeSet<SpiffeId>>,
    key: &K,
    id: &SpiffeId,
) {
    if let Some(set) = index.get_mut(key) {
        set.remove(id);
        if set.is_empty() {
            index.remove(key);
        }
    }
}
