//! An agent that restarts while its server is away serves what it had, until the server speaks.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use signet_proto::workload::{
    JwtBundlesRequest, JwtSvidRequest, X509BundlesRequest, X509SvidRequest, X509SvidResponse,
};
use tokio::time::sleep;
use tokio_stream::StreamExt as _;

use crate::testbed::{Agent, Bed, Node, Server, eventually, grpc, my_user, say};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_restarted_in_an_outage_serves_x509_jwt_and_bundles_at_once() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    server.entry(&agent.id, WEB, &my_user(), &[]);
    agent.serves(WEB);
    let before = x509(&agent.socket).await.unwrap();
    let token = jwt(&agent.socket).await;
    agent.process.stop();
    server.process.kill();

    let started = Instant::now();
    agent.process.start_again();
    let after = first_answer(&agent.socket).await;
    let took = started.elapsed();
    say(&format!("served {took:?} after its start"));
    assert!(took < LONGEST_START, "took {took:?}");
    assert_eq!(after.svids[0].x509_svid, before.svids[0].x509_svid);
    assert_eq!(after.svids[0].x509_svid_key, before.svids[0].x509_svid_key);
    assert_eq!(jwt(&agent.socket).await, token);
    let mut client = grpc::workload_api(agent.socket.clone());
    let asked = client.fetch_x509_bundles(grpc::workload(X509BundlesRequest {}));
    let bundles = asked.await.unwrap().into_inner().next().await;
    assert_eq!(bundles.unwrap().unwrap().bundles.len(), 1);
    let asked = client.fetch_jwt_bundles(grpc::workload(JwtBundlesRequest {}));
    let bundles = asked.await.unwrap().into_inner().next().await;
    let bundles = bundles.unwrap().unwrap().bundles;
    let keys = String::from_utf8(bundles["spiffe://example.org"].to_vec()).unwrap();
    assert!(keys.contains("kid"), "{keys}");

    server.process.start_again();
    server.is_healthy();
    server.entry(&agent.id, "spiffe://example.org/late", &my_user(), &[]);
    agent.serves("spiffe://example.org/late");
    agent.serves(WEB);
}

#[test]
fn what_was_deleted_meanwhile_is_gone_with_the_servers_first_word() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    let web = server.entry(&agent.id, WEB, &my_user(), &[]);
    server.entry(&agent.id, "spiffe://example.org/stays", &my_user(), &[]);
    agent.serves(WEB);
    agent.process.stop();
    server.run(&["entry", "delete", "--entry-id", &web]).ok();
    server.process.stop();
    agent.process.start_again();
    agent.serves(WEB);
    server.process.start_again();
    eventually("the deleted identity is gone", || {
        let fetched = agent.run(&["api", "fetch", "x509"]).stdout;
        (fetched.contains("/stays") && !fetched.contains(WEB)).then_some(())
    });
}

#[test]
fn an_agent_banned_meanwhile_ends_and_leaves_nothing_on_disk() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    server.entry(&agent.id, WEB, &my_user(), &[]);
    agent.serves(WEB);
    agent.process.stop();
    server.run(&["agent", "ban", "--spiffe-id", &agent.id]).ok();
    server.process.stop();
    let kept = bed.path("agent/agent-cache.sealed");
    assert!(kept.exists());
    agent.process.start_again();
    agent.serves(WEB);
    server.process.start_again();
    assert!(!agent.process.ends().success());
    assert!(!kept.exists());
}

#[test]
fn an_agent_evicted_meanwhile_serves_nobody_after_the_servers_first_word() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    server.entry(&agent.id, WEB, &my_user(), &[]);
    agent.serves(WEB);
    agent.process.stop();
    server
        .run(&["agent", "evict", "--spiffe-id", &agent.id])
        .ok();
    server.process.stop();
    agent.process.start_again();
    agent.serves(WEB);
    server.process.start_again();
    eventually("nobody is served", || {
        let fetched = agent.run(&["api", "fetch", "x509"]);
        (!fetched.stdout.contains(WEB)).then_some(())
    });
}

#[test]
fn the_cache_of_another_agent_is_set_aside_with_the_reason() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    let token = server.token(&[]);
    let id = format!("spiffe://example.org/spire/agent/join_token/{token}");
    let other = Node {
        name: "other",
        flags: &["-joinToken", &token],
        ..Node::default()
    };
    let mut other = Agent::of_node(&server, &other, id);
    other.is_healthy();
    agent.process.stop();
    other.process.stop();
    let kept = bed.path("agent/agent-cache.sealed");
    std::fs::copy(bed.path("other/agent-cache.sealed"), &kept).unwrap();
    agent.process.start_again();
    agent.process.says(&format!("it belongs to {}", other.id));
    agent.is_healthy();
    assert!(bed.path("agent/agent-cache.sealed.refused").exists());
}

/// Asks until the agent answers, as often as that can be done.
async fn first_answer(socket: &Path) -> X509SvidResponse {
    loop {
        if let Some(answer) = x509(socket).await {
            return answer;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

async fn x509(socket: &Path) -> Option<X509SvidResponse> {
    let mut client = grpc::workload_api(socket.to_owned());
    let asked = client.fetch_x509svid(grpc::workload(X509SvidRequest {}));
    asked.await.ok()?.into_inner().next().await?.ok()
}

async fn jwt(socket: &Path) -> String {
    let request = JwtSvidRequest {
        audience: vec!["orders".to_owned()],
        spiffe_id: String::new(),
    };
    let mut client = grpc::workload_api(socket.to_owned());
    let answer = client.fetch_jwtsvid(grpc::workload(request)).await;
    answer.unwrap().into_inner().svids.remove(0).svid
}

const WEB: &str = "spiffe://example.org/web";
/// An unoptimized build on a machine where other tests run; `bench/README.md` has the figure.
const LONGEST_START: Duration = Duration::from_secs(2);
