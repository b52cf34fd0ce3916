//! What the node decides to do about its SVID.

use std::net::TcpListener;

use signet_daemon::health::Health;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{storage::KeyManager, testing::issued};

fn svid(reattestable: bool) -> NodeSvid {
    let (_, saved) = issued("spiffe://example.org/spire/agent/one");
    let saved = SavedSvid {
        reattestable,
        ..saved
    };
    let own = "example.org".parse().unwrap();
    NodeSvid::new(saved, &own, Some(clock::now()), None).unwrap()
}

#[test]
fn a_node_attests_renews_and_attests_again() {
    let renewable = svid(false);
    let reattestable = svid(true);
    let (start, end) = (clock::now(), renewable.not_after);
    assert_eq!(step(None, None, start), Step::Attest);
    let until = renewable.renew_at;
    assert_eq!(step(Some(&renewable), None, start), Step::Wait { until });
    assert_eq!(step(Some(&renewable), None, until), Step::Renew);
    assert_eq!(
        step(Some(&reattestable), None, reattestable.renew_at),
        Step::Attest
    );
    assert_eq!(step(Some(&renewable), None, end), Step::Attest);
}

#[test]
fn only_a_ban_ends_the_agent() {
    let svid = svid(false);
    for reason in [
        Reason::Expired,
        Reason::NotAttested,
        Reason::NotActive,
        Reason::MustReattest,
    ] {
        assert_eq!(step(Some(&svid), Some(reason), clock::now()), Step::Attest);
    }
    let banned = step(Some(&svid), Some(Reason::Banned), clock::now());
    assert_eq!(banned, Step::Stop);
}

#[test]
fn an_svid_of_somebody_else_is_not_taken_up() {
    for id in [
        "spiffe://other.test/spire/agent/one",
        "spiffe://example.org/workload",
    ] {
        let (_, saved) = issued(id);
        let own = "example.org".parse().unwrap();
        let refused = NodeSvid::new(saved, &own, None, None).unwrap_err();
        assert!(matches!(refused, BadSvid::NotAnAgent(..)), "{refused}");
    }
    let (_, mut saved) = issued("spiffe://example.org/spire/agent/one");
    saved.key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let own = "example.org".parse().unwrap();
    let refused = NodeSvid::new(saved, &own, None, None).unwrap_err();
    assert!(matches!(refused, BadSvid::OtherKey), "{refused}");
}

fn settings(token: JoinToken) -> Settings {
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    Settings {
        target: Target::new("127.0.0.1", port).unwrap(),
        trust_domain: "example.org".parse().unwrap(),
        attestor: NodeAttestor::JoinToken(token),
        availability_target: None,
    }
}

fn node(directory: &TempDir) -> Result<Node, NodeError> {
    let own = "example.org".parse().unwrap();
    let keys = KeyManager::Disk(directory.path().to_owned());
    let (storage, saved) = Storage::open(directory.path(), keys, &own).unwrap();
    let status = Status::new(&Health::new());
    Node::new(settings(JoinToken::Absent), storage, saved, None, status)
}

#[tokio::test]
async fn a_restart_with_a_valid_svid_does_not_attest_again() {
    let directory = tempfile::tempdir().unwrap();
    let own = "example.org".parse().unwrap();
    let keys = KeyManager::Disk(directory.path().to_owned());
    let (bundle, svid) = issued("spiffe://example.org/spire/agent/one");
    {
        let (storage, _) = Storage::open(directory.path(), keys, &own).unwrap();
        storage.save_keys(None, &svid.key).unwrap();
        storage.save_svid(&svid).unwrap();
        storage.save_bundle(&bundle).unwrap();
    }
    // There is neither a server nor a token: only what was kept can make this succeed.
    let mut node = node(&directory).unwrap();
    let established = node.establish(&CancellationToken::new()).await;
    assert!(established.unwrap());
    assert_eq!(node.bundle().unwrap().x509_authorities.len(), 1);
}

#[tokio::test]
async fn without_a_token_and_an_svid_the_agent_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = node(&directory).unwrap();
    let error = node.establish(&CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("token generate"), "{error}");
}

#[tokio::test]
async fn an_agent_whose_server_is_away_tries_until_shutdown() {
    let directory = tempfile::tempdir().unwrap();
    let own = "example.org".parse().unwrap();
    let (storage, saved) = Storage::open(directory.path(), KeyManager::Memory, &own).unwrap();
    let token = JoinToken::Given("token".to_owned().into());
    let health = Health::new();
    let status = Status::new(&health);
    let mut node = Node::new(settings(token), storage, saved, None, status).unwrap();
    let shutdown = CancellationToken::new();
    let wait_for_complaint = async {
        let complaint = |report: signet_daemon::health::Report| {
            report
                .complaints()
                .any(|(_, why)| why.contains("no valid SVID"))
        };
        while !complaint(health.ready()) {
            tokio::task::yield_now().await;
        }
        shutdown.cancel();
    };
    let (established, ()) = tokio::join!(node.establish(&shutdown), wait_for_complaint);
    assert!(!established.unwrap());
}

#[tokio::test]
async fn a_new_svid_is_on_disk_before_it_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = node(&directory).unwrap();
    let (_, svid) = issued("spiffe://example.org/spire/agent/one");
    let mut identity = node.identity.subscribe();
    let path = directory.path().join("agent-data.json");
    // A server that has seen the new SVID refuses the one before.
    let used = async {
        identity.changed().await.unwrap();
        std::fs::read_to_string(&path).unwrap_or_default()
    };
    let (adopted, on_disk) = tokio::join!(node.adopt(svid), used);
    adopted.unwrap();
    assert!(on_disk.contains("BEGIN CERTIFICATE"), "{on_disk:?}");
}
