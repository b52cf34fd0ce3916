//! Files that were written for SPIRE start ours unchanged.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
};

use serde_json::Value;
use signet_tests::testbed::{Bed, Process, free_port, my_user, pki::Pki};

use super::{
    mask::masked,
    raw::{self, Workload},
    stage::{Maker, patiently, workload},
};

/// A server's file with most of what an operator sets.
pub(super) const SERVER: &str = r#"
# written for SPIRE
server {
    admin_ids = ["spiffe://example.org/operator"]
    agent_ttl = "45m"
    audit_log_enabled = false
    bind_address = "127.0.0.1"
    bind_port = "$PORT"
    ca_key_type = "ec-p384"
    ca_subject {
        country = ["DE"]
        organization = ["Works, Plant 2"]
        common_name = "the CA of example.org"
    }
    ca_ttl = "72h"
    data_dir = "./data"
    default_jwt_svid_ttl = "7m"
    default_x509_svid_ttl = "40m"
    disable_jwt_svids = false
    jwt_issuer = "https://issuer.example.org"
    jwt_key_type = "rsa-2048"
    log_file = "server.said"
    log_format = "json"
    log_level = "WARN"
    log_source_location = true
    profiling_enabled = false
    ratelimit {
        attestation = true
        signing = false
    }
    socket_path = "$ROOT/api.sock"
    trust_domain = "${DOMAIN}"
}

/* as many plugins
   as there are kinds */
plugins {
    DataStore "sql" {
        plugin_data {
            database_type = "sqlite3"
            connection_string = "./data/datastore.sqlite3"
        }
    }
    KeyManager "disk" {
        plugin_data = {
            keys_path = "./data/keys.json"
        }
    }
    NodeAttestor "join_token" { plugin_data {} }
    NodeAttestor "x509pop" {
        plugin_data {
            mode = "external_pki"
            ca_bundle_paths = ["pki.pem"]
        }
    }
}

health_checks {
    listener_enabled = true
    bind_address = "127.0.0.1"
    bind_port = "$HEALTH"
    live_path = "/alive"
    ready_path = "/going"
}
"#;

/// An agent's.
pub(super) const AGENT: &str = r#"
agent {
    allow_unauthenticated_verifiers = true
    allowed_foreign_jwt_claims = ["email"]
    availability_target = "24h"
    data_dir = "./node"
    disable_sds_api = true
    insecure_bootstrap = false
    join_token_file = "token"
    jwt_svid_cache_max_size = 10
    log_format = "text"
    log_level = "info"
    rebootstrap_mode = "never"
    server_address = "127.0.0.1"
    server_port = $PORT
    socket_path = "$ROOT/agent.sock"
    trust_bundle_format = "spiffe"
    trust_bundle_path = "bundle.json"
    trust_domain = "example.org"
    workload_x509_svid_key_type = "rsa-2048"
    x509_svid_cache_max_size = 10
    experimental {
        sync_interval = "1s"
        use_sync_authorized_entries = true
    }
}
plugins {
    NodeAttestor "join_token" { plugin_data {} }
    KeyManager "memory" { plugin_data {} }
    WorkloadAttestor "unix" {
        plugin_data {
            discover_workload_path = true
            workload_size_limit = -1
        }
    }
}
health_checks {
    listener_enabled = true
    bind_address = "127.0.0.1"
    bind_port = "$HEALTH"
}
"#;

#[cfg_attr(spire, test)]
fn files_written_for_spire_start_ours_and_mean_the_same() {
    let [ours, theirs] = Maker::BOTH.map(deployment);
    assert_eq!(ours, theirs);
}

/// Starts server and agent of one maker from the files, and tells what came of each setting.
fn deployment(maker: Maker) -> Vec<(&'static str, String)> {
    let bed = Bed::new();
    Pki::new("factory").trusted(&bed);
    let (port, live, health) = (free_port(), free_port(), free_port());
    let _server = run(&bed, maker, "server", &filled(&bed, SERVER, port, live));
    let ask = |line: &str| {
        let line = format!("{line} -socketPath api.sock");
        let words: Vec<&str> = line.split(' ').collect();
        bed.run(&mut maker.server().command(&words))
    };
    patiently("the server is healthy", || {
        (ask("healthcheck").code == Some(0)).then_some(())
    });
    bed.write("bundle.json", &ask("bundle show -format spiffe").ok());
    let token = ask("token generate -output json").ok();
    let token: Value = serde_json::from_str(&token).unwrap();
    let token = token["value"].as_str().unwrap();
    bed.write("token", token);
    let parent = format!("spiffe://example.org/spire/agent/join_token/{token}");
    let (id, user) = (workload("web"), my_user());
    ask(&format!(
        "entry create -parentID {parent} -spiffeID {id} -selector {user}"
    ))
    .ok();
    let _agent = run(&bed, maker, "agent", &filled(&bed, AGENT, port, health));
    let asking = Workload::of(bed.path("agent.sock"));
    let svid = patiently("an SVID", || asking.x509().ok());
    let mut seen = vec![
        ("live", get(live, "/alive")),
        ("ready", patiently("readiness", || good(live, "/going"))),
        (
            "ready agent",
            patiently("readiness", || good(health, "/ready")),
        ),
        ("agent", minutes(&ask("agent list -output json").ok())),
    ];
    seen.extend(certificates(&bed, &raw::only(svid).x509_svid));
    let token = asking.jwt("orders").unwrap().svids.remove(0).svid;
    let claims = asking.validate("orders", &token).unwrap().claims.unwrap();
    let number = |name: &str| match claims.fields[name].kind {
        Some(prost_types::value::Kind::NumberValue(number)) => number,
        _ => 0.0,
    };
    let life = number("exp") - number("iat");
    seen.push(("token's life", life.to_string()));
    seen.push(("issuer", format!("{:?}", claims.fields["iss"].kind)));
    let header = token.split('.').next().unwrap().len();
    seen.push(("token's header", header.to_string()));
    let said = std::fs::read_to_string(bed.path("server.said")).unwrap();
    seen.push((
        "log",
        said.lines().all(|line| line.starts_with('{')).to_string(),
    ));
    seen
}

/// The file in a test's directory.
pub(super) fn filled(bed: &Bed, text: &str, port: u16, health: u16) -> String {
    let root = bed.path("").display().to_string();
    text.replace("$ROOT", root.trim_end_matches('/'))
        .replace("$PORT", &port.to_string())
        .replace("$HEALTH", &health.to_string())
}

fn run(bed: &Bed, maker: Maker, role: &str, text: &str) -> Process {
    let config = bed.write(&format!("{role}.conf"), text);
    let program = match role {
        "server" => maker.server(),
        _ => maker.agent(),
    };
    let run = ["run", "-config", config.to_str().unwrap()];
    // The environment stands in for ${DOMAIN}.
    let words = [&run[..], &["-expandEnv"]].concat();
    program.start_in(&words, &[("DOMAIN", "example.org")], bed.path(role))
}

/// The status line of an HTTP answer.
fn get(port: u16, path: &str) -> String {
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned())
    };
    asked().unwrap_or_default()
}

fn good(port: u16, path: &str) -> Option<String> {
    Some(get(port, path)).filter(|status| status == "200")
}

/// The agent as the server lists it, without what is its own.
fn minutes(listed: &str) -> String {
    masked(listed)
        .split("\"agent_version\"")
        .map(|part| part.split_once(',').map_or("", |(_, rest)| rest))
        .collect()
}

/// Subject and issuer, key, and how long an SVID lives.
fn certificates(bed: &Bed, der: &[u8]) -> Vec<(&'static str, String)> {
    std::fs::write(bed.path("leaf.der"), der).unwrap();
    let openssl = |line: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-inform", "DER", "-in", "leaf.der", "-noout"]);
        bed.run(openssl.args(line.split(' ')))
    };
    let text = openssl("-text").ok();
    let line = |start: &str| {
        let mut lines = text.lines().map(str::trim);
        lines
            .find(|line| line.starts_with(start))
            .unwrap_or_default()
            .to_owned()
    };
    // The issuer's serial number is a random one.
    let issuer = masked(&line("Issuer:"));
    let outlives = |seconds: &str| openssl(&format!("-checkend {seconds}")).code == Some(0);
    // 40 minutes, less what it took to come here.
    let life = outlives("2280") && !outlives("2410");
    vec![
        ("issuer", issuer),
        ("key", line("Public-Key:")),
        ("signature", line("Signature Algorithm:")),
        ("lives 40 minutes", life.to_string()),
    ]
}
