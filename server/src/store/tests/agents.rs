//! Agents, join tokens and CA journals.

use std::time::Duration;

use signet_identity::bundle::Bundle;

use super::create;
use crate::{
    directory::testing::{agent, entry, id, now},
    store::{
        Agent, Attest, Attestation, ChangeId, CreateEntry, JoinToken, Journal, Renewed, Store,
        TokenHash, testing::TestStore,
    },
};

fn attestation(agent: Agent, token: Option<&str>) -> Attestation {
    Attestation {
        agent,
        at: now(),
        token: token.map(TokenHash::of),
        alias: None,
    }
}

async fn attest(store: &Store, attestation: Attestation) -> Attest {
    store
        .attest_agent(attestation)
        .await
        .expect("attest")
        .opened()
        .value
}

async fn token(store: &Store, value: &str) {
    let token = JoinToken {
        expires_at: now() + Duration::from_secs(60),
        alias: None,
    };
    assert!(
        store
            .create_join_token(TokenHash::of(value), token)
            .await
            .expect("create a token")
    );
}

async fn agents(store: &Store) -> Vec<Agent> {
    store.snapshot().await.expect("read everything").agents
}

#[tokio::test]
async fn a_token_is_used_up_by_one_attestation() {
    let test = TestStore::new().await;
    token(&test.store, "secret").await;
    let a = attestation(agent("/spire/agent/a", &["t:a"]), Some("secret"));
    assert_eq!(attest(&test.store, a.clone()).await, Attest::Attested);
    let b = attestation(agent("/spire/agent/b", &[]), Some("secret"));
    assert_eq!(attest(&test.store, b).await, Attest::TokenGone);
    assert_eq!(agents(&test.store).await, [a.agent]);
    let used = test
        .store
        .join_token(TokenHash::of("secret"))
        .await
        .expect("look up");
    assert_eq!(used, None);
}

#[tokio::test]
async fn an_expired_token_is_refused_and_not_used_up() {
    let test = TestStore::new().await;
    token(&test.store, "secret").await;
    let mut late = attestation(agent("/spire/agent/a", &[]), Some("secret"));
    late.at = now() + Duration::from_secs(60);
    assert_eq!(attest(&test.store, late).await, Attest::TokenGone);
    assert!(agents(&test.store).await.is_empty());
    assert_eq!(test.store.prune_join_tokens(now()).await.expect("prune"), 0);
    let later = now() + Duration::from_secs(61);
    assert_eq!(test.store.prune_join_tokens(later).await.expect("prune"), 1);
}

#[tokio::test]
async fn a_banned_agent_cannot_attest_and_keeps_the_token_of_others_whole() {
    let test = TestStore::new().await;
    attest(&test.store, attestation(agent("/spire/agent/a", &[]), None)).await;
    assert!(
        test.store
            .ban_agent(id("/spire/agent/a"))
            .await
            .expect("ban")
            .opened()
            .value
    );
    token(&test.store, "secret").await;
    let again = attestation(agent("/spire/agent/a", &[]), Some("secret"));
    assert_eq!(attest(&test.store, again.clone()).await, Attest::Banned);
    assert!(
        test.store
            .join_token(TokenHash::of("secret"))
            .await
            .expect("look up")
            .is_some()
    );
    assert!(
        test.store
            .delete_agent(id("/spire/agent/a"))
            .await
            .expect("evict")
            .opened()
            .value
    );
    assert_eq!(attest(&test.store, again).await, Attest::Attested);
}

#[tokio::test]
async fn an_alias_entry_comes_with_the_attestation() {
    let test = TestStore::new().await;
    let alias = entry("alias", "/spire/agent/a", "/node");
    let with_alias = |id: &str| Attestation {
        alias: Some(signet_identity::entry::Entry {
            id: id.parse().expect("entry id"),
            ..alias.clone()
        }),
        ..attestation(agent("/spire/agent/a", &[]), None)
    };
    attest(&test.store, with_alias("alias")).await;
    attest(&test.store, with_alias("again")).await;
    let snapshot = test.store.snapshot().await.expect("read everything");
    assert_eq!(snapshot.entries, [alias]);
}

#[tokio::test]
async fn an_attestation_that_cannot_be_whole_leaves_nothing() {
    let test = TestStore::new().await;
    token(&test.store, "secret").await;
    create(&test.store, entry("taken", "/spire/agent/z", "/z")).await;
    let broken = Attestation {
        alias: Some(entry("taken", "/spire/agent/a", "/node")),
        ..attestation(agent("/spire/agent/a", &[]), Some("secret"))
    };
    assert!(test.store.attest_agent(broken).await.is_err());
    assert!(agents(&test.store).await.is_empty());
    assert!(
        test.store
            .join_token(TokenHash::of("secret"))
            .await
            .expect("look up")
            .is_some()
    );
    // The writer is not harmed by it.
    let fine = create(&test.store, entry("fine", "/spire/agent/a", "/w")).await;
    assert_eq!(fine, CreateEntry::Created);
}

#[tokio::test]
async fn a_renewed_serial_becomes_current_when_it_is_used() {
    let test = TestStore::new().await;
    let a = id("/spire/agent/a");
    attest(&test.store, attestation(agent("/spire/agent/a", &[]), None)).await;
    let until = now() + Duration::from_secs(7200);
    let renewed = Renewed {
        serial: "2".to_owned(),
        not_after: until,
    };
    assert!(
        test.store
            .renew_agent(a.clone(), renewed.clone())
            .await
            .expect("renew")
            .opened()
            .value
    );
    assert_eq!(agents(&test.store).await[0].renewed, Some(renewed));
    let promote = |serial: &str| {
        test.store
            .promote_agent_serial(a.clone(), serial.to_owned())
    };
    assert!(!promote("1").await.expect("promote").opened().value);
    assert!(promote("2").await.expect("promote").opened().value);
    assert!(!promote("2").await.expect("promote").opened().value);
    let current = agents(&test.store).await.remove(0);
    assert_eq!(
        (current.serial.as_str(), current.not_after, current.renewed),
        ("2", until, None)
    );
}

#[tokio::test]
async fn a_version_that_is_known_is_not_written_again() {
    let test = TestStore::new().await;
    attest(&test.store, attestation(agent("/spire/agent/a", &[]), None)).await;
    let report = |v: &str| {
        test.store
            .set_agent_version(id("/spire/agent/a"), v.to_owned())
    };
    let first = report("1.0").await.expect("report").opened();
    let again = report("1.0").await.expect("report").opened();
    assert_eq!(
        (first.value, again.value, first.change),
        (true, false, again.change)
    );
}

#[tokio::test]
async fn what_is_done_to_an_agent_that_is_not_there_is_told() {
    let test = TestStore::new().await;
    let nobody = id("/spire/agent/nobody");
    let ban = test
        .store
        .ban_agent(nobody.clone())
        .await
        .expect("ban")
        .opened();
    let evict = test
        .store
        .delete_agent(nobody)
        .await
        .expect("evict")
        .opened();
    assert_eq!(
        (ban.value, evict.value, evict.change),
        (false, false, ChangeId(0))
    );
}

#[tokio::test]
async fn an_authority_and_its_bundle_are_stored_together() {
    let test = TestStore::new().await;
    let journal = |set: &str, replaces: Option<&str>| Journal {
        authority_set: set.to_owned(),
        replaces: replaces.map(str::to_owned),
        document: set.as_bytes().to_vec(),
    };
    test.store
        .save_ca_journal(journal("one", None))
        .await
        .expect("save");
    let own = id("/x").trust_domain().clone();
    let edit = |bundle: &mut Bundle| bundle.refresh_hint = Some(Duration::from_secs(9));
    let next = journal("two", Some("one"));
    let bundle = test
        .store
        .save_authority(next, own, edit)
        .await
        .expect("save")
        .opened()
        .value;
    let journals = test.store.ca_journals().await.expect("read");
    assert_eq!(journals, [("two".to_owned(), b"two".to_vec())]);
    let snapshot = test.store.snapshot().await.expect("read everything");
    assert_eq!(snapshot.bundles, [bundle]);
    assert!(
        test.store
            .delete_ca_journal("two".to_owned())
            .await
            .expect("delete")
    );
}

#[tokio::test]
async fn the_token_itself_is_nowhere_in_the_files() {
    let test = TestStore::new().await;
    token(&test.store, "a-secret-that-is-long-enough").await;
    let directory = test.close().await;
    for file in std::fs::read_dir(directory.path()).expect("list") {
        let bytes = std::fs::read(file.expect("file").path()).expect("read");
        let found = bytes
            .windows(28)
            .any(|window| window == b"a-secret-that-is-long-enough");
        assert!(!found);
    }
}
