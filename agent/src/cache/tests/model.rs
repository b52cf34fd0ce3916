//! The cache against a plain model of it, through any history.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use signet_identity::{
    TrustDomain,
    entry::{Entry, EntryId},
};
use tokio::sync::watch;

use super::{
    super::{
        Change, WorkloadUpdate,
        state::{GroupId, State},
    },
    bundle, certificate, put, selectors, settle, signed, some, state,
};
use crate::testing::{at, entry};

#[derive(Clone, Debug)]
enum Event {
    Put(Vec<Draft>),
    Remove(u8),
    Reset(Vec<Draft>),
    Bundle { federated: bool, sequence: u64 },
    Subscribe(u8),
    Unsubscribe(prop::sample::Index),
    SignSome(usize),
    SignAll,
    Fail(usize),
    Evict,
    Pass(u64),
}

#[derive(Clone, Debug)]
struct Draft {
    id: u8,
    mask: u8,
    name: u8,
    dns_names: Vec<String>,
    hint: String,
    on_demand: bool,
    store: bool,
    federates: bool,
}

impl Draft {
    fn entry(&self) -> Entry {
        let mut entry = entry(&format!("e{}", self.id), &some(self.mask));
        entry.spiffe_id = format!("spiffe://example.org/{}", self.name)
            .parse()
            .unwrap();
        entry.dns_names.clone_from(&self.dns_names);
        entry.hint.clone_from(&self.hint);
        entry.attributes.disable_x509_svid_prefetch = self.on_demand;
        entry.store_svid = self.store;
        let other = TrustDomain::new("other.test").unwrap();
        entry.federates_with = self.federates.then_some(other).into_iter().collect();
        entry
    }
}

fn draft() -> impl Strategy<Value = Draft> {
    let dns_names = prop::collection::vec(Just("host.test".to_owned()), 0..2);
    let texts = (dns_names, prop_oneof![Just(""), Just("hint")]);
    let flags = (any::<bool>(), 0..8_u8, any::<bool>());
    (0..6_u8, 0..16_u8, 0..3_u8, texts, flags).prop_map(|(id, mask, name, texts, flags)| Draft {
        id,
        mask,
        name,
        dns_names: texts.0,
        hint: texts.1.to_owned(),
        on_demand: flags.0,
        store: flags.1 == 0,
        federates: flags.2,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let drafts = || prop::collection::vec(draft(), 0..4);
    prop_oneof![
        4 => drafts().prop_map(Event::Put),
        2 => (0..6_u8).prop_map(Event::Remove),
        1 => drafts().prop_map(Event::Reset),
        1 => (any::<bool>(), 0..3_u64)
            .prop_map(|(federated, sequence)| Event::Bundle { federated, sequence }),
        3 => (0..16_u8).prop_map(Event::Subscribe),
        2 => any::<prop::sample::Index>().prop_map(Event::Unsubscribe),
        2 => (1..4_usize).prop_map(Event::SignSome),
        2 => Just(Event::SignAll),
        1 => (1..4_usize).prop_map(Event::Fail),
        2 => Just(Event::Evict),
        3 => (0..80_u64).prop_map(Event::Pass),
    ]
}

struct Subscriber {
    mask: u8,
    group: GroupId,
    receiver: watch::Receiver<Arc<WorkloadUpdate>>,
    seen: Arc<WorkloadUpdate>,
}

/// The cache, and beside it what it should hold.
struct Pair {
    state: State,
    limit: usize,
    entries: BTreeMap<EntryId, Entry>,
    subscribers: Vec<Subscriber>,
    now: SystemTime,
}

impl Pair {
    fn apply(&mut self, event: Event) {
        match event {
            Event::Put(drafts) => {
                let change = self.put(&drafts);
                self.state.apply(change);
            }
            Event::Remove(id) => {
                let id: EntryId = format!("e{id}").parse().unwrap();
                self.entries.remove(&id);
                self.state.apply(Change {
                    removed_entries: vec![id],
                    ..Change::default()
                });
            }
            Event::Reset(drafts) => {
                self.entries.clear();
                let change = Change {
                    reset: true,
                    ..self.put(&drafts)
                };
                self.state.apply(change);
            }
            Event::Bundle {
                federated,
                sequence,
            } => {
                let name = if federated {
                    "other.test"
                } else {
                    "example.org"
                };
                self.state.apply(Change {
                    bundles: vec![bundle(name, sequence)],
                    ..Change::default()
                });
            }
            Event::Subscribe(mask) => self.subscribe(mask),
            Event::Unsubscribe(index) => self.unsubscribe(index),
            Event::Evict => self.evict(),
            Event::SignSome(n) => {
                let due = self.state.due(self.now, n).entries;
                let signed = due.iter().map(|entry| signed(entry, self.now));
                self.state.install(signed.collect());
            }
            Event::SignAll => settle(&mut self.state, self.now),
            Event::Fail(n) => {
                let due = self.state.due(self.now, n).entries;
                let failed: Vec<_> = due.iter().map(|entry| entry.id.clone()).collect();
                self.state.postpone(&failed, self.now);
            }
            Event::Pass(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.state.due(self.now, 0);
            }
        }
    }

    fn unsubscribe(&mut self, index: prop::sample::Index) {
        if !self.subscribers.is_empty() {
            let index = index.index(self.subscribers.len());
            let gone = self.subscribers.swap_remove(index);
            self.state.unsubscribe(gone.group);
        }
    }

    fn evict(&mut self) {
        self.state.evict();
        let limit = self.limit.max(self.followed());
        assert!(
            self.state.identities().len() <= limit,
            "more than may be held"
        );
    }

    /// How many entries some workload follows.
    fn followed(&self) -> usize {
        let subscribers = self.subscribers.iter();
        let followed: BTreeSet<_> = subscribers
            .flat_map(|subscriber| &subscriber.seen.entries)
            .map(|entry| &entry.id)
            .collect();
        followed.len()
    }

    fn put(&mut self, drafts: &[Draft]) -> Change {
        let entries: Vec<_> = drafts.iter().map(Draft::entry).collect();
        let named = entries.iter().map(|e| (e.id.clone(), e.clone()));
        self.entries.extend(named);
        put(entries)
    }

    fn subscribe(&mut self, mask: u8) {
        let (group, mut receiver) = self.state.subscribe(&selectors(mask));
        let seen = Arc::clone(&receiver.borrow_and_update());
        self.subscribers.push(Subscriber {
            mask,
            group,
            receiver,
            seen,
        });
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        for subscriber in &mut self.subscribers {
            if subscriber.receiver.has_changed().unwrap() {
                let next = Arc::clone(&subscriber.receiver.borrow_and_update());
                prop_assert!(
                    !same(&subscriber.seen, &next),
                    "announced, but nothing changed"
                );
                subscriber.seen = next;
            }
            let have = selectors(subscriber.mask);
            let expected: Vec<&Entry> = self
                .entries
                .values()
                .filter(|entry| !entry.store_svid && !entry.selectors.is_empty())
                .filter(|entry| entry.selectors.is_subset_of(&have))
                .collect();
            let got: Vec<&Entry> = subscriber.seen.entries.iter().map(Arc::as_ref).collect();
            prop_assert_eq!(got, expected);
            for identity in &subscriber.seen.identities {
                let entry = &self.entries[&identity.entry.id];
                prop_assert_eq!(&*identity.entry, entry, "an SVID under an old entry");
                let name = entry.spiffe_id.to_string();
                let signed_for = std::str::from_utf8(&identity.chain_der).unwrap();
                prop_assert!(
                    signed_for.starts_with(&format!("{name} ")),
                    "another's SVID"
                );
                prop_assert!(identity.not_after > self.now, "an expired SVID");
            }
        }
        Ok(())
    }

    /// Once all pauses are over and everything is signed, everyone has all there is.
    fn check_complete(&mut self) -> Result<(), TestCaseError> {
        self.now += Duration::from_secs(64);
        settle(&mut self.state, self.now);
        self.check()?;
        for subscriber in &self.subscribers {
            prop_assert_eq!(
                subscriber.seen.identities.len(),
                subscriber.seen.entries.len()
            );
            for identity in &subscriber.seen.identities {
                prop_assert_eq!(
                    std::str::from_utf8(&identity.chain_der).unwrap(),
                    certificate(&identity.entry)
                );
                prop_assert!(identity.renew_at > self.now);
            }
        }
        Ok(())
    }
}

fn same(a: &WorkloadUpdate, b: &WorkloadUpdate) -> bool {
    let pointers = |update: &WorkloadUpdate| {
        let entries: Vec<_> = update.entries.iter().map(Arc::as_ptr).collect();
        let identities: Vec<_> = update.identities.iter().map(Arc::as_ptr).collect();
        (entries, identities, Arc::as_ptr(&update.bundles))
    };
    pointers(a) == pointers(b)
}

proptest! {
    #[test]
    fn every_subscriber_always_sees_exactly_what_it_is_entitled_to(
        limit in 0..5_usize,
        events in prop::collection::vec(event(), 0..40),
    ) {
        let mut pair = Pair {
            state: state(limit),
            limit,
            entries: BTreeMap::new(),
            subscribers: Vec::new(),
            now: at(1_000_000),
        };
        for event in events {
            pair.apply(event);
            pair.check()?;
        }
        pair.check_complete()?;
    }
}
