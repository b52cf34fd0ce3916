//! Join tokens: good for one attestation, and used up by a successful one alone.

use signet_identity::{
    csr::{self, Subject},
    key::{KeyType, PrivateKey},
};
use signet_proto::spire::api::{
    server::agent::v1::{
        AgentX509svidParams, AttestAgentRequest, AttestAgentResponse, agent_client::AgentClient,
        attest_agent_request, attest_agent_response,
    },
    types::AttestationData,
};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use crate::testbed::{Agent, Bed, JOIN_TOKEN, Server, grpc};

#[test]
fn an_agent_attests_with_a_token_and_is_listed() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let listed = server.run(&["agent", "list"]).ok();
    assert!(listed.contains("Found 1 attested agent"), "{listed}");
    assert!(listed.contains(&agent.id), "{listed}");
    assert!(listed.contains("join_token"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_attests_once() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let token = server.token(&[]);
    attest(&server, "join_token", token.as_bytes(), &good_csr())
        .await
        .unwrap();
    let refused = attest(&server, "join_token", token.as_bytes(), &good_csr())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused
            .message()
            .contains("does not exist or has already been used"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attestation_leaves_the_token_good() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let token = server.token(&[]);
    let mut broken = good_csr();
    *broken.last_mut().unwrap() ^= 1;
    for bad in [broken.as_slice(), b"no CSR", b""] {
        let refused = attest(&server, "join_token", token.as_bytes(), bad)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    attest(&server, "join_token", token.as_bytes(), &good_csr())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_refused_as_expired() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let token = server.token(&["--ttl", "1"]);
    // The server is another process, with the real clock: its time has to pass.
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let refused = attest(&server, "join_token", token.as_bytes(), &good_csr())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().contains("join token expired"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_cannot_attest_is_refused() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let unknown = attest(&server, "join_token", b"guess", &good_csr())
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument);
    let other = attest(&server, "aws_iid", b"{}", &good_csr())
        .await
        .unwrap_err();
    assert_eq!(other.code(), Code::FailedPrecondition);
    assert!(other.message().contains("aws_iid"), "{other}");
}

#[test]
fn a_token_for_a_spiffe_id_makes_an_alias_that_entries_can_hang_on() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let token = server.token(&["--spiffe-id", "spiffe://example.org/rack-1"]);
    let id = format!("spiffe://example.org/spire/agent/join_token/{token}");
    let agent = Agent::start(&server, "agent", JOIN_TOKEN, &["--join-token", &token], id);
    agent.is_healthy();
    let selector = crate::testbed::my_user();
    server.entry(
        "spiffe://example.org/rack-1",
        "spiffe://example.org/web",
        &selector,
        &[],
    );
    agent.serves("spiffe://example.org/web");
}

#[test]
fn an_agent_with_a_used_token_says_so_and_stays_away_from_workloads() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let token = server.token(&[]);
    let id = String::new();
    let first = Agent::start(
        &server,
        "first",
        JOIN_TOKEN,
        &["--join-token", &token],
        id.clone(),
    );
    first.is_healthy();
    let second = Agent::start(&server, "second", JOIN_TOKEN, &["--join-token", &token], id);
    second.process.says("already been used");
    assert_eq!(second.run(&["healthcheck"]).code, Some(1));
}

#[test]
fn an_agent_of_another_trust_domain_refuses_the_server() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let token = server.token(&[]);
    let flags = ["--join-token", &token, "--trust-domain", "other.org"];
    let agent = Agent::start(&server, "agent", JOIN_TOKEN, &flags, String::new());
    agent.process.says("other.org");
    let listed = server.run(&["agent", "list"]).ok();
    assert!(listed.contains("No attested agents found"), "{listed}");
}

/// The first half of an attestation, and what the server makes of it.
pub(crate) async fn attest(
    server: &Server<'_>,
    kind: &str,
    payload: &[u8],
    csr: &[u8],
) -> Result<attest_agent_response::Result, Status> {
    let request = AttestAgentRequest {
        step: Some(attest_agent_request::Step::Params(
            attest_agent_request::Params {
                data: Some(AttestationData {
                    r#type: kind.to_owned(),
                    payload: payload.to_vec(),
                }),
                params: Some(AgentX509svidParams { csr: csr.to_vec() }),
            },
        )),
    };
    let mut client = AgentClient::new(grpc::to_server(server, None));
    let mut answers = client
        .attest_agent(tokio_stream::once(request))
        .await?
        .into_inner();
    match answers.next().await.expect("an answer")? {
        AttestAgentResponse {
            step: Some(attest_agent_response::Step::Result(result)),
        } => Ok(result),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn good_csr() -> Vec<u8> {
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    csr::build(&key, Subject::spire(), None, &[]).unwrap()
}
