//! Agents that are banned or evicted.

use signet_proto::spire::api::types::{PermissionDeniedDetails, permission_denied_details::Reason};

use crate::testbed::{Agent, Bed, Server, eventually, grpc, my_user};

#[test]
fn a_banned_agent_ends_and_cannot_come_back() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    agent.serves("spiffe://example.org/web");

    let printed = server.run(&["agent", "ban", "--spiffe-id", &agent.id]).ok();
    assert!(printed.contains("Agent banned successfully"), "{printed}");
    // A new entry makes the agent talk to the server, which refuses it.
    server.entry(&agent.id, "spiffe://example.org/other", &my_user(), &[]);
    let status = agent.process.ends();
    assert!(!status.success());
    assert!(
        agent.process.log().contains("banned"),
        "{}",
        agent.process.log()
    );

    let shown = server
        .run(&["agent", "show", "--spiffe-id", &agent.id])
        .ok();
    assert!(shown.contains("Banned"), "{shown}");
    let agent = agent.start_again();
    // Without its SVID it would have to attest, and its token is used up.
    agent.process.says("already been used");
    assert_eq!(agent.run(&["healthcheck"]).code, Some(1));
}

#[test]
fn an_evicted_agent_gets_no_new_svids() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    agent.serves("spiffe://example.org/web");

    let printed = server
        .run(&["agent", "evict", "--spiffe-id", &agent.id])
        .ok();
    assert!(printed.contains("Agent evicted successfully"), "{printed}");
    server.entry(&agent.id, "spiffe://example.org/late", &my_user(), &[]);
    agent.process.says("not attested");
    assert!(
        agent.process.is_running(),
        "an eviction does not end the agent"
    );
    let fetched = agent.run(&["api", "fetch", "x509"]).stdout;
    assert!(!fetched.contains("spiffe://example.org/late"), "{fetched}");
    let listed = server.run(&["agent", "list"]).ok();
    assert!(listed.contains("No attested agents found"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_agent_is_told_the_reason_in_the_status_details() {
    use prost::Message as _;
    use signet_identity::key::{KeyType, PrivateKey};
    use signet_proto::{
        google::rpc,
        spire::api::server::entry::v1::{GetAuthorizedEntriesRequest, entry_client::EntryClient},
    };

    let bed = Bed::new();
    let server = Server::start(&bed);
    let token = server.token(&[]);
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let csr = signet_identity::csr::build(&key, signet_identity::csr::Subject::spire(), None, &[])
        .unwrap();
    let attested = crate::join_token::attest(&server, "join_token", token.as_bytes(), &csr)
        .await
        .unwrap();
    let chain = attested.svid.unwrap().cert_chain;
    let id = format!("spiffe://example.org/spire/agent/join_token/{token}");

    let ask = async || {
        let channel = grpc::to_server(&server, Some(grpc::identity(&chain, &key)));
        EntryClient::new(channel)
            .get_authorized_entries(GetAuthorizedEntriesRequest::default())
            .await
    };
    ask().await.unwrap();
    for (verb, expected) in [
        ("ban", Reason::AgentBanned),
        ("evict", Reason::AgentNotAttested),
    ] {
        server.run(&["agent", verb, "--spiffe-id", &id]).ok();
        let status = ask().await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status}");
        let details = rpc::Status::decode(status.details()).unwrap();
        let detail = details.details.first().expect("a detail");
        assert!(
            detail
                .type_url
                .ends_with("spire.api.types.PermissionDeniedDetails")
        );
        let detail = PermissionDeniedDetails::decode(detail.value.as_slice()).unwrap();
        assert_eq!(detail.reason(), expected);
    }
}

#[test]
fn an_entry_that_is_deleted_is_gone_from_the_workload() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let entry = server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    agent.serves("spiffe://example.org/web");
    server.run(&["entry", "delete", "--entry-id", &entry]).ok();
    eventually("the identity is gone", || {
        let fetched = agent.run(&["api", "fetch", "x509"]);
        (!fetched.stdout.contains("spiffe://example.org/web")).then_some(())
    });
}
