//! A script of the kind that operators write, and the lines of SPIRE's log that it waits for.

use std::{path::Path, process::Command};

use serde_json::Value;

use super::{Bed, free_port};

/// Plays the script with the programs that stand under SPIRE's names; returns the lines that it
/// waited for, as [`LINES`] has them.
///
/// `format` is the setting `log_format`, or nothing.
#[track_caller]
pub fn play(bed: &Bed, server: &Path, agent: &Path, format: Option<&str>) -> Vec<String> {
    let setting = format.map(|format| format!("log_format = \"{format}\""));
    let setting = setting.unwrap_or_default();
    let root = bed.path("").display().to_string();
    let root = root.trim_end_matches('/');
    let port = free_port().to_string();
    for (name, text) in [("server.conf", SERVER), ("agent.conf", AGENT)] {
        let text = text.replace("$ROOT", root).replace("$PORT", &port);
        bed.write(name, &text.replace("$LOG_FORMAT", &setting));
    }
    let mut script = Command::new("timeout");
    script.args(["55", "sh", "-c", SCRIPT, "operator"]);
    let printed = bed.run(script.arg(server).arg(agent)).ok();
    printed.lines().map(|line| masked(line, root)).collect()
}

/// What the script waits for, in this order. What differs between any two runs is `*`; fields that
/// tell of the maker of a program, like its version, are not shown.
pub const LINES: &[&str] = &[
    "time=* level=info msg=X509 CA prepared expiration=* issued_at=* local_authority_id=* \
     self_signed=true slot=A subsystem_name=ca_manager upstream_authority_id=",
    "time=* level=info msg=X509 CA activated expiration=* issued_at=* local_authority_id=* \
     slot=A subsystem_name=ca_manager upstream_authority_id=",
    "time=* level=debug msg=Successfully rotated X.509 CA subsystem_name=ca_manager \
     trust_domain_id=spiffe://example.org ttl=*",
    "time=* level=info msg=JWT key prepared expiration=* issued_at=* local_authority_id=* \
     slot=A subsystem_name=ca_manager",
    "time=* level=info msg=JWT key activated expiration=* issued_at=* local_authority_id=* \
     slot=A subsystem_name=ca_manager",
    "time=* level=info msg=Starting Server APIs address=127.0.0.1:* network=tcp \
     subsystem_name=endpoints",
    "time=* level=info msg=Starting Server APIs address=ROOT/api.sock network=unix \
     subsystem_name=endpoints",
    "time=* level=info msg=Starting agent data_dir=./node",
    "time=* level=info msg=Bundle loaded subsystem_name=attestor \
     trust_domain_id=spiffe://example.org",
    "time=* level=info msg=SVID is not found. Starting node attestation subsystem_name=attestor \
     trust_domain_id=spiffe://example.org",
    "time=* level=info msg=Node attestation was successful reattestable=false \
     spiffe_id=spiffe://example.org/spire/agent/join_token/* subsystem_name=attestor \
     trust_domain_id=spiffe://example.org",
    "time=* level=info msg=Starting agent APIs address=ROOT/agent.sock network=unix \
     subsystem_name=endpoints",
    "time=* level=info msg=Agent attestation request completed address=127.0.0.1:* \
     agent_id=spiffe://example.org/spire/agent/join_token/* authorized_as=nobody \
     authorized_via= caller_addr=127.0.0.1:* method=AttestAgent node_attestor_type=join_token \
     request_id=* service=agent.v1.Agent subsystem_name=api",
    "time=* level=debug msg=Entry created entry=* selectors_added=1 \
     spiffe_id=spiffe://example.org/web subsystem_name=cache_manager",
    "time=* level=info msg=Creating X509-SVID entry_id=* spiffe_id=spiffe://example.org/web \
     subsystem_name=manager",
    "time=* level=debug msg=Signed X509 SVID authorized_as=agent authorized_via=datastore \
     caller_addr=127.0.0.1:* caller_id=spiffe://example.org/spire/agent/join_token/* entry_id=* \
     expiration=* method=BatchNewX509SVID request_id=* revision_number=0 serial_num=* \
     service=svid.v1.SVID spiffe_id=spiffe://example.org/web subsystem_name=api",
    "time=* level=debug msg=SVID updated entry=* spiffe_id=spiffe://example.org/web \
     subsystem_name=cache_manager",
    "time=* level=debug msg=Fetched X.509 SVID count=1 method=FetchX509SVID pid=* \
     registered=true service=WorkloadAPI spiffe_id=spiffe://example.org/web \
     subsystem_name=endpoints ttl=*",
    "time=* level=debug msg=Signed X509 SVID authorized_as=local authorized_via=transport \
     dns_name= expiration=* method=MintX509SVID request_id=* serial_num=* \
     service=svid.v1.SVID spiffe_id=spiffe://example.org/minted subject=* subsystem_name=api",
    "time=* level=debug msg=Entry removed entry=* spiffe_id=spiffe://example.org/web \
     subsystem_name=cache_manager",
    "time=* level=error msg=No identity issued method=FetchX509SVID pid=* registered=false \
     service=WorkloadAPI subsystem_name=endpoints",
    "time=* level=error msg=Invalid argument: failed to attest: join token does not exist or \
     has already been used authorized_as=nobody authorized_via= caller_addr=127.0.0.1:* \
     method=AttestAgent node_attestor_type=join_token request_id=* service=agent.v1.Agent \
     subsystem_name=api",
    "time=* level=info msg=Agent banned authorized_as=local authorized_via=transport \
     method=BanAgent request_id=* service=agent.v1.Agent \
     spiffe_id=spiffe://example.org/spire/agent/join_token/* subsystem_name=api",
    "time=* level=warning msg=Agent is banned: removing SVID and shutting down \
     subsystem_name=manager",
    "time=* level=error msg=Agent crashed",
    "time=* level=info msg=Agent deleted authorized_as=local authorized_via=transport \
     method=DeleteAgent request_id=* service=agent.v1.Agent \
     spiffe_id=spiffe://example.org/spire/agent/join_token/* subsystem_name=api",
    "time=* level=info msg=Stopping Server APIs address=127.0.0.1:* network=tcp \
     subsystem_name=endpoints",
    "time=* level=info msg=Attempting graceful stop address=127.0.0.1:* network=tcp \
     subsystem_name=endpoints",
    "time=* level=info msg=Graceful stop successful address=127.0.0.1:* network=tcp \
     subsystem_name=endpoints",
    "time=* level=info msg=Server APIs have stopped address=127.0.0.1:* network=tcp \
     subsystem_name=endpoints",
    "time=* level=info msg=Stopping Server APIs address=ROOT/api.sock network=unix \
     subsystem_name=endpoints",
    "time=* level=info msg=Attempting graceful stop address=ROOT/api.sock network=unix \
     subsystem_name=endpoints",
    "time=* level=info msg=Graceful stop successful address=ROOT/api.sock network=unix \
     subsystem_name=endpoints",
    "time=* level=info msg=Server APIs have stopped address=ROOT/api.sock network=unix \
     subsystem_name=endpoints",
    "time=* level=info msg=Server stopped gracefully",
];

/// The pairs of a line in its order, without what differs between runs.
fn masked(line: &str, root: &str) -> String {
    let pairs = if line.starts_with('{') {
        of_json(line)
    } else {
        of_text(line)
    };
    let shown: Vec<String> = pairs
        .into_iter()
        .filter(|(key, _)| !OF_MAKER.contains(&key.as_str()))
        .map(|(key, value)| {
            let value = if DIFFERENT.contains(&key.as_str()) {
                "*".to_owned()
            } else {
                masked_value(&value.replace(root, "ROOT"))
            };
            format!("{key}={value}")
        })
        .collect();
    shown.join(" ")
}

/// Ports and tokens.
fn masked_value(value: &str) -> String {
    let (start, end) = value.split_at(value.rfind(['/', ':']).map_or(0, |at| at + 1));
    let port = end.len() >= 4 && end.bytes().all(|byte| byte.is_ascii_digit());
    let token = end.len() == 36 && end.matches('-').count() == 4;
    if port || token {
        format!("{start}*")
    } else {
        value.to_owned()
    }
}

/// The keys in the order that JSON lines of SPIRE do not have, so that both forms compare.
fn of_json(line: &str) -> Vec<(String, String)> {
    let Value::Object(fields) = serde_json::from_str(line).unwrap() else {
        panic!("{line}");
    };
    let shown = |value: &Value| {
        // The address of a socket stands in its parts.
        let text = value.as_str().or_else(|| value.get("Name")?.as_str());
        text.map_or_else(|| value.to_string(), str::to_owned)
    };
    let first = ["time", "level", "msg"];
    let head = first.map(|key| (key.to_owned(), shown(&fields[key])));
    let rest = fields
        .iter()
        .filter(|(key, _)| !first.contains(&key.as_str()));
    let rest = rest.map(|(key, value)| (key.clone(), shown(value)));
    head.into_iter().chain(rest).collect()
}

/// `key=value key="quoted value"`.
fn of_text(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let end = end_of_quote(quoted);
                (quoted[..end].to_owned(), &quoted[end + 1..])
            }
            None => {
                let end = after.find(' ').unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        pairs.push((key.to_owned(), value));
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    assert_eq!(rest, "", "{line}");
    pairs
}

fn end_of_quote(quoted: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in quoted.char_indices() {
        match letter {
            '"' if !escaped => return at,
            _ => escaped = letter == '\\' && !escaped,
        }
    }
    panic!("no end of the quotes: {quoted}");
}

const SCRIPT: &str = include_str!("operator.sh");

const OF_MAKER: &[&str] = &["apis", "error", "version"];

const DIFFERENT: &[&str] = &[
    "entry",
    "entry_id",
    "expiration",
    "issued_at",
    "local_authority_id",
    "pid",
    "request_id",
    "serial_num",
    // Text in both makers' text; SPIRE's JSON has an object of Go's here, ours the same text.
    "subject",
    "time",
    "ttl",
];

const SERVER: &str = r#"server {
    bind_address = "127.0.0.1"
    bind_port = "$PORT"
    data_dir = "./data"
    log_level = "DEBUG"
    $LOG_FORMAT
    socket_path = "$ROOT/api.sock"
    trust_domain = "example.org"
    experimental { cache_reload_interval = "1s" }
}
plugins {
    DataStore "sql" {
        plugin_data {
            database_type = "sqlite3"
            connection_string = "./data/datastore.sqlite3"
        }
    }
    KeyManager "memory" { plugin_data {} }
    NodeAttestor "join_token" { plugin_data {} }
}
"#;

const AGENT: &str = r#"agent {
    data_dir = "./node"
    log_level = "DEBUG"
    $LOG_FORMAT
    server_address = "127.0.0.1"
    server_port = "$PORT"
    socket_path = "$ROOT/agent.sock"
    trust_bundle_path = "bundle.pem"
    trust_domain = "example.org"
    experimental { sync_interval = "1s" }
}
plugins {
    KeyManager "memory" { plugin_data {} }
    NodeAttestor "join_token" { plugin_data {} }
    WorkloadAttestor "unix" { plugin_data {} }
}
"#;
