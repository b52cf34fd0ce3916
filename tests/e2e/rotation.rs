//! Keys and certificates that rotate while the system runs.

use signet_proto::workload::X509SvidRequest;
use tokio_stream::StreamExt as _;

use crate::testbed::{Agent, Bed, Server, eventually, grpc, my_user, within};

/// A CA that lives a minute, with SVIDs that it can honour.
const SHORT: crate::testbed::Options<'static> = crate::testbed::Options {
    settings: "ca_ttl = \"1m\"\n  default_x509_svid_ttl = \"5s\"\n  agent_ttl = \"20s\"",
    plugins: "",
};

/// The CA's life: it is followed by the next one well within it.
const LIFE: std::time::Duration = std::time::Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_watching_workload_is_sent_each_new_svid() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    server.entry(
        &agent.id,
        "spiffe://example.org/web",
        &my_user(),
        &["--x509-svid-ttl", "8"],
    );
    agent.serves("spiffe://example.org/web");
    let mut client = grpc::workload_api(agent.socket.clone());
    let stream = client
        .fetch_x509svid(grpc::workload(X509SvidRequest {}))
        .await
        .unwrap();
    let mut stream = stream.into_inner();
    let mut chains = std::collections::BTreeSet::new();
    while chains.len() < 3 {
        let update = stream.next().await.unwrap().unwrap();
        let svid = update.svids.first().unwrap();
        chains.insert(svid.x509_svid.to_vec());
    }
}

#[test]
fn the_ca_rotates_and_every_svid_follows_without_a_gap() {
    let bed = Bed::new();
    let server = Server::start_with(&bed, &SHORT);
    let agent = Agent::join(&server);
    server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    agent.serves("spiffe://example.org/web");
    let bundle = || server.run(&["bundle", "show"]).ok();
    let count = |pem: &str| pem.matches("BEGIN CERTIFICATE").count();
    let first = bundle();
    assert_eq!(count(&first), 1);
    let second = within(LIFE, "the next CA is prepared", || {
        let now = bundle();
        (count(&now) == 2).then_some(now)
    });
    assert!(second.contains(first.trim()));
    // The agent serves the prepared authority before anything is signed with it, and the
    // SVID verifies against what is served at every moment.
    let mut signed_by_second = false;
    let folder = bed.path("out");
    std::fs::create_dir(&folder).unwrap();
    let started = std::time::Instant::now();
    while !signed_by_second {
        agent
            .run(&["api", "fetch", "x509", "--write", folder.to_str().unwrap()])
            .ok();
        let mut openssl = std::process::Command::new("openssl");
        openssl.args(["verify", "-CAfile", "out/bundle.0.pem", "out/svid.0.pem"]);
        bed.run(&mut openssl).ok();
        std::fs::write(bed.path("out/first.pem"), &first).unwrap();
        let mut openssl = std::process::Command::new("openssl");
        openssl.args(["verify", "-CAfile", "out/first.pem", "out/svid.0.pem"]);
        signed_by_second = bed.run(&mut openssl).code != Some(0);
        assert!(started.elapsed() < LIFE, "the next CA was not activated");
    }
}

#[test]
fn the_agent_renews_its_own_svid_and_stays_the_same_agent() {
    let bed = Bed::new();
    let server = Server::start_with(&bed, &SHORT);
    let agent = Agent::join(&server);
    let serial = || {
        let shown = server
            .run(&["agent", "show", "--spiffe-id", &agent.id])
            .ok();
        let mut lines = shown.lines();
        lines
            .find(|line| line.starts_with("Serial number"))
            .unwrap()
            .to_owned()
    };
    let first = serial();
    eventually("the agent has another serial number", || {
        (serial() != first).then_some(())
    });
    server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    agent.serves("spiffe://example.org/web");
}
