//! What an agent that follows is told.

use std::time::Duration;

use futures_util::FutureExt as _;
use signet_identity::{TrustDomain, bundle::Bundle, entry::Entry};
use tokio::time::timeout;

use super::{
    super::{
        Follow, Step,
        testing::{TestDirectory, agent, entry, id, selectors},
    },
    create,
};
use crate::store::Delta;

async fn next(follow: &mut Follow) -> Step {
    timeout(Duration::from_secs(10), follow.next())
        .await
        .expect("in time")
        .expect("a step")
}

fn ids(step: &Step) -> (Vec<&str>, Vec<&str>) {
    let Delta { changed, gone } = &step.entries;
    let changed = changed.iter().map(|entry| entry.id.as_str());
    (
        changed.collect(),
        gone.iter().map(|id| id.as_str()).collect(),
    )
}

async fn following(test: &TestDirectory) -> Follow {
    test.attest(agent("/spire/agent/x", &["t:a"])).await;
    let mut follow = test
        .directory
        .follow(&id("/spire/agent/x"), "")
        .expect("an agent");
    assert!(next(&mut follow).await.reset);
    follow
}

#[tokio::test]
async fn each_change_comes_as_a_delta() {
    let test = TestDirectory::new().await;
    let mut follow = following(&test).await;
    create(&test, entry("a", "/spire/agent/x", "/w")).await;
    let step = next(&mut follow).await;
    assert_eq!((step.reset, ids(&step)), (false, (vec!["a"], vec![])));
    test.store
        .store
        .delete_entry("a".parse().expect("entry id"))
        .await
        .expect("delete");
    assert_eq!(ids(&next(&mut follow).await), (vec![], vec!["a"]));
}

#[tokio::test]
async fn what_concerns_others_wakes_nobody() {
    let test = TestDirectory::new().await;
    let mut follow = following(&test).await;
    create(&test, entry("other", "/spire/agent/y", "/w")).await;
    assert!(follow.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_subtree_comes_and_goes_with_what_holds_it() {
    let test = TestDirectory::new().await;
    let mut follow = following(&test).await;
    create(&test, entry("leaf", "/w", "/w/leaf")).await;
    create(&test, entry("middle", "/spire/agent/x", "/w")).await;
    assert_eq!(
        ids(&next(&mut follow).await),
        (vec!["leaf", "middle"], vec![])
    );
    test.store
        .store
        .delete_entry("middle".parse().expect("entry id"))
        .await
        .expect("delete");
    assert_eq!(
        ids(&next(&mut follow).await),
        (vec![], vec!["leaf", "middle"])
    );
}

#[tokio::test]
async fn a_new_alias_brings_its_tree() {
    let test = TestDirectory::new().await;
    let mut follow = following(&test).await;
    create(&test, entry("leaf", "/rack", "/w")).await;
    let alias = Entry {
        selectors: selectors(&["t:a"]),
        ..entry("alias", "/spire/server", "/rack")
    };
    create(&test, alias).await;
    let step = next(&mut follow).await;
    assert_eq!((step.reset, ids(&step)), (true, (vec!["leaf"], vec![])));
}

#[tokio::test]
async fn a_resume_token_brings_only_what_was_missed() {
    let test = TestDirectory::new().await;
    test.attest(agent("/spire/agent/x", &[])).await;
    create(&test, entry("a", "/spire/agent/x", "/w")).await;
    let mut first = test
        .directory
        .follow(&id("/spire/agent/x"), "")
        .expect("an agent");
    let token = next(&mut first).await.resume_token;
    drop(first);
    create(&test, entry("b", "/spire/agent/x", "/w")).await;
    let mut second = test
        .directory
        .follow(&id("/spire/agent/x"), &token)
        .expect("an agent");
    let step = next(&mut second).await;
    assert_eq!((step.reset, ids(&step)), (false, (vec!["b"], vec![])));
    // Nothing missed: told so at once, with a token that names the present.
    let mut third = test
        .directory
        .follow(&id("/spire/agent/x"), &step.resume_token)
        .expect("an agent");
    let nothing = next(&mut third).await;
    assert_eq!((nothing.reset, ids(&nothing)), (false, (vec![], vec![])));
}

#[tokio::test]
async fn an_unknown_token_resets() {
    let test = TestDirectory::new().await;
    test.attest(agent("/spire/agent/x", &[])).await;
    for token in ["garbage", "0000000000000000-1", "-", "1-x"] {
        let mut follow = test
            .directory
            .follow(&id("/spire/agent/x"), token)
            .expect("an agent");
        assert!(next(&mut follow).await.reset, "{token}");
    }
}

#[tokio::test]
async fn who_missed_too_much_is_reset() {
    let test = TestDirectory::new().await;
    let mut follow = following(&test).await;
    let many = (0..400).map(|n| create(&test, entry(&format!("e{n}"), "/spire/agent/x", "/w")));
    futures_util::future::join_all(many).await;
    let step = next(&mut follow).await;
    assert_eq!((step.reset, step.entries.changed.len()), (true, 400));
}

#[tokio::test]
async fn bundles_come_with_the_entries_that_need_them_and_when_they_change() {
    let test = TestDirectory::new().await;
    let mut follow = following(&test).await;
    let partner = TrustDomain::new("partner.org").expect("trust domain");
    let bundle = |sequence| Bundle {
        sequence,
        ..Bundle::empty(partner.clone())
    };
    test.store.store.set_bundle(bundle(1)).await.expect("store");
    let federated = Entry {
        federates_with: vec![partner.clone()],
        ..entry("a", "/spire/agent/x", "/w")
    };
    create(&test, federated).await;
    let step = next(&mut follow).await;
    let bundles = step.bundles.changed.iter();
    let sequences: Vec<_> = bundles.map(|bundle| bundle.sequence).collect();
    assert_eq!((ids(&step).0, sequences), (vec!["a"], vec![1]));
    test.store.store.set_bundle(bundle(2)).await.expect("store");
    assert_eq!(next(&mut follow).await.bundles.changed[0].sequence, 2);
    let mode = crate::store::DeleteMode::Dissociate;
    test.store
        .store
        .delete_bundle(partner.clone(), mode)
        .await
        .expect("delete");
    let step = next(&mut follow).await;
    assert_eq!(
        (ids(&step).0, &step.bundles.gone),
        (vec!["a"], &vec![partner])
    );
}

#[tokio::test]
async fn a_banned_or_evicted_agent_is_told_nothing_more() {
    let test = TestDirectory::new().await;
    let mut follow = following(&test).await;
    test.store
        .store
        .ban_agent(id("/spire/agent/x"))
        .await
        .expect("ban");
    let end = timeout(Duration::from_secs(10), follow.next())
        .await
        .expect("in time");
    assert_eq!(end, None);
    test.attest(agent("/spire/agent/y", &[])).await;
    let mut follow = test
        .directory
        .follow(&id("/spire/agent/y"), "")
        .expect("an agent");
    next(&mut follow).await;
    test.store
        .store
        .delete_agent(id("/spire/agent/y"))
        .await
        .expect("evict");
    let end = timeout(Duration::from_secs(10), follow.next())
        .await
        .expect("in time");
    assert_eq!(end, None);
}
