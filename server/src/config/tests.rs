//! Files and flags, good and bad.

use clap::Parser;
use signet_daemon::log::{Format, Level};

use super::*;
use crate::attest::X509PopSettings;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    flags: RunFlags,
}

fn flags(args: &[&str]) -> RunFlags {
    let args = std::iter::once("server").chain(args.iter().copied());
    Command::try_parse_from(args).unwrap().flags
}

fn load_with(text: &str, args: &[&str]) -> anyhow::Result<Config> {
    let document = Document::parse(text, "server.conf")?;
    Config::from_document(&document, &flags(args))
}

fn load(text: &str) -> Config {
    load_with(text, &[]).unwrap()
}

fn refusal(text: &str) -> String {
    format!("{:#}", load_with(text, &[]).unwrap_err())
}

const LEAST: &str = "server {\n  trust_domain = \"example.org\"\n  data_dir = \"/data\"\n}\n";

#[test]
fn a_file_as_people_have_it_is_read() {
    let config = load(
        r#"
server {
    bind_address = "127.0.0.1"
    bind_port = "9081"
    trust_domain = "example.org"
    data_dir = "/opt/spire/data/server"
    log_level = "DEBUG"
    log_format = "json"
    ca_ttl = "48h"
    ca_key_type = "ec-p384"
    disable_jwt_svids = true
    default_x509_svid_ttl = "6h"
    agent_ttl = "2h"
    jwt_issuer = "https://oidc.example.org"
    ca_subject { country = ["DE"], organization = ["ACME"], common_name = "root" }
    admin_ids = ["spiffe://example.org/admin"]
    ratelimit { signing = false }
    audit_log_enabled = false
    experimental {}
}
plugins {
    DataStore "sql" {
        plugin_data { database_type = "sqlite3", connection_string = "/db/store.sqlite3" }
    }
    KeyManager "disk" {
        plugin_data { keys_path = "/keys.json" }
    }
    NodeAttestor "join_token" { plugin_data {} }
    NodeAttestor "x509pop" { plugin_data { ca_bundle_path = "/ca.pem" } }
}
health_checks { listener_enabled = true, bind_port = "8080" }
"#,
    );
    assert_eq!(config.bind.to_string(), "127.0.0.1:9081");
    assert_eq!(config.log.level, Level::Debug);
    assert_eq!(config.log.format, Format::Json);
    assert_eq!(config.ca.ca_ttl, HOUR * 48);
    assert_eq!(config.ca.jwt_key_type, KeyType::EcP384);
    assert_eq!(config.ca.jwt_svids, JwtSvids::Disabled);
    assert_eq!(config.ca.lifetimes.agent, HOUR * 2);
    assert_eq!(config.ca.ca_subject.organization, ["ACME"]);
    assert_eq!(config.limits.signing, Switch::Off);
    assert_eq!(config.limits.attestation, Switch::On);
    assert_eq!(config.database, PathBuf::from("/db/store.sqlite3"));
    let path = PathBuf::from("/keys.json");
    assert_eq!(config.key_manager, KeyManagerSettings::Disk { path });
    let pop = X509PopSettings {
        ca_bundle_paths: vec![PathBuf::from("/ca.pem")],
    };
    let attestors = [AttestorSettings::JoinToken, AttestorSettings::X509Pop(pop)];
    assert_eq!(config.attestors, attestors);
    assert!(config.health.listener_enabled);
    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
}

#[test]
fn defaults_are_those_of_spire() {
    let config = load(LEAST);
    assert_eq!(config.bind.to_string(), "0.0.0.0:8081");
    assert_eq!(config.socket_path, PathBuf::from(DEFAULT_SOCKET));
    assert_eq!(config.ca.ca_ttl, HOUR * 24);
    assert_eq!(config.ca.lifetimes.x509_svid, HOUR);
    assert_eq!(config.ca.lifetimes.agent, HOUR);
    assert_eq!(config.ca.lifetimes.jwt_svid, Duration::from_secs(300));
    assert_eq!(config.ca.ca_subject, CaSubject::default());
    assert_eq!(config.attestors, [AttestorSettings::JoinToken]);
    assert_eq!(config.database, PathBuf::from("/data/datastore.sqlite3"));
}

#[test]
fn join_tokens_need_no_plugin() {
    let pop = "NodeAttestor \"x509pop\" { plugin_data { ca_bundle_path = \"/ca.pem\" } }";
    let config = load(&format!("{LEAST}plugins {{\n{pop}\n}}"));
    let [AttestorSettings::JoinToken, AttestorSettings::X509Pop(_)] = config.attestors.as_slice()
    else {
        panic!("{:?}", config.attestors);
    };
}

#[test]
fn flags_override_the_file_in_both_spellings() {
    let args = [
        "--trustDomain",
        "other.test",
        "--serverPort",
        "1",
        "--bind-address",
        "::1",
    ];
    let config = load_with(LEAST, &args).unwrap();
    assert_eq!(config.ca.trust_domain.as_str(), "other.test");
    assert_eq!(config.bind.to_string(), "[::1]:1");
}

#[test]
fn a_wrong_flag_is_named_as_a_flag() {
    let longest = "a".repeat(256);
    for (flag, value) in [
        ("--trust-domain", "Not A Domain"),
        ("--trust-domain", longest.as_str()),
        ("--bind-address", "localhost"),
        ("--log-level", "loud"),
        ("--log-format", "xml"),
    ] {
        let error = Command::try_parse_from(["server", flag, value]).err();
        let error = error.expect("must be refused").to_string();
        assert!(error.contains(flag), "{error}");
    }
}

#[test]
fn a_reload_does_not_see_what_flags_hide() {
    let hidden = load_with(LEAST, &["--trust-domain", "other.test"]).unwrap();
    assert_eq!(hidden.settings.get("server.trust_domain"), None);
    assert_eq!(hidden.settings.get("server.data_dir"), Some("/data"));
}

#[test]
fn every_mistake_names_its_setting_and_line() {
    for (settings, wanted) in [
        ("trust_domain = \"EXAMPLE.org\"", "trust_domain"),
        ("bind_address = \"localhost\"", "bind_address"),
        ("ca_ttl = \"1 day\"", "ca_ttl"),
        ("ca_ttl = \"5s\"", "ca_ttl"),
        ("agent_ttl = \"10ms\"", "agent_ttl"),
        ("ca_key_type = \"ec-p521\"", "ca_key_type"),
        ("log_level = \"loud\"", "log_level"),
        ("admin_ids = [\"example.org/admin\"]", "admin_ids"),
        ("audit_log_enabled = true", "audit_log_enabled"),
        ("bind_prot = 1", "bind_port"),
        ("federation { bundle_endpoint {} }", "not supported yet"),
        ("profiling_enabled = true", "profiling_enabled"),
        ("prune_tofu_nodes = true", "prune_tofu_nodes"),
        ("experimental { require_pq_kem = true }", "require_pq_kem"),
        (
            "experimental { feature_flags = [\"wit_svid\"] }",
            "feature_flags",
        ),
    ] {
        let rest: String = LEAST
            .lines()
            .filter(|line| !line.contains("trust_domain") || !settings.contains("trust_domain"))
            .skip(1)
            .collect::<Vec<_>>()
            .join("\n");
        let error = refusal(&format!("server {{\n{settings}\n{rest}"));
        assert!(error.contains(wanted), "{settings}: {error}");
        assert!(error.contains("server.conf:2"), "{settings}: {error}");
    }
}

#[test]
fn settings_that_only_tune_are_taken_and_named() {
    let config = load(
        r#"
server {
    trust_domain = "example.org"
    data_dir = "/data"
    audit_log_enabled = false
    max_attested_node_info_staleness = "5s"
    federation {}
    profiling_enabled = false
    profiling_names = ["heap"]
    proxy_protocol_trusted_cidrs = []
    experimental {
        events_based_cache = true
        cache_reload_interval = "1s"
        event_timeout = "1m"
        sql_transaction_timeout = "1m"
        prune_events_older_than = "1h"
        require_pq_kem = false
    }
}
plugins {
    DataStore "sql" {
        plugin_data {
            database_type = "sqlite3"
            connection_string = "/db"
            max_open_conns = 5
            disable_migration = false
        }
    }
    KeyManager "memory" { enabled = true, plugin_cmd = "" }
    KeyManager "disk" { enabled = false, plugin_data {} }
    NodeAttestor "x509pop" {
        plugin_data { ca_bundle_path = "/ca.pem", mode = "external_pki", max_intermediates = 4 }
    }
}
telemetry { MetricPrefix = "spire" }
"#,
    );
    assert_eq!(config.key_manager, KeyManagerSettings::Memory);
    assert_eq!(
        config.without_effect.paths(),
        [
            "server.max_attested_node_info_staleness",
            "server.profiling_names",
            "server.experimental.events_based_cache",
            "server.experimental.cache_reload_interval",
            "server.experimental.event_timeout",
            "server.experimental.sql_transaction_timeout",
            "server.experimental.prune_events_older_than",
            "plugins.DataStore.sql.plugin_data.max_open_conns",
            "telemetry.MetricPrefix",
        ]
    );
}

#[test]
fn what_is_missing_is_named() {
    assert!(refusal("server { data_dir = \"/d\" }").contains("trust_domain"));
    assert!(refusal("server { trust_domain = \"example.org\" }").contains("data_dir"));
}

#[test]
fn plugins_are_checked() {
    for (plugins, wanted) in [
        (
            "DataStore \"sql\" { plugin_data { database_type = \"mysql\" } }",
            "mysql",
        ),
        (
            "DataStore \"sql\" { plugin_data { database_type = \"sqlite3\" } }",
            "connection_string",
        ),
        ("KeyManager \"disk\" { plugin_data {} }", "keys_path"),
        (
            "KeyManager \"aws_kms\" { plugin_data {} }",
            "not supported yet",
        ),
        (
            "KeyManager \"memory\" {}\nKeyManager \"disk\" {}",
            "more than once",
        ),
        (
            "NodeAttestor \"x509pop\" { plugin_data {} }",
            "ca_bundle_path",
        ),
        (
            "NodeAttestor \"x509pop\" { plugin_data { mode = \"spiffe\" } }",
            "use \"external_pki\"",
        ),
        (
            "NodeAttestor \"x509pop\" { plugin_data { verify_client_ip = true } }",
            "verify_client_ip",
        ),
        ("NodeAttestor \"join_tokn\" {}", "join_token"),
        ("UpstreamAuthority \"disk\" {}", "not supported yet"),
    ] {
        let error = refusal(&format!("{LEAST}plugins {{\n{plugins}\n}}"));
        assert!(error.contains(wanted), "{plugins}: {error}");
    }
}

#[test]
fn lifetimes_that_the_ca_cannot_honour_are_warned_about() {
    let text = LEAST.replace('}', "default_x509_svid_ttl = \"12h\"\n}");
    let warnings = load(&text).warnings().join("\n");
    assert!(warnings.contains("default_x509_svid_ttl"), "{warnings}");
    assert!(warnings.contains("259200s"), "{warnings}");
    assert!(warnings.contains("agent_ttl"), "{warnings}");
}

#[test]
fn a_file_that_is_not_there_is_named_with_the_flag() {
    let error = Config::load(&flags(&["--config", "/nonexistent/server.conf"])).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("/nonexistent/server.conf") && error.contains("--config"),
        "{error}"
    );
}
