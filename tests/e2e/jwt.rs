//! JWT-SVIDs: issued, validated, refused.

use crate::testbed::{Agent, Bed, Options, Server, my_user};

#[test]
fn a_jwt_svid_is_issued_for_its_audience_and_validated_by_the_agent() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    agent.serves("spiffe://example.org/web");
    let token = fetch(&agent, &["--audience", "orders,billing"]);
    for audience in ["orders", "billing"] {
        let printed = validate(&agent, audience, &token).ok();
        assert!(printed.contains("SVID is valid."), "{printed}");
        assert!(printed.contains("spiffe://example.org/web"), "{printed}");
    }
    let refused = validate(&agent, "shipping", &token);
    assert_eq!(refused.code, Some(1), "{refused:?}");
}

#[test]
fn a_token_that_was_tampered_with_is_refused() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    agent.serves("spiffe://example.org/web");
    let token = fetch(&agent, &["--audience", "orders"]);
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{rest}.{other}{}", &signature[1..]);
    assert_eq!(validate(&agent, "orders", &forged).code, Some(1));
}

#[test]
fn the_agent_serves_a_cached_token_again_and_goes_on_while_the_server_is_away() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let agent = Agent::join(&server);
    server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    agent.serves("spiffe://example.org/web");
    let first = fetch(&agent, &["--audience", "orders"]);
    server.process.kill();
    assert_eq!(fetch(&agent, &["--audience", "orders"]), first);
    assert!(
        agent
            .run(&["api", "fetch", "x509"])
            .ok()
            .contains("spiffe://example.org/web")
    );
}

#[test]
fn a_token_minted_by_the_server_is_valid_for_the_agent() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
    agent.serves("spiffe://example.org/web");
    let id = "spiffe://example.org/legacy";
    let minted = server
        .run(&["jwt", "mint", "--spiffe-id", id, "--audience", "orders"])
        .ok();
    let printed = validate(&agent, "orders", minted.trim()).ok();
    assert!(printed.contains(id), "{printed}");
}

#[test]
fn a_workload_is_told_that_its_server_signs_no_tokens_and_the_agent_logs_it_as_spires_does() {
    let bed = Bed::new();
    let settings = "disable_jwt_svids = true";
    let server = Server::start_with(
        &bed,
        &Options {
            settings,
            ..Options::default()
        },
    );
    let agent = Agent::join_with(&server, "log_format = \"text\"");
    let id = "spiffe://example.org/web";
    server.entry(&agent.id, id, &my_user(), &[]);
    agent.serves(id);
    let refused = agent.run(&["api", "fetch", "jwt", "--audience", "orders"]);
    let told = refused.refused();
    for words in [
        "Unavailable",
        "could not fetch JWT-SVID",
        "JWT functionality is disabled",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let log = agent.process.log();
    let line = log
        .lines()
        .find(|line| line.contains("msg=\"Could not fetch JWT-SVID\""))
        .unwrap_or_else(|| panic!("{log}"));
    for field in [
        "level=error",
        "method=FetchJWTSVID",
        "pid=",
        "registered=true",
        "service=WorkloadAPI",
        "spiffe_id=\"spiffe://example.org/web\"",
        "subsystem_name=endpoints",
        "JWT functionality is disabled",
    ] {
        assert!(line.contains(field), "{field}: {line}");
    }
    let answer = "level=error msg=\"Failed to fetch JWT SVID\" \
                  error=\"rpc error: code = Unimplemented desc = JWT functionality is disabled\" \
                  status_code=Unimplemented status_message=\"JWT functionality is disabled\" \
                  subsystem_name=manager\n";
    assert!(log.contains(answer), "{log}");
}

fn fetch(agent: &Agent<'_>, flags: &[&str]) -> String {
    let printed = agent.run(&[&["api", "fetch", "jwt"], flags].concat()).ok();
    let mut lines = printed
        .lines()
        .skip_while(|line| !line.starts_with("token("));
    lines
        .nth(1)
        .unwrap_or_else(|| panic!("no token in {printed}"))
        .trim()
        .to_owned()
}

fn validate(agent: &Agent<'_>, audience: &str, token: &str) -> crate::testbed::Run {
    agent.run(&[
        "api",
        "validate",
        "jwt",
        "--audience",
        audience,
        "--svid",
        token,
    ])
}
