//! Registration over a real store.

use std::collections::BTreeSet;

use signet_identity::{
    TrustDomain,
    bundle::Bundle,
    entry::{Draft, Entry, EntryId},
};

use super::{CreateError, Filter, How, Match, Registration, UpdateError};
use crate::directory::testing::{TestDirectory, entry, id, now, selectors, trust_domain};

async fn registration() -> (TestDirectory, Registration) {
    let test = TestDirectory::new().await;
    let registration = Registration::new(test.store.store.clone(), test.directory.clone());
    (test, registration)
}

fn draft(entry: &Entry, keep_id: bool) -> Draft {
    let mut message = entry.to_proto(None);
    if !keep_id {
        message.id.clear();
    }
    Draft::from_proto(&message, &trust_domain()).expect("draft")
}

async fn made(registration: &Registration, draft: Draft) -> Result<Entry, CreateError> {
    let outcomes = registration.create(vec![draft], now()).await;
    outcomes.expect("a store").remove(0)
}

async fn create(registration: &Registration, entry: Entry) -> Entry {
    let draft = draft(&entry, true);
    made(registration, draft).await.expect("create")
}

async fn delete(registration: &Registration, id: &EntryId) -> bool {
    let outcomes = registration.delete(vec![id.clone()]).await;
    outcomes.expect("delete").remove(0)
}

fn found(registration: &Registration, filter: &Filter) -> Vec<String> {
    let page = registration.list(filter, None, usize::MAX);
    assert_eq!(page.entries.len(), registration.count(filter));
    page.entries
        .iter()
        .map(|entry| entry.id.to_string())
        .collect()
}

#[tokio::test]
async fn a_created_entry_is_found_at_once() {
    let (_test, registration) = registration().await;
    let draft = draft(&entry("x", "/spire/agent/x", "/w"), false);
    let made = made(&registration, draft).await.expect("create");
    assert_eq!((made.id.as_str().len(), made.revision), (36, 0));
    assert_eq!(registration.get(&made.id).as_deref(), Some(&made));
    assert!(delete(&registration, &made.id).await);
    assert!(registration.get(&made.id).is_none());
    assert!(!delete(&registration, &made.id).await);
}

#[tokio::test]
async fn a_similar_entry_is_handed_back() {
    let (_test, registration) = registration().await;
    let first = create(&registration, entry("x", "/spire/agent/x", "/w")).await;
    let again = made(&registration, draft(&first, false)).await;
    assert!(matches!(again, Err(CreateError::Similar(similar)) if *similar == first));
    let taken = draft(&entry("x", "/spire/agent/x", "/v"), true);
    let taken = made(&registration, taken).await;
    assert!(matches!(taken, Err(CreateError::IdTaken(_))));
}

#[tokio::test]
async fn an_update_is_seen_at_once() {
    let (_test, registration) = registration().await;
    let first = create(&registration, entry("x", "/spire/agent/x", "/w")).await;
    let hinted = |current| {
        Ok(Entry {
            hint: "h".to_owned(),
            ..current
        })
    };
    let updated = registration
        .update(first.id.clone(), hinted)
        .await
        .expect("update");
    assert_eq!((updated.hint.as_str(), updated.revision), ("h", 1));
    assert_eq!(registration.get(&first.id).as_deref(), Some(&updated));
    let nobody = "nobody".parse().expect("entry id");
    let missing = registration.update(nobody, Ok).await;
    assert!(matches!(missing, Err(UpdateError::NotFound)));
}

#[tokio::test]
async fn selectors_match_in_four_ways() {
    let (_test, registration) = registration().await;
    for (name, with) in [
        ("a", &["t:1"][..]),
        ("ab", &["t:1", "t:2"]),
        ("abc", &["t:1", "t:2", "t:3"]),
        ("d", &["t:4"]),
    ] {
        let with = Entry {
            selectors: selectors(with),
            ..entry(name, "/spire/agent/x", "/w")
        };
        create(&registration, with).await;
    }
    let matching = |how| {
        let set = selectors(&["t:1", "t:2"]);
        found(
            &registration,
            &Filter {
                selectors: Some(Match { set, how }),
                ..Filter::default()
            },
        )
    };
    assert_eq!(matching(How::Exact), ["ab"]);
    assert_eq!(matching(How::Subset), ["a", "ab"]);
    assert_eq!(matching(How::Superset), ["ab", "abc"]);
    assert_eq!(matching(How::Any), ["a", "ab", "abc"]);
}

#[tokio::test]
async fn federations_match_in_four_ways() {
    let (test, registration) = registration().await;
    let domain = |n: &u32| TrustDomain::new(format!("p{n}.org")).expect("trust domain");
    for n in 1..=4 {
        test.store
            .store
            .set_bundle(Bundle::empty(domain(&n)))
            .await
            .expect("store");
    }
    for (name, with) in [
        ("a", &[1][..]),
        ("ab", &[1, 2]),
        ("abc", &[1, 2, 3]),
        ("d", &[4]),
        ("none", &[]),
    ] {
        let federates_with = with.iter().map(domain).collect();
        create(
            &registration,
            Entry {
                federates_with,
                ..entry(name, "/spire/agent/x", "/w")
            },
        )
        .await;
    }
    let matching = |how| {
        let set: BTreeSet<_> = [1, 2].iter().map(domain).collect();
        found(
            &registration,
            &Filter {
                federates_with: Some(Match { set, how }),
                ..Filter::default()
            },
        )
    };
    assert_eq!(matching(How::Exact), ["ab"]);
    assert_eq!(matching(How::Subset), ["a", "ab"]);
    assert_eq!(matching(How::Superset), ["ab", "abc"]);
    assert_eq!(matching(How::Any), ["a", "ab", "abc"]);
}

#[tokio::test]
async fn filters_are_all_honoured() {
    let (_test, registration) = registration().await;
    let mut downstream = entry("a", "/spire/agent/x", "/v");
    downstream.rights.downstream = true;
    create(&registration, downstream).await;
    let mut hinted = entry("b", "/spire/agent/x", "/w");
    hinted.hint = "h".to_owned();
    create(&registration, hinted).await;
    create(&registration, entry("c", "/spire/agent/y", "/w")).await;
    let with = |filter: Filter| found(&registration, &filter);
    assert_eq!(
        with(Filter {
            spiffe_id: Some(id("/w")),
            ..Filter::default()
        }),
        ["b", "c"]
    );
    assert_eq!(
        with(Filter {
            parent_id: Some(id("/spire/agent/x")),
            ..Filter::default()
        }),
        ["a", "b"]
    );
    assert_eq!(
        with(Filter {
            hint: Some("h".to_owned()),
            ..Filter::default()
        }),
        ["b"]
    );
    assert_eq!(
        with(Filter {
            hint: Some(String::new()),
            ..Filter::default()
        }),
        ["a", "c"]
    );
    assert_eq!(
        with(Filter {
            downstream: Some(true),
            ..Filter::default()
        }),
        ["a"]
    );
    assert_eq!(
        with(Filter {
            downstream: Some(false),
            ..Filter::default()
        }),
        ["b", "c"]
    );
}

#[tokio::test]
async fn filters_are_combined() {
    let (_test, registration) = registration().await;
    create(&registration, entry("b", "/spire/agent/x", "/w")).await;
    create(&registration, entry("c", "/spire/agent/y", "/w")).await;
    let both = Filter {
        spiffe_id: Some(id("/w")),
        parent_id: Some(id("/spire/agent/y")),
        ..Filter::default()
    };
    assert_eq!(found(&registration, &both), ["c"]);
}

#[tokio::test]
async fn pages_neither_miss_nor_repeat_while_entries_go() {
    let (_test, registration) = registration().await;
    for n in 0..7 {
        create(
            &registration,
            entry(&format!("e{n}"), "/spire/agent/x", "/w"),
        )
        .await;
    }
    let all = Filter::default();
    let first = registration.list(&all, None, 3);
    let next = first.next.expect("more");
    assert!(delete(&registration, &next).await);
    let second = registration.list(&all, Some(&next), 3);
    let ids: Vec<_> = second
        .entries
        .iter()
        .map(|entry| entry.id.as_str())
        .collect();
    assert_eq!(ids, ["e3", "e4", "e5"]);
    let last = registration.list(&all, second.next.as_ref(), 3);
    assert_eq!((last.entries.len(), last.next), (1, None));
}
