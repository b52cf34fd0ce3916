//! Entries and the bundles that they need.

use std::time::Duration;

use futures_util::future::join_all;
use signet_identity::{
    TrustDomain,
    entry::{Attributes, Entry, Rights},
};

use super::{bundle, create};
use crate::{
    directory::testing::{entry, id, now, selectors},
    store::{CreateEntry, DeleteBundle, DeleteMode, UpdateEntry, testing::TestStore},
};

fn federated(name: &str) -> Entry {
    let partner = TrustDomain::new("partner.org").expect("trust domain");
    Entry {
        federates_with: vec![partner],
        ..entry(name, "/spire/agent/x", "/w")
    }
}

#[tokio::test]
async fn an_entry_reads_back_with_every_field() {
    let test = TestStore::new().await;
    test.store
        .set_bundle(bundle("partner.org", 1))
        .await
        .expect("store a bundle");
    let full = Entry {
        selectors: selectors(&["unix:uid:0", "k8s:label:a:\"b\"\n", "unix:gid:0"]),
        x509_svid_ttl: Some(Duration::from_secs(60)),
        jwt_svid_ttl: Some(Duration::from_secs(30)),
        rights: Rights {
            admin: true,
            downstream: true,
        },
        store_svid: true,
        attributes: Attributes {
            disable_x509_svid_prefetch: true,
            jwt_svid_include_jti: true,
        },
        dns_names: vec!["b.example".to_owned(), "a.example".to_owned()],
        hint: "h'\u{fc}".to_owned(),
        expires_at: Some(now()),
        revision: 7,
        ..federated("full")
    };
    assert_eq!(
        create(&test.store, full.clone()).await,
        CreateEntry::Created
    );
    let plain = entry("plain", "/spire/agent/x", "/other");
    assert_eq!(
        create(&test.store, plain.clone()).await,
        CreateEntry::Created
    );
    let reopened = TestStore::in_directory(test.close().await).await;
    let snapshot = reopened.store.snapshot().await.expect("read everything");
    assert_eq!(snapshot.entries, [full, plain]);
}

#[tokio::test]
async fn of_many_similar_entries_at_once_one_is_created() {
    let test = TestStore::new().await;
    let same = |n: usize| Entry {
        selectors: selectors(&["unix:uid:0", "unix:gid:0"]),
        ..entry(&format!("e{n}"), "/spire/agent/x", "/w")
    };
    let outcomes = join_all((0..50).map(|n| create(&test.store, same(n)))).await;
    let created = outcomes
        .iter()
        .filter(|outcome| **outcome == CreateEntry::Created)
        .count();
    assert_eq!(created, 1);
    for outcome in outcomes {
        match &outcome {
            CreateEntry::Created => {}
            CreateEntry::Similar(similar) => assert_eq!(**similar, same(0)),
            CreateEntry::IdTaken | CreateEntry::NoBundle(_) => panic!("{outcome:?}"),
        }
    }
}

#[tokio::test]
async fn each_entry_of_a_batch_has_its_own_answer() {
    let test = TestStore::new().await;
    create(&test.store, entry("old", "/spire/agent/x", "/w")).await;
    let like = |name: &str, other: &str| Entry {
        id: name.parse().expect("entry id"),
        ..entry(other, "/spire/agent/x", "/w")
    };
    let batch = vec![
        like("twice", "old"),
        like("twice", "new"),
        like("twice", "new"),
        like("again", "new"),
        like("old", "other"),
        federated("lonely"),
        Entry {
            hint: "\0'\u{fc}".to_owned(),
            ..entry("last", "/spire/agent/x", "/w")
        },
    ];
    let written = test
        .store
        .create_entries(batch.clone())
        .await
        .expect("create")
        .opened();
    let similar = |entry: Entry| CreateEntry::Similar(Box::new(entry));
    let partner = TrustDomain::new("partner.org").expect("trust domain");
    let expected = [
        similar(entry("old", "/spire/agent/x", "/w")),
        CreateEntry::Created,
        similar(batch[1].clone()),
        similar(batch[1].clone()),
        CreateEntry::IdTaken,
        CreateEntry::NoBundle(partner),
        CreateEntry::Created,
    ];
    assert_eq!(written.value, expected);
    let snapshot = test.store.snapshot().await.expect("read everything");
    assert_eq!(snapshot.at, written.change);
    let stored: Vec<_> = snapshot
        .entries
        .iter()
        .map(|entry| entry.id.as_str())
        .collect();
    assert_eq!(stored, ["last", "old", "twice"]);
    assert_eq!(snapshot.entries[0], batch[6]);
}

#[tokio::test]
async fn a_batch_larger_than_a_statement_is_stored_whole() {
    let test = TestStore::new().await;
    let many: Vec<_> = (0..601)
        .map(|n| entry(&format!("e{n:03}"), "/spire/agent/x", "/w"))
        .collect();
    let written = test
        .store
        .create_entries(many.clone())
        .await
        .expect("create")
        .opened();
    assert!(
        written
            .value
            .iter()
            .all(|outcome| *outcome == CreateEntry::Created)
    );
    assert_eq!(
        test.store
            .snapshot()
            .await
            .expect("read everything")
            .entries,
        many
    );
    let ids: Vec<_> = many.into_iter().map(|entry| entry.id).collect();
    let mut twice = ids.clone();
    twice.extend(ids);
    let gone = test
        .store
        .delete_entries(twice)
        .await
        .expect("delete")
        .opened();
    let (first, second) = gone.value.split_at(601);
    assert!(first.iter().all(|gone| *gone) && second.iter().all(|gone| !gone));
    let changes = test
        .store
        .changes_since(written.change)
        .await
        .expect("read the log");
    let changes = changes.expect("within reach");
    assert_eq!(
        (changes.upto, changes.entries.gone.len()),
        (gone.change, 601)
    );
}

#[tokio::test]
async fn an_id_is_given_once() {
    let test = TestStore::new().await;
    assert_eq!(
        create(&test.store, entry("a", "/spire/agent/x", "/w")).await,
        CreateEntry::Created
    );
    assert_eq!(
        create(&test.store, entry("a", "/spire/agent/x", "/v")).await,
        CreateEntry::IdTaken
    );
}

#[tokio::test]
async fn the_very_same_entry_with_the_same_id_is_similar_to_itself() {
    let test = TestStore::new().await;
    let same = || entry("a", "/spire/agent/x", "/w");
    assert_eq!(create(&test.store, same()).await, CreateEntry::Created);
    // Scripts that create their entries again and again look for this answer.
    assert_eq!(
        create(&test.store, same()).await,
        CreateEntry::Similar(Box::new(same()))
    );
}

#[tokio::test]
async fn an_update_counts_the_revision_and_cannot_make_similar_entries() {
    let test = TestStore::new().await;
    let (a, b) = (
        entry("a", "/spire/agent/x", "/w"),
        entry("b", "/spire/agent/x", "/w"),
    );
    create(&test.store, a.clone()).await;
    create(&test.store, b.clone()).await;
    let hinted = |current: Entry| {
        Ok::<_, ()>(Entry {
            hint: "h".to_owned(),
            ..current
        })
    };
    let updated = test
        .store
        .update_entry(a.id.clone(), hinted)
        .await
        .expect("update")
        .opened()
        .value;
    let expected = Entry {
        hint: "h".to_owned(),
        revision: 1,
        ..a.clone()
    };
    assert_eq!(updated, UpdateEntry::Updated(Box::new(expected)));

    let same = a.selectors.clone();
    let similar = move |current: Entry| {
        Ok::<_, ()>(Entry {
            selectors: same,
            ..current
        })
    };
    let refused = test
        .store
        .update_entry(b.id.clone(), similar)
        .await
        .expect("update")
        .opened()
        .value;
    assert!(matches!(refused, UpdateEntry::Similar(other) if other.id == a.id));

    let invalid = |_: Entry| Err::<Entry, _>("no");
    let refused = test
        .store
        .update_entry(b.id.clone(), invalid)
        .await
        .expect("update")
        .opened()
        .value;
    assert_eq!(refused, UpdateEntry::Refused("no"));
    let nobody = "nobody".parse().expect("entry id");
    let missing = test
        .store
        .update_entry(nobody, hinted)
        .await
        .expect("update")
        .opened()
        .value;
    assert_eq!(missing, UpdateEntry::NotFound);
}

#[tokio::test]
async fn two_updates_at_once_lose_nothing() {
    let test = TestStore::new().await;
    let a = entry("a", "/spire/agent/x", "/w");
    create(&test.store, a.clone()).await;
    let add = |n: usize| {
        test.store
            .update_entry(a.id.clone(), move |mut current: Entry| {
                current.dns_names.push(format!("n{n}"));
                Ok::<_, ()>(current)
            })
    };
    join_all((0..20).map(add)).await;
    let snapshot = test.store.snapshot().await.expect("read everything");
    let [stored] = &snapshot.entries[..] else {
        panic!("{snapshot:?}")
    };
    assert_eq!((stored.dns_names.len(), stored.revision), (20, 20));
}

#[tokio::test]
async fn nothing_federates_with_a_trust_domain_without_bundle() {
    let test = TestStore::new().await;
    let partner = TrustDomain::new("partner.org").expect("trust domain");
    assert_eq!(
        create(&test.store, federated("a")).await,
        CreateEntry::NoBundle(partner.clone())
    );
    create(&test.store, entry("a", "/spire/agent/x", "/w")).await;
    let federate = |current: Entry| {
        Ok::<_, ()>(Entry {
            federates_with: vec![partner],
            ..current
        })
    };
    let a = "a".parse().expect("entry id");
    let refused = test
        .store
        .update_entry(a, federate)
        .await
        .expect("update")
        .opened()
        .value;
    assert!(matches!(refused, UpdateEntry::NoBundle(_)));
}

async fn delete_in_mode(mode: DeleteMode) -> (DeleteBundle, Vec<Entry>, usize) {
    let test = TestStore::new().await;
    test.store
        .set_bundle(bundle("partner.org", 1))
        .await
        .expect("store a bundle");
    create(&test.store, federated("a")).await;
    let partner = TrustDomain::new("partner.org").expect("trust domain");
    let written = test
        .store
        .delete_bundle(partner, mode)
        .await
        .expect("delete")
        .opened();
    let snapshot = test.store.snapshot().await.expect("read everything");
    let logged = test
        .store
        .changes_since(crate::store::ChangeId(2))
        .await
        .expect("read the log");
    let logged = logged.expect("within reach");
    assert_eq!(logged.upto, written.change);
    let touched =
        logged.entries.changed.len() + logged.entries.gone.len() + logged.bundles.gone.len();
    (written.value, snapshot.entries, touched)
}

#[tokio::test]
async fn a_bundle_in_use_is_deleted_only_as_the_mode_says() {
    let (outcome, entries, touched) = delete_in_mode(DeleteMode::Restrict).await;
    assert_eq!(
        outcome,
        DeleteBundle::InUse(vec!["a".parse().expect("entry id")])
    );
    assert_eq!((entries, touched), (vec![federated("a")], 0));

    let (outcome, entries, touched) = delete_in_mode(DeleteMode::Delete).await;
    assert_eq!(
        (outcome, entries.len(), touched),
        (DeleteBundle::Deleted, 0, 2)
    );

    let (outcome, entries, touched) = delete_in_mode(DeleteMode::Dissociate).await;
    let alone = Entry {
        federates_with: Vec::new(),
        revision: 1,
        ..federated("a")
    };
    assert_eq!(
        (outcome, entries, touched),
        (DeleteBundle::Deleted, vec![alone], 2)
    );
}

#[tokio::test]
async fn expired_entries_are_pruned_and_others_stay() {
    let test = TestStore::new().await;
    let ends = |name: &str, expires_at| Entry {
        expires_at,
        ..entry(name, "/spire/agent/x", "/w")
    };
    create(&test.store, ends("past", Some(now()))).await;
    create(
        &test.store,
        ends("future", Some(now() + Duration::from_secs(1))),
    )
    .await;
    create(&test.store, ends("never", None)).await;
    let gone = test
        .store
        .prune_expired_entries(now())
        .await
        .expect("prune")
        .opened();
    assert_eq!(gone.value, ["past".parse().expect("entry id")]);
    let left = test
        .store
        .snapshot()
        .await
        .expect("read everything")
        .entries;
    assert_eq!(left.len(), 2);
    let again = create(&test.store, ends("past", None)).await;
    assert_eq!(again, CreateEntry::Created);
}

#[tokio::test]
async fn the_own_bundle_counts_its_changes() {
    let test = TestStore::new().await;
    let own = id("/x").trust_domain().clone();
    let hint = |seconds| {
        move |bundle: &mut signet_identity::bundle::Bundle| {
            bundle.refresh_hint = Some(Duration::from_secs(seconds));
        }
    };
    let first = test
        .store
        .amend_bundle(own.clone(), hint(1))
        .await
        .expect("amend")
        .opened();
    let same = test
        .store
        .amend_bundle(own.clone(), hint(1))
        .await
        .expect("amend")
        .opened();
    let second = test
        .store
        .amend_bundle(own, hint(2))
        .await
        .expect("amend")
        .opened();
    assert_eq!(
        [
            first.value.sequence,
            same.value.sequence,
            second.value.sequence
        ],
        [1, 1, 2]
    );
    assert_eq!(first.change, same.change);
    assert!(second.change > same.change);
}
