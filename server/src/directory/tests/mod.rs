//! The directory over a real store, and against a model.

mod following;
mod model;

use std::{sync::Arc, time::Duration};

use signet_identity::{
    bundle::Bundle,
    entry::{Entry, Rights},
};

use super::{
    Among, Directory,
    testing::{TestDirectory, agent, entry, id, now, selectors, trust_domain},
};
use crate::store::{
    Agent, ChangeId, Changes, Delta, Extent,
    testing::{TestStore, followed},
};

async fn create(test: &TestDirectory, entry: Entry) {
    let written = test
        .store
        .store
        .create_entry(entry)
        .await
        .expect("create an entry");
    test.directory.seen(written).await;
}

fn names(directory: &Directory, agent: &str) -> Vec<String> {
    let entries = directory.authorized_entries(&id(agent), now());
    entries.iter().map(|entry| entry.id.to_string()).collect()
}

#[tokio::test]
async fn a_writer_reads_its_own_write() {
    let test = TestDirectory::new().await;
    for n in 0..20 {
        let new = entry(&format!("e{n}"), "/spire/agent/x", "/w");
        create(&test, new.clone()).await;
        assert_eq!(test.directory.entry(&new.id).as_deref(), Some(&new));
    }
}

#[tokio::test]
async fn a_directory_starts_with_what_is_stored() {
    let store = TestStore::new().await;
    store
        .store
        .create_entry(entry("a", "/spire/agent/x", "/w"))
        .await
        .expect("create");
    let store = TestStore::in_directory(store.close().await).await;
    let test = TestDirectory::over(store).await;
    assert_eq!(test.directory.entry_count(), 1);
}

#[tokio::test]
async fn an_agent_sees_what_is_below_it_and_below_its_aliases() {
    let test = TestDirectory::new().await;
    test.attest(agent("/spire/agent/x", &["t:rack:1", "t:os:linux"]))
        .await;
    create(&test, entry("child", "/spire/agent/x", "/w")).await;
    create(&test, entry("grandchild", "/w", "/w/sub")).await;
    create(&test, entry("stranger", "/spire/agent/y", "/w")).await;
    create(&test, entry("below-alias", "/rack", "/r")).await;
    let alias = Entry {
        selectors: selectors(&["t:rack:1"]),
        ..entry("alias", "/spire/server", "/rack")
    };
    create(&test, alias).await;
    let other = Entry {
        selectors: selectors(&["t:rack:1", "t:os:bsd"]),
        ..entry("other-alias", "/spire/server", "/bsd")
    };
    create(&test, other).await;
    create(&test, entry("below-other", "/bsd", "/b")).await;
    let seen = names(&test.directory, "/spire/agent/x");
    assert_eq!(seen, ["below-alias", "child", "grandchild"]);
    let below_other = "below-other".parse().expect("entry id");
    let agent = id("/spire/agent/x");
    assert!(
        test.directory
            .authorized_entry(&agent, &below_other, now())
            .is_none()
    );
    assert!(names(&test.directory, "/spire/agent/unknown").is_empty());
}

#[tokio::test]
async fn entries_in_a_ring_end() {
    let test = TestDirectory::new().await;
    test.attest(agent("/spire/agent/x", &[])).await;
    create(&test, entry("a", "/b", "/a")).await;
    create(&test, entry("b", "/a", "/b")).await;
    assert!(names(&test.directory, "/spire/agent/x").is_empty());
    create(&test, entry("in", "/spire/agent/x", "/a")).await;
    assert_eq!(names(&test.directory, "/spire/agent/x"), ["a", "b", "in"]);
}

#[tokio::test]
async fn an_expired_entry_gives_no_rights_and_authorizes_nobody() {
    let test = TestDirectory::new().await;
    let admin = Entry {
        rights: Rights {
            admin: true,
            downstream: false,
        },
        expires_at: Some(now()),
        ..entry("admin", "/spire/agent/x", "/ops")
    };
    create(&test, admin).await;
    let before = now() - Duration::from_secs(1);
    assert!(test.directory.rights_of(&id("/ops"), before).admin);
    assert_eq!(
        test.directory.rights_of(&id("/ops"), now()),
        Rights::default()
    );
    test.attest(agent("/spire/agent/x", &[])).await;
    let entry = "admin".parse().expect("entry id");
    assert!(
        test.directory
            .authorized_entry(&id("/spire/agent/x"), &entry, before)
            .is_some()
    );
    assert!(
        test.directory
            .authorized_entry(&id("/spire/agent/x"), &entry, now())
            .is_none()
    );
    let listed = |at| {
        let entries = test.directory.authorized_entries(&id("/spire/agent/x"), at);
        entries.len()
    };
    assert_eq!((listed(before), listed(now())), (1, 0));
}

#[tokio::test]
async fn lists_go_on_where_they_ended() {
    let test = TestDirectory::new().await;
    for n in 0..10 {
        create(&test, entry(&format!("e{n}"), "/spire/agent/x", "/w")).await;
    }
    let page = test.directory.entries(&Among::All, None, 4, |_| true);
    let last = page.last().expect("an entry").id.clone();
    let rest = test
        .directory
        .entries(&Among::All, Some(&last), usize::MAX, |_| true);
    assert_eq!((page.len(), rest.len()), (4, 6));
    let below = Among::Parent(id("/spire/agent/x"));
    let odd = test
        .directory
        .entries(&below, None, usize::MAX, |entry| entry.id.as_str() > "e7");
    assert_eq!(odd.len(), 2);
    assert!(
        test.directory
            .entries(&Among::SpiffeId(id("/v")), None, 9, |_| true)
            .is_empty()
    );
}

#[tokio::test]
async fn trust_follows_the_bundles() {
    let test = TestDirectory::new().await;
    let mut trust = test.directory.trust();
    trust.mark_unchanged();
    let own = test.directory.trust_domain().clone();
    let edit = |bundle: &mut Bundle| {
        bundle.refresh_hint = Some(Duration::from_secs(1));
    };
    let written = test
        .store
        .store
        .amend_bundle(own.clone(), edit)
        .await
        .expect("amend");
    let amended = test.directory.seen(written).await;
    assert!(trust.has_changed().expect("open"));
    assert_eq!(test.directory.bundle(&own).as_deref(), Some(&amended));
}

/// Everything that there is at a position.
fn everything(at: i64, entries: Vec<Entry>, agents: Vec<Agent>, bundles: Vec<Bundle>) -> Changes {
    Changes {
        upto: ChangeId(at),
        extent: Extent::Whole,
        entries: Delta::only(entries),
        agents: Delta::only(agents),
        bundles: Delta::only(bundles),
    }
}

#[test]
fn what_a_whole_reading_lacks_is_gone() {
    let directory = Directory::empty(followed(), trust_domain()).expect("directory");
    let (stays, goes) = (
        entry("stays", "/spire/agent/x", "/w"),
        entry("goes", "/spire/agent/x", "/v"),
    );
    let (x, y) = (agent("/spire/agent/x", &[]), agent("/spire/agent/y", &[]));
    let own = Bundle::empty(trust_domain());
    let entries = vec![stays.clone(), goes.clone()];
    directory.apply(everything(1, entries, vec![x.clone(), y], vec![own]));
    assert_eq!((directory.entry_count(), directory.agent_count()), (2, 2));
    directory.apply(everything(
        9,
        vec![stays.clone()],
        vec![x.clone()],
        Vec::new(),
    ));
    assert_eq!(directory.entry(&stays.id).as_deref(), Some(&stays));
    assert_eq!(directory.entry(&goes.id), None);
    let agents = directory.agents();
    assert_eq!(agents.iter().map(Arc::as_ref).collect::<Vec<_>>(), [&x]);
    assert_eq!(directory.bundle(&trust_domain()), None);
    assert_eq!(directory.at(), ChangeId(9));
}
