//! SIGHUP: the configuration is read again, whole or not at all, and what changed is said.

use std::{fs, path::Path};

use nix::sys::signal::Signal;

use crate::testbed::{Agent, Bed, Proxy, Server, free_port};

/// Puts a new text in the place of an old one.
#[track_caller]
fn change(file: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(old), "{text}");
    fs::write(file, text.replace(old, new)).unwrap();
}

#[test]
fn a_server_reloads_what_it_can_names_what_waits_and_refuses_a_bad_file_whole() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let port = format!("bind_port = \"{}\"", server.port);
    change(
        &server.config,
        "server {",
        "server {\nadmin_ids = [\"spiffe://example.org/admin\"]",
    );
    change(&server.config, "\"DEBUG\"", "\"WARN\"");
    change(&server.config, &port, "bind_port = 1");
    server.process.signal(Signal::SIGHUP);
    server.process.says("server.log_level: DEBUG → WARN");
    let admins = "server.admin_ids: (not set) → ";
    assert!(server.process.log().contains(admins));
    server.process.says("when the daemon is restarted");
    assert!(server.process.log().contains("server.bind_port"));
    let calls = || server.process.log().matches("DEBUG").count();
    let before = calls();
    server.is_healthy();
    assert_eq!(calls(), before, "calls are still logged");

    change(&server.config, "\"WARN\"", "\"LOUD\"");
    // As SPIRE's operators have plugins reconfigured.
    server.process.signal(Signal::SIGUSR1);
    server.process.says("the one in force stays");
    assert!(server.process.log().contains("LOUD"));
    let before = calls();
    server.is_healthy();
    assert_eq!(calls(), before, "calls are logged again");
    server.process.stop();
}

#[test]
fn an_agent_reloads_the_level_of_its_log_and_stays_up() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    change(&bed.path("agent.conf"), "\"DEBUG\"", "\"INFO\"");
    agent.process.signal(Signal::SIGHUP);
    agent.process.says("agent.log_level: DEBUG → INFO");
    agent.is_healthy();
    agent.process.stop();
}

#[test]
fn a_proxy_takes_its_policies_from_other_files_and_keeps_them_when_those_are_wrong() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    bed.write("wrong/policy.yaml", "kind: Nonsense\n");
    bed.write(
        "nobody/policy.yaml",
        "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody }
spec: { action: ALLOW }
",
    );
    let config = format!(
        "policies: []
inbound:
  - {{ name: shop, listen: '127.0.0.1:{}', protocol: TCP, forward: '127.0.0.1:{}' }}
",
        free_port(),
        free_port()
    );
    let mut shop = Proxy::start(&server, &agent, "shop", &config);
    let file = bed.path("shop.yaml");
    change(&file, "policies: []", "policies: [wrong]");
    shop.process.signal(Signal::SIGHUP);
    shop.process.says("the one in force stays");
    change(&file, "policies: [wrong]", "policies: [nobody]");
    shop.process.signal(Signal::SIGHUP);
    shop.process.says("policies: [] → ");
    shop.process.says("new policies are in force");
    shop.process.stop();
}
