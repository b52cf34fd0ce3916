//! Agents that are banned or evicted.

use prost::Message as _;
use signet_identity::{
    csr,
    key::{KeyType, PrivateKey},
};
use signet_proto::{
    google::rpc,
    spire::api::{
        server::entry::v1::{GetAuthorizedEntriesRequest, entry_client::EntryClient},
        types::{PermissionDeniedDetails, permission_denied_details::Reason},
    },
};
use tonic::Status;

use crate::{
    join_token,
    testbed::{Agent, Bed, Server, eventually, grpc, my_user},
};

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
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Attested::with_a_token(&server).await;
    agent.ask().await.unwrap();
    for (verb, expected) in [
        ("ban", Reason::AgentBanned),
        ("evict", Reason::AgentNotAttested),
    ] {
        server.run(&["agent", verb, "--spiffe-id", &agent.id]).ok();
        assert_eq!(agent.refusal().await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_ban_or_an_eviction_is_answered_it_has_taken_effect_and_is_in_the_log() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let listed = || server.run(&["agent", "list", "--output", "json"]).ok();
    for _ in 0..10 {
        let agent = Attested::with_a_token(&server).await;
        agent.ask().await.unwrap();
        let shown = listed();
        assert!(shown.contains(&agent.path()), "{shown}");

        // Nothing here waits for anything but the end of the command.
        server.run(&["agent", "ban", "--spiffe-id", &agent.id]).ok();
        let log = server.process.log();
        assert!(agent.is_in(&log, "banned an agent"), "{log}");
        let shown = listed();
        assert!(shown.contains("\"banned\":true"), "{shown}");
        assert_eq!(agent.refusal().await, Reason::AgentBanned);

        server
            .run(&["agent", "evict", "--spiffe-id", &agent.id])
            .ok();
        let log = server.process.log();
        assert!(agent.is_in(&log, "evicted an agent"), "{log}");
        let shown = listed();
        assert!(!shown.contains(&agent.path()), "{shown}");
        assert_eq!(agent.refusal().await, Reason::AgentNotAttested);
    }
}

/// An agent that does only what a test has it do.
struct Attested<'a> {
    server: &'a Server<'a>,
    id: String,
    chain: Vec<Vec<u8>>,
    key: PrivateKey,
}

impl<'a> Attested<'a> {
    async fn with_a_token(server: &'a Server<'a>) -> Self {
        let token = server.token(&[]);
        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        let csr = csr::build(&key, csr::Subject::spire(), None, &[]).unwrap();
        let attested = join_token::attest(server, "join_token", token.as_bytes(), &csr);
        Self {
            server,
            id: format!("spiffe://example.org/spire/agent/join_token/{token}"),
            chain: attested.await.unwrap().svid.unwrap().cert_chain,
            key,
        }
    }

    /// A call that only an agent in good standing may make.
    async fn ask(&self) -> Result<(), Status> {
        let channel = grpc::to_server(self.server, Some(grpc::identity(&self.chain, &self.key)));
        let mut client = EntryClient::new(channel);
        let asked = client.get_authorized_entries(GetAuthorizedEntriesRequest::default());
        asked.await.map(|_| ())
    }

    /// Why such a call is refused.
    async fn refusal(&self) -> Reason {
        let status = self.ask().await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status}");
        let details = rpc::Status::decode(status.details()).unwrap();
        let detail = details.details.first().expect("a detail");
        let kind = "spire.api.types.PermissionDeniedDetails";
        assert!(detail.type_url.ends_with(kind), "{}", detail.type_url);
        let detail = PermissionDeniedDetails::decode(detail.value.as_slice()).unwrap();
        detail.reason()
    }

    fn path(&self) -> String {
        self.id.replace("spiffe://example.org", "")
    }

    fn is_in(&self, log: &str, sentence: &str) -> bool {
        let mut lines = log.lines();
        lines.any(|line| line.contains(sentence) && line.contains(&self.id))
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
