//! Configurations of SPIRE's form, right and wrong.

use clap::{Args as _, FromArgMatches as _};
use signet_daemon::log::{Destination, Format, Level};

use super::*;
use crate::node::{JoinToken, NodeAttestor};

const SMALL: &str = r#"
agent {
    server_address = "127.0.0.1"
    server_port = 8081
    trust_domain = "example.org"
    insecure_bootstrap = true
}
plugins {
    NodeAttestor "join_token" { plugin_data {} }
    KeyManager "disk" { plugin_data { directory = "/keys" } }
    WorkloadAttestor "unix" {
        plugin_data {
            discover_workload_path = true
            workload_size_limit = 9
        }
    }
}
"#;

fn flags(arguments: &[&str]) -> Result<RunFlags, clap::Error> {
    let command = RunFlags::augment_args(clap::Command::new("run").no_binary_name(true));
    RunFlags::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

fn load(text: &str, arguments: &[&str]) -> Result<Config, String> {
    let document = Document::parse(text, "agent.conf").map_err(|error| error.to_string())?;
    let flags = flags(arguments).map_err(|error| error.to_string())?;
    Config::resolve(&document, &flags).map_err(|error| format!("{error:#}"))
}

/// The message about `SMALL` with this line in its agent block.
fn refusal(line: &str) -> String {
    let text = SMALL.replacen("agent {", &format!("agent {{\n    {line}"), 1);
    load(&text, &[]).unwrap_err()
}

#[test]
fn a_small_file_gets_spires_defaults() {
    let config = load(SMALL, &[]).unwrap();
    assert_eq!(
        config.socket_path,
        Path::new("/tmp/spire-agent/public/api.sock")
    );
    assert_eq!(config.keys, KeyManager::Disk("/keys".into()));
    assert_eq!(config.sync_interval, Duration::from_secs(5));
    assert_eq!(config.log.level, Level::Info);
    assert!(config.bootstrap.is_none());
    assert!(config.unix.discover_workload_path);
    assert_eq!(config.unix.workload_size_limit, 9);
    let token = NodeAttestor::JoinToken(JoinToken::Absent);
    assert_eq!(config.node.attestor, token);
}

#[test]
fn flags_win_in_both_spellings() {
    let arguments = [
        "--socketPath",
        "/run/x.sock",
        "--data-dir",
        "/data",
        "--joinToken",
        "abc",
        "--log-level",
        "DEBUG",
        "--logFormat",
        "json",
        "--logFile",
        "/log",
    ];
    let config = load(SMALL, &arguments).unwrap();
    assert_eq!(config.socket_path, Path::new("/run/x.sock"));
    assert_eq!(config.data_dir, Path::new("/data"));
    assert_eq!(config.log.level, Level::Debug);
    assert_eq!(config.log.format, Format::Json);
    assert_eq!(config.log.destination, Destination::File("/log".into()));
    let token = JoinToken::Given("abc".to_owned().into());
    assert_eq!(config.node.attestor, NodeAttestor::JoinToken(token));
}

#[test]
fn settings_that_do_not_exist_yet_or_never_are_told_apart() {
    let error = refusal("profiling_enabled = true");
    assert!(
        error.contains("profiling_enabled") && error.contains("not supported"),
        "{error}"
    );
    let error = refusal("server_adress = \"x\"");
    assert!(error.contains("server_address"), "{error}");
    let error = refusal("sds { default_svid_name = \"x\" }");
    assert!(error.contains("sds"), "{error}");
}

#[test]
fn settings_that_only_tune_are_taken_and_named() {
    let lines = "profiling_enabled = false\nprofiling_port = 1\nrebootstrap_mode = \"never\"\n\
                 rebootstrap_delay = \"10m\"\ndisable_sds_api = true\nsds {}\n\
                 trust_bundle_url = \"\"\nx509_svid_cache_max_size = 0\n\
                 experimental {\n use_sync_authorized_entries = false\n \
                 jwt_svid_cache_hit_timeout = \"6s\"\n require_pq_kem = false\n }";
    let text = SMALL.replacen("agent {", &format!("agent {{\n{lines}"), 1);
    let config = load(&text, &[]).unwrap();
    assert_eq!(config.limits.x509_svids, CACHE_SIZE);
    assert_eq!(
        config.without_effect.paths(),
        [
            "agent.profiling_port",
            "agent.rebootstrap_delay",
            "agent.experimental.use_sync_authorized_entries",
            "agent.experimental.jwt_svid_cache_hit_timeout",
        ]
    );
}

#[test]
fn flags_of_spires_agent_that_say_what_is_done_anyway_are_taken() {
    let arguments = [
        "--disableSDSAPI",
        "--rebootstrapMode",
        "never",
        "--rebootstrapDelay",
        "1m",
        "--trustBundleUrl",
        "",
    ];
    let config = load(SMALL, &arguments).unwrap();
    assert_eq!(config.without_effect.paths(), ["agent.rebootstrap_delay"]);
}

#[test]
fn flags_of_spires_agent_whose_effect_is_lacking_are_refused_by_name_with_the_remedy() {
    for (arguments, words) in [
        (
            &["--disableWorkloadAPI"][..],
            ["--disable-workload-api", "set it to false"],
        ),
        (
            &["--rebootstrapMode", "auto"],
            ["--rebootstrap-mode", "set it to never"],
        ),
        (
            &["--trustBundleUrl", "https://example.org/bundle"],
            ["--trust-bundle-url", "use trust_bundle_path"],
        ),
    ] {
        let error = load(SMALL, arguments).unwrap_err();
        for word in words {
            assert!(error.contains(word), "{error}");
        }
    }
}

#[test]
fn exactly_one_source_of_first_trust_is_needed() {
    let none = SMALL.replace("insecure_bootstrap = true", "");
    let error = load(&none, &[]).unwrap_err();
    assert!(error.contains("trust_bundle_path"), "{error}");
    let error = load(SMALL, &["--trust-bundle", "/bundle.pem"]).unwrap_err();
    assert!(error.contains("both"), "{error}");
    let error = load(&none, &["--trust-bundle", "/no/such.pem"]).unwrap_err();
    assert!(error.contains("/no/such.pem"), "{error}");
}

#[test]
fn a_first_bundle_without_an_authority_is_refused_with_its_place() {
    let none = SMALL.replace("insecure_bootstrap = true", "");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bundle.pem");
    let (_, svid) = crate::testing::issued("spiffe://example.org/web");
    fs::write(&path, signet_identity::x509::chain_to_pem(&svid.chain)).unwrap();
    let path = path.display().to_string();
    let error = load(&none, &["--trust-bundle", &path]).unwrap_err();
    assert!(
        error.contains(&path) && error.contains("no X.509 authority"),
        "{error}"
    );
}

#[test]
fn values_that_cannot_be_are_refused_by_name() {
    for (line, word) in [
        ("availability_target = \"1h\"", "24h"),
        ("workload_x509_svid_key_type = \"ec-p521\"", "ec-p521"),
        ("x509_svid_cache_max_size = -1", "x509_svid_cache_max_size"),
        ("log_selectors = [\"unix:uid\"]", "log_selectors"),
        (
            "experimental { ratelimit { fetch_x509_svid = 1 } }",
            "ratelimit",
        ),
        ("rebootstrap_mode = \"always\"", "never"),
        ("disable_sds_api = false", "SDS"),
        ("join_token = \"\"", "empty"),
        ("socket_path = \"tcp://0.0.0.0:8000\"", "Unix socket only"),
        ("socket_path = \"unix:///run/a.sock\"", "path alone"),
        ("experimental { sync_interval = \"1ms\" }", "100ms"),
    ] {
        let error = refusal(line);
        assert!(error.contains(word), "{line}: {error}");
        assert!(error.contains("agent.conf"), "{line}: {error}");
    }
    let long = format!("/{}", "x".repeat(107));
    let error = load(SMALL, &["--socket-path", &long]).unwrap_err();
    assert!(error.contains("107"), "{error}");
    let error = load(SMALL, &["--server-address", "not a host"]).unwrap_err();
    assert!(error.contains("not a host"), "{error}");
    let error = load(SMALL, &["--trust-domain", "Not Valid"]).unwrap_err();
    assert!(error.contains("--trust-domain"), "{error}");
}

#[test]
fn a_node_attests_by_exactly_one_attestor() {
    let attestor = "NodeAttestor \"join_token\" { plugin_data {} }";
    let none = SMALL.replace(attestor, "");
    let error = load(&none, &[]).unwrap_err();
    assert!(error.contains("NodeAttestor"), "{error}");
    assert!(load(&none, &["--join-token", "abc"]).is_ok());
    let x509pop = "NodeAttestor \"x509pop\" { plugin_data {\n private_key_path = \"/k\"\n \
                   certificate_path = \"/c\"\n } }";
    let both = SMALL.replace(attestor, &format!("{attestor}\n{x509pop}"));
    assert!(load(&both, &[]).unwrap_err().contains("exactly one"));
    let only = SMALL.replace(attestor, x509pop);
    let config = load(&only, &[]).unwrap();
    assert!(matches!(config.node.attestor, NodeAttestor::X509Pop(_)));
    let error = load(&only, &["--join-token", "abc"]).unwrap_err();
    assert!(error.contains("another NodeAttestor"), "{error}");
    let missing = only.replace("certificate_path = \"/c\"", "");
    let error = load(&missing, &[]).unwrap_err();
    assert!(error.contains("certificate_path"), "{error}");
}

#[test]
fn the_admin_socket_is_away_from_workloads_and_its_delegates_are_ids() {
    let with = |lines: &str| {
        load(
            &SMALL.replacen("agent {", &format!("agent {{\n{lines}"), 1),
            &[],
        )
    };
    assert!(with("").unwrap().admin.is_none());
    let lines = "admin_socket_path = \"/run/admin.sock\"\n\
                 authorized_delegates = [\"spiffe://example.org/delegate\"]";
    let admin = with(lines).unwrap().admin.unwrap();
    assert_eq!(admin.socket_path, Path::new("/run/admin.sock"));
    let delegates: Vec<_> = admin.delegates.iter().map(ToString::to_string).collect();
    assert_eq!(delegates, ["spiffe://example.org/delegate"]);
    for (lines, word) in [
        (
            "admin_socket_path = \"/tmp/spire-agent/public/admin.sock\"",
            "directory",
        ),
        (
            "admin_socket_path = \"/tmp/spire-agent/public/a/admin.sock\"",
            "below",
        ),
        (
            "authorized_delegates = [\"spiffe://example.org/x\"]",
            "admin_socket_path",
        ),
        (
            "admin_socket_path = \"/run/admin.sock\"\nauthorized_delegates = [\"x\"]",
            "authorized_delegates",
        ),
    ] {
        let error = with(lines).unwrap_err();
        assert!(error.contains(word), "{lines}: {error}");
    }
}
