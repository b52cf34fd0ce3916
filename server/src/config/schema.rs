//! Every setting that a `server.conf` may have: what we have, and what SPIRE has and we do not
//! have yet.

use signet_daemon::{
    config::{Key, TELEMETRY, Table},
    health::HEALTH_CHECKS,
};

/// The whole file.
pub(super) const SERVER_CONF: Table = &[
    ("server", Key::Block(SERVER)),
    ("plugins", Key::Block(PLUGINS)),
    ("health_checks", Key::Block(HEALTH_CHECKS)),
    ("telemetry", Key::Block(TELEMETRY)),
];

const SERVER: Table = &[
    ("admin_ids", Key::Value),
    ("agent_ttl", Key::Value),
    ("audit_log_enabled", OFF),
    ("bind_address", Key::Value),
    ("bind_port", Key::Value),
    ("ca_key_type", Key::Value),
    ("ca_subject", Key::Block(CA_SUBJECT)),
    ("ca_ttl", Key::Value),
    ("data_dir", Key::Value),
    ("default_x509_svid_ttl", Key::Value),
    ("default_jwt_svid_ttl", Key::Value),
    ("disable_jwt_svids", Key::Value),
    ("experimental", Key::Block(EXPERIMENTAL)),
    ("federation", UNSET),
    ("jwt_issuer", Key::Value),
    ("jwt_key_type", Key::Value),
    ("log_file", Key::Value),
    ("log_format", Key::Value),
    ("log_level", Key::Value),
    ("log_source_location", Key::Value),
    // Agents are always looked up in memory.
    ("max_attested_node_info_staleness", Key::Tuning),
    ("profiling_enabled", OFF),
    ("profiling_freq", Key::Tuning),
    ("profiling_names", Key::Tuning),
    ("profiling_port", Key::Tuning),
    ("proxy_protocol_trusted_cidrs", UNSET),
    ("prune_attested_nodes_batch_size", Key::Tuning),
    ("prune_attested_nodes_expired_for", UNSET),
    ("prune_tofu_nodes", OFF),
    ("ratelimit", Key::Block(RATELIMIT)),
    ("socket_path", Key::Value),
    ("trust_domain", Key::Value),
];

const CA_SUBJECT: Table = &[
    ("country", Key::Value),
    ("organization", Key::Value),
    ("common_name", Key::Value),
];

const RATELIMIT: Table = &[("attestation", Key::Value), ("signing", Key::Value)];

/// Changes are followed as they happen, so nothing is reloaded and no event waits; and WIT-SVIDs
/// need a feature flag.
const EXPERIMENTAL: Table = &[
    ("agent_spiffe_id_as_selector", OFF),
    ("auth_opa_policy_engine", UNSET),
    ("cache_reload_interval", Key::Tuning),
    ("event_timeout", Key::Tuning),
    ("events_based_cache", Key::Tuning),
    ("feature_flags", UNSET),
    ("full_cache_reload_interval", Key::Tuning),
    ("named_pipe_name", Key::Only(&[], "use socket_path")),
    ("prune_events_older_than", Key::Tuning),
    (
        "require_pq_kem",
        Key::Only(&["false"], "remove it: X25519MLKEM768 is already preferred"),
    ),
    ("sql_transaction_timeout", Key::Tuning),
    ("wit_issuer", Key::Tuning),
    ("wit_key_type", Key::Tuning),
];

const OFF: Key = Key::Only(&["false"], "");
const UNSET: Key = Key::Only(&[], "");

const PLUGINS: Table = &[
    ("DataStore", Key::Block(&[("sql", Key::Block(SQL))])),
    (
        "KeyManager",
        Key::Block(&[
            ("disk", Key::Block(DISK)),
            ("memory", Key::Block(MEMORY)),
            ("aws_kms", Key::NotYet(KEY_MANAGERS)),
            ("azure_key_vault", Key::NotYet(KEY_MANAGERS)),
            ("gcp_kms", Key::NotYet(KEY_MANAGERS)),
            ("hashicorp_vault", Key::NotYet(KEY_MANAGERS)),
        ]),
    ),
    (
        "NodeAttestor",
        Key::Block(&[
            ("join_token", Key::Block(JOIN_TOKEN)),
            ("x509pop", Key::Block(X509POP)),
            ("aws_iid", Key::NotYet(ATTESTORS)),
            ("azure_imds", Key::NotYet(ATTESTORS)),
            ("azure_msi", Key::NotYet(ATTESTORS)),
            ("gcp_iit", Key::NotYet(ATTESTORS)),
            ("http_challenge", Key::NotYet(ATTESTORS)),
            ("k8s_psat", Key::NotYet(ATTESTORS)),
            ("sshpop", Key::NotYet(ATTESTORS)),
            ("tpm_devid", Key::NotYet(ATTESTORS)),
        ]),
    ),
    (
        "UpstreamAuthority",
        Key::NotYet("remove the block: the CA signs its own root"),
    ),
    ("BundlePublisher", UNSET),
    ("CredentialComposer", UNSET),
    ("Notifier", UNSET),
];

const KEY_MANAGERS: &str = "use \"disk\" or \"memory\"";
const ATTESTORS: &str = "use \"join_token\" or \"x509pop\"";
const BUILT_IN: &str = "remove it: external plugins cannot be run";

/// A plugin block with these settings as its data.
macro_rules! plugin {
    ($data:expr) => {
        &[
            ("enabled", Key::Value),
            ("plugin_args", Key::Only(&[], BUILT_IN)),
            ("plugin_checksum", Key::Only(&[], BUILT_IN)),
            ("plugin_cmd", Key::Only(&[], BUILT_IN)),
            ("plugin_data", Key::Block($data)),
            ("plugin_data_file", Key::NotYet("use plugin_data")),
        ]
    };
}

const DISK: Table = plugin!(&[("keys_path", Key::Value)]);
const MEMORY: Table = plugin!(&[]);
const JOIN_TOKEN: Table = plugin!(&[]);

const X509POP: Table = plugin!(&[
    (
        "agent_path_template",
        Key::Only(
            &["/{{ .PluginName }}/{{ .Fingerprint }}"],
            "remove it: the path is /x509pop/<fingerprint>"
        )
    ),
    ("ca_bundle_path", Key::Value),
    ("ca_bundle_paths", Key::Value),
    ("max_intermediates", Key::Only(&["4"], "")),
    ("max_rsa_key_size", Key::Only(&["8192"], "")),
    ("mode", Key::Only(&["external_pki"], "use \"external_pki\"")),
    ("spiffe_prefix", UNSET),
    ("verify_client_ip", OFF),
]);

/// What tunes a pool of connections to a database elsewhere has no effect on one file.
const SQL: Table = plugin!(&[
    ("connection_string", Key::Value),
    ("database_type", Key::Value),
    ("client_cert_path", Key::Tuning),
    ("client_key_path", Key::Tuning),
    ("conn_max_lifetime", Key::Tuning),
    ("disable_migration", OFF),
    ("max_idle_conns", Key::Tuning),
    ("max_open_conns", Key::Tuning),
    (
        "ro_connection_string",
        Key::Only(&[], "remove it: sqlite3 is one file on this machine")
    ),
    ("root_ca_path", Key::Tuning),
]);
