//! SIGHUP: the configuration is read again, whole or not at all, and what changed is said.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    thread,
};

use nix::sys::signal::Signal;

use crate::testbed::{Agent, Bed, Proxy, Server, eventually, free_port};

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
        "mesh: []
inbound:
  - {{ name: shop, listen: '127.0.0.1:{}', protocol: TCP, forward: '127.0.0.1:{}' }}
",
        free_port(),
        free_port()
    );
    let mut shop = Proxy::start(&server, &agent, "shop", &config);
    let file = bed.path("shop.yaml");
    change(&file, "mesh: []", "mesh: [wrong]");
    shop.process.signal(Signal::SIGHUP);
    shop.process.says("the one in force stays");
    change(&file, "mesh: [wrong]", "mesh: [nobody]");
    shop.process.signal(Signal::SIGHUP);
    shop.process.says("mesh: [] → ");
    shop.process.says("the new model is in force");
    shop.process.stop();
}

#[test]
fn a_proxys_ports_open_close_and_lead_elsewhere_while_it_runs() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let (one, two) = (greets("one"), greets("two"));
    let (shop_in, other_in, out) = (free_port(), free_port(), free_port());
    let shop = format!(
        "mesh: []
inbound:
  - {{ name: shop, listen: '127.0.0.1:{shop_in}', protocol: TCP, forward: '127.0.0.1:{one}', port: 80 }}
"
    );
    let client = format!(
        "outbound:
  - {{ name: out, listen: '127.0.0.1:{out}', protocol: TCP, connect: '127.0.0.1:{shop_in}', expect: ['spiffe://example.org/shop'] }}
"
    );
    let shop = Proxy::start(&server, &agent, "shop", &shop);
    let client = Proxy::start(&server, &agent, "client", &client);
    assert_eq!(greeting(out), "one");

    // The same port leads to another application.
    let file = bed.path("shop.yaml");
    change(
        &file,
        &format!("127.0.0.1:{one}"),
        &format!("127.0.0.1:{two}"),
    );
    shop.process.signal(Signal::SIGHUP);
    eventually("the port leads elsewhere", || {
        (greeting(out) == "two").then_some(())
    });

    // It goes, and another one comes.
    change(&file, "name: shop", "name: other");
    change(&file, &format!(":{shop_in}"), &format!(":{other_in}"));
    shop.process.signal(Signal::SIGHUP);
    shop.process.says("the port is removed");
    eventually("the old port is closed", || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, shop_in))
            .is_err()
            .then_some(())
    });
    let file = bed.path("client.yaml");
    change(&file, &format!(":{shop_in}"), &format!(":{other_in}"));
    client.process.signal(Signal::SIGHUP);
    eventually("the new port is used", || {
        (greeting(out) == "two").then_some(())
    });
}

/// An application that says `word` to whoever connects, and hangs up.
fn greets(word: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _gone = stream.unwrap().write_all(word.as_bytes());
        }
    });
    port
}

/// What is said behind a port; nothing, if the way is not open.
fn greeting(port: u16) -> String {
    let mut said = String::new();
    if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        let _cut = stream.read_to_string(&mut said);
    }
    said
}
