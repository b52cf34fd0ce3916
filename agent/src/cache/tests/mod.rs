//! What the cache tells whom, step by step; `model` puts it through any history.

mod model;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use signet_identity::{
    TrustDomain,
    bundle::{Bundle, JwtAuthority},
    entry::Entry,
    selector::Selectors,
};
use zeroize::Zeroizing;

use super::{Bundles, Change, WorkloadIdentity, WorkloadUpdate, state::State};
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

fn state(x509_svids: usize) -> State {
    let bundles = Arc::new(Bundles::new(&bundle("example.org", 0)));
    State::new(bundles, x509_svids)
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

/// The entries with an SVID.
fn signed_ids(state: &State) -> BTreeSet<String> {
    let identities = state.identities();
    identities
        .iter()
        .map(|identity| identity.entry.id.to_string())
        .collect()
}

#[test]
fn above_the_limit_what_was_followed_the_longest_ago_is_let_go_first() {
    let mut state = state(2);
    let entries = ["a", "b", "c", "d"].iter().zip(ALL);
    state.apply(put(entries.map(|(id, selector)| entry(id, &[selector]))));
    settle(&mut state, at(10));
    // Prefetched are a and b.
    let follow = |state: &mut State, mask: u8| {
        let (group, _updates) = state.subscribe(&selectors(mask));
        settle(state, at(11));
        state.unsubscribe(group);
    };
    follow(&mut state, 0b0100);
    assert!(state.crowded());
    assert_eq!(state.evict(), 1);
    assert_eq!(signed_ids(&state), ["b", "c"].map(str::to_owned).into());
    follow(&mut state, 0b0100);
    follow(&mut state, 0b1000);
    follow(&mut state, 0b0001);
    assert_eq!(state.evict(), 2);
    assert_eq!(signed_ids(&state), ["a", "d"].map(str::to_owned).into());
    assert!(!state.crowded());
    // Neither are those that were let go signed again before somebody asks.
    settle(&mut state, at(200));
    assert_eq!(signed_ids(&state), ["a", "d"].map(str::to_owned).into());
}

#[test]
fn what_a_workload_follows_is_held_beyond_the_limit() {
    let mut state = state(1);
    state.apply(put(["a", "b", "c"].map(|id| entry(id, &ALL[..1]))));
    let (group, updates) = state.subscribe(&selectors(1));
    settle(&mut state, at(10));
    assert!(!state.crowded());
    assert_eq!(state.evict(), 0);
    assert_eq!(ids(&updates.borrow()), ["a", "b", "c"]);
    state.unsubscribe(group);
    assert!(state.crowded());
    assert_eq!(state.evict(), 2);
    assert_eq!(state.identities().len(), 1);
}

#[test]
fn more_svids_than_the_limit_are_restored_and_served_until_the_server_is_heard() {
    let mut state = state(1);
    state.apply(put(["a", "b"].map(|id| entry(id, &ALL[..1]))));
    let entries = state.known();
    state.install(entries.iter().map(|entry| signed(entry, at(10))).collect());
    let (_group, updates) = state.subscribe(&selectors(1));
    assert_eq!(ids(&updates.borrow()), ["a", "b"]);
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
