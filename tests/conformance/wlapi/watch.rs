//! Streams that stay open while the agent's world changes.

use std::{collections::BTreeSet, time::Duration};

use signet_identity::x509;
use signet_proto::workload::{
    JwtBundlesRequest, JwtBundlesResponse, X509BundlesRequest, X509BundlesResponse,
    X509SvidRequest, X509SvidResponse,
};
use signet_tests::testbed::{Agent, Bed, Server, eventually, grpc, grpc::workload};
use tonic::{Code, Streaming};

use super::{
    domain::Domain,
    soon, until,
    world::{Client, World, code, first, ids, me, selector_of},
};

/// Reads messages until one is as wanted; each of them has to be whole.
async fn wait_for(
    stream: &mut Streaming<X509SvidResponse>,
    wanted: impl Fn(&X509SvidResponse) -> bool,
) -> X509SvidResponse {
    soon(async {
        loop {
            let message = stream.message().await.unwrap().expect("the stream goes on");
            is_whole(&message);
            if wanted(&message) {
                return message;
            }
        }
    })
    .await
}

#[track_caller]
fn is_whole(message: &X509SvidResponse) {
    assert!(!message.svids.is_empty());
    let mut hints = BTreeSet::new();
    for svid in &message.svids {
        assert!(!svid.x509_svid.is_empty() && !svid.x509_svid_key.is_empty());
        assert!(!svid.bundle.is_empty());
        assert!(
            svid.hint.is_empty() || hints.insert(svid.hint.clone()),
            "{:?}",
            ids(message)
        );
    }
}

struct Streams {
    svids: Streaming<X509SvidResponse>,
    x509: Streaming<X509BundlesResponse>,
    jwt: Streaming<JwtBundlesResponse>,
}

impl Streams {
    /// Three open streams that have said their first word.
    async fn open(mut client: Client) -> Self {
        let svids = client
            .fetch_x509svid(workload(X509SvidRequest {}))
            .await
            .unwrap();
        let x509 = client
            .fetch_x509_bundles(workload(X509BundlesRequest {}))
            .await
            .unwrap();
        let jwt = client
            .fetch_jwt_bundles(workload(JwtBundlesRequest {}))
            .await
            .unwrap();
        let mut streams = Self {
            svids: svids.into_inner(),
            x509: x509.into_inner(),
            jwt: jwt.into_inner(),
        };
        wait_for(&mut streams.svids, |_| true).await;
        streams.x509.message().await.unwrap().unwrap();
        streams.jwt.message().await.unwrap().unwrap();
        streams
    }

    /// The next message of both bundle streams, as the names of the trust domains.
    async fn domains(&mut self) -> [BTreeSet<String>; 2] {
        let x509 = soon(self.x509.message()).await.unwrap().unwrap();
        let jwt = soon(self.jwt.message()).await.unwrap().unwrap();
        [
            x509.bundles.into_keys().collect(),
            jwt.bundles.into_keys().collect(),
        ]
    }

    async fn say_nothing(&mut self) {
        let quiet = Duration::from_secs(2);
        let said = tokio::time::timeout(quiet, async {
            tokio::select! {
                message = self.svids.message() => format!("{message:?}"),
                message = self.x509.message() => format!("{message:?}"),
                message = self.jwt.message() => format!("{message:?}"),
            }
        });
        assert_eq!(said.await.ok(), None, "nothing has changed");
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_10_12_each_change_brings_one_message_with_the_whole_state() {
    let world = World::new();
    let other = Domain::new("other.org");
    world.set_bundle(&other.id(), &other.document());
    let entry = world.mine("/w", &["--hint", "internal"]);
    until(async || first(world.client()).await.ok()).await;
    let mut streams = Streams::open(world.client()).await;
    // An entry is added, and it federates.
    let second = world.mine("/w2", &["--federates-with", "spiffe://other.org"]);
    let both = wait_for(&mut streams.svids, |message| message.svids.len() == 2).await;
    assert_eq!(
        set(&ids(&both)),
        set(&["spiffe://example.org/w", "spiffe://example.org/w2"])
    );
    assert!(both.federated_bundles.contains_key("spiffe://other.org"));
    let federated = set(&["spiffe://example.org", "spiffe://other.org"]);
    assert_eq!(
        streams.domains().await,
        [federated.clone(), federated.clone()]
    );
    // The foreign bundle rotates: the message is not that bundle alone.
    let rotated = Domain::new("other.org");
    world.set_bundle(&rotated.id(), &rotated.document());
    let message = wait_for(&mut streams.svids, |_| true).await;
    assert_eq!(
        message.federated_bundles["spiffe://other.org"].to_vec(),
        rotated.root
    );
    assert_eq!(message.svids, both.svids);
    assert_eq!(streams.domains().await, [federated.clone(), federated]);
    // A hint is changed.
    world
        .server
        .run(&[
            "entry",
            "update",
            "--entry-id",
            &entry,
            "--parent-id",
            &world.agent.id,
            "--spiffe-id",
            "spiffe://example.org/w",
            "--selector",
            &me(),
            "--hint",
            "external",
        ])
        .ok();
    let message = wait_for(&mut streams.svids, |message| {
        message.svids.iter().any(|svid| svid.hint == "external")
    })
    .await;
    assert_eq!(message.svids.len(), 2);
    // What concerns somebody else says nothing to us.
    let stranger = selector_of(&world.bed.program("stranger"));
    let (server, agent) = (&world.server, &world.agent);
    server.entry(&agent.id, "spiffe://example.org/stranger", &stranger, &[]);
    streams.say_nothing().await;
    // An entry goes, and its trust with it.
    world.delete_entry(&second);
    let message = wait_for(&mut streams.svids, |message| message.svids.len() == 1).await;
    assert_eq!(ids(&message), ["spiffe://example.org/w"]);
    assert!(message.federated_bundles.is_empty());
    let own = set(&["spiffe://example.org"]);
    assert_eq!(streams.domains().await, [own.clone(), own]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_21_29_a_withdrawn_identity_ends_its_streams_with_a_denial_and_no_empty_message() {
    let world = World::new();
    let entry = world.mine("/w", &[]);
    until(async || first(world.client()).await.ok()).await;
    let mut streams = Streams::open(world.client()).await;
    world.delete_entry(&entry);
    let ends = [
        code(&soon(streams.svids.message()).await),
        code(&soon(streams.x509.message()).await),
        code(&soon(streams.jwt.message()).await),
    ];
    assert_eq!(ends, [Code::PermissionDenied; 3]);
    // It comes back with the next entry.
    world.mine("/again", &[]);
    let message = until(async || first(world.client()).await.ok()).await;
    assert_eq!(ids(&message), ["spiffe://example.org/again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_12_50_renewed_svids_are_sent_whole_and_in_the_same_order() {
    let world = World::new();
    let mut order = Vec::new();
    for path in ["/z", "/a", "/m"] {
        in_a_new_second();
        let flags: &[&str] = if path == "/a" {
            &["--x509-svid-ttl", "8"]
        } else {
            &[]
        };
        world.mine(path, flags);
        order.push(format!("spiffe://example.org{path}"));
    }
    until(async || {
        let message = first(world.client()).await.ok()?;
        (message.svids.len() == 3).then_some(())
    })
    .await;
    let mut streams = Streams::open(world.client()).await;
    // The short one is renewed twice; the message has all three, the oldest entry's first.
    let mut renewed = BTreeSet::new();
    while renewed.len() < 2 {
        let message = wait_for(&mut streams.svids, |_| true).await;
        assert_eq!(ids(&message), order);
        renewed.insert(message.svids[1].x509_svid.to_vec());
        let leaf = x509::split(&message.svids[1].x509_svid).unwrap();
        assert_eq!(
            x509::check_svid_leaf(&leaf[0]).unwrap().id.to_string(),
            order[1]
        );
    }
}

#[test]
fn wlapi_50_the_default_identity_is_the_same_after_a_restart() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let mut order = Vec::new();
    for path in ["/z", "/a", "/m"] {
        in_a_new_second();
        let id = format!("spiffe://example.org{path}");
        server.entry(&agent.id, &id, &me(), &[]);
        order.push(id);
    }
    let seen = |agent: &Agent<'_>| {
        eventually("three identities", || {
            let socket = agent.socket.clone();
            let asked = async { first(grpc::workload_api(socket)).await };
            let message = super::block_on(asked).ok()?;
            let ids: Vec<String> = ids(&message).into_iter().map(str::to_owned).collect();
            (ids.len() == 3).then_some(ids)
        })
    };
    assert_eq!(seen(&agent), order);
    let agent = agent.restart();
    assert_eq!(seen(&agent), order);
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_13_a_change_of_a_bundle_reaches_each_of_many_streams() {
    let world = World::new();
    let other = Domain::new("other.org");
    world.set_bundle(&other.id(), &other.document());
    world.mine("/w", &["--federates-with", "spiffe://other.org"]);
    until(async || first(world.client()).await.ok()).await;
    let mut all = Vec::new();
    for _ in 0..10 {
        let client = world.client();
        for _ in 0..50 {
            let stream = client
                .clone()
                .fetch_x509svid(workload(X509SvidRequest {}))
                .await;
            let mut stream = stream.unwrap().into_inner();
            wait_for(&mut stream, |_| true).await;
            all.push(stream);
        }
    }
    let rotated = Domain::new("other.org");
    world.set_bundle(&rotated.id(), &rotated.document());
    for stream in &mut all {
        let message = wait_for(stream, |_| true).await;
        assert_eq!(
            message.federated_bundles["spiffe://other.org"].to_vec(),
            rotated.root
        );
    }
}

/// Entries are told apart by the second of their creation.
fn in_a_new_second() {
    let second = || time::OffsetDateTime::now_utc().unix_timestamp();
    let before = second();
    eventually("the next second", || (second() > before).then_some(()));
}
