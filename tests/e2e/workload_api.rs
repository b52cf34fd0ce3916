//! The Workload API, as clients of other people use it.

use std::{process::Command, time::Instant};

use signet_proto::workload::{X509SvidRequest, X509SvidResponse};
use tokio_stream::StreamExt as _;
use tonic::{Code, Request};

use crate::testbed::{Agent, Bed, Server, grpc, my_user};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_the_header_is_refused() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let mut client = grpc::workload_api(agent.socket.clone());
    let plain = client
        .fetch_x509svid(Request::new(X509SvidRequest {}))
        .await
        .unwrap_err();
    assert_eq!(plain.code(), Code::InvalidArgument, "{plain}");
    for value in ["True", "1", ""] {
        let mut request = Request::new(X509SvidRequest {});
        request
            .metadata_mut()
            .insert("workload.spiffe.io", value.parse().unwrap());
        let refused = client.fetch_x509svid(request).await.unwrap_err();
        assert_eq!(
            refused.code(),
            Code::InvalidArgument,
            "{value:?}: {refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_an_entry_is_refused_and_the_log_says_what_was_seen() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let mut client = grpc::workload_api(agent.socket.clone());
    let refused = client
        .fetch_x509svid(grpc::workload(X509SvidRequest {}))
        .await;
    let refused = match refused {
        Ok(stream) => stream.into_inner().next().await.unwrap().unwrap_err(),
        Err(refused) => refused,
    };
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    agent.process.says(&my_user());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_created_reaches_a_watching_workload_at_once() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    server.entry(&agent.id, "spiffe://example.org/first", &my_user(), &[]);
    agent.serves("spiffe://example.org/first");
    let mut client = grpc::workload_api(agent.socket.clone());
    let stream = client
        .fetch_x509svid(grpc::workload(X509SvidRequest {}))
        .await
        .unwrap();
    let mut stream = stream.into_inner();
    assert_eq!(
        ids(&stream.next().await.unwrap().unwrap()),
        ["spiffe://example.org/first"]
    );

    let created = Instant::now();
    server.entry(&agent.id, "spiffe://example.org/second", &my_user(), &[]);
    let update = stream.next().await.unwrap().unwrap();
    // The command that creates the entry is in the figure, and a busy machine.
    assert!(
        created.elapsed().as_millis() < 2000,
        "took {:?}",
        created.elapsed()
    );
    assert_eq!(ids(&update).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spiffe_crate_gets_svids_and_bundles_and_follows_updates() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    server.entry(
        &agent.id,
        "spiffe://example.org/web",
        &my_user(),
        &["--x509-svid-ttl", "10"],
    );
    agent.serves("spiffe://example.org/web");
    let endpoint = format!("unix:{}", agent.socket.display());
    let source = spiffe::X509Source::builder()
        .endpoint(&endpoint)
        .build()
        .await
        .unwrap();
    let first = source.svid().unwrap();
    assert_eq!(first.spiffe_id().to_string(), "spiffe://example.org/web");
    let mut updates = source.updated();
    loop {
        updates.changed().await.unwrap();
        let now = source.svid().unwrap();
        if now.cert_chain() != first.cert_chain() {
            break;
        }
    }
    source.shutdown().await;
}

#[test]
fn openssl_accepts_our_chains() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    server.entry(
        &agent.id,
        "spiffe://example.org/web",
        &my_user(),
        &["--dns", "web.example.org"],
    );
    agent.serves("spiffe://example.org/web");
    let folder = bed.path("out");
    std::fs::create_dir(&folder).unwrap();
    agent
        .run(&["api", "fetch", "x509", "--write", folder.to_str().unwrap()])
        .ok();
    let verify = |purpose: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["verify", "-x509_strict", "-purpose", purpose]);
        openssl.args(["-CAfile", "out/bundle.0.pem", "out/svid.0.pem"]);
        bed.run(&mut openssl).ok()
    };
    assert!(verify("sslclient").contains("OK"));
    assert!(verify("sslserver").contains("OK"));
    let text = |file: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-noout", "-text", "-in", file]);
        bed.run(&mut openssl).ok()
    };
    let svid = text("out/svid.0.pem");
    assert!(svid.contains("URI:spiffe://example.org/web"), "{svid}");
    assert!(svid.contains("DNS:web.example.org"), "{svid}");
    assert!(svid.contains("C = US, O = SPIRE"), "{svid}");
    let authority = text("out/bundle.0.pem");
    assert!(authority.contains("CA:TRUE") && authority.contains("URI:spiffe://example.org"));
}

#[test]
fn openssl_speaks_tls13_with_the_server_and_sees_its_spiffe_id() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let bundle = server.bundle_file();
    let mut openssl = Command::new("openssl");
    openssl.args([
        "s_client",
        "-connect",
        &format!("127.0.0.1:{}", server.port),
    ]);
    openssl.args([
        "-alpn",
        "h2",
        "-verify_return_error",
        "-CAfile",
        bundle.to_str().unwrap(),
    ]);
    let seen = bed.run(&mut openssl).stdout;
    assert!(
        seen.contains("TLSv1.3") && seen.contains("ALPN protocol: h2"),
        "{seen}"
    );
    assert!(seen.contains("Verify return code: 0 (ok)"), "{seen}");
}

#[test]
fn the_sha256_of_the_executable_is_a_selector() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let mut sum = Command::new("sha256sum");
    sum.arg(crate::testbed::signet());
    let sum = bed.run(&mut sum).ok();
    let selector = format!("unix:sha256:{}", sum.split(' ').next().unwrap());
    server.entry(&agent.id, "spiffe://example.org/signet", &selector, &[]);
    agent.serves("spiffe://example.org/signet");
}

fn ids(response: &X509SvidResponse) -> Vec<&str> {
    response
        .svids
        .iter()
        .map(|svid| svid.spiffe_id.as_str())
        .collect()
}
