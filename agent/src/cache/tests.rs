//! The cache against a plain model of it, through any history.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use signet_identity::{
    TrustDomain,
    bundle::{Bundle, JwtAuthority},
    entry::{Entry, EntryId},
    selector::Selectors,
};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::{
    Bundles, Change, WorkloadIdentity, WorkloadUpdate,
    state::{GroupId, State},
};
use crate::testing::{at, entry};

const ALL: [&str; 4] = ["unix:uid:1", "unix:gid:2", "unix:user:x", "unix:path:/y"];

/// The selectors whose bits are set.
fn some(mask: u8) -> Vec<&'static str> {
    let set = |(i, selector): (usize, &&'static str)| (mask >> i & 1 == 1).then_some(*selector);
    ALL.iter().enumerate().filter_map(set).collect()
}

fn selectors(mask: u8) -> Selectors {
    some(mask).iter().map(|s| s.parse().unwrap()).collect()
}

fn bundle(trust_domain: &str, sequence: u64) -> Bundle {
    let mut bundle = Bundle::empty(TrustDomain::new(trust_domain).unwrap());
    bundle.sequence = sequence;
    bundle.jwt_authorities.push(JwtAuthority {
        key_id: format!("key-{sequence}"),
        spki_der: P256_SPKI.to_vec(),
        expires_at: None,
        tainted: false,
    });
    bundle
}

/// An SVID whose "certificate" is the SPIFFE ID and DNS names that it was signed for.
fn signed(entry: &Arc<Entry>, now: SystemTime) -> WorkloadIdentity {
    WorkloadIdentity {
        entry: Arc::clone(entry),
        chain: Vec::new(),
        chain_der: certificate(entry).into(),
        key_der: Arc::new(Zeroizing::new(Vec::new())),
        not_before: now,
        not_after: now + Duration::from_secs(100),
        renew_at: now + Duration::from_secs(50),
        issuer_key_id: None,
    }
}

fn certificate(entry: &Entry) -> String {
    format!("{} {:?}", entry.spiffe_id, entry.dns_names)
}

fn state(prefetch: usize) -> State {
    State::new(Arc::new(Bundles::new(&bundle("example.org", 0))), prefetch)
}

fn put(entries: impl IntoIterator<Item = Entry>) -> Change {
    Change {
        entries: entries.into_iter().collect(),
        ..Change::default()
    }
}

/// Signs until nothing is due.
fn settle(state: &mut State, now: SystemTime) {
    loop {
        let due = state.due(now, 2).entries;
        if due.is_empty() {
            return;
        }
        state.install(due.iter().map(|entry| signed(entry, now)).collect());
    }
}

fn ids(update: &WorkloadUpdate) -> Vec<&str> {
    let identities = update.identities.iter();
    identities
        .map(|identity| identity.entry.id.as_str())
        .collect()
}

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
            Event::Unsubscribe(index) => {
                if !self.subscribers.is_empty() {
                    let index = index.index(self.subscribers.len());
                    let gone = self.subscribers.swap_remove(index);
                    self.state.unsubscribe(gone.group);
                }
            }
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
        prefetch in 0..5_usize,
        events in prop::collection::vec(event(), 0..40),
    ) {
        let mut pair = Pair {
            state: state(prefetch),
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

#[test]
fn a_hint_is_told_without_a_new_certificate() {
    let mut state = state(10);
    state.apply(put([entry("a", &ALL[..1])]));
    settle(&mut state, at(10));
    let (_, receiver) = state.subscribe(&selectors(1));
    let mut changed = entry("a", &ALL[..1]);
    changed.hint = "internal".to_owned();
    changed.revision = 1;
    state.apply(put([changed]));
    let update = Arc::clone(&receiver.borrow());
    assert_eq!(update.identities[0].entry.hint, "internal");
    assert!(state.due(at(11), 10).entries.is_empty());
}

#[test]
fn a_dns_name_is_signed_anew_and_the_old_svid_serves_meanwhile() {
    let mut state = state(10);
    state.apply(put([entry("a", &ALL[..1])]));
    settle(&mut state, at(10));
    let (_, receiver) = state.subscribe(&selectors(1));
    let mut changed = entry("a", &ALL[..1]);
    changed.dns_names = vec!["host.test".to_owned()];
    state.apply(put([changed]));
    assert_eq!(ids(&receiver.borrow()), ["a"]);
    assert_eq!(state.due(at(11), 10).entries.len(), 1);
}

#[test]
fn another_spiffe_id_withdraws_the_old_svid_at_once() {
    let mut state = state(10);
    state.apply(put([entry("a", &ALL[..1])]));
    settle(&mut state, at(10));
    let (_, receiver) = state.subscribe(&selectors(1));
    let mut changed = entry("a", &ALL[..1]);
    changed.spiffe_id = "spiffe://example.org/other".parse().unwrap();
    state.apply(put([changed]));
    assert!(receiver.borrow().identities.is_empty());
}

#[test]
fn an_svid_that_was_signed_for_an_entry_that_changed_meanwhile_is_not_used() {
    let mut state = state(10);
    state.apply(put([entry("a", &ALL[..1])]));
    let due = state.due(at(10), 10).entries;
    let mut changed = entry("a", &ALL[..1]);
    changed.spiffe_id = "spiffe://example.org/other".parse().unwrap();
    state.apply(put([changed]));
    state.install(vec![signed(&due[0], at(10))]);
    assert_eq!(state.due(at(10), 10).entries.len(), 1);
}

#[test]
fn what_a_workload_waits_for_is_signed_before_what_is_prefetched() {
    let mut state = state(10);
    state.apply(put([entry("a", &ALL[..1]), entry("b", &ALL[1..2])]));
    let (_, _receiver) = state.subscribe(&selectors(2));
    let due = state.due(at(10), 1).entries;
    assert_eq!(due[0].id.as_str(), "b");
}

#[test]
fn prefetching_stops_at_the_limit_and_goes_on_when_there_is_room() {
    let mut state = state(1);
    state.apply(put([entry("a", &ALL[..1]), entry("b", &ALL[1..2])]));
    assert_eq!(state.due(at(10), 10).entries.len(), 1);
    settle(&mut state, at(10));
    state.apply(Change {
        removed_entries: vec!["a".parse().unwrap()],
        ..Change::default()
    });
    assert_eq!(state.due(at(10), 10).entries[0].id.as_str(), "b");
}

#[test]
fn a_change_of_a_federated_bundle_concerns_only_those_who_may_see_it() {
    let mut state = state(10);
    let mut federating = entry("a", &ALL[..1]);
    federating.federates_with = vec![TrustDomain::new("other.test").unwrap()];
    state.apply(put([federating, entry("b", &ALL[1..2])]));
    let (_, federated) = state.subscribe(&selectors(1));
    let (_, alone) = state.subscribe(&selectors(2));
    state.apply(Change {
        bundles: vec![bundle("other.test", 1)],
        ..Change::default()
    });
    assert!(federated.has_changed().unwrap());
    assert!(!alone.has_changed().unwrap());
}

#[test]
fn an_expired_entry_withdraws_its_svid() {
    let mut state = state(10);
    let mut ending = entry("a", &ALL[..1]);
    ending.expires_at = Some(at(20));
    state.apply(put([ending]));
    let (_, receiver) = state.subscribe(&selectors(1));
    settle(&mut state, at(10));
    assert_eq!(ids(&receiver.borrow()), ["a"]);
    assert_eq!(state.due(at(11), 10).next, Some(at(20)));
    state.due(at(20), 0);
    assert!(receiver.borrow().identities.is_empty());
    assert!(receiver.borrow().entries.is_empty());
}

#[test]
fn nothing_is_signed_for_an_expired_entry_until_its_end_is_moved() {
    let mut state = state(1);
    let mut ending = entry("a", &ALL[..1]);
    ending.expires_at = Some(at(20));
    state.apply(put([ending.clone(), entry("b", &ALL[1..2])]));
    let (_, receiver) = state.subscribe(&selectors(1));
    let due = state.due(at(19), 10).entries;
    let due: Vec<_> = due.iter().filter(|due| due.id.as_str() == "a").collect();
    // What was asked for in time may arrive too late.
    let late = signed(due[0], at(19));
    assert_eq!(state.due(at(20), 10).entries[0].id.as_str(), "b");
    state.install(vec![late]);
    settle(&mut state, at(21));
    assert!(receiver.borrow().identities.is_empty());
    let known = state.known();
    assert!(known.iter().any(|entry| entry.id.as_str() == "a"));
    ending.expires_at = Some(at(90));
    state.apply(put([ending]));
    settle(&mut state, at(22));
    assert_eq!(ids(&receiver.borrow()), ["a"]);
}

#[test]
fn the_last_subscriber_takes_its_group_along() {
    let mut state = state(0);
    state.apply(put([entry("a", &ALL[..1])]));
    let (first, _one) = state.subscribe(&selectors(1));
    let (second, _two) = state.subscribe(&selectors(1));
    assert_eq!(first, second);
    state.unsubscribe(first);
    assert_eq!(state.due(at(10), 10).entries.len(), 1);
    state.unsubscribe(second);
    assert!(state.due(at(10), 10).entries.is_empty());
}

/// A P-256 key, `SubjectPublicKeyInfo`.
const P256_SPKI: [u8; 91] = {
    let mut spki = [7_u8; 91];
    let prefix = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    let mut i = 0;
    while i < prefix.len() {
        spki[i] = prefix[i];
        i += 1;
    }
    spki
};
