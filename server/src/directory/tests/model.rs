//! Whatever happens, in whatever order: an agent that only ever applies deltas holds what a
//! naive reading of all entries gives it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use proptest::prelude::*;
use signet_identity::{
    SpiffeId, TrustDomain,
    bundle::Bundle,
    entry::{Entry, EntryId},
};

use super::super::{
    Directory, Step,
    testing::{agent, entry, id, selectors, trust_domain},
};
use crate::store::{Agent, ChangeId, Changes, Delta, Extent, testing::followed};

#[derive(Debug, Clone)]
enum Change {
    Entry {
        name: usize,
        spiffe_id: usize,
        parent: usize,
        selectors: usize,
        partner: Option<usize>,
    },
    NoEntry(usize),
    Agent {
        name: usize,
        selectors: usize,
    },
    NoAgent(usize),
    Bundle {
        name: usize,
        sequence: u64,
    },
    NoBundle(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let partner = prop::option::of(0..2_usize);
    let new_entry = (0..6_usize, 0..4_usize, 0..7_usize, 0..4_usize, partner);
    prop_oneof![
        6 => new_entry.prop_map(|(name, spiffe_id, parent, selectors, partner)| {
            Change::Entry { name, spiffe_id, parent, selectors, partner }
        }),
        3 => (0..6_usize).prop_map(Change::NoEntry),
        2 => (0..2_usize, 0..4_usize).prop_map(|(name, selectors)| Change::Agent { name, selectors }),
        1 => (0..2_usize).prop_map(Change::NoAgent),
        2 => (0..3_usize, 0..3_u64).prop_map(|(name, sequence)| Change::Bundle { name, sequence }),
        1 => (0..3_usize).prop_map(Change::NoBundle),
    ]
}

const AGENTS: [&str; 2] = ["/spire/agent/0", "/spire/agent/1"];
const PATHS: [&str; 4] = ["/w0", "/w1", "/w2", "/w3"];
const PARENTS: [&str; 7] = [
    "/w0",
    "/w1",
    "/w2",
    "/w3",
    "/spire/agent/0",
    "/spire/agent/1",
    "/spire/server",
];
const SELECTORS: [&[&str]; 4] = [&["t:a"], &["t:b"], &["t:a", "t:b"], &["t:a", "t:c"]];
const DOMAINS: [&str; 3] = ["partner0.org", "partner1.org", "example.org"];

/// The state as plain maps.
#[derive(Debug, Default, Clone)]
struct Model {
    entries: BTreeMap<EntryId, Entry>,
    agents: BTreeMap<SpiffeId, Agent>,
    bundles: BTreeMap<TrustDomain, Bundle>,
}

impl Model {
    fn apply(&mut self, change: &Change) {
        let name = |n: &usize| format!("e{n}").parse::<EntryId>().expect("entry id");
        let domain = |n: &usize| TrustDomain::new(DOMAINS[*n]).expect("trust domain");
        match change {
            Change::Entry {
                name: n,
                spiffe_id,
                parent,
                selectors: s,
                partner,
            } => {
                let new = Entry {
                    selectors: selectors(SELECTORS[*s]),
                    federates_with: partner.iter().map(domain).collect(),
                    ..entry(&format!("e{n}"), PARENTS[*parent], PATHS[*spiffe_id])
                };
                self.entries.insert(name(n), new);
            }
            Change::NoEntry(n) => drop(self.entries.remove(&name(n))),
            Change::Agent { name, selectors } => {
                let new = agent(AGENTS[*name], SELECTORS[*selectors]);
                self.agents.insert(new.id.clone(), new);
            }
            Change::NoAgent(n) => drop(self.agents.remove(&id(AGENTS[*n]))),
            Change::Bundle { name, sequence } => {
                let new = Bundle {
                    sequence: *sequence,
                    ..Bundle::empty(domain(name))
                };
                self.bundles.insert(domain(name), new);
            }
            Change::NoBundle(n) => drop(self.bundles.remove(&domain(n))),
        }
    }

    fn authorized(&self, agent: &Agent) -> BTreeMap<EntryId, Entry> {
        let mut roots = BTreeSet::from([agent.id.clone()]);
        for entry in self.entries.values() {
            if entry.parent_id == id("/spire/server")
                && entry.selectors.is_subset_of(&agent.selectors)
            {
                roots.insert(entry.spiffe_id.clone());
            }
        }
        let mut found = BTreeMap::new();
        loop {
            let before = found.len();
            for entry in self
                .entries
                .values()
                .filter(|entry| roots.contains(&entry.parent_id))
            {
                found.insert(entry.id.clone(), entry.clone());
            }
            roots.extend(found.values().map(|entry| entry.spiffe_id.clone()));
            if found.len() == before {
                return found;
            }
        }
    }
}

/// What the log would say on the way from one model to the next.
fn between(before: &Model, after: &Model, upto: i64) -> Changes {
    fn delta<K: Ord + Clone, V: Clone>(
        before: &BTreeMap<K, V>,
        after: &BTreeMap<K, V>,
    ) -> Delta<K, V> {
        let gone = before.keys().filter(|key| !after.contains_key(key));
        Delta {
            changed: after.values().cloned().collect(),
            gone: gone.cloned().collect(),
        }
    }
    Changes {
        upto: ChangeId(upto),
        extent: Extent::Part,
        entries: delta(&before.entries, &after.entries),
        agents: delta(&before.agents, &after.agents),
        bundles: delta(&before.bundles, &after.bundles),
    }
}

/// What an agent holds that applies steps.
#[derive(Debug, Default)]
struct View {
    position: Option<ChangeId>,
    entries: BTreeMap<EntryId, Entry>,
    bundles: BTreeMap<TrustDomain, Bundle>,
}

impl View {
    fn apply(&mut self, step: Step, position: ChangeId) {
        if step.reset {
            *self = Self::default();
        }
        self.position = Some(position);
        for entry in step.entries.changed {
            self.entries
                .insert(entry.id.clone(), Arc::unwrap_or_clone(entry));
        }
        for id in step.entries.gone {
            self.entries.remove(&id);
        }
        for bundle in step.bundles.changed {
            self.bundles
                .insert(bundle.trust_domain.clone(), Arc::unwrap_or_clone(bundle));
        }
        for trust_domain in step.bundles.gone {
            self.bundles.remove(&trust_domain);
        }
    }

    fn check(&self, model: &Model, agent: &Agent) -> Result<(), TestCaseError> {
        prop_assert_eq!(&self.entries, &model.authorized(agent));
        let needed = self
            .entries
            .values()
            .flat_map(|entry| &entry.federates_with);
        let own = trust_domain();
        for needed in needed.chain([&own]) {
            prop_assert_eq!(
                self.bundles.get(needed),
                model.bundles.get(needed),
                "{}",
                needed
            );
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn deltas_lead_to_the_same_state_as_reading_everything(
        batches in prop::collection::vec((prop::collection::vec(change(), 1..4), any::<[bool; 2]>()), 1..40)
    ) {
        let directory = Directory::empty(followed(), trust_domain()).expect("directory");
        let mut model = Model::default();
        let mut views = [View::default(), View::default()];
        for (n, (batch, looks)) in (1_i64..).zip(batches) {
            let before = model.clone();
            batch.iter().for_each(|change| model.apply(change));
            directory.apply(between(&before, &model, n));
            for ((path, view), looks) in AGENTS.iter().zip(&mut views).zip(looks) {
                let Some(agent) = model.agents.get(&id(path)) else {
                    prop_assert!(directory.step(&id(path), view.position).is_none());
                    continue;
                };
                let authorized = directory.authorized_entries(&agent.id, SystemTime::UNIX_EPOCH);
                let authorized: BTreeMap<_, _> =
                    authorized.iter().map(|entry| (entry.id.clone(), Entry::clone(entry))).collect();
                prop_assert_eq!(&authorized, &model.authorized(agent));
                // Not every change is looked at: steps bridge several.
                if looks {
                    let (step, at) = directory.step(&agent.id, view.position).expect("an agent");
                    view.apply(step, at);
                    view.check(&model, agent)?;
                }
            }
        }
    }
}
